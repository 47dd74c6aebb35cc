"""The devices of a workspace from the command line, through a gateway that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_console.cli import demo_cast as cast
from hsm_console.client.transport import GatewayProcess

PINS = {"so_pin": "so-pin-161803", "pin": "pin-of-second-57"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, found: Callable[..., Path]) -> Path:
    return found(cast.founding(tmp_path_factory.mktemp("terminal") / "house", "simulation"))


def told(workspace: Path, verb: str, *rest: str, who: str = "ada", plain: bool = False) -> tuple[int, Any]:
    passphrase = next(person.passphrase for person in cast.CAST if person.uid == who)
    command = [sys.executable, "-m", "hsm_console", "device", verb, str(workspace), *rest, "--secrets", "-"]
    command += [] if verb == "prepare" else ["--credential", who]
    command += [] if plain else ["--json"]
    secrets = json.dumps({"passphrase": passphrase, **PINS})
    done = subprocess.run(command, input=secrets, capture_output=True, text=True, timeout=120, check=False)
    assert not any(secret in done.stdout + done.stderr for secret in (passphrase, *PINS.values()))
    return done.returncode, done.stdout if plain else json.loads(done.stdout)


def test_a_device_from_the_command_line(workspace: Path) -> None:
    software = ("--adapter", "simulation", "--label", "spare")
    code, info = told(workspace, "prepare", "second", *software)
    assert code == 0
    with GatewayProcess(workspace):
        code, row = told(workspace, "add", "second", *software, "--region", "north", "--weight", "2")
        assert (code, row["serial"], row["unlocked"]) == (0, info["serial"], False)
        code, row = told(workspace, "unlock", "second", who="claude")
        assert (code, row["unlocked"]) == (0, True)
        code, view = told(workspace, "list")
        assert [device["name"] for device in view["devices"]] == ["primary", "second"]
        code, text = told(workspace, "list", plain=True)
        assert "second: up (works), unlocked" in text
        assert "north, weight 2" in text
        code, view = told(workspace, "compare")
        assert (code, view["devices"][1]["keys"]) == (0, 0)
        code, row = told(workspace, "probe", "second")
        assert (code, row["state"]) == (0, "up")
        code, row = told(workspace, "lock", "second")
        assert (code, row["unlocked"]) == (0, False)
        code, view = told(workspace, "remove", "second")
        assert [device["name"] for device in view["devices"]] == ["primary"]


def test_refusals_have_their_exit_codes(workspace: Path) -> None:
    assert told(workspace, "unlock", "primary")[0] == 3  # no gateway runs
    assert told(workspace, "probe", "nobody")[0] == 2
    code, problem = told(workspace, "remove", "second", who="claude")
    assert (code, problem["code"]) == (4, "role-refused")
    code, problem = told(workspace, "prepare", "other", "--adapter", "luna", "--label", "x")
    assert (code, problem["code"]) == (2, "device-not-prepared-here")
    code, problem = told(workspace, "add", "other", "--adapter", "simulation", "--label", "x", "--option", "module")
    assert (code, problem["code"]) == (2, "option-unreadable")
