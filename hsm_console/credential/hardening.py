"""What an agent does first: no core, no debugger of the same user, private files, and no life without its parent."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
import threading

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
_RDHUP_ONLY = select.POLLRDHUP  # POLLHUP and POLLERR are reported in any case


def harden() -> None:
    """Raises OSError when the kernel refuses: an agent without protection does not start.

    PR_SET_PDEATHSIG fires when the *thread* that started this process ends, so whoever starts agents does it from a
    thread that lives as long as the process (prctl(2)).
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((PR_SET_DUMPABLE, 0), (PR_SET_PDEATHSIG, signal.SIGKILL)):
        if libc.prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option})")


def die_with(control: socket.socket) -> None:
    """End this process at once, whatever it is doing, when the other end of `control` is closed."""
    threading.Thread(target=_watch, args=(control.fileno(),), name="watch-parent", daemon=True).start()


def _watch(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, _RDHUP_ONLY)
    poll.poll()
    os._exit(0)
