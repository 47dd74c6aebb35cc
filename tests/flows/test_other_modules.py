"""A workspace founded over modules that nobody wrote rules for (tests/vendors/real.py), with a whole ceremony, a wrong
PIN, a worker that is killed, and a log that verifies. Two of them do no ECDH: their workspaces seal by RSA-OAEP.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from hsm_console.cli.main import main
from hsm_console.client import device, keys, setup, work
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import SignMechanism
from hsm_console.domain.messages.setup import FoundingSpec
from hsm_console.domain.secret import Secret

REAL = Path(__file__).parents[1] / "vendors" / "real.py"


def _real() -> ModuleType:
    spec = importlib.util.spec_from_file_location("real_modules_of_flows", REAL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


real = _real()
SO_PIN, PIN = real.SO_PIN, real.PIN
SLOW = ("tpm", "p11-kit-proxy")  # what is peculiar to them is tried in tests/vendors too


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.soak] if name in SLOW else []) for name in real.KINDS])
def wish(request: pytest.FixtureRequest, tmp_path: Path, founding: Any) -> Iterator[FoundingSpec]:
    folder = tmp_path / "module"
    folder.mkdir()
    with real.KINDS[request.param](folder) as (adapter, options):
        so_pin = SO_PIN if adapter == "tpm2" else ""  # blank, or initialised by another tool
        spec: FoundingSpec = founding(tmp_path / "house")
        yield msgspec.structs.replace(spec, adapter=adapter, options=options, so_pin=so_pin, pin=PIN)


def workers_of(gateway: int) -> list[int]:
    """The module's processes: children of one of this gateway's threads."""
    pids = [
        int(pid) for task in Path(f"/proc/{gateway}/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids}
    return [pid for pid, command in commands.items() if b"hsm" in command]


def test_module_that_nobody_knows_carries_a_whole_house(
    wish: FoundingSpec, house_of: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {"so_pin": ""} if wish.so_pin else {"pin": "not-the-pin-1"}  # blank, and nobody to initialise it
    with pytest.raises(ConsoleError) as caught:
        setup.run(msgspec.structs.replace(wish, **wrong))
    assert caught.value.problem.code == ("so-pin-missing" if wish.so_pin else "pin-incorrect")
    setup.run(wish)
    with contextlib.ExitStack() as stack:
        house = house_of(tmp_path / "house", stack.enter_context(GatewayProcess(tmp_path / "house")), stack)
        session = house.be("ada")
        with pytest.raises(ConsoleError) as caught:
            device.unlock(session, Secret("not-the-pin-1"))
        assert caught.value.problem.code == "pin-incorrect"
        assert device.unlock(session, Secret(PIN)).unlocked
        view = house.open(session)
        for _ in range(60):
            if not view.current:
                break
            view = house.turn(session, view)
        assert not view.current, f"stuck at {view.current}: {view.problem}"
        made = next(key for key in keys.listed(session) if key.label == "test key")
        assert work.sign(session, made.object_id, SignMechanism.ECDSA_SHA384, b"a message").signature
        for pid in workers_of(house.gateway.pid):
            os.kill(pid, signal.SIGKILL)
        real.until(lambda: not device.state(session).unlocked)
        with pytest.raises(ConsoleError) as caught:
            work.sign(session, made.object_id, SignMechanism.ECDSA_SHA384, b"a message")
        problem = caught.value.problem
        assert all((problem.what, problem.key_state, problem.todo, problem.contact))
        assert device.unlock(session, Secret(PIN)).unlocked
        assert work.sign(session, made.object_id, SignMechanism.ECDSA_SHA384, b"a message").signature
    assert main(["audit", "verify", str(tmp_path / "house"), "--vkey", str(tmp_path / "house" / "log.vkey")]) == 0
    assert "OK" in capsys.readouterr().out
