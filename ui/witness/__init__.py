"""The window that only watches: what the log has committed, large enough for a room."""
