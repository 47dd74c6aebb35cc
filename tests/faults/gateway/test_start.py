"""What stops a gateway from starting, or from trusting what it finds: each told by its own code, nothing harmed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_console.client import ceremonies, device, rendezvous
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.secret import Secret

Helpers = dict[str, Callable[..., Any]]
PIN = "user-pin-271828"


def start_fails(workspace: Path, **named: Any) -> Any:
    with pytest.raises(ConsoleError) as caught:
        GatewayProcess(workspace, **named)
    return caught.value.problem


def kinds(workspace: Path) -> list[str]:
    with sqlite3.connect(f"file:{workspace}/audit.db?mode=ro", uri=True) as conn:
        found = [row[0] for row in conn.execute("SELECT kind FROM entry_row ORDER BY seq")]
    conn.close()
    return found


def test_a_second_gateway_names_the_first(house: Any) -> None:
    problem = start_fails(house.workspace)
    assert problem.code == "workspace-in-use"
    assert problem.details["pid"] == str(house.gateway.pid)
    assert rendezvous.running(house.workspace).pid == house.gateway.pid


def test_a_clean_stop_and_a_crash_are_told_apart(workspace: Path, gone: Callable[[], None]) -> None:
    with GatewayProcess(workspace):
        pass
    assert kinds(workspace)[-1] == "gateway-stopped"
    crashed = GatewayProcess(workspace)
    os.kill(crashed.pid, signal.SIGKILL)
    crashed.stop()
    with GatewayProcess(workspace):
        pass
    with sqlite3.connect(f"file:{workspace}/audit.db?mode=ro", uri=True) as conn:
        rows = conn.execute("SELECT summary FROM entry_row WHERE kind='gateway-started' ORDER BY seq").fetchall()
    conn.close()
    assert len(rows) == 3
    assert len({row[0] for row in rows}) == 3  # none, clean, unclean: three different sentences
    gone()


def test_sigterm_is_a_clean_stop(workspace: Path, gone: Callable[[], None]) -> None:
    gateway = GatewayProcess(workspace)
    os.kill(gateway.pid, signal.SIGTERM)
    deadline = time.monotonic() + 10
    while gateway.running and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not gateway.running
    gateway.stop()
    assert kinds(workspace)[-1] == "gateway-stopped"
    assert rendezvous.running(workspace) is None
    gone()


def test_an_address_that_is_taken(workspace: Path, tmp_path: Path) -> None:
    path = tmp_path / "taken.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        problem = start_fails(workspace, listen=f"unix:{path}")
    assert problem.code == "address-in-use"
    assert kinds(workspace)[-1] == "gateway-stopped"
    with GatewayProcess(workspace):  # the workspace is free again
        pass


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("workspace.toml", "workspace-missing"),
        ("audit.db", "log-missing"),
        ("roster.p7s", "roster-not-authentic"),
        ("gateway/identity.key", "gateway-identity-unusable"),
    ],
)
def test_a_missing_part(workspace: Path, name: str, code: str) -> None:
    (workspace / name).unlink()
    assert start_fails(workspace).code == code


def test_a_damaged_database(workspace: Path) -> None:
    data = bytearray((workspace / "audit.db").read_bytes())
    data[:64] = bytes(64)
    (workspace / "audit.db").write_bytes(data)
    assert start_fails(workspace).code == "log-damaged"


def test_a_changed_entry_is_noticed_at_the_start(workspace: Path) -> None:
    with sqlite3.connect(workspace / "audit.db") as conn:
        for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type='trigger'").fetchall():
            conn.execute(f'DROP TRIGGER "{name}"')
        body = conn.execute("SELECT body FROM entry WHERE seq = 2").fetchone()[0]
        changed = body.replace(b'"boottime_ms":', b'"boottime_ms":1')
        conn.execute("UPDATE entry SET body = ? WHERE seq = 2", (changed,))
    conn.close()
    assert start_fails(workspace).code in ("log-changed", "log-damaged")


def test_a_roster_that_was_changed_or_brought_back(workspace: Path, founded: Path) -> None:
    text = (workspace / "roster.json").read_text()
    (workspace / "roster.json").write_text(text.replace('"auditor"', '"administrator"'))
    assert start_fails(workspace).code == "roster-not-authentic"


def test_an_older_roster_is_refused(house: Any, helpers: Helpers) -> None:
    """Genuine, signed, and out of force: somebody who was revoked would be in again."""
    from hsm_console.client import people

    old = {name: (house.workspace / name).read_bytes() for name in ("roster.json", "roster.p7s")}
    people.revoke(house.admin(), "whit", "keyCompromise")
    assert helpers["refusal"](lambda: house.be("whit")) == "certificate-revoked"
    house.stack.close()
    for name, data in old.items():
        (house.workspace / name).write_bytes(data)
    assert start_fails(house.workspace).code == "roster-not-in-log"


def test_a_roster_staged_before_a_crash_is_put_in_force(house: Any, founded: Path) -> None:
    """The log says that it is in force, the kill came before the files were renamed."""
    from hsm_console.client import people

    people.revoke(house.admin(), "whit", "keyCompromise")
    house.stack.close()
    for name in ("roster.json", "roster.p7s", "crl.pem"):
        (house.workspace / name).rename(house.workspace / f"{name}.next")
        shutil.copyfile(founded / name, house.workspace / name)
    with GatewayProcess(house.workspace):
        pass
    assert not list(house.workspace.glob("*.next"))
    assert (house.workspace / "roster.json").read_bytes() != (founded / "roster.json").read_bytes()


def test_a_log_that_was_set_back(house: Any, helpers: Helpers, flows: Any) -> None:
    """The token remembers more entries than the log has: nothing is unlocked, and the word is said."""
    admin = house.admin()
    device.lock(admin)
    house.stack.close()
    saved = house.workspace.parent / "saved.db"
    shutil.copyfile(house.workspace / "audit.db", saved)
    with GatewayProcess(house.workspace) as gateway:
        again = flows.House(house.workspace, gateway, house.stack)
        ceremony = again.open(again.admin())
        assert ceremony.current
        house.stack.close()
    for path in house.workspace.glob("audit.db-*"):
        path.unlink()
    shutil.copyfile(saved, house.workspace / "audit.db")
    with GatewayProcess(house.workspace) as gateway:
        again = flows.House(house.workspace, gateway, house.stack)
        ada = again.be("ada")
        assert helpers["refusal"](lambda: device.unlock(ada, Secret(PIN))) == "log-rolled-back"
        assert not device.state(ada).unlocked
        assert ceremonies.listed(ada) == []
        house.stack.close()


def test_a_stale_crl_is_a_notice_and_people_learn_the_true_reason(house: Any, founded: Path) -> None:
    """Nobody gets in without a CRL, and it is not said to be the person's fault (PLATFORM 1.1)."""
    (house.workspace / "crl.pem").unlink()
    with pytest.raises(ConsoleError) as caught:
        house.be("ada")
    assert caught.value.problem.code == "gateway-crl-missing"
    shutil.copyfile(founded / "crl.pem", house.workspace / "crl.pem")
    assert house.be("ada").greeting.person.uid == "ada"


@pytest.mark.skipif(os.getuid() != 0, reason="needs to become somebody else")
def test_a_workspace_of_somebody_else(workspace: Path) -> None:
    """As another user nothing can be opened, and that is said in words."""
    command = [sys.executable, "-m", "hsm_console.gateway", "--workspace", str(workspace)]
    root = Path(__file__).parents[3]
    done = subprocess.run(
        command, cwd=root, capture_output=True, timeout=60, user=65534, group=65534, extra_groups=[], check=False
    )
    assert done.returncode in (2, 3)
    assert b"workspace-" in done.stdout


def test_a_revoked_person_is_out_at_once(house: Any, helpers: Helpers) -> None:
    from hsm_console.client import people

    whit = house.be("whit")
    ceremonies.listed(whit)
    people.revoke(house.admin(), "whit", "keyCompromise")
    with pytest.raises(ConsoleError):
        ceremonies.listed(whit)
    assert "logged-off" in kinds(house.workspace)


def test_people_who_leave_are_logged_off(house: Any) -> None:
    """Killing the agent is the log-off: the gateway records it without being asked."""
    session = house.be("joan")
    os.kill(session.agent_pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while "logged-off" not in kinds(house.workspace) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "logged-off" in kinds(house.workspace)
