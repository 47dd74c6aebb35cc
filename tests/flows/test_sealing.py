"""Confidential values: sealed in the log, shown to those who may see them, gone for everybody else and by order."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.verify import verify_workspace
from hsm_console.client import audit, ceremonies, device, people
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.secret import Secret

_spec = importlib.util.spec_from_file_location("flows_conftest", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
flows: Any = importlib.util.module_from_spec(_spec)
sys.modules["flows_conftest"] = flows
_spec.loader.exec_module(flows)
BECAUSE = "the words were read aloud twice"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, found: Any) -> Path:
    """A workspace under rules that seal everything that may be sealed."""
    directory = tmp_path_factory.mktemp("strict") / "house"
    return found(replace(flows.spec(directory), environment="rehearsal"))


@pytest.fixture
def sealed(strict: Path, tmp_path: Path) -> Iterator[Any]:
    shutil.copytree(strict, tmp_path / "house")
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(GatewayProcess(tmp_path / "house"))
        yield flows.House(tmp_path / "house", gateway, stack)


def unlocked(house: Any) -> Any:
    custodian = house.be("claude")
    device.unlock(custodian, Secret(flows.PIN))
    return house.be("ada")


def clear(house: Any) -> str:
    """Everything that the database holds in clear: entries and every table made from them."""
    with contextlib.closing(sqlite3.connect(house.workspace / "audit.db")) as conn:
        tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return "\n".join(repr(row) for name in tables for row in conn.execute(f'SELECT * FROM "{name}"'))


def verified(house: Any) -> Any:
    vkey = parse_vkey((house.workspace / "log.vkey").read_text())
    report = verify_workspace(house.workspace / "audit.db", vkey)
    assert not report.findings, report
    return report


def test_no_sealed_value_stands_in_clear_anywhere_in_the_database(sealed: Any) -> None:
    admin = unlocked(sealed)
    view = sealed.until(admin, sealed.open(admin), "first-document")
    view = sealed.turn(admin, view)
    text = clear(sealed)
    for name, _ in flows.PEOPLE.values():
        where = text.find(name)
        assert where < 0, text[max(0, where - 600) : where + 100]
    assert "letter.txt" not in text
    assert "sealed:" in text
    assert verified(sealed).line.startswith("OK")


def test_who_takes_part_sees_values_while_the_device_is_unlocked(sealed: Any) -> None:
    admin = unlocked(sealed)
    assert {p.person.name for p in people.listed(admin)} == {name for name, _ in flows.PEOPLE.values()}
    view = sealed.until(admin, sealed.open(admin), "first-document")
    assert "sealed:" not in json.dumps([seat.name for seat in view.seats])
    auditor, witness = sealed.be("alan"), sealed.be("joan")
    told = [row.summary for row in audit.entries(auditor, limit=500).rows]
    assert any("Hedy Lamarr" in line or "Ada Lovelace" in line for line in told)
    assert not any("sealed" in line for line in told if "enrolled" in line), told
    assert {row.who for row in audit.entries(auditor, limit=500, who="Hamil Lovel").rows} == set()
    assert {row.who for row in audit.entries(auditor, limit=500, who="lovelace").rows} == {"Ada Lovelace"}
    assert not audit.entries(witness, limit=500, who="lovelace").rows
    seen = [row.summary for row in audit.entries(witness, limit=500).rows]
    assert not any(name in line for line in seen for name, _ in flows.PEOPLE.values())
    assert any("ada opened the ceremony" in line for line in seen), seen
    device.lock(sealed.be("claude"))
    locked = [row.summary for row in audit.entries(auditor, limit=500).rows]
    assert not any("Ada Lovelace" in line for line in locked)


def test_a_whole_ceremony_closes_and_its_minutes_name_the_people(sealed: Any) -> None:
    admin = unlocked(sealed)
    view = sealed.open(admin)
    for _ in range(60):
        if not view.current:
            break
        view = sealed.turn(admin, view)
    assert view.status == "completed", view
    names = ceremonies.files(admin, view.id)
    assert {"minutes.json", "minutes.pdf"} <= set(names)
    minutes = json.loads(ceremonies.file(admin, view.id, "minutes.json"))
    text = json.dumps(minutes, ensure_ascii=False)
    assert "Ada Lovelace" in text
    assert "letter.txt" in text
    assert "(sealed)" not in text
    assert "sealed:" not in text
    assert "Ada Lovelace" not in clear(sealed)
    verified(sealed)


def test_text_in_the_form_of_a_sealed_value_is_refused_from_outside(sealed: Any, helpers: Any) -> None:
    admin = unlocked(sealed)
    mark = "sealed:" + "A" * 43
    assert helpers["refusal"](lambda: sealed.open(admin, label=mark)) == "body-unreadable"


def test_after_a_restart_new_values_are_sealed_before_the_device_is_unlocked(strict: Path, tmp_path: Path) -> None:
    shutil.copytree(strict, tmp_path / "house")
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(GatewayProcess(tmp_path / "house"))
        house = flows.House(tmp_path / "house", gateway, stack)
        auditor = house.be("alan")
        rows = audit.entries(auditor, limit=500).rows
        assert any(row.kind == "data-key-made" for row in rows)
        assert {row.who for row in rows if row.kind == "logged-on"} == {"alan"}
        assert "Alan Turing" not in clear(house)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, found: Any) -> Path:
    return found(flows.spec(tmp_path_factory.mktemp("plain") / "house"))


def test_the_development_rules_seal_documents_and_leave_people_readable(plain: Path, tmp_path: Path) -> None:
    shutil.copytree(plain, tmp_path / "house")
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(GatewayProcess(tmp_path / "house"))
        house = flows.House(tmp_path / "house", gateway, stack)
        admin = house.admin()
        view = house.turn(admin, house.until(admin, house.open(admin), "first-document"))
        assert view.current != "first-document"
        text = clear(house)
        assert "letter.txt" not in text
        assert "Ada Lovelace" in text
        assert verified(house).line.count("sealed=") == 1


def test_state_from_the_sealed_log_is_the_state_from_the_plain_one(sealed: Any) -> None:
    """The tables are the fold over the entries as they stand; with values put in they are the fold over plain ones."""
    from hsm_console.ceremony import fold
    from hsm_console.gateway import compose, projections

    admin = unlocked(sealed)
    view = sealed.until(admin, sealed.open(admin), "receipt")
    sealed.stack.close()
    with contextlib.ExitStack() as undo:
        core = compose.prepare(sealed.workspace, undo)
        core.device.recover = core.seals.unlocked
        core.device.unlock(None, Secret(flows.PIN))
        with core.reading() as conn:
            table = projections.ceremony(conn, view.id)
            rows = conn.execute("SELECT seq FROM entry_row WHERE ceremony_id = ? ORDER BY seq", (view.id,)).fetchall()
        stands, plain = None, None
        for (seq,) in rows:
            recorded = core.log.read(seq)
            stands, plain = fold.apply(stands, recorded), fold.apply(plain, core.shown(recorded))
        assert stands == table
        assert core.shown(table) == plain
        assert stands != plain
        assert "sealed:" not in json.dumps([seat.name for seat in plain.seats])
        assert set(stands.done) == set(plain.done)


def test_the_rebuilt_tables_of_a_sealed_log_are_the_same_bytes(sealed: Any) -> None:
    from hsm_console.audit.projection import rebuild
    from hsm_console.gateway import projections

    admin = unlocked(sealed)
    sealed.turn(admin, sealed.until(admin, sealed.open(admin), "first-document"))
    sealed.stack.close()
    assert set(rebuild(sealed.workspace / "audit.db", projections.projections()).values()) == {"identical"}


def test_copies_and_receipts_tell_values_only_to_whom_policy_lets(sealed: Any, tmp_path: Path) -> None:
    from hsm_console.client import reporting

    admin = unlocked(sealed)
    seq = next(row.seq for row in audit.entries(admin, limit=500).rows if row.kind == "person-enrolled")
    assert any(name in audit.make_receipt(admin, seq).title for name, _ in flows.PEOPLE.values())
    for uid in ("joan", "grace"):
        title = audit.make_receipt(sealed.be(uid), seq).title
        assert not any(name in title for name, _ in flows.PEOPLE.values()), title
    job = reporting.export(admin, "csv")
    for _ in range(600):
        if job.state not in ("waiting", "running"):
            break
        time.sleep(0.1)
        job = reporting.job(admin, job.id)
    assert job.state == "done", job.problem
    path = reporting.save(admin, job.id, job.files[0], tmp_path / "copy.csv")
    lines = path.read_text().splitlines()
    assert any("Claude Shannon" in line for line in lines)
    body = audit.entry(admin, 0).fingerprint
    assert any(body in line for line in lines)
    told = next(row.seq for row in audit.entries(admin, limit=500, who="claude").rows if row.kind == "device-unlocked")
    assert any(audit.entry(admin, told).fingerprint in line for line in lines)  # hashes are those of the entry


def test_orders_show_who_decided_and_why_while_the_device_is_unlocked(sealed: Any) -> None:
    from hsm_console.client import orders
    from hsm_console.domain.events import Decision

    admin = unlocked(sealed)
    sealed.turn(admin, sealed.until(admin, sealed.open(admin), "first-document"))
    with contextlib.closing(sqlite3.connect(sealed.workspace / "audit.db")) as conn:
        seq = conn.execute("SELECT max(seq) FROM disclosure").fetchone()[0]
    view = orders.open_order(admin, "erase-values", {"entries": str(seq), "why": "asked for"})
    with sealed.stepped_up("grace") as own:
        orders.decide(own, view.id, Decision.DECLINE, BECAUSE)
    shown = orders.show(admin, view.id)
    assert [(vote.name, vote.because) for vote in shown.votes] == [("Grace Hopper", BECAUSE)]
    assert shown.opened_name == "Ada Lovelace"
    assert BECAUSE not in clear(sealed)
    with sealed.stepped_up("claude") as own:
        orders.decide(own, view.id, Decision.APPROVE)
    verified(sealed)
