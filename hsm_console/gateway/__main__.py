"""`python -m hsm_console.gateway --workspace DIR [--listen ADDR] [--control FD]`: the gateway as a process.

It says in one JSON line on the control socket (without one: on standard output) that it listens, or why it cannot.
It stops cleanly when the other end of that socket is closed, and on SIGTERM, SIGINT and SIGHUP.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from hsm_console.domain.errors import ConsoleError, ExitCode
from hsm_console.domain.messages.process import ControlLine
from hsm_console.gateway import compose
from hsm_console.gateway.incidents import Incidents

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Control:
    """The way to and from whoever started this process, and the signals, in one thing to wait for."""

    def __init__(self, descriptor: int) -> None:
        self._parent = socket.socket(fileno=descriptor) if descriptor >= 0 else None
        self._wake, waker = socket.socketpair()
        waker.setblocking(False)
        self._waker = waker
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)  # the wake-up byte is what counts

    def say(self, line: ControlLine) -> None:
        data = msgspec.json.encode(line) + b"\n"
        if self._parent is not None:
            with contextlib.suppress(OSError):  # it died meanwhile: `wait` sees that, and the gateway stops cleanly
                self._parent.sendall(data)
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            if line.problem is not None and sys.stderr.isatty():
                sys.stderr.write(line.problem.in_words() + "\n")

    def wait(self, seconds: float) -> str:
        """Why to stop, or an empty text when the time is over."""
        watched = [self._wake] + ([self._parent] if self._parent else [])
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._wake in ready:
            return "signal"
        if self._parent is not None and self._parent in ready:
            return "asked" if not self._parent.recv(64) else ""
        return ""


def main() -> int:
    """Run until asked to stop."""
    os.umask(0o077)
    arguments = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    control = Control(arguments.control)
    try:
        gateway = compose.start(arguments.workspace, listen=arguments.listen)
    except ConsoleError as error:
        control.say(ControlLine(problem=error.problem))
        return int(error.problem.exit_code)
    except Exception as error:  # noqa: BLE001 - told as a Problem; the trace goes to the diagnostics file
        problem = Incidents(arguments.workspace / "gateway" / "diagnostics.log").bug(error, "start").problem
        control.say(ControlLine(problem=problem))
        return ExitCode.ENVIRONMENT
    try:
        control.say(ControlLine(ready=gateway.listen()))
    except ConsoleError as error:
        gateway.stop("could not listen")
        control.say(ControlLine(problem=error.problem))
        return int(error.problem.exit_code)
    reason = _until_asked(control, gateway)
    gateway.stop(reason)
    return ExitCode.OK


def _until_asked(control: Control, gateway: compose.Gateway) -> str:
    due = time.monotonic() + compose.TICK_SECONDS
    while True:
        reason = control.wait(max(0.0, due - time.monotonic()))
        if reason:
            return reason
        if time.monotonic() >= due:
            gateway.tick()
            due = time.monotonic() + compose.TICK_SECONDS


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="hsm-console gateway", description="Run the gateway of a workspace.")
    parser.add_argument("--workspace", type=Path, required=True, help="the workspace's folder")
    parser.add_argument("--listen", default="", help="unix:/path or host:port; default: the workspace's own socket")
    parser.add_argument("--control", type=int, default=-1, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
