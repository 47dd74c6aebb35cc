"""The embedded gateway: a child process of the application, told to end when the application is gone."""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
import time
from pathlib import Path

import msgspec

from hsm_console.client import rendezvous, spawn
from hsm_console.client.failures import error_of
from hsm_console.client.rendezvous import GatewayAddress
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.messages.process import ControlLine, Rendezvous

GATEWAY = "hsm_console.gateway"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
_MAX_LINE = 64 * 1024


class GatewayProcess:
    """`python -m hsm_console.gateway --workspace DIR [--listen …] --control FD`, for as long as this object is open.

    The child writes one `ControlLine` when it listens or cannot start. Closing our end of the control socket (also by
    the death of this process) asks it to stop cleanly.
    """

    def __init__(
        self, workspace: Path, *, listen: str = "", module: str = GATEWAY, seconds: float = START_SECONDS
    ) -> None:
        """Start and wait until it is ready. Raises the gateway's own Problem, `gateway-died` or `gateway-slow`."""
        self.workspace = workspace
        self._control, theirs = socket.socketpair()
        with theirs:
            arguments = ["--workspace", str(workspace), "--control", str(theirs.fileno())]
            if listen:
                arguments += ["--listen", listen]
            self._process = spawn.start(
                spawn.python_command(module, *arguments), pass_fds=(theirs.fileno(),), stderr=subprocess.PIPE
            )
        self._messages = spawn.Tail(self._process)
        try:
            self.ready = self._wait_ready(seconds)
        except BaseException:
            self._end(0.5)
            raise

    @property
    def address(self) -> GatewayAddress:
        """Where it listens, with what pins it. Raises InputError `workspace-incomplete`."""
        return rendezvous.for_workspace(self.workspace, self.ready.listen)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def messages(self) -> str:
        """The last of what the process wrote to its standard error."""
        return self._messages.text()

    def stop(self) -> int:
        """Ask it to stop, wait, kill it if it does not. Returns its exit status; harmless when repeated."""
        return self._end(STOP_SECONDS)

    def __enter__(self) -> GatewayProcess:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _end(self, seconds: float) -> int:
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._control.close()
        spawn.stop(self._process, seconds)
        self._messages.close()
        return self._process.returncode

    def _wait_ready(self, seconds: float) -> Rendezvous:
        line = self._read_line(time.monotonic() + seconds)
        try:
            told = msgspec.json.decode(line, type=ControlLine) if line else ControlLine()
        except msgspec.DecodeError:
            told = ControlLine()
        if told.problem is not None:
            raise error_of(told.problem)
        if told.ready is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            raise EnvironmentFault(_died(self._process.returncode, self.messages))
        return told.ready

    def _read_line(self, end: float) -> bytes:
        data = bytearray()
        while b"\n" not in data and len(data) < _MAX_LINE:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._control], [], [], left)[0]:
                raise EnvironmentFault(_slow())
            try:
                piece = self._control.recv(4096)
            except OSError:
                piece = b""
            if not piece:
                break
            data += piece
        return bytes(data)


def _died(status: int | None, messages: str) -> Problem:
    return Problem(
        code="gateway-died",
        what="The gateway ended before it was ready.",
        todo="Read the details below; start it in a terminal with `hsm-console gateway --workspace …` to see more.",
        details={"status": str(status), "messages": messages[-1500:]},
    )


def _slow() -> Problem:
    return Problem(
        code="gateway-slow",
        what="The gateway did not become ready in time.",
        todo="Try again. If the log is very long, its check at the start may need more time.",
    )
