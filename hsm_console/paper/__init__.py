"""Printed pages: fonts, page furniture, grouped digits, QR codes. Used by receipts, minutes and scripts.

The same content gives the same bytes (no dates of now, no random identifiers), so a page can be made again.
"""
