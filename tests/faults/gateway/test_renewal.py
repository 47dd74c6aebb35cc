"""Lists of revoked certificates run out: renewed in time by itself, and by the folder's owner when it is too late."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsm_console.client import setup
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.secret import Secret
from hsm_console.gateway import compose, issuing

PIN = "user-pin-271828"
DAY_MS = 86_400_000
ROOT = Path(__file__).parents[3]
Helpers = dict[str, Callable[..., Any]]


def age(workspace: Path, days: int) -> None:
    """Leave the list of revoked certificates as it would be after so many days."""
    with contextlib.ExitStack() as undo:
        core = compose.prepare(workspace, undo)
        core.device.unlock(None, Secret(PIN))
        then = core.now_ms() - days * DAY_MS
        issuing.renew_crl(core.home, core.log, core.signing_authority(), core.environment, then)
        core.device.lock(None)


def test_a_list_that_ran_out_is_renewed_by_the_owner(workspace: Path, flows: Any, helpers: Helpers) -> None:
    age(workspace, 100)
    with contextlib.ExitStack() as stack, GatewayProcess(workspace) as gateway:
        house = flows.House(workspace, gateway, stack)
        assert helpers["refusal"](lambda: house.be("ada")) == "gateway-crl-stale"
        assert helpers["refusal"](lambda: setup.renew(workspace, Secret(PIN))) == "workspace-in-use"
    assert helpers["refusal"](lambda: setup.renew(workspace, Secret("not-the-pin-1"))) == "pin-incorrect"
    told = setup.renew(workspace, Secret(PIN))
    assert told["crl"] == 3
    assert told["identity_renewed"] is False
    with contextlib.ExitStack() as stack, GatewayProcess(workspace) as gateway:
        house = flows.House(workspace, gateway, stack)
        assert house.be("ada").greeting.notices == ()
        stack.close()
    verify = [sys.executable, "-m", "hsm_console", "audit", "verify", str(workspace), "--vkey", f"{workspace}/log.vkey"]
    done = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("OK "), done.stdout


def test_a_list_is_renewed_in_time_at_an_unlock(workspace: Path, flows: Any) -> None:
    age(workspace, 20)  # of thirty
    before = (workspace / "crl.pem").read_bytes()
    with contextlib.ExitStack() as stack, GatewayProcess(workspace) as gateway:
        house = flows.House(workspace, gateway, stack)
        house.admin()
        assert (workspace / "crl.pem").read_bytes() != before
        house.be("joan")  # handshakes go on with the new list
        stack.close()


def test_the_gateways_identity_is_renewed(workspace: Path, flows: Any, monkeypatch: Any) -> None:
    """The new identity is in force, and the log says that it was issued."""
    from hsm_console.gateway import renewal

    monkeypatch.setattr(issuing, "IDENTITY_RENEWAL_DAYS", 100_000)
    before = (workspace / "gateway" / "identity.pem").read_bytes()
    assert renewal.renew(workspace, Secret(PIN))["identity_renewed"] is True
    assert (workspace / "gateway" / "identity.pem").read_bytes() != before
    with contextlib.ExitStack() as stack, GatewayProcess(workspace) as gateway:
        assert flows.House(workspace, gateway, stack).be("ada").greeting.person.uid == "ada"
        stack.close()
