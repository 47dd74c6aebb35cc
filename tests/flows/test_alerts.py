"""Alerts through a real gateway: entries of the log first, then told to people, and answered by another person."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from hsm_console.client import alerts, audit, device
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.messages.alerts import AlertPage
from hsm_console.domain.secret import Secret


def wrong_pins(session: Any, times: int = 3) -> None:
    for _ in range(times):
        with pytest.raises(ConsoleError):
            device.unlock(session, Secret("not-the-pin-999"))


def until(session: Any, rule: str) -> Any:
    """The alert of this rule, as soon as it is there."""
    deadline, after = time.monotonic() + 20, -1
    while time.monotonic() < deadline:
        page: AlertPage = alerts.wait(session, after, 2000)
        for row in page.rows:
            if row.rule == rule:
                return row
        after = max(after, page.newest)
    raise AssertionError(f"no alert of {rule}")


def entries(workspace: Path, kind: str) -> list[dict[str, Any]]:
    with sqlite3.connect(f"file:{workspace}/audit.db?mode=ro", uri=True) as conn:
        rows = conn.execute("SELECT body FROM entry ORDER BY seq").fetchall()
    conn.close()
    found = (json.loads(body)["hsm_console"]["event"] for (body,) in rows)
    return [event for event in found if event["kind"] == kind]


def test_wrong_pins_become_an_alert_that_another_person_answers(house: Any, helpers: Any) -> None:
    ada, alan = house.be("ada"), house.be("alan")
    wrong_pins(ada)
    alert = until(alan, "pin-failures")
    assert alert.level == "high"
    assert "wrong 3 times" in alert.text
    assert alert.todo.startswith("Stop trying.")
    assert alert.first < alert.last < alert.seq
    assert alert.subject == "ada"
    detail = audit.entry(alan, alert.seq)
    assert json.loads(detail.body)["class_uid"] == 2004
    assert helpers["refusal"](lambda: alerts.acknowledge(ada, alert.seq, "never mind")) == "own-alert"
    answered = alerts.acknowledge(alan, alert.seq, "A new PIN since Monday; she read the old sheet.")
    assert answered.acknowledged_by == "alan"
    assert alert.seq not in [row.seq for row in alerts.listed(alan, only_open=True).rows]


def test_the_rules_in_force_are_in_the_log_and_on_the_wire(house: Any) -> None:
    alan = house.be("alan")
    view = alerts.rules(alan)
    (loaded,) = entries(house.workspace, "rules-loaded")
    assert loaded["sha256"] == view.sha256
    assert {rule.id: rule.sha256 for rule in view.rules}.items() <= loaded["rules"].items()
    assert all(rule.meaning and rule.todo and rule.false_alarms for rule in view.rules)
    assert 0 < view.evaluated <= view.size


def test_a_changed_or_removed_rule_shows_and_a_broken_one_is_named_to_everybody(
    workspace: Path, flows_house: Any
) -> None:
    folder = workspace / "rules"
    folder.mkdir()
    house_rule = (
        "title: T\nname: house-rule\ndescription: D.\nlevel: low\nlogsource: {product: hsm-console}\n"
        "detection:\n  s: {hsm_console.event.kind: logged-on}\n  condition: s\n"
    )
    (folder / "a.yml").write_text(house_rule)
    (folder / "b.yml").write_text(house_rule.replace("house-rule", "second-rule"))
    with flows_house(workspace) as house:
        assert until(house.be("alan"), "house-rule").title == "T"
    (folder / "a.yml").write_text(house_rule.replace("title: T", "title: Another"))
    (folder / "b.yml").unlink()
    (folder / "c.yml").write_text("title: [")
    with flows_house(workspace) as house:
        alan = house.be("alan")
        alert = until(alan, "rules-changed")
        assert "not in force any more: second-rule" in alert.text
        assert "changed: house-rule" in alert.text
        notices = [notice.what for notice in alan.greeting.notices]
        assert any("c.yml" in what for what in notices), notices
        rules = alerts.rules(alan)
        assert [rule.id for rule in rules.rules if rule.own] == ["house-rule"]
        assert [("c.yml" in problem.what) for problem in rules.refused] == [True]
    first, second = entries(workspace, "rules-loaded")
    assert "removed" not in first
    assert (second["removed"], second["changed"]) == (["second-rule"], ["house-rule"])


def test_nothing_is_told_twice_after_a_crash_and_nothing_is_lost(workspace: Path, flows_house: Any) -> None:
    """The gateway is killed; the next one judges again what the heartbeat does not cover."""
    import os
    import signal

    with flows_house(workspace) as house:
        ada = house.be("ada")
        wrong_pins(ada)
        until(ada, "pin-failures")
        os.kill(house.gateway.pid, signal.SIGKILL)
    with flows_house(workspace) as house:
        until(house.be("alan"), "log-ended-unclean")
    raised = [event["rule"] for event in entries(workspace, "alert-raised")]
    assert raised.count("pin-failures") == 1
    assert raised.count("log-ended-unclean") == 1
    beats = entries(workspace, "heartbeat")
    assert len({beat["run_uid"] for beat in beats}) == 2
    assert beats[-1].get("next_s") == 0, "the clean end says up to where the rules have judged"


def test_what_happened_while_nobody_watched_is_told_at_the_next_start(workspace: Path, flows_house: Any) -> None:
    """The stop itself, with a ceremony open: its entry is the last, so the next run tells of it."""
    with flows_house(workspace) as house:
        ada = house.admin()
        house.open(ada)
    with flows_house(workspace) as house:
        assert until(house.be("alan"), "log-stopped").level == "low"


def test_rules_tell_how_often_they_fired_and_what_is_usual(house: Any) -> None:
    ada, alan = house.be("ada"), house.be("alan")
    wrong_pins(ada)
    alert = until(alan, "pin-failures")
    found = alerts.rules(alan)
    by_name = {rule.id: rule for rule in found.rules}
    fired = by_name["pin-failures"]
    assert (fired.fired, fired.last_seq, fired.last_ms) == (1, alert.seq, alert.time_ms)
    assert not fired.own
    assert not fired.fault
    assert (by_name["delete-burst"].fired, by_name["delete-burst"].last_seq) == (0, -1)
    assert found.refused == ()
    usual = alerts.usual(house.be("joan"))
    people = {one.uid: one for one in usual.people}
    assert people["ada"].name == "Ada Lovelace"
    assert people["ada"].peak >= 3
    assert people["ada"].working.times + people["ada"].weekend.times == 1, "one log-on"
    assert not people["ada"].rate_known
    assert not people["ada"].hours_known


def test_comparisons_with_the_devices_own_log_are_kept_in_sight(house: Any) -> None:
    ada = house.admin()
    before = alerts.device_log(house.be("joan"))
    assert (before.offered, before.unlocked) == (True, True)
    report = alerts.compare_device_log(ada)
    after = alerts.device_log(ada)
    assert after.past[0].entry == report.entry
    assert after.past[0].by == "Ada Lovelace"
    assert after.past[0].findings == ()
    assert [one.entry for one in after.past] == sorted((one.entry for one in after.past), reverse=True)


@pytest.fixture
def flows_house(request: pytest.FixtureRequest) -> Any:
    """Start a gateway on a workspace, as often as a test likes."""
    import contextlib
    import sys

    # Several folders have a conftest with a House; this one's is that from which `workspace` comes.
    home = Path(request.path).with_name("conftest.py")
    house = next(m for m in tuple(sys.modules.values()) if getattr(m, "__file__", None) == str(home)).House

    @contextlib.contextmanager
    def start(workspace: Path) -> Any:
        with contextlib.ExitStack() as stack:
            gateway = stack.enter_context(GatewayProcess(workspace))
            yield house(workspace, gateway, stack)

    return start
