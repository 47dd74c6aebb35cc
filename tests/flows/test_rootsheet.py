"""The day's root sheet: older receipts are tied to it, and nothing else is."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit import rootsheet
from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.receipt import verify
from hsm_console.audit.receipt_files import read
from hsm_console.audit.verify import verify_workspace
from hsm_console.audit.vkey import ML_DSA_44
from hsm_console.audit.witness_files import read as read_codes
from hsm_console.client import anchors, audit
from hsm_console.domain.errors import ConsoleError, VerificationFailed
from hsm_console.paper import frames

ROOT = Path(__file__).parents[2]


@pytest.fixture
def made(house: Any, tmp_path: Path) -> dict[str, Path]:
    """Two receipts of different sizes, a sheet after them, a receipt after it."""
    house.admin()
    auditor = house.be("alan")
    paths = {}
    for name, seq in (("first", 3), ("second", 9)):
        paths[name] = tmp_path / f"{name}.tlog-proof"
        paths[name].write_bytes(audit.receipt_file(auditor, seq, "tlog-proof"))
    view = anchors.sign_sheet(auditor)
    for form in ("pdf", "txt", "vkey"):
        paths[form] = tmp_path / ("root.vkey" if form == "vkey" else f"sheet.{form}")
        paths[form].write_bytes(anchors.sheet_file(auditor, view.entry, form))
    paths["late"] = tmp_path / "late.tlog-proof"
    paths["late"].write_bytes(audit.receipt_file(auditor, 5, "tlog-proof"))
    assert len(view.codes) == rootsheet.CODES
    assert anchors.sheets(auditor)[0] == view
    again = anchors.sign_sheet(auditor)
    assert again.key == view.key  # one key for all days
    paths["log.vkey"] = house.workspace / "log.vkey"
    return paths


def run(paths: dict[str, Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hsm_console.cli.main", "receipt", "verify", *arguments]
    command += ["--vkey", str(paths["log.vkey"])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_older_receipts_are_tied_to_a_sheet_and_newer_ones_are_not(made: dict[str, Path], house: Any) -> None:
    for sheet in ("txt", "pdf"):
        done = run(made, str(made["first"]), str(made["second"]), "--root-sheet", str(made[sheet]))
        assert done.returncode == 0, done
        assert done.stdout.count("that the ML-DSA key") == 2
    told = run(made, str(made["first"]), "--root-sheet", str(made["txt"]), "--json")
    assert json.loads(told.stdout)["sheet_size"] > json.loads(told.stdout)["size"]
    late = run(made, str(made["late"]), "--root-sheet", str(made["txt"]))
    assert late.returncode == 2
    assert "sheet only of" in late.stdout
    vkey = parse_vkey(made["log.vkey"].read_text())
    assert not verify_workspace(house.workspace, vkey).findings


def test_a_sheet_that_was_tampered_with_is_refused(made: dict[str, Path], tmp_path: Path) -> None:
    text = made["txt"].read_text()
    vkey, key = parse_vkey(made["log.vkey"].read_text()), parse_vkey(made["vkey"].read_text())
    assert key.kind == ML_DSA_44
    proven = verify(read(made["first"])[0], vkey)
    good = rootsheet.read(text, vkey, key)
    rootsheet.tie(good, proven.head)
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if line.startswith(("old ", "hsm-console", "— ")) or len(line) < 40:
            continue
        data = base64.b64decode(line)
        swapped = [*lines]
        swapped[at] = base64.b64encode(bytes([data[0] ^ 1]) + data[1:]).decode()
        with pytest.raises(ConsoleError):
            [rootsheet.tie(rootsheet.read("\n".join(swapped), vkey, key), head) for head in heads(good, proven, made)]
    for at in (-2, -3):  # each signature line: one bit, and the whole line away
        name, blob = lines[at].rsplit(" ", 1)
        data = bytearray(base64.b64decode(blob))
        data[-1] ^= 1
        broken = [*lines]
        broken[at] = f"{name} {base64.b64encode(bytes(data)).decode()}"
        with pytest.raises(VerificationFailed):
            rootsheet.read("\n".join(broken), vkey, key)
        with pytest.raises(VerificationFailed):
            rootsheet.read("\n".join([*lines[:at], *lines[at + 1 or len(lines) :]]), vkey, key)
    other = parse_vkey(made["log.vkey"].read_text())
    with pytest.raises(ConsoleError):
        rootsheet.read(text, vkey, other)


def heads(good: rootsheet.RootSheet, proven: Any, made: dict[str, Path]) -> list[Any]:
    vkey = parse_vkey(made["log.vkey"].read_text())
    return [proven.head, verify(read(made["second"])[0], vkey).head]


def test_a_code_of_the_sheet_that_is_missing_or_of_another_one_is_named(made: dict[str, Path]) -> None:
    text = read_codes(made["pdf"])
    codes = frames.encode(text.encode(), rootsheet.CODES)
    for left_out in range(4):
        with pytest.raises(VerificationFailed, match="missing"):
            frames.decode([code for at, code in enumerate(codes) if at != left_out])
    strange = frames.encode(text.encode()[:-1] + b"x", rootsheet.CODES)
    with pytest.raises(VerificationFailed, match="different documents"):
        frames.decode([*codes[:3], strange[3]])


def test_who_may_not_sign_sheets_is_refused_and_a_locked_device_says_so(house: Any) -> None:
    auditor = house.be("alan")
    with pytest.raises(ConsoleError) as locked:
        anchors.sign_sheet(auditor)
    assert locked.value.problem.code == "device-locked"
    for uid in ("joan", "claude", "hedy"):
        with pytest.raises(ConsoleError) as refused:
            anchors.sign_sheet(house.be(uid))
        assert refused.value.problem.code == "role-refused"
