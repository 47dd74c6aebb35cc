"""The workstation's clocks: wall time for people, CLOCK_BOOTTIME and the boot id against clock tricks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import msgspec

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Instant(msgspec.Struct, frozen=True):
    """One reading: Unix time in ms, the kernel's boot id, and ms since that boot."""

    time_ms: int
    boot_id: str
    boottime_ms: int


class Clock(Protocol):
    def now(self) -> Instant: ...


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self._boot_id = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "unknown"

    def now(self) -> Instant:
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        return Instant(time.time_ns() // 1_000_000, self._boot_id, boot)
