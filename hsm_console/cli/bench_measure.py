"""What every measurement of `hsm-console bench` shares: its row, its statistics, its place to work.

Times are milliseconds unless a row says otherwise. What is measured and its physical limit alternate in one run, and
a ratio is the median of the pairs' ratios: a busy machine slows both sides of a pair, so ratios stay comparable.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One measured budget. limit: the physical limit's median in the same unit, None where there is none.

    ratio: as the budget has it (named in `budget`), None where the budget is an absolute time. ok None: there is no
    budget for it, or (median None) it could not be measured here and `note` says why.
    """

    name: str
    median: float | None
    p99: float | None
    unit: str = "ms"
    limit: float | None = None
    ratio: float | None = None
    budget: str = ""
    ok: bool | None = None
    note: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what to measure. folder: an empty folder on the disk that is judged; runs: how many pairs."""

    folder: Path
    adapter: str
    events: int
    quick: bool = False

    def some(self, normal: int, quick: int = 3) -> int:
        """How often something is repeated."""
        return quick if self.quick else normal


Measure = Callable[[Place], list[Row]]


def timed(act: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    began = time.perf_counter_ns()
    act()
    return (time.perf_counter_ns() - began) / 1e6


def processor(act: Callable[[], object], times: int) -> str:
    """What one call costs without waiting: on a busy machine the rest of a time is other programs' work."""
    spent = []
    for _ in range(times):
        began = time.process_time_ns()
        act()
        spent.append((time.process_time_ns() - began) / 1e6)
    return f"processor time {median(spent)} ms, p99 {p99(spent)} ms"


def pairs(ours: Callable[[], object], limit: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Alternate both, each going first in half of the rounds; their times in milliseconds."""
    mine: list[float] = []
    theirs: list[float] = []
    for turn in range(rounds):
        for act, times in ((ours, mine), (limit, theirs))[:: 1 if turn % 2 else -1]:
            times.append(timed(act))
    return mine, theirs


def median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 4)


def p99(values: Sequence[float]) -> float:
    """The 99th percentile by nearest rank: of fewer than 100 values the largest."""
    ranked = sorted(values)
    return round(ranked[max(0, -(-99 * len(ranked) // 100) - 1)], 4)


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
    """The median of the ratios of pairs."""
    return round(statistics.median(a / b for a, b in zip(numerator, denominator, strict=True)), 3)
