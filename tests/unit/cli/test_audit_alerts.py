"""`hsm-console audit alerts` and `audit rules`: read from a log without a gateway, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hsm_console.cli.main import main
from hsm_console.domain import events as e

SHA = "5a" * 32
RULE = """title: A look at the log
name: look
description: Somebody looked at the log.
logsource: {product: hsm-console}
detection:
  s: {hsm_console.event.kind: log-viewed}
  condition: s
level: low
hsm_console: {text: "{actor.user.name} looked."}
"""


@pytest.fixture
def workspace(forge: Any, tmp_path: Path) -> Path:
    """A log with three alerts; the first one was answered, twice."""
    clock = forge.FixedClock()
    log = forge.new_log(tmp_path, clock)
    log.append([forge.start(), forge.view(1)])
    alert = e.AlertRaised(
        rule="pin-failures", title="Wrong PINs", level="high", first=1, last=2, text="Why.", todo="Do."
    )
    seqs = [log.append([forge.draft(alert)])[0].seq for _ in range(3)]
    for note in ("a typing error", "another word"):
        log.append([forge.draft(e.AlertAcknowledged(alert=seqs[0], rule="pin-failures", note=note), forge.GRACE)])
    log.append([forge.draft(e.RulesLoaded(sha256=SHA, rules={}, since=2)), forge.stop()])
    log.close()
    return tmp_path


def told(capsys: Any, *arguments: object) -> Any:
    assert main([str(item) for item in arguments]) == 0
    return capsys.readouterr().out


def test_alerts_of_a_log_and_their_answers(workspace: Path, capsys: Any) -> None:
    found = json.loads(told(capsys, "audit", "alerts", "list", workspace, "--json"))
    assert [row["seq"] for row in found] == [4, 5, 6]
    assert found[0]["acknowledged_note"] == "a typing error", "the first answer stands"
    assert [
        row["seq"] for row in json.loads(told(capsys, "audit", "alerts", "list", workspace, "--open", "--json"))
    ] == [5, 6]
    text = told(capsys, "audit", "alerts", "list", workspace)
    assert "4  2026-09-21" in text
    assert "high, answered by g.hopper: Wrong PINs" in text
    assert "What to do: Do." in told(capsys, "audit", "alerts", "show", workspace, 5)
    assert json.loads(told(capsys, "audit", "alerts", "show", workspace, 5, "--json"))["rule"] == "pin-failures"


def test_what_is_no_alert_and_no_log_is_named(workspace: Path, capsys: Any, tmp_path: Path) -> None:
    assert main(["audit", "alerts", "show", str(workspace), "1"]) == 2
    assert "Entry 1 is no alert." in capsys.readouterr().err
    assert main(["audit", "alerts", "list", str(tmp_path / "nothing")]) in (2, 3)
    assert main(["audit", "rules", "show", "no-such"]) == 2


def test_rules_of_a_workspace_and_what_its_log_says_of_them(workspace: Path, capsys: Any) -> None:
    (workspace / "rules").mkdir()
    (workspace / "rules" / "look.yml").write_text(RULE)
    (workspace / "rules" / "bad.yml").write_text("title: [")
    assert main(["audit", "rules", "list", str(workspace)]) == 0
    said = capsys.readouterr()
    assert "look " in said.out
    assert "other rules were loaded last" in said.out
    assert "bad.yml" in said.err
    shown = json.loads(told(capsys, "audit", "rules", "show", "look", workspace, "--json"))
    assert (shown["id"], shown["level"], shown["kind"]) == ("look", "low", "match")
    assert "It may also have been:" in told(capsys, "audit", "rules", "show", "pin-locked")


def test_a_rule_is_checked_and_tried_on_a_log(workspace: Path, capsys: Any, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text(RULE)
    bad.write_text(RULE.replace("condition: s", "condition: t"))
    assert json.loads(told(capsys, "audit", "rules", "check", good, "--json")) == {"rules": ["look"]}
    assert main(["audit", "rules", "check", str(good), str(bad)]) == 2
    assert "look" in capsys.readouterr().err
    assert main(["audit", "rules", "check", str(tmp_path / "none.yml")]) == 2
    tried = json.loads(told(capsys, "audit", "rules", "try", good, "--log", workspace, "--json"))
    assert [(alert["first"], alert["text"]) for alert in tried["alerts"]] == [(3, "Grace Hopper looked.")]
    assert tried["faults"] == {}
    assert "entries 3 to 3: A look at the log: Grace Hopper looked." in told(
        capsys, "audit", "rules", "try", good, "--log", workspace
    )
