"""Worker processes: started from one long-lived thread, noticed at once when they end, killed with their children."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hsm_console.hsm import problems

# The kernel's death signal follows the thread that forked, not its process: all workers are started by one thread
# that lives as long as this process does, or a worker would die with the pool thread that happened to ask for it.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-spawner")


class WorkerProcess:
    """One running worker and the socket to it."""

    def __init__(self, *, environment: dict[str, str] | None = None) -> None:
        """Start it. Raises EnvironmentFault `device-not-started`."""
        self.connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = _SPAWNER.submit(_start, theirs.fileno(), environment or {}).result()
        except OSError as error:
            self.connection.close()
            raise problems.not_startable("the process was refused by the system", str(error)) from error
        finally:
            theirs.close()
        self._pidfd = os.pidfd_open(self._process.pid)
        self._poller = select.poll()
        self._poller.register(self.connection, select.POLLIN)
        self._poller.register(self._pidfd, select.POLLIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_readable(self, deadline: float) -> bool:
        """True when there is something to read, False when `deadline` (time.monotonic) passed first.

        Raises EOFError when the process ended and has left nothing to read.
        """
        while True:
            remaining_ms = max(0.0, (deadline - time.monotonic()) * 1000)
            events = dict(self._poller.poll(remaining_ms + 0.999))
            if events.get(self.connection.fileno(), 0) & select.POLLIN:
                return True
            if events:
                raise EOFError("the worker has ended")
            if time.monotonic() >= deadline:
                return False

    def kill(self) -> None:
        """SIGKILL to it and everything it started; whoever waits for it notices at once. Never raises."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self.running:
                os.killpg(self._process.pid, signal.SIGKILL)

    def ending(self) -> dict[str, str]:
        """How it ended, for the details of a Problem: `signal` or `exit_status`. Waits at most a second."""
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return {"ending": "unknown"}
        if code < 0:
            with contextlib.suppress(ValueError):
                return {"signal": signal.Signals(-code).name}
        return {"exit_status": str(code)}

    def end(self, *, grace_s: float = 0.0) -> None:
        """Wait `grace_s` for it to end by itself, then kill it and everything it started. Never raises.

        Whoever reads from it gets the end of file, even when the process cannot be killed (uninterruptible sleep).
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            if grace_s:
                self._process.wait(timeout=grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):  # a process in uninterruptible sleep is left behind
            self._process.wait(timeout=5)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give back the socket; only by the thread that waits on it, or its number might be another file's already."""
        self.connection.close()
        with contextlib.suppress(OSError):
            os.close(self._pidfd)


def _start(descriptor: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Run by the spawner thread. A module may print what it likes: its output goes nowhere and blocks nothing."""
    command = [sys.executable, "-I", "-m", "hsm_console.hsm.host", str(descriptor), str(os.getpid())]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        cwd=Path("/"),
        env={**os.environ, **environment},
        start_new_session=True,  # Ctrl-C in a terminal is for the console; and vendors' child processes end with it
    )
