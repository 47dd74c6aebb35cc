"""How often each call was made on a device, how often it failed, how long it took with the wait before it."""

from __future__ import annotations

import threading
from collections import deque

import msgspec

KEPT = 1024


class CallFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one kind of call; the times are of the last `KEPT` ones."""

    call: str
    count: int
    failed: int
    p50_ms: float
    p99_ms: float


class _Series:
    __slots__ = ("count", "failed", "times")

    def __init__(self) -> None:
        self.count = 0
        self.failed = 0
        self.times: deque[float] = deque(maxlen=KEPT)


class Metrics:
    """Thread-safe; memory does not grow with the number of calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[str, _Series] = {}

    def note(self, call: str, took_ms: float, *, failed: bool) -> None:
        with self._lock:
            series = self._calls.setdefault(call, _Series())
            series.count += 1
            series.failed += failed
            series.times.append(took_ms)

    def figures(self) -> tuple[CallFigures, ...]:
        """One row a call, by name."""
        with self._lock:
            copies = [(name, s.count, s.failed, sorted(s.times)) for name, s in sorted(self._calls.items())]
        return tuple(
            CallFigures(
                call=name,
                count=count,
                failed=failed,
                p50_ms=round(times[len(times) // 2], 3),
                p99_ms=round(times[min(len(times) - 1, len(times) * 99 // 100)], 3),
            )
            for name, count, failed, times in copies
        )
