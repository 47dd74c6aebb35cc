"""The window: banner, place, status."""
