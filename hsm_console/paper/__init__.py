"""Printed pages: fonts, headers, watermark, grouped hex, QR codes.

Drawn in the core and not by Qt, so that paper is the same from a machine without a display.
"""
