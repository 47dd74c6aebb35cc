"""Workspaces of the same founding, made once in a run of the tests and copied after.

A founding takes two seconds of processor: a token, keys, seven credentials. The tests of the founding itself, and those
that begin with it, found for themselves; whoever only needs a workspace takes a copy from here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from hsm_console.client import setup
from hsm_console.domain.messages.setup import FoundingSpec


def shelf(factory: pytest.TempPathFactory) -> Path:
    """The folder that all processes of one run share."""
    base = factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "foundings"


def found(spec: FoundingSpec, shelf: Path) -> Path:
    """A workspace in `spec.directory`, founded as it says, now or before in this run. Raises as `setup.run`."""
    alike = msgspec.structs.replace(spec, directory="")
    kept = shelf / hashlib.sha256(msgspec.json.encode(alike)).hexdigest()[:16]
    shelf.mkdir(mode=0o700, exist_ok=True)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            making = kept.with_suffix(".making")
            setup.run(msgspec.structs.replace(spec, directory=str(making)))
            making.rename(kept)
    return Path(shutil.copytree(kept, spec.directory))
