"""The watch when things go wrong around it: a busy device, a full disk, a rule that fails, a storm of alerts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_console.domain import events as ev
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.events import Draft
from hsm_console.gateway import alert_rows, compose

LOCKED = ev.DeviceUnlockRefused(reason="pin-locked", text="The token is locked.")


def told(gateway: compose.Gateway, many: int = 1, seconds: float = 10.0) -> list[Any]:
    """The alerts of the log, oldest first, when there are so many."""
    deadline = time.monotonic() + seconds
    while True:
        with gateway.core.reading() as conn:
            rows, _ = alert_rows.alerts(conn, before=2**40, after=-1, limit=1000, only_open=False)
        if len(rows) >= many or time.monotonic() > deadline:
            return list(reversed(rows))
        time.sleep(0.005)


@pytest.fixture
def quiet_rules(workspace: Path) -> None:
    """One rule that speaks at each refused unlocking of this reason."""
    (workspace / "rules").mkdir()
    (workspace / "rules" / "each.yml").write_text(
        "title: Each\nname: each\ndescription: D.\nlevel: high\nlogsource: {product: hsm-console}\n"
        "detection:\n  s:\n    hsm_console.event.kind: device-down\n    hsm_console.event.reason: test\n"
        "  condition: s\n"
    )


CAUSE = Draft(event=ev.DeviceDown(reason="test", text="x"))


def test_an_alert_is_durable_within_milliseconds_of_its_cause(quiet_rules: None, spied: Any) -> None:
    """Budget: 10 ms at p99 on an idle machine (`hsm-console bench --only alert`); here the median, with slack."""
    gateway, _, _ = spied
    log = gateway.core.log
    told(gateway, 0)
    time.sleep(0.5)
    spent = []
    for _ in range(40):
        log.append([CAUSE])
        began, size = time.perf_counter(), log.size
        while log.size <= size:
            log.wait(size, 1)
        spent.append(time.perf_counter() - began)
        time.sleep(0.03)
    assert len([row for row in told(gateway, 40) if row.rule == "each"]) == 40
    assert sorted(spent)[len(spent) // 2] < 0.05


def test_a_busy_device_does_not_keep_alerts_waiting(quiet_rules: None, spied: Any, flows: Any) -> None:
    """Signing the alert's checkpoint waits for the device; the next alert does not wait for the signing."""
    gateway, spy, _ = spied
    from hsm_console.domain.secret import Secret

    gateway.core.device.unlock(None, Secret(flows.PIN))
    before, gate = len(told(gateway, 0)), threading.Event()
    spy.before["sign"] = lambda: gate.wait(20)
    try:
        for _ in range(3):
            gateway.core.log.append([CAUSE])
        assert len(told(gateway, before + 3, 5)) >= before + 3
        assert not gate.is_set()
    finally:
        gate.set()


def test_alerts_wait_for_a_disk_that_is_full_and_are_not_lost(
    quiet_rules: None, spied: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, _, _ = spied
    log, real, full = gateway.core.log, gateway.core.log.append, threading.Event()
    full.set()

    def append(drafts: Any, *rest: Any, **named: Any) -> Any:
        if full.is_set() and isinstance(drafts[0].event, ev.AlertRaised):
            raise EnvironmentFault(Problem(code="disk-full", what="The disk is full.", todo="Make room."))
        return real(drafts, *rest, **named)

    monkeypatch.setattr(log, "append", append)
    real([CAUSE])
    deadline = time.monotonic() + 5
    while not (found := [p for asked in gateway.core.notices for p in asked()]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [problem.code for problem in found] == ["alerts-wait"]
    assert told(gateway, 0) == []
    full.clear()
    assert [row.rule for row in told(gateway, 1)] == ["each"]


def test_a_storm_is_cut_and_counted(quiet_rules: None, spied: Any) -> None:
    gateway, _, _ = spied
    gateway.core.log.append([CAUSE] * 100)
    rows = told(gateway, 61)
    time.sleep(0.3)
    assert len(told(gateway, 61)) == len(rows) == 61
    assert rows[-1].rule == "alert-storm"
    assert "only counted" in rows[-1].text


def test_a_rule_that_fails_is_named_and_the_others_go_on(spied: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, _, _ = spied

    def broken(flat: Any) -> bool:
        raise RuntimeError("a bug")

    watch = next(asked.__self__ for asked in gateway.core.notices if type(asked.__self__).__name__ == "Watch")
    rule = next(rule for rule in watch.rules.rules if rule.name == "first-use-of-mechanism")
    monkeypatch.setattr(rule.search, "match", broken)
    gateway.core.log.append([Draft(event=ev.OperationIntended(operation=ev.Operation.SIGN, key_id="22" * 16))])
    gateway.core.log.append([Draft(event=LOCKED)])
    assert [row.rule for row in told(gateway, 2)] == ["unknown-key-used", "pin-locked"]
    codes = {problem.code: problem.what for asked in gateway.core.notices for problem in asked()}
    assert "first-use-of-mechanism" in codes["rule-failed"]


def test_a_clean_end_judges_what_is_there_and_says_so(
    quiet_rules: None, workspace: Path, one_key_each: Callable[[Path], None]
) -> None:
    gateway = compose.start(workspace)
    gateway.listen()
    gateway.core.log.append([CAUSE] * 5)
    gateway.stop("the test is over")
    import json
    import sqlite3

    with sqlite3.connect(f"file:{workspace}/audit.db?mode=ro", uri=True) as conn:
        rows = [json.loads(b)["hsm_console"]["event"] for (b,) in conn.execute("SELECT body FROM entry ORDER BY seq")]
    conn.close()
    assert sum(row["kind"] == "alert-raised" for row in rows) == 5
    assert rows[-1]["kind"] == "gateway-stopped"
    assert rows[-2]["kind"] == "heartbeat"
    assert rows[-2]["evaluated"] == len(rows) - 2
