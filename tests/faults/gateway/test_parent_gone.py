"""The screen dies while its gateway starts: the gateway stops as cleanly as at any other time."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("when", ["before", "half-way"])
def test_nobody_is_there_to_be_told(workspace: Path, both_verify: Callable[[Path], None], when: str) -> None:
    mine, theirs = socket.socketpair()
    command = [sys.executable, "-m", "hsm_console.gateway", "--workspace", str(workspace)]
    if when == "before":
        mine.close()
    process = subprocess.Popen(
        [*command, "--control", str(theirs.fileno())], cwd=ROOT, pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE
    )
    theirs.close()
    if when == "half-way":
        while not (workspace / "audit.db-wal").exists() and process.poll() is None:
            pass
        mine.close()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said.decode()
    both_verify(workspace)
