"""Values everything else speaks in: people, keys, ceremonies, events, errors, wire messages.

Imports only msgspec and the standard library. Nothing here does I/O.
"""
