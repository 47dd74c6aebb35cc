"""What the gateway does for people: one module per place of the interface."""
