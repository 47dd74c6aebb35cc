"""The day's root sheet by itself: made once a day when policy asks for it, told when it is due, never by halves."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.source import open_source
from hsm_console.audit.verify import verify_workspace
from hsm_console.domain.clock import Instant, SystemClock
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.secret import Secret
from hsm_console.gateway import compose
from hsm_console.gateway.services import sheet_day
from hsm_console.policy import environment

PIN = "user-pin-271828"
DAY_MS = 86_400_000
NOON_MS = 1_795_608_000_000  # 2026-11-25 12:00 UTC


class Days:
    """The workstation's clock, some days on."""

    def __init__(self) -> None:
        self.real = SystemClock()
        self._begin_ms = self.real.now().time_ms
        self.later_ms = 0

    def now(self) -> Instant:
        now = self.real.now()
        passed = now.time_ms - self._begin_ms
        return replace(now, time_ms=NOON_MS + passed + self.later_ms)


@pytest.fixture
def days() -> Days:
    return Days()


@pytest.fixture
def start(workspace: Path, days: Days, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts a gateway in this process, under rules that ask for a sheet a day or do not."""
    monkeypatch.setattr(sheet_day, "GRACE_S", 0.0)
    real = environment.load

    with contextlib.ExitStack() as stack:

        def begin(how: str = "daily") -> compose.Gateway:
            def load(name: str) -> environment.Environment:
                found = real(name)
                return replace(found, log=replace(found.log, root_sheet=how))

            monkeypatch.setattr(environment, "load", load)
            gateway = compose.start(workspace, clock=days)
            stack.callback(gateway.stop, "the test is over")
            gateway.listen()
            return gateway

        yield begin


def sheets(workspace: Path) -> list[dict[str, Any]]:
    found = []
    with open_source(workspace) as source:
        for seq, _, body in source.entries():
            entry = json.loads(body or b"{}")
            event = entry["hsm_console"]["event"]
            if event["kind"] == "root-signed":
                found.append(event | {"seq": seq, "by": entry.get("actor", {}).get("user", {}).get("uid", "")})
    return found


def ticked(gateway: compose.Gateway, workspace: Path, many: int, seconds: float = 30.0) -> list[dict[str, Any]]:
    """The sheets, when there are so many; the gateway's clock ticks meanwhile."""
    deadline = time.monotonic() + seconds
    while True:
        gateway.tick()
        found = sheets(workspace)
        if len(found) >= many or time.monotonic() > deadline:
            part(gateway).close()  # the files follow the entry
            return found
        time.sleep(0.05)


def part(gateway: compose.Gateway) -> sheet_day.SheetDay:
    found = (getattr(tick, "__self__", None) for tick in gateway.ticking)
    return next(one for one in found if isinstance(one, sheet_day.SheetDay))


def state(gateway: compose.Gateway) -> Any:
    return part(gateway).state()


def test_one_sheet_a_day_by_the_gateway_itself_that_verifies(workspace: Path, start: Any, days: Days) -> None:
    gateway = start()
    assert (state(gateway).due, state(gateway).locked, state(gateway).last_day) == (True, True, "")
    assert ticked(gateway, workspace, 1, 0.5) == [], "locked: it waits"
    gateway.core.device.unlock(None, Secret(PIN))
    (first,) = ticked(gateway, workspace, 1)
    assert (first["day"], first["by"]) == ("2026-11-25", "")
    made = sorted(path.name for path in (workspace / "root-sheets").iterdir())
    stem = f"root-2026-11-25-{first['size']:08d}"
    assert made == [f"{stem}.pdf", f"{stem}.txt", "root.vkey"]
    assert ticked(gateway, workspace, 2, 0.7) == [first], "once a day"
    now = state(gateway)
    assert (now.due, now.last_day, now.problem) == (False, "2026-11-25", "")
    assert now.next_ms == NOON_MS + DAY_MS // 2

    days.later_ms = DAY_MS  # midnight goes by while the module is unlocked
    assert state(gateway).due
    both = ticked(gateway, workspace, 2)
    assert [sheet["day"] for sheet in both] == ["2026-11-25", "2026-11-26"]
    assert both[1]["key"] == first["key"]
    found = verify_workspace(workspace, parse_vkey((workspace / "log.vkey").read_text())).findings
    assert {one.word for one in found} == {"CLOCK"}, "this test's clock, and nothing else"


def test_policy_that_does_not_ask_gets_none(workspace: Path, start: Any) -> None:
    gateway = start("on-request")
    gateway.core.device.unlock(None, Secret(PIN))
    assert ticked(gateway, workspace, 1, 0.7) == []
    assert (state(gateway).by_itself, state(gateway).due) == (False, False)


def test_after_a_day_without_anybody_the_next_start_makes_it(workspace: Path, start: Any, days: Days) -> None:
    gateway = start()
    gateway.core.device.unlock(None, Secret(PIN))
    assert len(ticked(gateway, workspace, 1)) == 1
    gateway.stop("evening")
    days.later_ms = 3 * DAY_MS
    gateway = start()
    assert state(gateway).due
    gateway.core.device.unlock(None, Secret(PIN))
    assert [sheet["day"] for sheet in ticked(gateway, workspace, 2)] == ["2026-11-25", "2026-11-28"]


def test_a_sheet_that_somebody_signed_is_the_days(workspace: Path, start: Any) -> None:
    gateway = start()
    own = part(gateway)
    gateway.core.device.unlock(None, Secret(PIN))
    own._sheets.make(None)
    assert len(ticked(gateway, workspace, 2, 0.7)) == 1


def test_a_failure_is_told_to_everybody_and_tried_again(
    workspace: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = start()
    own = part(gateway)
    real, fault = own._sheets.make, Problem(code="root-key-unsupported", what="No ML-DSA.", todo="Use another token.")

    def make(*_args: Any, **_named: Any) -> None:
        raise EnvironmentFault(fault)

    monkeypatch.setattr(own._sheets, "make", make)
    gateway.core.device.unlock(None, Secret(PIN))
    deadline = time.monotonic() + 10
    while not (told := [p for asked in gateway.core.notices for p in asked()]) and time.monotonic() < deadline:
        gateway.tick()
        time.sleep(0.02)
    assert [problem.code for problem in told] == ["root-sheet-not-made"]
    assert "No ML-DSA." in told[0].what
    assert "every hour" in told[0].todo
    assert state(gateway).problem == told[0].what
    monkeypatch.setattr(own._sheets, "make", real)
    assert ticked(gateway, workspace, 1, 0.5) == [], "not at once again"
    own._again = 0.0
    assert len(ticked(gateway, workspace, 1)) == 1
    assert own.problems() == ()


@pytest.mark.parametrize("house", ["executive-production", "high-availability", "rehearsal"])
def test_houses_that_ship_ask_for_it_but_for_the_one_of_demonstrations(house: str) -> None:
    assert environment.load(house).log.root_sheet == "daily"
    assert environment.load(house).settings()["log.root_sheet"] == "daily"
    assert environment.load("development-simulation").log.root_sheet == "on-request"
