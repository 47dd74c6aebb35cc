"""Anonymous memory files (memfd): how keys reach OpenSSL without a file on any disk (PLATFORM 3)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def memory_file(data: bytes, name: str = "credential") -> Iterator[int]:
    """A descriptor of an anonymous file holding `data`; overwritten and closed at the end of the block."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
        os.close(descriptor)


@contextmanager
def pipe_holding(data: bytes) -> Iterator[int]:
    """The reading end of a pipe that already holds `data` (at most a page: it must fit the pipe)."""
    if len(data) > 4096:
        raise ValueError("a secret that is handed over in a pipe must fit one page")
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            os.write(writing, data)
        finally:
            os.close(writing)
        yield reading
    finally:
        os.close(reading)
