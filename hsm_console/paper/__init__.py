"""Printed pages: fonts, headers, watermark, grouped hex, QR codes. Drawn in the core, so that paper is the same without a display."""
