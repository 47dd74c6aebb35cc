"""Questions and answers over one worker process: several may be under way, each finds its own answer.

One thread reads; it also sees at once when the process ends, whether or not somebody waits for an answer.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import msgspec

from hsm_console.domain.errors import DeviceError
from hsm_console.hsm import problems, wire
from hsm_console.hsm.process import WorkerProcess

_FOR_EVER = 86_400.0  # a number, so that the reading side stays non-blocking as the sending side is


class _Waiting:
    __slots__ = ("answered", "error", "frame", "method")

    def __init__(self, method: str) -> None:
        self.method = method
        self.answered = threading.Event()
        self.frame: bytearray | None = None
        self.error: DeviceError | None = None


class Channel:
    """One worker and the way to it. on_end: called once, from the reading thread, when the process ended by itself."""

    def __init__(self, process: WorkerProcess, on_end: Callable[[], None]) -> None:
        self.process = process
        self._on_end = on_end
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._waiting: dict[int, _Waiting] = {}
        self._ended: dict[str, str] | None = None
        self._reading = process.connection.dup()
        self._reading.settimeout(_FOR_EVER)
        process.connection.settimeout(_FOR_EVER)
        threading.Thread(target=self._read, name="worker-answers", daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._ended is None and self.process.running

    def ask(self, message: msgspec.Struct, method: str, seconds: float) -> bytearray:
        """Send one call and wait for its answer. Raises `device-hung`, `device-crashed`; after both it is over."""
        deadline = time.monotonic() + seconds
        number = next(self._numbers) % 2**32
        frame = wire.pack(message, number)
        waiting = _Waiting(method)
        with self._lock:
            if self._ended is not None:
                wire.wipe(frame)
                raise problems.crashed(method, self._ended)
            self._waiting[number] = waiting
        try:
            self._send(frame, deadline)
            if not waiting.answered.wait(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
        except TimeoutError as late:
            self.end()
            raise problems.hung(method, seconds) from late
        except OSError as gone:
            self._over(self.process.ending())
            raise problems.crashed(method, self._ended or {}) from gone
        except BaseException:  # interrupted between question and answer: what became of it is not known any more
            self.end()
            raise
        finally:
            wire.wipe(frame)
            with self._lock:
                self._waiting.pop(number, None)
        if waiting.error is not None:
            raise waiting.error
        assert waiting.frame is not None  # noqa: S101 - answered means one of both
        return waiting.frame

    def end(self, *, grace_s: float = 0.0) -> None:
        """End the process; whoever waits is told. Never raises."""
        self._on_end = _nothing
        self.process.end(grace_s=grace_s)
        self._over({"ending": "ended by the console"})

    def _send(self, frame: bytearray, deadline: float) -> None:
        if not self._sending.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        try:
            self.process.connection.settimeout(max(0.001, deadline - time.monotonic()))
            self.process.connection.sendall(frame)
        finally:
            self._sending.release()

    def _read(self) -> None:
        with self._reading:
            try:
                while self.process.wait_readable(time.monotonic() + _FOR_EVER):
                    self._deliver(*wire.receive(self._reading))
            except (EOFError, OSError, ValueError):  # ValueError: closed on this side while it was waited on
                pass
        self._over(self.process.ending())
        self.process.close()
        self._on_end()

    def _deliver(self, number: int, frame: bytearray) -> None:
        with self._lock:
            waiting = self._waiting.pop(number, None)
        if waiting is None:
            wire.wipe(frame)
            return
        waiting.frame = frame
        waiting.answered.set()

    def _over(self, ending: dict[str, str]) -> None:
        """Tell everybody who waits."""
        with self._lock:
            if self._ended is None:
                self._ended = ending
            left, self._waiting = self._waiting, {}
        for waiting in left.values():
            waiting.error = problems.crashed(waiting.method, ending)
            waiting.answered.set()


def _nothing() -> None:
    """Nobody asked to be told."""
