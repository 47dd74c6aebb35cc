"""The worker's side: one process that holds one vendor module and answers its parent's calls, several at a time
where the adapter offers that (`port.Parallel`): each lane has a thread and a view of the token of its own.

Started as `python -I -m hsm_console.hsm.host FD PARENT`: the number of an inherited socket and the parent's process
id; nothing else is on its command line. It dies with its parent in three ways, each enough: the kernel's death
signal, a thread that sees the socket close while a module hangs, and the end of file between two calls.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import sys
import threading
from typing import Any

import msgspec

from hsm_console.domain.errors import ConsoleError, InputError, Problem
from hsm_console.domain.secret import Secret
from hsm_console.hsm import problems, registry, software, wire
from hsm_console.hsm.port import Hsm, Parallel

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4


def main(arguments: list[str]) -> int:
    """Serve until the parent says close or is gone; the exit status is 0 in both cases."""
    descriptor, parent = (int(argument) for argument in arguments)
    _harden(parent)
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as connection:
        threading.Thread(target=_end_with_parent, args=(descriptor,), name="parent", daemon=True).start()
        with contextlib.suppress(EOFError, BrokenPipeError):
            _serve(connection)
    return 0


def _harden(parent: int) -> None:
    """No core file and no debugger may show a PIN; the kernel ends this process with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was gone before the death signal was set
        os.kill(os.getpid(), signal.SIGKILL)


def _end_with_parent(descriptor: int) -> None:
    """Kill this process when the socket is closed on the other side, even while a module hangs."""
    poller = select.poll()
    poller.register(descriptor, select.POLLRDHUP | select.POLLHUP)
    poller.poll()
    os.kill(os.getpid(), signal.SIGKILL)


def _serve(connection: socket.socket) -> None:
    number, frame = wire.receive(connection)
    opening = wire.decode_opening(frame)
    try:
        hsm = software.over(registry.load(opening.adapter)(opening.binding))
        more = hsm.lanes() if isinstance(hsm, Parallel) else ()
    except BaseException as error:  # noqa: BLE001  # whatever a module does, the parent gets an answer
        connection.sendall(_failure("open", error, number))
        return
    ready = wire.Ready(lanes=1 + len(more), deadlines=dict(hsm.deadlines))
    connection.sendall(wire.answer_frame(ready, number))
    Lanes(connection, hsm).run(more)


class Lanes:
    """Threads that take turns at reading: who has a call answers it while the next one reads."""

    def __init__(self, connection: socket.socket, hsm: Hsm) -> None:
        self._connection = connection
        self._hsm = hsm
        self._reading = threading.Lock()
        self._sending = threading.Lock()

    def run(self, more: tuple[Hsm, ...]) -> None:
        """Until the parent says close or is gone. What must happen alone goes to the first view: it has the login."""
        for view in more:
            threading.Thread(target=self._lane, args=(view,), name="lane", daemon=True).start()
        self._lane(self._hsm)

    def _lane(self, view: Hsm) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                with self._reading:
                    number, frame = wire.receive(self._connection)
                reply, last = _answer(self._hsm, frame, number, view)
                with self._sending:
                    self._connection.sendall(reply)
                wire.wipe(reply)
                if last:
                    os._exit(0)


def _answer(hsm: Hsm, frame: bytearray, number: int = 0, view: Hsm | None = None) -> tuple[bytearray, bool]:
    """The reply to one frame, and whether it was the last. view: this lane's own view of the token."""
    try:
        call = wire.decode_call(frame)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        return _failure("decode", InputError(_unreadable(error)), number), False
    asked = hsm if view is None or call.alone else view
    method = str(call.__struct_config__.tag)
    arguments: dict[str, Any] = {name: getattr(call, name) for name in call.__struct_fields__}
    try:
        return wire.answer_frame(getattr(asked, method)(**arguments), number), method == "close"
    except BaseException as error:  # noqa: BLE001  # a library that calls sys.exit must not end the worker silently
        return _failure(method, error, number), method == "close"
    finally:
        for value in arguments.values():
            if isinstance(value, Secret):
                value.wipe()


def _failure(method: str, error: BaseException, number: int = 0) -> bytearray:
    known = error if isinstance(error, ConsoleError) else problems.unexpected(method, error)
    family = next(name for name in (kind.__name__ for kind in type(known).__mro__) if name in problems.FAMILIES)
    return wire.pack(wire.Failed(family=family, problem=known.problem), number)


def _unreadable(error: Exception) -> Problem:
    return Problem(
        code="call-unreadable",
        what="The device's driver was asked something that it cannot read. Nothing was sent to the device.",
        todo="Install one version of HSM Console, not parts of two.",
        details={"type": type(error).__name__},
    )


if __name__ == "__main__":
    status = main(sys.argv[1:])
    os._exit(status)  # vendor modules crash in their destructors when the interpreter unloads them
