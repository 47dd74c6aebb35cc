"""The days that a report covers."""

from __future__ import annotations

from datetime import UTC, date, datetime

import msgspec

from hsm_console.domain.errors import ExitCode, InputError, Problem

_DAY_MS = 86_400_000


class Period(msgspec.Struct, frozen=True):
    """Days in UTC, both included; None: from the first entry, to the last one. Raises InputError period-inverted."""

    start: date | None = None
    end: date | None = None

    def __post_init__(self) -> None:
        if self.start and self.end and self.start > self.end:
            raise refused(
                "period-inverted",
                f"The period begins on {self.start} and ends on {self.end}, before it begins.",
                "Exchange --from and --to.",
            )

    def holds(self, time_ms: int) -> bool:
        return (self.start is None or time_ms >= _midnight(self.start)) and not self.after(time_ms)

    def after(self, time_ms: int) -> bool:
        return self.end is not None and time_ms >= _midnight(self.end) + _DAY_MS


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def refused(code: str, what: str, todo: str) -> InputError:
    """Input that a report cannot use, with what to do instead."""
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
