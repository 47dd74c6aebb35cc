"""The whole demonstration on both adapters, checked by strangers' tools; run again it makes nothing anew."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SECONDS = 60  # on two slow cores, founding included


def hsm_console(*arguments: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "hsm_console", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr[-2000:] + done.stdout[-500:]
    return done.stdout


def openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", params=["simulation", "softhsm"])
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    if request.param == "softhsm" and shutil.which("softhsm2-util") is None:
        pytest.skip("the package softhsm2 is not installed")
    out = tmp_path_factory.mktemp("demo") / "out"
    told = hsm_console("demo", "--headless", "--adapter", request.param, "--out", str(out), "--json")
    return out, json.loads(told)


def test_it_is_complete_and_quick(demo: tuple[Path, dict[str, Any]]) -> None:
    out, told = demo
    assert told["complete"]
    assert told["new"]
    assert told["seconds"] < SECONDS
    assert told["verification"].startswith("OK ")
    assert "anchors: token" in told["verification"]
    assert told["key"]["grade"] == "D"  # neither adapter is hardware
    for name in ("minutes.pdf", "minutes.json", "log.vkey", "public/authority.pem"):
        assert (out / name).stat().st_size > 0
    assert {path.suffix for path in (out / "receipts").iterdir()} == {".pdf", ".png", ".tlog-proof"}


def test_the_log_and_every_receipt_verify(demo: tuple[Path, dict[str, Any]]) -> None:
    out, _ = demo
    vkey = str(out / "log.vkey")
    receipts = sorted((out / "receipts").iterdir())
    assert hsm_console("audit", "verify", str(out), "--vkey", vkey).startswith("OK ")
    hsm_console("receipt", "verify", *map(str, receipts), "--vkey", vkey)
    assert hsm_console("rebuild", str(out)).count("identical") >= 5


def test_strangers_verify_signatures_with_openssl(demo: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    out, told = demo
    authority = str(out / "authority.pem")
    statements = sorted((out / "evidence" / told["ceremony"] / "statements").glob("*.p7s"))
    assert len(statements) >= 7  # two approvals, and everybody's sign-off
    for path in statements:
        content = str(path.with_suffix(".json"))
        openssl("cms", "-verify", "-inform", "DER", "-binary", "-in", str(path), "-content", content, "-CAfile",
                authority, "-purpose", "any", "-out", str(tmp_path / "out"))  # fmt: skip
    stem = told["key"]["label"]
    public = out / "public"
    openssl("verify", "-x509_strict", "-CAfile", authority, str(public / f"{stem}.pem"))
    openssl("dgst", "-sha384", "-verify", str(public / f"{stem}.key.pem"), "-signature",
            str(next(public.glob("*.sig"))), str(out / "first-document.txt"))  # fmt: skip


def test_the_minutes_are_those_of_the_log(demo: tuple[Path, dict[str, Any]]) -> None:
    out, told = demo
    digest = hashlib.sha256((out / "minutes.json").read_bytes()).hexdigest()
    with sqlite3.connect(f"file:{out}/audit.db?mode=ro", uri=True) as conn:
        bodies = [row[0] for row in conn.execute("SELECT body FROM entry ORDER BY seq")]
    conn.close()
    events = [json.loads(body)["hsm_console"]["event"] for body in bodies]
    written = [event for event in events if event["kind"] == "minutes-written"]
    assert [event["minutes_sha256"] for event in written] == [digest]
    minutes = json.loads((out / "minutes.json").read_bytes())
    assert minutes["ceremony"]["id"] == told["ceremony"]
    assert minutes["key"]["fingerprint"] == told["key"]["fingerprint"]


def test_evidence_can_be_made_again_from_the_log(demo: tuple[Path, dict[str, Any]]) -> None:
    out, told = demo
    folder = out / "evidence" / told["ceremony"]
    before = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    shutil.rmtree(folder)
    again = json.loads(hsm_console("demo", "--headless", "--adapter", told["adapter"], "--out", str(out), "--json"))
    assert not again["new"]
    after = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert before.keys() == after.keys()
    same = {name for name in before if before[name] == after[name]}
    assert before.keys() - same <= {name for name in before if name.parts[0] == "receipts"}  # under a newer head


def test_run_again_it_makes_nothing_anew(demo: tuple[Path, dict[str, Any]]) -> None:
    out, told = demo
    again = json.loads(hsm_console("demo", "--headless", "--adapter", told["adapter"], "--out", str(out), "--json"))
    assert again["complete"]
    assert not again["new"]
    assert again["key"] == told["key"]
    assert again["ceremony"] == told["ceremony"]
    other = "softhsm" if told["adapter"] == "simulation" else "simulation"
    hsm_console("demo", "--headless", "--adapter", other, "--out", str(out), code=2)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    hsm_console("demo", "--headless", "--out", str(tmp_path), code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_script_of_ones_own_is_rehearsed_from_its_file(tmp_path: Path) -> None:
    shipped = (ROOT / "resources" / "ceremonies" / "executive-identity-key.toml").read_text("utf-8")
    script, out = tmp_path / "mine.toml", tmp_path / "out"
    text = shipped.replace('id = "executive-identity-key"', 'id = "house-key"', 1)
    script.write_text(re.sub(r"(?m)^example = .*$", 'example = "house key one"', text, count=1), "utf-8")
    told = json.loads(hsm_console("ceremony", "rehearse", str(script), "--out", str(out), "--json"))
    assert told["complete"]
    assert told["key"]["label"] == "house key one"  # the script's own example
    minutes = json.loads((out / "minutes.json").read_bytes())
    assert minutes["script"]["sha256"] == hashlib.sha256(script.read_bytes()).hexdigest()
    script.write_text(script.read_text("utf-8") + "# changed\n", "utf-8")  # and an old run does not pass for this one
    hsm_console("ceremony", "rehearse", str(script), "--out", str(out), code=2)
