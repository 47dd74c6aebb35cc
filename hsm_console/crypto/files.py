"""Files: written so that they are there wholly or not at all, also after a power cut; read so that a device, a pipe or
a file of any size can neither hold up nor fill the one who reads."""

from __future__ import annotations

import errno
import io
import os
import secrets
import stat
from pathlib import Path

from hsm_console.domain.errors import EnvironmentFault, Problem


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write `data` beside `path`, flush it to the disk, and rename it into place with `mode`.

    Raises EnvironmentFault `file-not-written`; an older file then still stands unharmed.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EnvironmentFault(
            Problem(
                code="file-not-written",
                what=f"The file {path} could not be written: {error.strerror}.",
                todo="Check free space and rights of the folder, then do the step again.",
                details={"path": str(path), "errno": str(error.errno)},
            )
        ) from error


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


def sync_directory(directory: Path) -> None:
    """Make names in a folder durable: a rename holds after a power cut only then. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
