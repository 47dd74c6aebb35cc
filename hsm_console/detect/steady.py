"""One time that only runs forward, made of the clocks that each entry carries; and the steps of the wall clock.

Windows and baselines use this time, so that a clock that is set back or ahead neither hides a burst nor makes one.
"""

from __future__ import annotations

import msgspec

from hsm_console.detect.entry import Flat

SLACK_MS = 5_000
DRIFT = 1000  # one part in a thousand: what time services correct without a step
PENDING = 8


class ClockState(msgspec.Struct, frozen=True):
    """A `SteadyClock` at rest."""

    now_ms: int
    boot: str
    up: int
    wall: int
    declared: list[int]


class SteadyClock:
    """now_ms: since the first entry, by the uptime within a boot, by the wall clock between boots."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._boot = ""
        self._up = 0
        self._wall = 0
        self._declared: list[int] = []

    def state(self) -> ClockState:
        return ClockState(self.now_ms, self._boot, self._up, self._wall, list(self._declared))

    def restore(self, state: ClockState) -> None:
        self.now_ms, self._boot, self._up, self._wall = state.now_ms, state.boot, state.up, state.wall
        self._declared = list(state.declared)

    def see(self, flat: Flat) -> int:
        """The steady time of an entry; gives it `facts.clock_step_…` when the wall clock jumped before it."""
        boot, up = flat.get("device.boot_uid", ""), flat.get("hsm_console.boottime_ms", 0)
        wall = flat.get("time", 0)
        if not self._wall:
            passed = step = 0
        elif boot == self._boot and up >= self._up:
            passed = up - self._up
            step = wall - self._wall - passed
            if abs(step) <= SLACK_MS + passed // DRIFT:
                step = 0
        else:
            step = min(0, wall - self._wall)  # between two boots only a way back can be told
            if step >= -SLACK_MS:
                step = 0
            passed = max(0, wall - self._wall)
        self._boot, self._up, self._wall = boot, up, wall
        self.now_ms += passed
        if step:
            flat["facts.clock_step_s"] = abs(step) // 1000
            flat["facts.clock_step_way"] = "ahead" if step > 0 else "back"
            flat["facts.clock_step_declared"] = self._excused(step)
        return self.now_ms

    def declare(self, shift_ms: int) -> None:
        """Somebody says that the clock is being set by about so much."""
        self._declared = [*self._declared, shift_ms][-PENDING:]

    def _excused(self, step: int) -> bool:
        for shift in self._declared:
            if (shift > 0) == (step > 0) and abs(shift - step) <= SLACK_MS + abs(step) // 10:
                self._declared.remove(shift)
                return True
        return False
