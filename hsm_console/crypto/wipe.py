"""Overwriting what was secret. Python copies freely: this reaches the buffers that are named, and no copy of them.

docs/cryptography.md lists where copies remain. A process that ends gives everything back; that is the real answer.
"""

from __future__ import annotations

import ctypes
import sys

_HEADER = sys.getsizeof(b"") - 1  # of CPython's bytes: the octets begin behind it
_SHARED = 1  # CPython keeps one object for each single octet


def wipe(buffer: bytearray) -> None:
    """Overwrite a bytearray in place."""
    buffer[:] = bytes(len(buffer))


def wipe_bytes(secret: bytes) -> None:
    """Overwrite the octets of a bytes object that nobody else holds: one that a library has just handed over.

    Never call it with a literal or with anything that was kept elsewhere: every other holder sees zeros too.
    """
    if type(secret) is not bytes or len(secret) <= _SHARED or sys.implementation.name != "cpython":
        return
    ctypes.memset(id(secret) + _HEADER, 0, len(secret))
