"""Segments, pruning and erasing: who may, what is left, and that whatever was tampered with is named."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.verify import verify_workspace
from hsm_console.client import audit, orders
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Decision
from hsm_console.domain.messages.orders import OrderState, OrderView

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "hsm_console.cli.main"]


def fill(house: Any, size: int) -> None:
    """Look at entries until the log is so long: each look is an entry."""
    auditor = house.be("alan")
    while audit.head(auditor).size < size:
        audit.entry(auditor, 0)


def carried_out(session: Any, view: OrderView) -> OrderView:
    view = orders.run(session, view.id)
    end = time.monotonic() + 120
    while view.state is OrderState.RUNNING:
        assert time.monotonic() < end
        time.sleep(0.05)
        view = orders.show(session, view.id)
    return view


def approve(house: Any, view: OrderView) -> None:
    for uid in ("claude", "grace", "whit")[: view.needed]:
        with house.stepped_up(uid) as own:
            orders.decide(own, view.id, Decision.APPROVE)


def words(house: Any, **more: Any) -> list[str]:
    vkey = parse_vkey((house.workspace / "log.vkey").read_text())
    return [item.word for item in verify_workspace(house.workspace, vkey, **more).findings]


def second(house: Any) -> subprocess.CompletedProcess[str]:
    folder = house.workspace
    command = [sys.executable, "docs/verify.py", str(folder / "audit.db"), str(folder / "log.vkey")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def run(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, input=said, env=environment
    )


@pytest.fixture
def key(tmp_path: Path) -> tuple[str, Path]:
    identity = x25519.Identity.generate()
    path = tmp_path / "auditor.key"
    path.write_text(f"# made for a test\n{identity}\n")
    return str(identity.to_public()), path


def rotated(house: Any, recipient: str) -> Any:
    admin = house.admin()
    fill(house, 260)
    done = carried_out(admin, orders.open_order(admin, "rotate-log", {"recipient": recipient}))
    assert done.state is OrderState.DONE, done.problem
    return admin


def refused(act: Any) -> str:
    with pytest.raises(ConsoleError) as caught:
        act()
    return caught.value.problem.code


def test_rotate_prune_and_everything_that_must_fail_on_the_way(house: Any, key: tuple[str, Path]) -> None:
    recipient, identity = key
    admin = house.admin()
    assert refused(lambda: orders.open_order(admin, "rotate-log", {"recipient": "age1nobody"})) == "recipient-unusable"
    assert refused(lambda: orders.open_order(admin, "prune-log", {"below": "256"})) == "prune-not-rotated"
    admin = rotated(house, recipient)
    segment = house.workspace / "segments" / "segment-000000.tar.age"
    assert segment.is_file()

    vkey = ["--vkey", str(house.workspace / "log.vkey")]
    checked = run("audit", "verify", str(segment), "--identity", str(identity), *vkey)
    assert checked.returncode == 0, checked
    assert checked.stdout.startswith("OK segment=0 entries=0..255")
    stranger = identity.with_name("stranger.key")
    stranger.write_text(str(x25519.Identity.generate()))
    wrong = run("audit", "verify", str(segment), "--identity", str(stranger), *vkey, "--json")
    assert wrong.returncode == 2
    assert json.loads(wrong.stdout)["code"] == "segment-unreadable"
    assert run("audit", "verify", str(segment), *vkey).returncode == 2

    for below in ("1", "255", "300", "512", "-1", "x"):
        assert refused(lambda b=below: orders.open_order(admin, "prune-log", {"below": b})) in {
            "prune-not-rotated", "number-unreadable"}  # fmt: skip
    assert refused(lambda: orders.open_order(house.be("hedy"), "prune-log", {"below": "256"})) == "role-refused"
    view = orders.open_order(admin, "prune-log", {"below": "256"})
    assert view.needed >= 1
    assert refused(lambda: orders.run(admin, view.id)) == "order-not-ready"
    assert refused(lambda: orders.decide(admin, view.id, Decision.APPROVE)) in {"self-approval", "role-refused"}
    approve(house, view)
    away = segment.rename(segment.with_suffix(".away"))
    assert refused(lambda: orders.run(admin, view.id)) == "segment-exchanged"
    away.rename(segment)
    assert carried_out(admin, view).state is OrderState.DONE

    vkey_ = parse_vkey((house.workspace / "log.vkey").read_text())
    report = verify_workspace(house.workspace, vkey_)
    assert not report.findings, report
    assert "pruned=254" in report.line
    assert second(house).returncode == 0, second(house)
    assert refused(lambda: audit.entry(house.be("alan"), 100)) == "entry-missing"
    assert audit.entries(house.be("alan"), limit=5).rows
    data = segment.read_bytes()
    segment.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert words(house) == ["SEGMENT"]
    segment.unlink()
    assert words(house) == ["SEGMENT"]


def test_the_gateway_starts_and_stands_on_a_pruned_log(house: Any, key: tuple[str, Path]) -> None:
    from hsm_console.client.transport import GatewayProcess

    admin = rotated(house, key[0])
    view = orders.open_order(admin, "prune-log", {"below": "256"})
    approve(house, view)
    assert carried_out(admin, view).state is OrderState.DONE
    house.stack.close()
    with GatewayProcess(house.workspace) as gateway, contextlib.ExitStack() as stack:
        again = type(house)(house.workspace, gateway, stack)
        admin = again.admin()
        from hsm_console.client import people

        assert {item.person.uid for item in people.listed(admin)} >= {"ada", "hedy"}
        assert again.open(admin).current
    assert words(house) == []
    told = run("rebuild", str(house.workspace))
    assert told.returncode == 2
    assert "pruned" in told.stderr
    told = run("rebuild", str(house.workspace), "--identity", str(key[1]))
    assert (told.returncode, {line.split(": ")[1] for line in told.stdout.splitlines()}) == (0, {"identical"})
    out = house.workspace.parent / "bundle"
    told = run("audit", "export", str(house.workspace), "--out", str(out))
    assert "Not in it: entries 2 to 255" in told.stdout
    told = run("audit", "verify", str(out), "--vkey", str(house.workspace / "log.vkey"))
    assert (told.returncode, told.stdout.split()[0]) == (0, "OK")


def test_nothing_is_pruned_before_its_time(house: Any, key: tuple[str, Path], tmp_path: Path) -> None:
    """The same rules with a term of one month, by the service itself."""
    from msgspec.structs import replace

    from hsm_console.gateway import compose
    from hsm_console.gateway.services.retaining import Retaining

    rotated(house, key[0])
    house.stack.close()
    with contextlib.ExitStack() as undo:
        core = compose.prepare(house.workspace, undo)
        rules = replace(core.environment.log, retention_months=1)
        object.__setattr__(core, "environment", replace(core.environment, log=rules))
        kept = Retaining(core)
        assert kept.months() == 1
        prune = next(kind for kind in kept.kinds() if kind.action == "prune-log")
        assert refused(lambda: prune.check({"below": "256"}, None)) == "prune-too-young"
        rules = replace(rules, standards=("pci-dss", "hipaa", "sox"))
        object.__setattr__(core, "environment", replace(core.environment, log=rules))
        assert kept.months() == 84


def signed_document(house: Any) -> Any:
    admin = house.admin()
    house.turn(admin, house.until(admin, house.open(admin), "first-document"))
    return admin


def rows(house: Any) -> list[tuple[str, int]]:
    with contextlib.closing(sqlite3.connect(house.workspace / "audit.db")) as conn:
        return list(conn.execute("SELECT digest, seq FROM disclosure ORDER BY seq, digest"))


def test_values_are_erased_by_two_people_and_never_by_hand(house: Any, tmp_path: Path) -> None:
    admin = signed_document(house)
    found = rows(house)
    assert found
    auditor = house.be("alan")
    seq = next(at for _, at in found if "letter.txt" in " ".join(audit.entry(auditor, at).words))
    entry = str(seq)
    assert (
        refused(lambda: orders.open_order(admin, "erase-values", {"entries": "0", "why": "asked"})) == "erase-nothing"
    )
    assert refused(lambda: orders.open_order(admin, "erase-values", {"entries": entry, "why": " "})) == "why-missing"
    told = tmp_path / "told.txt"
    told.write_bytes(auditor.raw("GET", f"/v1/audit/disclosures?entries={entry}"))
    view = orders.open_order(admin, "erase-values", {"entries": entry, "why": "the person asked for it"})
    assert refused(lambda: orders.run(admin, view.id)) == "order-not-ready"
    approve(house, view)
    assert carried_out(admin, view).state is OrderState.DONE
    assert "letter.txt" not in " ".join(audit.entry(auditor, seq).words)
    assert "(erased)" in " ".join(audit.entry(auditor, seq).words)
    assert words(house) == []
    assert second(house).returncode == 0
    vkey = ["--vkey", str(house.workspace / "log.vkey")]
    proven = run("audit", "verify", str(house.workspace), *vkey, "--disclosures", str(told))
    assert proven.returncode == 0, proven  # what was told before can still be proven
    assert "redacted=" in proven.stdout
    text = told.read_text().splitlines()
    told.write_text("\n".join([text[0], text[1][:-2] + ("AA" if text[1][-2:] != "AA" else "BB")]) + "\n")
    assert run("audit", "verify", str(house.workspace), *vkey, "--disclosures", str(told)).returncode == 1
    house.stack.close()
    for attack in (
        "DELETE FROM disclosure WHERE rowid = (SELECT min(rowid) FROM disclosure)",
        "UPDATE disclosure SET sealed = (SELECT max(sealed) FROM disclosure)",
        "UPDATE disclosure SET seq = seq + 1",
        "INSERT INTO disclosure SELECT 'x' || digest, seq, key_id, sealed FROM disclosure",
    ):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(house.workspace, copy)
        with contextlib.closing(sqlite3.connect(copy / "audit.db")) as conn:
            conn.execute(attack)
            conn.commit()
        tampered = type(house)(copy, house.gateway, house.stack)
        assert set(words(tampered)) == {"SEALED"}, attack
        assert second(tampered).returncode == 1, attack


def test_who_may_not_read_sealed_values_is_not_told_them(house: Any) -> None:
    signed_document(house)
    seq = rows(house)[0][1]
    for uid in ("joan", "claude", "hedy"):
        session = house.be(uid)
        code = refused(lambda s=session: s.raw("GET", f"/v1/audit/disclosures?entries={seq}"))
        assert code == "role-refused"


def test_copies_and_reports_of_a_pruned_log_are_still_made(house: Any, key: tuple[str, Path], tmp_path: Path) -> None:
    from hsm_console.audit import siem_export
    from hsm_console.client import reporting

    admin = rotated(house, key[0])
    view = orders.open_order(admin, "prune-log", {"below": "256"})
    approve(house, view)
    assert carried_out(admin, view).state is OrderState.DONE
    auditor = house.be("alan")
    done = siem_export.export(house.workspace, tmp_path / "copy.csv", "csv")
    assert done.size > 256
    job = reporting.report(auditor, "pci-dss")
    end = time.monotonic() + 90
    while job.state in ("waiting", "running"):
        assert time.monotonic() < end
        time.sleep(0.1)
        job = reporting.job(auditor, job.id)
    assert job.state == "done", job.problem
    assert job.report.verified
