"""Alerts and the log of the device itself, from the command line and through a gateway that runs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hsm_console.cli import demo_cast as cast
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.secret import Secret
from hsm_console.gateway.workspace import Home
from hsm_console.hsm.worker import HsmClient

NOTE = "Ada had a new PIN since Monday."
HEAD = "index,operation,key_id,time_ms,result\n"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, found: Callable[..., Path]) -> Path:
    return found(cast.founding(tmp_path_factory.mktemp("terminal") / "house", "simulation"))


@pytest.fixture(scope="module")
def running(workspace: Path) -> Iterator[Path]:
    with GatewayProcess(workspace):
        yield workspace


def run(*words: object, who: str = "", pin: str = cast.PIN) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hsm_console", *map(str, words)]
    secrets = ""
    if who:
        command += ["--credential", who, "--secrets", "-"]
        secrets = json.dumps({"passphrase": cast.player(who).passphrase, "pin": pin})
    done = subprocess.run(command, input=secrets, capture_output=True, text=True, timeout=120, check=False)
    assert not who or cast.player(who).passphrase not in done.stdout + done.stderr
    return done


def told(code: int, *words: object, who: str = "") -> Any:
    """What a program reads, after the exit code was as expected."""
    done = run(*words, "--json", who=who)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def alert(running: Path) -> dict[str, Any]:
    """Ada mistypes the PIN three times; the alert of that."""
    for _ in range(3):
        refused = run("device", "unlock", running, "primary", "--json", who="ada", pin="not-the-pin-1")
        assert json.loads(refused.stdout)["code"] == "pin-incorrect"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for row in told(0, "audit", "alerts", "list", running, "--open"):
            if row["rule"] == "pin-failures":
                return dict(row)
    raise AssertionError("no alert came")


def test_an_alert_is_listed_shown_and_answered_once(running: Path, alert: dict[str, Any]) -> None:
    base = ("audit", "alerts")
    seq = alert["seq"]
    shown = run(*base, "show", running, seq)
    assert shown.returncode == 0
    assert "was wrong 3 times" in shown.stdout
    assert "Nobody has answered it yet." in shown.stdout
    assert told(4, *base, "acknowledge", running, seq, "--note", NOTE, who="hedy")["code"] == "role-refused"
    own = told(4, *base, "acknowledge", running, seq, "--note", NOTE, who="ada")
    assert own["code"] == "own-alert"
    blank = told(2, *base, "acknowledge", running, seq, "--note", "  ", who="alan")
    assert (blank["code"], "one sentence" in blank["todo"]) == ("note-missing", True)
    assert told(2, *base, "acknowledge", running, 1, "--note", NOTE, who="alan")["code"] == "not-found"
    assert told(0, *base, "show", running, seq)["acknowledged_ms"] == 0, "none of the refusals is an answer"
    answered = told(0, *base, "acknowledge", running, seq, "--note", NOTE, who="alan")
    assert (answered["acknowledged_by"], answered["acknowledged_note"]) == ("alan", NOTE)
    again = run(*base, "acknowledge", running, seq, "--note", "Something else.", who="alan")
    assert again.returncode == 0
    assert "The first answer stands; yours was not recorded." in again.stderr
    assert NOTE in again.stdout
    assert seq not in [row["seq"] for row in told(0, *base, "list", running, "--open")]
    listed = {row["seq"]: row for row in told(0, *base, "list", running)}
    assert listed[seq]["acknowledged_by"] == "alan"
    assert "answered by alan" in run(*base, "list", running).stdout


def test_the_devices_own_log_is_asked_and_a_use_behind_our_back_is_told(running: Path) -> None:
    base = ("audit", "device-log", running)
    locked = told(3, *base, who="alan")
    assert locked["code"] == "device-locked"
    assert run("device", "unlock", running, "primary", who="claude").returncode == 0
    good = told(0, *base, who="alan")
    assert (good["source"], good["findings"], good["beginning"]) == ("device", [], False)
    assert told(4, *base, who="joan")["code"] == "role-refused"

    home = Home(running)
    with HsmClient(home.binding(home.load())) as hsm:  # enemy E: he has the PIN, and does not ask the gateway
        hsm.log_in(Secret(cast.PIN))
    found = told(1, *base, who="alan")
    assert [item["word"] for item in found["findings"]] == ["SHADOW-OP"]
    entry = json.loads(run("audit", "show", running, found["entry"], "--json").stdout)
    assert "device-log-compared" in json.dumps(entry)
    plain = run(*base, who="alan")
    assert plain.returncode == 0, "what was told once is not told again"
    assert "Nothing differs." in plain.stdout


def test_a_makers_file_is_compared(running: Path, tmp_path: Path) -> None:
    base = ("audit", "device-log", running)
    file = tmp_path / "log.csv"
    file.write_text(HEAD + "1,login,,,ok\n")
    first = run(*base, "--file", file, who="alan")
    assert first.returncode == 0
    assert "1 records of the device" in first.stdout
    assert "are the beginning" in first.stdout
    file.write_text(HEAD + "1,login,,,ok\n2,so-login,,,ok\n4,login,,,ok\n")
    found = told(1, *base, "--file", file, who="alan")
    assert [item["word"] for item in found["findings"]] == ["DEVICE-CHANGED", "SHADOW-OP", "SHADOW-OP"]
    file.write_text(HEAD + "5,so-login,,,ok\n")
    plain = run(*base, "--file", file, who="alan")
    assert plain.returncode == 1
    assert "SHADOW-OP: the security officer logged in" in plain.stdout
    assert "What to do: lock the HSM" in plain.stdout
    file.write_text("nothing,of,use\n1,2,3\n")
    assert told(2, *base, "--file", file, who="alan")["code"] == "device-log-unreadable"
    assert told(2, *base, "--file", tmp_path / "none.csv", who="alan")["code"] == "file-unreadable"
