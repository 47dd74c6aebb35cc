"""Files that are handed in, read so that a device, a pipe or a file of any size can neither hold up nor fill the one
who reads."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path


def open_regular(path: Path) -> io.BufferedReader:
    """A regular file, opened to be read. A pipe, a socket or a device is none: it may have no end. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe without a writer would wait
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "It is no regular file", str(path))


def read_whole(path: Path, most: int) -> bytes:
    """All of a regular file of at most `most` bytes. Raises OSError, EFBIG when it is larger."""
    with open_regular(path) as file:
        data = file.read(most + 1) if os.fstat(file.fileno()).st_size <= most else None
    if data is None or len(data) > most:
        raise OSError(errno.EFBIG, f"It is larger than {most} bytes", str(path))
    return data
