"""The screen. The only place that imports Qt; it holds no key, no database and no authority."""
