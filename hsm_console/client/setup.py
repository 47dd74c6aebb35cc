"""Founding a workspace, before any certificate exists: a process of its own, fed through its standard input."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.client import spawn
from hsm_console.client.failures import error_of
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.messages.setup import FoundingProgress, FoundingSpec
from hsm_console.domain.secret import Secret

FOUNDING = "hsm_console.gateway.founding"
RENEWAL = "hsm_console.gateway.renewal"
_LAST_MESSAGES = 1500


def run(
    spec: FoundingSpec, on_progress: Callable[[FoundingProgress], None] | None = None, *, module: str = FOUNDING
) -> dict[str, str]:
    """Found the workspace; uid → path of each person's credential file. Blocks until it is done.

    The specification carries passphrases: it goes through a pipe, never into an argument or a file. Raises the
    founding's own Problem, or EnvironmentFault `founding-died`.
    """
    process = spawn.start(
        spawn.python_command(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    last = FoundingProgress(n=0, of=0, text="")
    with process:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the founding process needs its pipes")
        messages = spawn.Tail(process)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(spec))
            process.stdin.close()
        for line in process.stdout:
            try:
                last = msgspec.json.decode(line, type=FoundingProgress)
            except msgspec.DecodeError:
                continue  # a library's chatter on standard output is not progress
            if on_progress is not None:
                on_progress(last)
        status = process.wait()
        said = messages.text()[-_LAST_MESSAGES:]
    if last.problem is not None:
        raise error_of(last.problem)
    if not last.done:
        raise EnvironmentFault(_died(status, said))
    return last.credentials


def renew(workspace: Path, pin: Secret, *, module: str = RENEWAL) -> dict[str, Any]:
    """Issue a fresh list of revoked certificates while no gateway runs (nobody could log in without one).

    Returns crl (its number), crl_next_update_ms, identity_renewed. Raises the process's Problem: `workspace-in-use`,
    `pin-incorrect`, …, or EnvironmentFault `founding-died`.
    """
    command = spawn.python_command(module, str(workspace))
    process = spawn.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with process:
        said, messages = process.communicate(msgspec.json.encode({"pin": pin.reveal()}))
    try:
        told: dict[str, Any] = msgspec.json.decode(said)
    except msgspec.DecodeError:
        raise EnvironmentFault(_died(process.returncode, messages.decode(errors="replace")[-_LAST_MESSAGES:])) from None
    if "problem" in told:
        raise error_of(msgspec.convert(told["problem"], Problem))
    return told


def _died(status: int, messages: str) -> Problem:
    return Problem(
        code="founding-died",
        what="The set-up ended before it was done.",
        key_state="Keys may exist in the token; run the set-up again with the same answers to go on.",
        todo="Run the set-up again with the same answers; it finds what was made.",
        details={"status": str(status), "messages": messages},
    )
