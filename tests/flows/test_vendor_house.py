"""A workspace whose token is a vendor's, initialised by its tool, some without data objects: founded, unlocked, and a
whole ceremony in it. The module is the shim that plays the vendor (tests/vendors)."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_console.cli.main import main
from hsm_console.client import audit, device, keys, setup
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.messages.setup import FoundingSpec
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

pytestmark = pytest.mark.softhsm
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
VENDORS = Path(__file__).parents[1] / "vendors"


def rules() -> Any:
    spec = importlib.util.spec_from_file_location("vendor_rules_of_flows", VENDORS / "rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


WITHOUT_AGREEMENT = ("nethsm", "yubihsm")
MORE = (
    "luna",
    "azure-dedicated-hsm",
    "azure-cloud-hsm",
    "nshield",
    "utimaco",
    "securosys",
    "opencryptoki",
    *WITHOUT_AGREEMENT,
)


@pytest.fixture(params=["cloudhsm", *(pytest.param(name, marks=pytest.mark.soak) for name in MORE)])
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def enrolled(auditor: Any) -> str:
    """What the log tells this session of who was enrolled."""
    return " ".join(row.summary for row in audit.entries(auditor, limit=100).rows if "enrol" in row.summary)


@pytest.mark.parametrize("adapter", ["nethsm", pytest.param("yubihsm", marks=pytest.mark.soak)], indirect=True)
def test_values_sealed_for_an_rsa_key_are_opened_by_the_device_alone(
    wish: FoundingSpec, house_of: Any, tmp_path: Path
) -> None:
    setup.run(msgspec.structs.replace(wish, environment="rehearsal"))
    wanted = {founder.person.name for founder in wish.people}
    for _ in range(2):  # the second gateway has nothing but what the first one left
        with contextlib.ExitStack() as stack:
            house = house_of(tmp_path / "house", stack.enter_context(GatewayProcess(tmp_path / "house")), stack)
            auditor, custodian = house.be("alan"), house.be("claude")
            assert not any(name in enrolled(auditor) for name in wanted)
            device.unlock(custodian, Secret(wish.pin))
            assert all(name in enrolled(auditor) for name in wanted)
            device.lock(custodian)
            assert not any(name in enrolled(auditor) for name in wanted)
    with contextlib.closing(sqlite3.connect(tmp_path / "house" / "audit.db")) as conn:
        text = "".join(map(repr, conn.execute("SELECT * FROM seal_key").fetchall()))
        versions = {base64.b64decode(row[0])[0] for row in conn.execute("SELECT wrapped FROM data_key")}
    assert "rsa-oaep-sha1" in text  # SoftHSM under the vendor's rules opens no other hash
    assert versions == {3}
    assert main(["audit", "verify", str(tmp_path / "house"), "--vkey", str(tmp_path / "house" / "log.vkey")]) == 0


@pytest.fixture
def wish(adapter: str, tmp_path: Path, founding: Callable[[Path], FoundingSpec]) -> FoundingSpec:
    if not Path(MODULE).exists():
        pytest.skip("softhsm2 is not installed")
    vendor = rules().VENDORS[adapter]
    command = [
        "gcc",
        "-std=gnu17",
        "-shared",
        "-fPIC",
        "-O1",
        "-w",
        "-o",
        tmp_path / "shim.so",
        VENDORS / "shim.c",
        "-ldl",
    ]
    subprocess.run(command, check=True)
    (tmp_path / "store").mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tmp_path / 'store'}\nobjectstore.backend = file\n")
    plain = Binding(adapter="pkcs11", token_label="tests", options={"module": MODULE})
    with HsmClient(plain, environment={"SOFTHSM2_CONF": str(configuration)}) as tool:  # as the vendor's tool does it
        tool.initialise_token("tests", Secret("so-pin-314159"), Secret(vendor.pin))
    variables = {"SOFTHSM2_CONF": str(configuration), "SHIM_MODULE": MODULE, **vendor.environment()}
    options = {**vendor.options, "module": str(tmp_path / "shim.so"), **{f"env.{n}": v for n, v in variables.items()}}
    return msgspec.structs.replace(
        founding(tmp_path / "house"), adapter=adapter, options=options, so_pin="", pin=vendor.typed
    )


def test_ceremony_on_a_token_that_the_vendors_tool_initialised(
    wish: FoundingSpec, house_of: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup.run(wish)
    with contextlib.ExitStack() as stack:
        house = house_of(tmp_path / "house", stack.enter_context(GatewayProcess(tmp_path / "house")), stack)
        session = house.be("ada")
        state = device.unlock(session, Secret(wish.pin))
        assert state.unlocked
        assert state.device is not None
        assert state.device.untested_on_hardware
        view = house.open(session)
        for _ in range(60):
            if not view.current:
                break
            view = house.turn(session, view)
        assert not view.current, f"stuck at {view.current}: {view.problem}"
        assert "test key" in {key.label for key in keys.listed(session)}
        assert not device.lock(session).unlocked
        assert device.unlock(session, Secret(wish.pin)).unlocked
    assert main(["audit", "verify", str(tmp_path / "house"), "--vkey", str(tmp_path / "house" / "log.vkey")]) == 0
    assert "OK" in capsys.readouterr().out


def test_wrong_pin_founds_nothing_and_the_right_one_founds_afterwards(wish: FoundingSpec) -> None:
    if "no-login" in rules().VENDORS[wish.adapter].rules:
        return
    with pytest.raises(ConsoleError) as caught:
        setup.run(msgspec.structs.replace(wish, pin="not-the-pin-1"))
    assert caught.value.problem.code == "pin-incorrect"
    setup.run(wish)
