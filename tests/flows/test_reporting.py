"""Reports, exports and the checking of receipts through the real gateway: recorded, proven, whole, refused."""

from __future__ import annotations

import csv
import hashlib
import json
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.receipt import verify
from hsm_console.audit.receipt_files import read
from hsm_console.audit.verify import verify_workspace
from hsm_console.client import audit, reporting
from hsm_console.domain.errors import ConsoleError


def finished(session: Any, job: Any) -> Any:
    end = time.monotonic() + 60
    while job.state in ("waiting", "running"):
        assert time.monotonic() < end, job
        time.sleep(0.02)
        job = reporting.job(session, job.id)
    return job


@pytest.fixture
def auditor(house: Any) -> Any:
    house.admin()
    return house.be("alan")


def test_a_report_is_made_recorded_and_proven(auditor: Any, house: Any, tmp_path: Path) -> None:
    job = finished(auditor, reporting.report(auditor, "pci-dss"))
    assert job.state == "done", job.problem
    assert job.receipt is None
    assert job.report.verified
    assert sum(job.report.summary.values()) == len(job.report.controls)
    gaps = [control for control in job.report.controls if control.state == "gap"]
    assert all(control.why for control in gaps)
    pdf, plain, page, proof = job.files
    paths = [reporting.save(auditor, job.id, file, tmp_path / file.name) for file in job.files]
    told = json.loads(paths[1].read_bytes())
    assert (told["population"]["root"], told["population"]["size"]) == (job.root, job.size)
    assert paths[0].read_bytes().startswith(b"%PDF")
    vkey = parse_vkey((house.workspace / "log.vkey").read_text())
    proven = verify(read(paths[3])[0], vkey)
    assert proven.index == job.entry
    assert proven.recorded.event.sha256 == pdf.sha256 == hashlib.sha256(paths[0].read_bytes()).hexdigest()
    assert {page.name.rsplit(".")[-1], proof.name.rsplit(".")[-1], plain.name.rsplit(".")[-1]} == \
        {"pdf", "tlog-proof", "json"}  # fmt: skip
    said = [row.summary for row in audit.entries(auditor, kind="log-exported").rows]
    assert len(said) == 2 + len(job.files), said
    assert not verify_workspace(house.workspace / "audit.db", vkey).findings


def test_an_export_is_the_log_up_to_its_signed_head(auditor: Any, house: Any, tmp_path: Path) -> None:
    for form in ("bundle-zip", "bundle-tar", "rfc5424", "cef", "csv"):
        (tmp_path / form).mkdir()
        hold(auditor, house, tmp_path / form, form)


def hold(auditor: Any, house: Any, tmp_path: Path, form: Any) -> None:
    job = finished(auditor, reporting.export(auditor, form))
    assert job.state == "done", job.problem
    path = reporting.save(auditor, job.id, job.files[0], tmp_path / job.files[0].name)
    vkey = parse_vkey((house.workspace / "log.vkey").read_text())
    if form == "bundle-zip":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / "out")  # noqa: S202 - our own
    elif form == "bundle-tar":
        with tarfile.open(path) as archive:
            archive.extractall(tmp_path / "out")  # noqa: S202 - our own
    if form.startswith("bundle"):
        report = verify_workspace(tmp_path / "out" / "audit-log", vkey)
        assert not report.findings
        assert report.entries == job.size
        return
    lines = path.read_text("utf-8").splitlines()
    assert len(lines) == job.size + 2, "a frame of two lines, or a head and an end"
    if form == "csv":
        assert next(csv.reader(lines[-1:]))
    assert job.root in lines[-1]


def test_a_period_without_entries_is_told_in_four_things(auditor: Any) -> None:
    job = finished(auditor, reporting.report(auditor, "sox", "1999-01-01", "1999-12-31"))
    assert job.state == "failed"
    assert job.problem.code == "period-empty"
    assert not job.files


def test_nonsense_is_refused_before_anything_is_begun(auditor: Any, helpers: Any) -> None:
    refusal = helpers["refusal"]
    assert refusal(lambda: reporting.report(auditor, "iso-0")) == "standard-unknown"
    assert refusal(lambda: reporting.report(auditor, "sox", "yesterday")) == "day-unreadable"
    assert refusal(lambda: reporting.report(auditor, "sox", "2026-02-02", "2026-01-01")) == "period-inverted"
    assert refusal(lambda: reporting.export(auditor, "exe")) == "body-unreadable"
    assert refusal(lambda: reporting.job(auditor, "nobody")) == "not-found"
    assert not reporting.listed(auditor).jobs


