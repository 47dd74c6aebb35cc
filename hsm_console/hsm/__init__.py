"""The HSM port, the worker processes that host vendor modules, and the pool that waits on them."""
