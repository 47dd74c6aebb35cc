"""Group commit: callers that meet are served in one go by one of them.

The first to come leads: it serves all that wait, wakes them, and hands the lead to the first of those who came
meanwhile. One caller alone pays for no hand-over between threads; of many, each is woken once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from hsm_console.domain.errors import ConsoleError


class Turn:
    """One caller's place. `gate` opens when it was served, or when it is to lead (`leads`)."""

    __slots__ = ("gate", "leads", "served")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.leads = False
        self.served = False


T = TypeVar("T", bound=Turn)


class Turns(Generic[T]):
    """The queue of waiting callers."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: list[T] = []
        self._busy = False

    def take(self, turn: T, serve: Callable[[list[T]], None]) -> None:
        """Return when `serve` was called, by this thread or another, with a batch that holds `turn`.

        An interrupt (KeyboardInterrupt) while waiting is passed on; the turn may be served all the same.
        """
        with self._mutex:
            self._waiting.append(turn)
            turn.leads, self._busy = not self._busy, True
        if not turn.leads:
            try:
                turn.gate.acquire()
            except BaseException:
                self._leave(turn)
                raise
        if turn.leads and not turn.served:
            self._lead(serve)

    def _lead(self, serve: Callable[[list[T]], None]) -> None:
        with self._mutex:
            batch, self._waiting = self._waiting, []
        try:
            serve(batch)
        finally:
            for item in batch:
                item.served = True
            self._pass_on()
            for item in batch:
                item.gate.release()

    def _pass_on(self) -> None:
        with self._mutex:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].gate.release()

    def _leave(self, turn: T) -> None:
        with self._mutex:
            if turn in self._waiting:
                self._waiting.remove(turn)
        if turn.leads and not turn.served:
            self._pass_on()


def again(fault: BaseException) -> BaseException:
    """An exception of its own for each caller: one traceback is not shared between threads."""
    return type(fault)(fault.problem) if isinstance(fault, ConsoleError) else fault
