"""Files, written so that they are there wholly or not at all, also after a power cut."""

from __future__ import annotations

import os
import secrets
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


def sync_directory(directory: Path) -> None:
    """Make names in a folder durable: a rename holds after a power cut only then. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
