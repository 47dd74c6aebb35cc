"""Starting our own processes: isolated Python, no inherited secrets, and a parent thread that never ends early.

Linux delivers a child's parent-death signal when the *thread* that started it ends (prctl(2)). A screen starts
agents from pool threads that come and go, so one thread that lives as long as the process starts them all.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

# -I ignores PYTHONPATH and the current folder; the root of this very package is put back, wherever it is installed.
_BOOT = (
    "import sys,runpy; sys.path.insert(0,sys.argv.pop(1)); del sys.argv[0]; "
    "runpy.run_module(sys.argv[0],run_name='__main__',alter_sys=True)"
)
_ROOT = str(Path(__file__).resolve().parents[2])
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "XDG_RUNTIME_DIR", "TMPDIR")
_KEPT_BYTES = 64 * 1024
_KEPT_PREFIXES = ("HSM_CONSOLE_", "SOFTHSM2_", "PKCS11_", "COVERAGE_")


def python_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs `module` of this installation in a fresh, isolated interpreter."""
    return [sys.executable, "-I", "-c", _BOOT, _ROOT, module, *arguments]


def environment() -> dict[str, str]:
    """What a child may know of our environment."""
    return {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}


def start(
    command: Sequence[str],
    *,
    pass_fds: Sequence[int] = (),
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    """subprocess.Popen from the long-lived thread. Raises OSError as Popen does."""

    def popen() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            env=environment(),
            start_new_session=True,  # a Ctrl-C at the terminal is the parent's to handle, in its own order
        )

    return _spawner().run(popen)


def stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the end, then kill. The process is reaped in any case."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Tail:
    """Keeps the end of a child's standard error, so that a full pipe never stops the child."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._data = bytearray()
        self._stream = process.stderr
        self._thread = threading.Thread(target=self._drain, name="child-messages", daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        if self._stream is None:
            return
        with contextlib.suppress(OSError, ValueError):
            while piece := self._stream.read1(4096):  # type: ignore[attr-defined]
                self._data += piece
                del self._data[:-_KEPT_BYTES]

    def text(self) -> str:
        self._thread.join(0.2)
        return bytes(self._data).decode(errors="replace")

    def close(self) -> None:
        self._thread.join(1.0)
        if self._stream is not None:
            self._stream.close()


class _Spawner:
    def __init__(self) -> None:
        self._work: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
        self._work = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="spawner", daemon=True).start()

    def run(self, popen: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        answer: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((popen, answer))
        return answer.result()

    def _serve(self) -> None:
        while True:
            popen, answer = self._work.get()
            try:
                answer.set_result(popen())
            except BaseException as error:  # noqa: BLE001  # belongs to the thread that asked
                answer.set_exception(error)


_lock = threading.Lock()
_instance: _Spawner | None = None


def _spawner() -> _Spawner:
    global _instance  # noqa: PLW0603  # one per process, made when first needed
    with _lock:
        if _instance is None:
            _instance = _Spawner()
        return _instance
