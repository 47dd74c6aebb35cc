"""A device that fails again and again is left alone for a while, and in the end until a person looks at it.

Closed → (failures in a row) → resting for a time that doubles, with jitter → one trial → closed, or resting again.
After `latch_after` rests without a success between them the breaker latches. Each change is told once: whoever writes
a record of it writes one, not one for every refused call.
"""

from __future__ import annotations

import enum
import secrets
import threading
import time
from collections.abc import Callable

import msgspec

from hsm_console.domain.errors import DeviceError, Problem

# What says something of the device. A wrong PIN, a missing key or a refused template do not.
COUNTED = frozenset(
    {"device-failed", "device-busy", "device-hung", "device-crashed", "device-removed", "session-lost",
     "device-not-started"}
)  # fmt: skip
_JITTER = 0.25
_TRIAL_S = 30.0


class Phase(enum.StrEnum):
    CLOSED = "closed"  # calls go through
    RESTING = "resting"  # calls are refused until the rest is over
    TRIAL = "trial"  # one call goes through; its end decides (another one, should it never end)
    LATCHED = "latched"  # until a person resets it


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is told. failures: in a row; refused: calls that were refused since the last change."""

    phase: Phase
    was: Phase
    failures: int
    refused: int
    code: str
    rest_s: float = 0.0


class Breaker:
    """Thread-safe. on_change is called outside of the lock."""

    def __init__(
        self,
        on_change: Callable[[Change], None] | None = None,
        *,
        threshold: int = 5,
        rest_s: float = 1.0,
        most_s: float = 60.0,
        latch_after: int = 6,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_change = on_change
        self._threshold, self._rest_s, self._most_s, self._latch_after = threshold, rest_s, most_s, latch_after
        self._now = now
        self._lock = threading.Lock()
        self._phase = Phase.CLOSED
        self._failures = 0
        self._rests = 0
        self._refused = 0
        self._until = 0.0
        self._code = ""

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def rest_left_s(self) -> float:
        """Seconds until the next trial; 0 when none is waited for."""
        return max(0.0, self._until - self._now()) if self._phase is Phase.RESTING else 0.0

    def enter(self) -> None:
        """Before a call. Raises DeviceError `device-resting` or `device-latched`: nothing was done then."""
        with self._lock:
            phase, left = self._phase, self._until - self._now()
            if phase is Phase.CLOSED:
                return
            if phase is not Phase.LATCHED and left <= 0:
                self._phase = Phase.TRIAL
                self._until = self._now() + _TRIAL_S
                return
            self._refused += 1
            raise _refusal(phase, self._failures, left, self._code)

    def succeeded(self) -> None:
        """A call came back, or failed for a reason that lies not in the device."""
        if self._phase is Phase.CLOSED and not self._failures:
            return
        with self._lock:
            if self._phase is Phase.LATCHED:
                return
            change = self._to(Phase.CLOSED) if self._phase is not Phase.CLOSED else None
            self._failures = self._rests = 0
        self._tell(change)

    def failed(self, code: str) -> None:
        """A call failed with this problem code."""
        if code not in COUNTED:
            self.succeeded()
            return
        with self._lock:
            self._failures += 1
            self._code = code
            change = None
            if self._phase is Phase.TRIAL or (self._phase is Phase.CLOSED and self._failures >= self._threshold):
                self._rests += 1
                change = self._to(Phase.LATCHED if self._rests >= self._latch_after else Phase.RESTING)
        self._tell(change)

    def reset(self) -> None:
        """A person gives the device another chance: the next call is a trial."""
        with self._lock:
            self._rests = 0
            if self._phase is not Phase.CLOSED:
                self._phase, self._until = Phase.RESTING, self._now()  # due: whoever enters next makes the trial

    def _to(self, phase: Phase) -> Change:
        was, self._phase = self._phase, phase
        rest = 0.0
        if phase is Phase.RESTING:
            rest = min(self._most_s, self._rest_s * 2 ** (self._rests - 1))
            rest *= 1 + _JITTER * (secrets.randbelow(2001) - 1000) / 1000
            self._until = self._now() + rest
        change = Change(
            phase=phase, was=was, failures=self._failures, refused=self._refused, code=self._code, rest_s=rest
        )
        self._refused = 0
        return change

    def _tell(self, change: Change | None) -> None:
        if change is not None and self._on_change is not None:
            self._on_change(change)


def _refusal(phase: Phase, failures: int, left_s: float, code: str) -> DeviceError:
    if phase is Phase.LATCHED:
        return DeviceError(
            Problem(
                code="device-latched",
                what=f"The device failed {failures} times in a row and is left alone until a person has looked at it.",
                todo="Find out why it fails, then probe or unlock the device: it gets another chance by that.",
                contact="the administrator of the HSM",
                details={"failures": str(failures), "last": code},
            )
        )
    return DeviceError(
        Problem(
            code="device-resting",
            what=f"The device failed {failures} times in a row; it is tried again in {max(1, round(left_s))} s.",
            todo="Wait, and do it again then.",
            contact="the administrator of the HSM, if it comes back",
            details={"failures": str(failures), "last": code},
        )
    )
