"""The day's root sheet by itself, where policy asks for it: one for each day in which the module was unlocked.

Days are those of UTC. A sheet falls due when a day begins, and is made as soon as the module is unlocked then: at
midnight, or a minute after the unlocking, so that nobody who came to work waits for it. What fails is told to
everybody and tried again after an hour.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.messages.anchors import SheetDue
from hsm_console.gateway.core import Core
from hsm_console.gateway.services.rootsheets import RootSheets

GRACE_S = 60.0
AGAIN_S = 3600.0


class SheetDay:
    """Begun by `tick`, once a second. Thread-safe."""

    def __init__(self, core: Core, sheets: RootSheets) -> None:
        self._core = core
        self._sheets = sheets
        self._wanted = core.environment.log.root_sheet == "daily"
        self._unlocked_since = -1.0
        self._again = 0.0
        self._failed: Problem | None = None
        self._thread: threading.Thread | None = None

    def tick(self) -> None:
        """Make the sheet when it is due and can be made."""
        now = time.monotonic()
        if not self._wanted or not self._core.device.unlocked:
            self._unlocked_since = -1.0
            return
        if self._unlocked_since < 0:
            self._unlocked_since, self._again = now, 0.0
        if now < max(self._unlocked_since + GRACE_S, self._again) or self._working() or not self.due():
            return
        self._again = now + AGAIN_S
        self._thread = threading.Thread(target=self._make, name="root-sheet", daemon=True)
        self._thread.start()

    def due(self) -> bool:
        """No sheet was signed today yet."""
        return self._sheets.newest_day() < self._today()

    def state(self) -> SheetDue:
        """For people: whether it is due, and what it waits for."""
        due = self._wanted and self.due()
        tomorrow = datetime.fromtimestamp(self._core.now_ms() / 1000, UTC).date() + timedelta(days=1)
        begin = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=UTC)
        return SheetDue(
            by_itself=self._wanted,
            last_day=self._sheets.newest_day(),
            due=due,
            next_ms=int(begin.timestamp() * 1000),
            locked=not self._core.device.unlocked,
            problem=self._failed.what if due and self._failed else "",
        )

    def problems(self) -> Sequence[Problem]:
        """Notices: the sheet that policy asks for could not be made."""
        return (self._failed,) if self._failed is not None and self._wanted and self.due() else ()

    def close(self) -> None:
        """Wait for a sheet that is being made."""
        if self._thread is not None:
            self._thread.join(30)

    def _working(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _today(self) -> str:
        return f"{datetime.fromtimestamp(self._core.now_ms() / 1000, UTC):%Y-%m-%d}"

    def _make(self) -> None:
        try:
            self._sheets.make(None, only_if=self.due)
            self._failed, self._again = None, 0.0  # the next day may begin sooner than another try would
        except ConsoleError as error:
            self._core.incidents.note(f"root sheet of the day: {error.problem.code}", error)
            self._failed = _not_made(error.problem)
        except Exception as error:  # noqa: BLE001 - a thread's last line: told to everybody, never lost
            self._failed = self._core.incidents.bug(error, "root sheet of the day").problem


def _not_made(problem: Problem) -> Problem:
    return Problem(
        code="root-sheet-not-made",
        what=f"The day's root sheet, which policy asks for, could not be made: {problem.what}",
        key_state="No key was changed. Receipts hold as before; they are not tied to a sheet of today yet.",
        todo=f"{problem.todo} It is tried again every hour while the module is unlocked.",
        contact=problem.contact,
        details=problem.details,
    )
