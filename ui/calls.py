"""Work away from the screen's thread; its end comes back on it.

Invariants: the GUI side owns the one QObject that delivers; a worker holds only a bound emit. A page talks through a
Lane; leaving a page moves the lane's generation on, and whatever arrives late for an older one is dropped. Python's
cyclic garbage is collected on the screen's thread only: collected on a worker it would delete widgets there, and crash.

The workers are plain threads that live as long as the application: what they hold, nobody else destroys.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from hsm_console.domain.errors import ConsoleError, Problem
from ui.constants import make_immortal

T = TypeVar("T")
_SWITCH_SECONDS = 0.001  # pure-Python work in a worker then holds the screen up for at most a few ms
_WORKERS = 8
_SWEEP_MS = 1000
_OLD_EVERY = 30  # sweeps between two looks at everything, not only at what is young


@dataclass(frozen=True)
class Outcome:
    """How one call ended: exactly one of result and problem counts."""

    call: int
    result: Any = None
    problem: Problem | None = None


class _Workers:
    """Some threads that take work in the order in which it came. They begin when they are needed, and stay."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._threads = 0
        self._open = 0  # works that wait or run

    def start(self, work: Callable[[], None]) -> None:
        with self._changed:
            self._open += 1
            if self._threads < min(self._open, self._most):
                self._threads += 1
                threading.Thread(target=self._serve, name=f"call-{self._threads}", daemon=True).start()
        self._queue.put(work)

    def wait(self, seconds: float) -> bool:
        """Whether everything was done within that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, seconds)

    def _serve(self) -> None:
        while True:
            self._one()  # in a frame of its own: nothing of a finished call is held while waiting for the next

    def _one(self) -> None:
        work = self._queue.get()
        try:
            work()
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()


def _run(number: int, work: Callable[[], object], deliver: Callable[[Outcome], None]) -> None:
    try:
        outcome = Outcome(number, result=work())
    except ConsoleError as error:
        outcome = Outcome(number, problem=error.problem)
    except Exception as error:  # noqa: BLE001  # whatever it was, the page must hear of it
        outcome = Outcome(number, problem=unexpected(error))
    with contextlib.suppress(RuntimeError):  # the application is gone: nobody is left to be told
        deliver(outcome)


class Calls(QObject):
    """The application's background calls."""

    delivered = Signal(object)  # Outcome; emitted on a worker, received on the screen's thread
    busy_changed = Signal(bool)  # something that must not be interrupted began or ended

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        make_immortal()
        sys.setswitchinterval(_SWITCH_SECONDS)
        self._workers = _Workers(_WORKERS)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Callable[[Outcome], None]] = {}
        self._guarded: dict[int, str] = {}
        gc.disable()
        self._sweeps = itertools.count(1)
        self._sweeper = QTimer(self)
        self._sweeper.setInterval(_SWEEP_MS)
        self._sweeper.timeout.connect(self._sweep)
        self._sweeper.start()
        self.delivered.connect(self._arrive, Qt.ConnectionType.QueuedConnection)

    def start(self, work: Callable[[], object], done: Callable[[Outcome], None], *, guard: str = "") -> int:
        """guard: why the window must not close while this runs; empty for a call that may be abandoned."""
        number = next(self._numbers)
        self._waiting[number] = done
        if guard:
            self._guarded[number] = guard
            self.busy_changed.emit(True)
        self._workers.start(partial(_run, number, work, self.delivered.emit))
        return number

    @property
    def guards(self) -> tuple[str, ...]:
        """Reasons why the window must stay open now."""
        return tuple(self._guarded.values())

    def drain(self, milliseconds: int) -> bool:
        """At the end of the application: wait for workers, deliver nothing any more."""
        self._waiting.clear()
        done = self._workers.wait(milliseconds / 1000)
        gc.collect()
        return done

    @Slot()
    def _sweep(self) -> None:
        gc.collect(2 if next(self._sweeps) % _OLD_EVERY == 0 else 1)

    @Slot(object)
    def _arrive(self, delivery: object) -> None:
        if not isinstance(delivery, Outcome):
            raise TypeError("only outcomes are delivered")
        outcome = delivery
        if self._guarded.pop(outcome.call, None) is not None and not self._guarded:
            self.busy_changed.emit(False)
        done = self._waiting.pop(outcome.call, None)
        if done is not None:
            done(outcome)


class Lane:
    """A page's way to make calls. Not a QObject: it outlives the page without touching it."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._generation = 0

    def call(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        failed: Callable[[Problem], None],
        *,
        guard: str = "",
    ) -> None:
        """Run `work` on a worker; `then` or `failed` run on the screen's thread, unless the lane moved on."""
        generation = self._generation

        def done(outcome: Outcome) -> None:
            if generation != self._generation:
                return
            if outcome.problem is not None:
                failed(outcome.problem)
            else:
                then(outcome.result)

        self._calls.start(work, done, guard=guard)

    def forget(self) -> None:
        """What is under way goes on; its answer is not wanted any more."""
        self._generation += 1


def unexpected(error: BaseException) -> Problem:
    """A fault of this program, told like every other failure; the trace is for whoever repairs it."""
    trace = "".join(traceback.format_exception(error))[-3000:]
    return Problem(
        code="unexpected",
        what="Something happened that this program did not foresee.",
        key_state="What was asked may or may not have been done; the log tells.",
        todo="Look at the log before you repeat anything. Write down the time.",
        contact="the maker of this program, with the technical details below",
        details={"error": f"{type(error).__name__}: {error}", "trace": trace},
    )
