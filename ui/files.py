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
    """Contents with what is said of them. name: the file's, or what a typed text is called.

    of_digest: `data` is no file but one line that names its SHA-256; `sha256` and `octets` are still the file's.
    """

    name: str
    data: bytes
    sha256: str
    path: Path | None = None
    octets: int = 0
    of_digest: bool = False


def bring(path: Path, most: int) -> Brought:
    """Raises InputError as `read` does."""
    data = read(path, most)
    return Brought(path.name, data, hashlib.sha256(data).hexdigest(), path, len(data))


def bring_digest(path: Path) -> Brought:
    """A file of any size as the line that `sha256sum < FILE` prints. Raises InputError as `read` does, but for size."""
    found, octets = hashlib.sha256(), 0
    try:
        read(path, 1, exact=False)
        with path.open("rb") as file:
            while part := file.read(MEGABYTE):
                found.update(part)
                octets += len(part)
    except OSError as error:
        raise _unreadable(path, error) from None
    digest = found.hexdigest()
    return Brought(path.name, f"{digest}  -\n".encode(), digest, path, octets, of_digest=True)


def typed(text: str) -> Brought:
    """A text as its UTF-8 octets."""
    data = text.encode()
    return Brought(tr("typed text"), data, hashlib.sha256(data).hexdigest(), octets=len(data))


def read(path: Path, most: int, *, exact: bool = True) -> bytes:
    """All of a file; the first `most` octets when not exact.

    Raises InputError: `file-missing`, `file-is-folder`, `file-empty`, `file-too-large`, `file-unreadable`.
    """
    try:
        if path.is_dir():
            raise _wrong("file-is-folder", tr("“{name}” is a folder.", name=path.name), tr("Choose one file."), path)
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise _wrong("file-missing", tr("There is no file “{path}”.", path=path),
                     tr("Choose it again; perhaps the medium was taken out."), path) from None  # fmt: skip
    except OSError as error:
        raise _unreadable(path, error) from None
    if not data:
        raise _wrong("file-empty", tr("“{name}” is empty.", name=path.name), tr("Choose the right file."), path)
    if len(data) > most and exact:
        what = tr("“{name}” is larger than {size}.", name=path.name, size=_limit(most))
        todo = tr("Signing and verifying go with its digest: choose “The digest of a large file”. Encrypt it in parts.")
        raise _wrong("file-too-large", what, todo, path)
    return data[:most]


def _limit(octets: int) -> str:
    return tr("{n} MB", n=octets // MEGABYTE) if octets >= MEGABYTE else tr("{n} kB", n=octets // 1024)


def _unreadable(path: Path, error: OSError) -> InputError:
    return _wrong("file-unreadable", tr("“{name}” cannot be read: {why}.", name=path.name, why=error.strerror),
                  tr("Ask whoever manages this workstation for the right to read it, or choose another file."),
                  path)  # fmt: skip


def size(octets: int) -> str:
    """As people say it, with the exact number."""
    if octets < 1024:
        return tr("{n} bytes", n=octets)
    if octets < MEGABYTE:
        return tr("{n} kB ({exact} bytes)", n=f"{octets / 1024:.1f}", exact=f"{octets:,}")
    return tr("{n} MB ({exact} bytes)", n=f"{octets / MEGABYTE:.1f}", exact=f"{octets:,}")


def _wrong(code: str, what: str, todo: str, path: Path) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE, details={"path": str(path)}))
