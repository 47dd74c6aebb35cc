"""A driver that answers nonsense behind a real gateway: its worker may die, the gateway does not, what goes wrong is
told in four things, and the log verifies afterwards."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_console.cli.main import main
from hsm_console.client import audit, device, keys, setup
from hsm_console.client.session import Session
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.secret import Secret

pytestmark = pytest.mark.softhsm
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "user-pin-271828"
KINDS = (
    *("sign-short", "sign-huge", "attribute-garbage", "attribute-null", "attribute-long", "find-many", "find-garbage"),
    *("mechanisms-huge", "slots-none", "slots-garbage", "token-garbage", "session-garbage", "login-garbage"),
    "random-nothing",
)


@pytest.fixture
def nonsense(tmp_path: Path) -> Path:
    """The file that says what is spoilt; empty now."""
    if not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    source = Path(__file__).parents[1] / "vendors" / "fuzz.c"
    command = ["gcc", "-std=gnu17", "-shared", "-fPIC", "-O1", "-w", "-o", tmp_path / "fuzz.so", source, "-ldl"]
    subprocess.run(command, check=True)
    (tmp_path / "store").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'store'}\nobjectstore.backend = file\n")
    kind = tmp_path / "kind"
    kind.write_text("")
    return kind


@pytest.fixture
def shaken(nonsense: Path, tmp_path: Path, founding: Callable[[Path], Any], house_of: Any) -> Iterator[Any]:
    """A founded workspace whose token lies behind that driver, and its gateway."""
    workspace = tmp_path / "house"
    options = {
        "module": str(tmp_path / "fuzz.so"),
        "env.SOFTHSM2_CONF": str(tmp_path / "softhsm2.conf"),
        "env.FUZZ_MODULE": str(MODULE),
        "env.FUZZ_FILE": str(nonsense),
    }
    wish = msgspec.structs.replace(founding(workspace), adapter="pkcs11", options=options)
    setup.run(wish)
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(GatewayProcess(workspace))
        yield house_of(workspace, gateway, stack)


def told(call: Callable[[], Any]) -> None:
    """Either it works, or the problem has its four things; nothing else comes out."""
    try:
        call()
    except ConsoleError as error:
        problem = error.problem
        assert all((problem.code, problem.what, problem.key_state, problem.todo, problem.contact))


def everything(session: Session) -> tuple[Callable[[], Any], ...]:
    return (
        lambda: device.state(session),
        lambda: device.lock(session),
        lambda: device.unlock(session, Secret(PIN)),
        lambda: device.health(session),
        lambda: keys.listed(session),
        lambda: audit.head(session),
        lambda: device.lock(session),
    )


def test_gateway_outlives_a_driver_that_answers_nonsense(shaken: Any, nonsense: Path) -> None:
    session = shaken.admin()
    for kind in KINDS:
        nonsense.write_text(kind)
        for call in everything(session):
            told(call)
            assert shaken.gateway.running, kind
        nonsense.write_text("")
        told(lambda: device.lock(session))
        assert device.unlock(session, Secret(PIN)).unlocked, kind
    shaken.stack.close()
    assert main(["audit", "verify", str(shaken.workspace), "--vkey", str(shaken.workspace / "log.vkey")]) == 0
