"""How a device is, as the last look found it."""

from __future__ import annotations

import contextlib
import enum
import time

import msgspec

from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.hsm.breaker import Phase
from hsm_console.hsm.port import Unsupported
from hsm_console.hsm.worker import HsmClient

_BYTES = 32


class Health(enum.StrEnum):
    """UP: the last check passed. DEGRADED: one check failed, the device is slow, or it rests after failures.

    DOWN: no worker, or two checks failed. LATCHED: it failed so often that it is left alone until a person looks.
    """

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    LATCHED = "latched"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the device. checked_ms, changed_ms: Unix time; took_ms: how long the last check took."""

    health: Health
    logged_in: bool
    waiting: int
    checked_ms: int = 0
    changed_ms: int = 0
    took_ms: float = 0.0
    failures: int = 0
    busy_with: str = ""
    info: DeviceInfo | None = None
    problem: Problem | None = None


def examined(client: HsmClient, before: Status) -> Status:
    """Describe the token and draw random bytes, where it has any. Never raises for the device."""
    began = time.monotonic()
    info, problem, failures = before.info, None, 0
    try:
        info = client.describe()
        with contextlib.suppress(Unsupported):
            client.random(_BYTES)
    except ConsoleError as error:
        problem, failures = error.problem, before.failures + 1
    return msgspec.structs.replace(
        before,
        checked_ms=time.time_ns() // 1_000_000,
        took_ms=(time.monotonic() - began) * 1000,
        failures=failures,
        info=info,
        problem=problem,
    )


def health_of(status: Status, phase: Phase, *, alive: bool, slow_ms: float) -> Health:
    if phase is Phase.LATCHED:
        return Health.LATCHED
    if not alive or status.failures > 1:
        return Health.DOWN
    if status.failures or phase is not Phase.CLOSED or status.took_ms > slow_ms:
        return Health.DEGRADED
    return Health.UP
