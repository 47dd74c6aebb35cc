"""The golden log must verify for ever: what was released is never changed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_console.audit import segment
from hsm_console.audit.checkpoint import parse_note, parse_vkey, verify_line
from hsm_console.audit.findings import Word
from hsm_console.audit.log import AuditLog
from hsm_console.audit.segment_check import verify_segment
from hsm_console.audit.verify import verify_workspace

GOLDEN = Path(__file__).parents[2] / "golden"
DOCS = Path(__file__).parents[3] / "docs"


def test_the_golden_log_verifies_and_holds_its_values(forge, tmp_path):
    facts = json.loads((GOLDEN / "golden.json").read_text())
    vkey = parse_vkey((GOLDEN / "log.vkey").read_text())
    report = verify_workspace(GOLDEN / "golden.db", vkey)
    assert report.findings == ()
    assert (report.entries, report.root) == (facts["size"], facts["root"])
    shutil.copy(GOLDEN / "golden.db", tmp_path / "audit.db")
    assert forge.facts(tmp_path / "audit.db") == facts


def test_every_entry_of_the_golden_log_is_still_understood(forge, tmp_path):
    shutil.copy(GOLDEN / "golden.db", tmp_path / "audit.db")
    log = AuditLog.open(tmp_path / "audit.db", chain_uid=forge.CHAIN_UID, clock=forge.FixedClock())
    kinds = [item.event.__struct_config__.tag for item in log.scan()]
    log.close()
    assert len(set(kinds)) >= 36


def test_the_second_verifier_is_one_page_and_stands_alone():
    text = (DOCS / "verify.py").read_text()
    assert len(text.splitlines()) <= 100
    assert re.findall(r"hsm_console", text) == ["hsm_console"]  # the member of an entry, no import
    modules = re.search(r"^import ([a-z0-9, ]+)", text, re.M).group(1).strip()
    assert set(modules.split(", ")) <= {
        *("base64", "fcntl", "functools", "hashlib", "json", "os", "pathlib", "re", "sqlite3"),
        *("subprocess", "sys", "tempfile", "unicodedata"),
    }


@pytest.mark.parametrize("names", [(), ("--help",), ("no.db", "log.vkey"), ("log.vkey", "no.db")])
def test_the_second_verifier_says_what_it_is_given_and_makes_no_file(tmp_path, names):
    shutil.copy(GOLDEN / "log.vkey", tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", DOCS / "verify.py", *names], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert "audit.db log.vkey [receipt" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["log.vkey"]


def test_the_format_page_explains_every_word():
    page = (DOCS / "audit-format.md").read_text()
    assert all(word.value in page for word in Word)


@pytest.fixture
def facts():
    return json.loads((GOLDEN / "kept" / "kept.json").read_text())


def test_the_golden_log_of_what_is_kept_verifies_by_both(facts, tmp_path):
    report = verify_workspace(GOLDEN / "kept", parse_vkey(facts["vkey"]))
    assert report.findings == ()
    assert (report.entries, report.root) == (facts["size"], facts["root"])
    assert f" sealed={facts['sealed']} redacted=2 pruned=254 " in report.line
    (tmp_path / "log.vkey").write_text(facts["vkey"])
    command = [sys.executable, "-I", DOCS / "verify.py", GOLDEN / "kept" / "audit.db", tmp_path / "log.vkey"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.partition(" ")[0]) == (0, "OK")


def test_the_golden_heads_carry_the_signatures_that_they_tell_of(facts):
    log, other, witness = (parse_vkey(facts[name]) for name in ("vkey", "ml_dsa_44", "witness"))
    for text in (facts["checkpoint"], facts["cosigned"]):
        note = parse_note(text)
        by_key = {(line.name, line.key_id): line for line in note.lines}
        for key in (log, other):
            assert verify_line(note.body, by_key[key.name, key.key_id], key) > 0
    assert verify_line(note.body, by_key[witness.name, witness.key_id], witness) > 0


def test_the_golden_segment_opens_and_verifies(facts, tmp_path):
    file = GOLDEN / "kept" / "segments" / "segment-000000.tar.age"
    segment.unpack(file, facts["auditor"], tmp_path / "opened")
    report = verify_segment(tmp_path / "opened", parse_vkey(facts["vkey"]))
    assert report.findings == ()
    assert report.entries == 256
