"""The module itself: its state, its PIN."""
