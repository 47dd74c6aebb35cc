"""What the module holds."""
