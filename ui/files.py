"""Reading what somebody brings: with a limit, and with reasons that people understand. Through a background call."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from hsm_console.domain.errors import ExitCode, InputError, Problem
from ui.texts import tr

MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Brought:
    """Contents with what is said of them. name: the file's, or what a typed text is called."""

    name: str
    data: bytes
    sha256: str
    path: Path | None = None


def bring(path: Path, most: int) -> Brought:
    """Raises InputError as `read` does."""
    data = read(path, most)
    return Brought(path.name, data, hashlib.sha256(data).hexdigest(), path)


def typed(text: str) -> Brought:
    """A text as its UTF-8 octets."""
    data = text.encode()
    return Brought(tr("typed text"), data, hashlib.sha256(data).hexdigest())


def read(path: Path, most: int) -> bytes:
    """Raises InputError: `file-missing`, `file-is-folder`, `file-empty`, `file-too-large`, `file-unreadable`."""
    try:
        if path.is_dir():
            raise _wrong("file-is-folder", tr("“{name}” is a folder.", name=path.name), tr("Choose one file."), path)
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise _wrong("file-missing", tr("There is no file “{path}”.", path=path),
                     tr("Choose it again; perhaps the medium was taken out."), path) from None  # fmt: skip
    except OSError as error:
        raise _wrong("file-unreadable", tr("“{name}” cannot be read: {why}.", name=path.name, why=error.strerror),
                     tr("Ask whoever manages this workstation for the right to read it, or choose another file."),
                     path) from None  # fmt: skip
    if not data:
        raise _wrong("file-empty", tr("“{name}” is empty.", name=path.name), tr("Choose the right file."), path)
    if len(data) > most:
        what = tr("“{name}” is larger than {n} MB.", name=path.name, n=max(most // MEGABYTE, 1))
        raise _wrong("file-too-large", what, tr("Take its digest with another tool and use the digest's file."), path)
    return data


def size(octets: int) -> str:
    """As people say it, with the exact number."""
    if octets < 1024:
        return tr("{n} bytes", n=octets)
    if octets < MEGABYTE:
        return tr("{n} kB ({exact} bytes)", n=f"{octets / 1024:.1f}", exact=f"{octets:,}")
    return tr("{n} MB ({exact} bytes)", n=f"{octets / MEGABYTE:.1f}", exact=f"{octets:,}")


def _wrong(code: str, what: str, todo: str, path: Path) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE, details={"path": str(path)}))
