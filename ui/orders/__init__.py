"""Orders: acts outside a ceremony that several people must agree on."""
