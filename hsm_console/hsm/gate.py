"""How many calls may be under way in one worker: as many as it has lanes, or one that must be alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Thread-safe. The wait here is not counted against a call's deadline."""

    def __init__(self) -> None:
        self.lanes = 1
        self._condition = threading.Condition()
        self._under_way = 0
        self._alone_waiting = 0
        self._holder = 0  # the thread inside `alone`; it may enter again

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Room for one call among others."""
        if self._holder == threading.get_ident():
            yield
            return
        with self._condition:
            while self._holder or self._alone_waiting or self._under_way >= self.lanes:
                self._condition.wait()
            self._under_way += 1
        try:
            yield
        finally:
            with self._condition:
                self._under_way -= 1
                self._condition.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else, and nobody new while this waits for the others to end."""
        me = threading.get_ident()
        if self._holder == me:
            yield
            return
        with self._condition:
            self._alone_waiting += 1
            try:
                while self._holder or self._under_way:
                    self._condition.wait()
                self._holder = me
            finally:
                self._alone_waiting -= 1
        try:
            yield
        finally:
            with self._condition:
                self._holder = 0
                self._condition.notify_all()
