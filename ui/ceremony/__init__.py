"""Holding a ceremony: choose, check, run; one page for each kind of step."""