def test_who_may_not_export_gets_nothing(auditor: Any, house: Any, helpers: Any) -> None:
    job = finished(auditor, reporting.export(auditor, "csv"))
    custodian = house.be("claude")
    refusal = helpers["refusal"]
    assert refusal(lambda: reporting.listed(custodian)) == "role-refused"
    assert refusal(lambda: reporting.export(custodian, "csv")) == "role-refused"
    assert refusal(lambda: reporting.piece(custodian, job.id, job.files[0].name, 0)) == "role-refused"


def test_no_other_file_can_be_fetched(auditor: Any, helpers: Any) -> None:
    job = finished(auditor, reporting.export(auditor, "csv"))
    for name in ("../../audit.db", "..", "audit.db", "/etc/passwd"):
        code = helpers["refusal"](lambda name=name: reporting.piece(auditor, job.id, name, 0))
        assert code in ("not-found", "route-unknown")


def test_a_piece_changed_on_the_way_keeps_nothing(auditor: Any, tmp_path: Path, monkeypatch: Any) -> None:
    job = finished(auditor, reporting.export(auditor, "csv"))
    honest = reporting.piece
    monkeypatch.setattr(reporting, "piece", lambda *a: honest(*a)[:-1] + b"!")
    with pytest.raises(ConsoleError) as caught:
        reporting.save(auditor, job.id, job.files[0], tmp_path / "log.csv")
    assert caught.value.problem.code == "file-differs"
    assert list(tmp_path.glob("*log.csv*")) == []


def test_without_the_token_a_report_still_carries_its_own_proof(house: Any) -> None:
    auditor = house.be("alan")
    job = finished(auditor, reporting.report(auditor, "hipaa"))
    assert job.state == "done", job.problem
    assert job.receipt.code == "log-key-locked"
    assert len(job.files) == 2
    assert job.root


def test_receipts_are_told_in_words(auditor: Any, tmp_path: Path) -> None:
    for form in audit.RECEIPT_FORMS:
        path = tmp_path / f"receipt.{form}"
        path.write_bytes(audit.receipt_file(auditor, 1, form))
        (found,) = reporting.check_receipt(auditor, path).receipts
        assert found.problem is None, (form, found.problem)
        assert found.in_log
        assert found.index == 1
        assert "entries of the log" in found.proves[0]
        assert any("clock" in line for line in found.not_proven)
        assert found.simulated or form != "tlog-proof"
    text = tmp_path / "typed.txt"
    text.write_text(audit.make_receipt(auditor, 1).qr_text)
    assert reporting.check_receipt(auditor, text).receipts[0].index == 1


def test_a_changed_receipt_is_refused_and_said_so(auditor: Any, tmp_path: Path) -> None:
    lines = audit.receipt_file(auditor, 1, "tlog-proof").decode().split("\n")
    lines[2] = "index 0"
    told = reporting.check_receipt_data(auditor, "forged.tlog-proof", "\n".join(lines).encode())
    assert told.receipts[0].problem.what.startswith("BAD-PROOF")
    for rubbish in (b"", b"\x00\xff\x00", b"%PDF-1.7 nothing", b"\x89PNG nothing", b"HSM1:nothing"):
        (found,) = reporting.check_receipt_data(auditor, "../../etc/passwd\x1b[2J", rubbish).receipts
        assert found.problem is not None
        assert not found.proves


def test_a_stop_keeps_nothing(auditor: Any) -> None:
    jobs = [reporting.report(auditor, "pci-dss") for _ in range(6)]
    stopped = reporting.stop(auditor, jobs[-1].id)
    assert stopped.state in ("waiting", "stopped")
    assert finished(auditor, stopped).state == "stopped"
    assert finished(auditor, jobs[0]).state == "done"
    refused = None
    try:
        for _ in range(20):
            reporting.report(auditor, "sox")
    except ConsoleError as error:
        refused = error.problem.code
    assert refused == "too-many-jobs"


def test_nothing_is_left_when_the_gateway_stops(auditor: Any, house: Any) -> None:
    finished(auditor, reporting.export(auditor, "csv"))
    assert list((house.workspace / "exports").iterdir())
    house.gateway.stop()
    assert not (house.workspace / "exports").exists()
