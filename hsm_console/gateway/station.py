"""A token behind its worker and its queue: opened when it is asked for, watched, replaced when its worker ends.

It knows no person and no log. Who may unlock it and what is recorded is said by who holds it (`device`, `fleet`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.hsm.breaker import Change
from hsm_console.hsm.pool import DevicePool, Health, Priority, Status
from hsm_console.hsm.pooled import pooled
from hsm_console.hsm.port import Binding, Hsm

WATCH_SECONDS = 10.0
Opener = Callable[[Binding], Any]


class Station:
    """Thread-safe. on_end: the worker ended by itself; on_change, on_breaker: health moved, the breaker moved."""

    def __init__(
        self,
        binding: Binding,
        opener: Opener,
        *,
        on_end: Callable[[], None],
        on_change: Callable[[Status], None],
        on_breaker: Callable[[Change], None],
    ) -> None:
        self.binding = binding
        self.info: DeviceInfo | None = None
        self.problem: Problem | None = None
        self._opener = opener
        self._on_end, self._on_change, self._on_breaker = on_end, on_change, on_breaker
        self._lock = threading.Lock()
        self._pool: DevicePool | None = None

    @property
    def pool(self) -> DevicePool | None:
        return self._pool

    @property
    def alive(self) -> bool:
        pool = self._pool
        return pool is not None and bool(getattr(pool.client, "alive", True))

    @property
    def logged_in(self) -> bool:
        """Whether the worker's login holds, as far as its client knows."""
        pool = self._pool
        return pool is not None and bool(getattr(pool.client, "logged_in", True))

    @property
    def health(self) -> Health:
        pool = self._pool
        return pool.status.health if pool is not None else Health.DOWN

    def open(self, *, by_person: bool = False) -> DevicePool:
        """The queue; a worker is started when there is none. by_person: the breaker gives it another chance.

        Raises what opening raises, `device-resting`, `device-latched`.
        """
        with self._lock:
            if self._pool is None:
                self._pool = DevicePool(
                    self._opener(self.binding),
                    watch_s=WATCH_SECONDS,
                    on_change=self._on_change,
                    on_end=self._on_end,
                    on_breaker=self._on_breaker,
                )
            pool = self._pool
        if by_person:
            pool.breaker.reset()
        if not getattr(pool.client, "alive", True):
            pool.breaker.enter()
            pool.respawn()
        return pool

    def describe(self, *, by_person: bool = False) -> DeviceInfo:
        """Ask the token what it is, before other work. Raises the device's errors, and keeps their problem."""
        try:
            info: DeviceInfo = self.open(by_person=by_person).run("describe", priority=Priority.CEREMONY)
        except ConsoleError as error:
            self.problem = error.problem
            raise
        self.info, self.problem = info, None
        return info

    def hsm(self, priority: Priority) -> Hsm:
        """The token's calls, each waiting its turn. Raises what opening raises."""
        return pooled(self.open(), priority)

    @contextmanager
    def lease(self, what: str) -> Iterator[None]:
        """Nobody else's calls come between those of this thread."""
        with self.open().lease(what):
            yield

    def close(self) -> None:
        """End the worker. Never raises."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
