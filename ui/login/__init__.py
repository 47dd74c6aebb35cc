"""The place where a person proves who she is."""
