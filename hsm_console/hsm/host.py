"""The worker's side: one process that holds one vendor module and answers calls from its parent, one at a time.

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
from hsm_console.hsm import problems, registry, wire
from hsm_console.hsm.port import Hsm

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
    opening = wire.decode_opening(wire.receive(connection))
    try:
        hsm = registry.load(opening.binding.adapter)(opening.binding)
    except BaseException as error:  # noqa: BLE001  # whatever a module does, the parent gets an answer
        connection.sendall(_failure("open", error))
        return
    connection.sendall(wire.answer_frame(None))
    while True:
        frame, last = _answer(hsm, wire.receive(connection))
        connection.sendall(frame)
        wire.wipe(frame)
        if last:
            return


def _answer(hsm: Hsm, frame: bytearray) -> tuple[bytearray, bool]:
    """The reply to one frame, and whether it was the last."""
    try:
        call = wire.decode_call(frame)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        return _failure("decode", InputError(_unreadable(error))), False
    method = str(call.__struct_config__.tag)
    arguments: dict[str, Any] = {name: getattr(call, name) for name in call.__struct_fields__}
    try:
        return wire.answer_frame(getattr(hsm, method)(**arguments)), method == "close"
    except BaseException as error:  # noqa: BLE001  # a library that calls sys.exit must not end the worker silently
        return _failure(method, error), method == "close"
    finally:
        for value in arguments.values():
            if isinstance(value, Secret):
                value.wipe()


def _failure(method: str, error: BaseException) -> bytearray:
    known = error if isinstance(error, ConsoleError) else problems.unexpected(method, error)
    family = next(name for name in (kind.__name__ for kind in type(known).__mro__) if name in problems.FAMILIES)
    return wire.pack(wire.Failed(family=family, problem=known.problem))


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
