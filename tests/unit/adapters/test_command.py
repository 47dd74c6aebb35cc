"""`hsm-console adapter list|probe|doctor`, as a person and as a program read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hsm_console.cli.main import main
from hsm_console.domain.secret import Secret
from hsm_console.hsm import registry
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["adapter", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def token(tmp_path: Path) -> Path:
    with HsmClient(Binding(adapter="simulation", token_label="house", directory=str(tmp_path))) as client:
        client.initialise_token("house", Secret("so-pin-2468"), Secret("user-pin-1357"))
    return tmp_path


def test_list_names_every_adapter(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "list", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {row["name"] for row in rows} == set(registry.adapters())
    assert next(row for row in rows if row["name"] == "simulation")["simulated"] is True
    assert next(row for row in rows if row["name"] == "luna")["untested_on_hardware"] is True
    code, out, _ = answer(capsys, "list")
    assert "protects nothing" in out
    assert "untested on hardware" in out


def test_probe_tells_what_a_token_is(capsys: pytest.CaptureFixture[str], token: Path) -> None:
    code, out, _ = answer(capsys, "probe", "simulation", "--directory", str(token), "--label", "house")
    assert code == 0
    assert "house (serial SIM" in out
    assert "ec-p384" in out
    code, out, _ = answer(capsys, "probe", "simulation", "--directory", str(token), "--label", "house", "--json")
    answered = json.loads(out)
    assert answered["info"]["label"] == "house"
    assert answered["ready_ms"] > 0


def test_probe_of_another_label_tells_which_are_there(capsys: pytest.CaptureFixture[str], token: Path) -> None:
    code, _, err = answer(capsys, "probe", "simulation", "--directory", str(token), "--label", "other")
    assert code == 3
    assert "There are: “house”" in err


def test_doctor_says_what_is_missing_and_exits_3(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = answer(capsys, "doctor", "utimaco")
    assert code == 3
    assert "libcs_pkcs11_R3.so" in out
    assert "never tried on the hardware" in out
    code, out, _ = answer(capsys, "doctor", "none", "--json")
    assert code == 3
    assert [finding["state"] for finding in json.loads(out)] == ["ok", "missing"]


def test_doctor_is_content_with_a_token_that_answers(capsys: pytest.CaptureFixture[str], token: Path) -> None:
    code, out, _ = answer(capsys, "doctor", "simulation", "--directory", str(token), "--label", "house")
    assert code == 0
    assert "answers, serial number SIM" in out


def test_option_without_a_value_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = answer(capsys, "probe", "pkcs11", "--option", "module")
    assert code == 2
    assert "NAME=VALUE" in err
