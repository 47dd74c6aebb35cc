"""The workspace and the people of tests/flows, and what it takes to kill processes and to look for their remains."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from hsm_console.domain.ids import object_id
from hsm_console.gateway import compose
from hsm_console.gateway.projections import IntentRow
from hsm_console.hsm.worker import HsmClient

ROOT = Path(__file__).parents[3]
_FLOWS = next(folder for folder in Path(__file__).parents if folder.name == "tests") / "flows" / "conftest.py"


def _flows() -> ModuleType:
    if "flows_conftest" not in sys.modules:
        spec = importlib.util.spec_from_file_location("flows_conftest", _FLOWS)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["flows_conftest"] = module
        spec.loader.exec_module(module)
    return sys.modules["flows_conftest"]


flows_module = _flows()
founded = flows_module.founded
workspace = flows_module.workspace
house = flows_module.house
helpers = flows_module.helpers


@pytest.fixture
def flows() -> ModuleType:
    return flows_module


def marked(mark: str) -> dict[int, str]:
    """Processes that carry this mark in their environment: pid → command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


@pytest.fixture
def orphans(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[int, str]]:
    """Everything that this test started and that still runs (without this process itself)."""
    mark = f"HSM_CONSOLE_TEST_MARK={os.urandom(8).hex()}"
    name, value = mark.split("=")
    monkeypatch.setenv(name, value)

    def find() -> dict[int, str]:
        return {pid: line for pid, line in marked(mark).items() if pid != os.getpid()}

    return find


@pytest.fixture
def gone(orphans: Callable[[], dict[int, str]]) -> Callable[[], None]:
    """Wait until nothing is left of what the test started; fail when something stays."""

    def wait() -> None:
        deadline = time.monotonic() + 10
        while (left := orphans()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left == {}

    return wait


def intents(workspace: Path) -> list[IntentRow]:
    with contextlib.closing(sqlite3.connect(f"file:{workspace}/audit.db?mode=ro", uri=True)) as conn:
        rows = conn.execute("SELECT row FROM intent ORDER BY seq").fetchall()
    return [msgspec.json.decode(row[0], type=IntentRow) for row in rows]


def keys_and_intents(workspace: Path, pin: str) -> None:
    """Every key in the token is the founding's or derives from an intent; all intents ended; none made twice."""
    from hsm_console.domain.secret import Secret
    from hsm_console.gateway.workspace import Home

    home = Home(workspace)
    announced = {object_id(bytes.fromhex(i.fingerprint)).hex() for i in intents(workspace)}
    assert all(intent.ended >= 0 for intent in intents(workspace))
    with HsmClient(home.binding(home.load())) as hsm:
        hsm.log_in(Secret(pin))
        keys = [key for key in hsm.find() if not key.label.startswith(("authority ", "log ", "seal "))]
    assert {key.object_id.hex() for key in keys} <= announced
    succeeded = [i for i in intents(workspace) if i.ending == "operation-succeeded"]
    assert len(keys) == sum(i.event.operation.value == "generate" for i in succeeded)


def verified_twice(workspace: Path) -> None:
    """By the application's verifier and by the page for strangers, without any finding."""
    log, vkey = str(workspace), str(workspace / "log.vkey")
    ours = [sys.executable, "-m", "hsm_console", "audit", "verify", log, "--vkey", vkey]
    theirs = [sys.executable, str(ROOT / "docs" / "verify.py"), f"{log}/audit.db", vkey]
    told = [subprocess.run(c, cwd=ROOT, capture_output=True, text=True, check=False) for c in (ours, theirs)]
    assert [done.returncode for done in told] == [0, 0], "\n".join(d.stdout + d.stderr for d in told)


@pytest.fixture
def both_verify() -> Callable[[Path], None]:
    return verified_twice


@pytest.fixture
def one_key_each() -> Callable[[Path], None]:
    """What `keys_and_intents` says, with the PIN of the demonstration or of the house of the tests."""

    def check(workspace: Path) -> None:
        from hsm_console.cli.demo_cast import PIN
        from hsm_console.gateway.workspace import Home

        keys_and_intents(workspace, PIN if "demo" in Home(workspace).load().token.label else flows_module.PIN)

    return check


class Spy:
    """A device's client that counts calls and does what a test wants before or after one of them."""

    def __init__(self, real: HsmClient) -> None:
        self.real = real
        self.calls: list[str] = []
        self.before: dict[str, Callable[[], None]] = {}
        self.after: dict[str, Callable[[], None]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            self.before.pop(name, lambda: None)()
            answer = found(*arguments, **named)
            self.after.pop(name, lambda: None)()
            return answer

        return call


@pytest.fixture
def spied(workspace: Path) -> Iterator[tuple[compose.Gateway, Spy, Any]]:
    """A gateway in this very process, whose device is a spy; and the people of the house."""
    spies: list[Spy] = []

    def opener(binding: Any) -> Any:
        client = HsmClient(binding)
        if not spies:
            spies.append(Spy(client))
        spies[0].real = client
        return spies[0]

    gateway = compose.start(workspace, opener=opener)
    with contextlib.ExitStack() as stack:
        stack.callback(gateway.stop, "the test is over")
        rendezvous = gateway.listen()
        process = _Here(workspace, rendezvous.listen)
        yield gateway, spies[0], flows_module.House(workspace, process, stack)


class _Here:
    """Stands for a GatewayProcess where the gateway runs in the test's process."""

    def __init__(self, workspace: Path, listen: str) -> None:
        from hsm_console.client import rendezvous

        self.address = rendezvous.for_workspace(workspace, listen)
