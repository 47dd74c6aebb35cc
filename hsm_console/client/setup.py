"""Founding a workspace, before any certificate exists: a process of its own, fed through its standard input."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable

import msgspec

from hsm_console.client import spawn
from hsm_console.client.failures import error_of
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.messages.setup import FoundingProgress, FoundingSpec

FOUNDING = "hsm_console.gateway.founding"
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


def _died(status: int, messages: str) -> Problem:
    return Problem(
        code="founding-died",
        what="The set-up ended before it was done.",
        key_state="Keys may exist in the token; run the set-up again with the same answers to go on.",
        todo="Run the set-up again with the same answers; it finds what was made.",
        details={"status": str(status), "messages": messages},
    )
