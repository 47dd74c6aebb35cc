"""What software this is: the digest that stands in the log's first entry and is read aloud at ceremonies."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_PACKAGES = ("adapters", "hsm_console", "resources", "ui")
_LEFT_OUT = {"__pycache__", ".mypy_cache"}


@functools.cache
def sha256() -> str:
    """Hex SHA-256 over `SHA-256 of the file, two spaces, path, newline` of every file of this software, by path.

    A stranger gets the same with `find adapters hsm_console resources ui -type f ! -path '*__pycache__*' | LC_ALL=C
    sort | xargs -d '\\n' sha256sum | sha256sum` in the directory that holds these packages.
    """
    root = Path(__file__).resolve().parents[2]
    whole = hashlib.sha256()
    files = (path for name in _PACKAGES for path in (root / name).rglob("*") if path.is_file())
    for path in sorted(files, key=lambda p: p.relative_to(root).as_posix().encode()):
        if not _LEFT_OUT & set(path.parts):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{digest}  {path.relative_to(root).as_posix()}\n".encode())
    return whole.hexdigest()
