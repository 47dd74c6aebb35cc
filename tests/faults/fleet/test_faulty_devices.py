"""A gateway beside a device that misbehaves: work goes on elsewhere, or people are told; the log verifies."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.verify import verify_workspace
from hsm_console.client import device, devices, work
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, SignMechanism, Usage
from hsm_console.domain.messages.devices import AddDevice
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
LIGHT = SignMechanism.ECDSA_SHA256
pytestmark = pytest.mark.softhsm


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    target = tmp_path_factory.mktemp("shim") / "shim.so"
    source = next(p for p in Path(__file__).parents if p.name == "faults") / "hsm" / "shim.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-w", "-o", target, source, "-ldl"], check=True)
    return target


class Vendor:
    """The second device of a yard, behind a module whose fault is a word in a file."""

    def __init__(self, yard: Any, shim: Path, folder: Path) -> None:
        self.yard, self._shim, self._fault = yard, shim, folder / "fault"
        self.store = folder / "store"
        self.store.mkdir()
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {self.store}\nobjectstore.backend = file\n")
        self.environment = {
            "SOFTHSM2_CONF": str(configuration), "SHIM_MODULE": str(MODULE), "SHIM_FILE": str(self._fault),
        }  # fmt: skip
        self.does("")
        yard.environments["second"] = self.environment
        binding = Binding(adapter="pkcs11", token_label="vendor", options={"module": str(shim)})
        with HsmClient(binding, environment=self.environment) as client:
            client.initialise_token("vendor", Secret("so-pin-161803"), Secret(yard.pins["second"]))
        self.ada = yard.house.admin()
        devices.add(self.ada, AddDevice(name="second", adapter="pkcs11", label="vendor", options={"module": str(shim)}))
        self.unlock()
        assert yard.ordered(self.ada, "share-wrapping-key", device="second").problem is None
        self.key = yard.make(Algorithm.EC_P256, Usage.SIGN)
        assert yard.ordered(self.ada, "replicate-key", key=self.key, device="second").problem is None
        self.member = yard.gateway.core.device.router.__self__.member("second")
        yard.gateway.core.device.router.__self__.primary.weight = 0  # the other one is asked first

    def does(self, fault: str) -> None:
        self._fault.write_text(fault + "\n")

    def unlock(self) -> None:
        devices.unlock(self.ada, "second", Secret(self.yard.pins["second"]))

    def sign(self) -> Any:
        return work.sign(self.ada, self.key, LIGHT, b"text")

    def served(self) -> str:
        signed = [e for e in self.yard.events(ev.OperationSucceeded) if e.operation is ev.Operation.SIGN]
        return signed[-1].device

    def sound(self) -> None:
        """The gateway answers, the log verifies, every copy is there once."""
        assert device.health(self.ada).log_writable
        home = self.yard.gateway.core.home
        self.yard.gateway.core.log.checkpoint()
        line = verify_workspace(home.log, parse_vkey(home.vkey.read_text())).line
        assert line.startswith("OK"), line


@pytest.fixture
def vendor(yard: Any, shim: Path, tmp_path: Path) -> Vendor:
    folder = tmp_path / "vendor"
    folder.mkdir()
    return Vendor(yard, shim, folder)


def problem_of(act: Callable[[], object]) -> Any:
    with pytest.raises(ConsoleError) as caught:
        act()
    problem = caught.value.problem
    assert all((problem.what, problem.key_state, problem.todo, problem.contact))
    assert problem.code != "gateway-bug"
    return problem


@pytest.mark.parametrize(
    ("fault", "state"), [("crash", "down"), ("hang", "down"), ("gone", "down"), ("vendor", ""), ("closed", "down")]
)
def test_work_goes_on_elsewhere(vendor: Vendor, fault: str, state: str) -> None:
    vendor.sign()
    assert vendor.served() == "second"
    vendor.yard.clients["second"]._deadlines["sign"] = 1.0
    vendor.does(fault)
    assert vendor.sign().signature
    assert vendor.served() == ""
    if state:
        vendor.yard.until(lambda: [e for e in vendor.yard.events(ev.MemberChanged) if e.state == state])
        assert not vendor.member.unlocked
    vendor.does("")
    vendor.sound()
    vendor.yard.until(lambda: vendor.member.station.alive)
    vendor.unlock()
    vendor.sign()
    vendor.yard.until(lambda: vendor.sign() and vendor.served() == "second")


def test_the_only_device_that_is_open_fails_in_words(vendor: Vendor) -> None:
    """Each fault in a row, with nobody else to ask: the four things, and the gateway goes on."""
    device.lock(vendor.ada)
    vendor.yard.clients["second"]._deadlines["sign"] = 1.0
    for fault, code in (("vendor", "device-failed"), ("closed", "device-removed"), ("gone", "device-removed"),
                        ("crash", "device-crashed"), ("hang", "device-hung")):  # fmt: skip
        vendor.does(fault)
        assert problem_of(vendor.sign).code == code
        vendor.does("")
        if not vendor.member.unlocked:
            assert problem_of(vendor.sign).code == "device-locked"
            vendor.yard.until(lambda: vendor.member.station.alive)
            vendor.unlock()
            vendor.yard.clients["second"]._deadlines["sign"] = 1.0
        assert vendor.sign().signature
    device.unlock(vendor.ada, Secret("user-pin-271828"))
    vendor.sound()


def test_a_device_that_takes_a_second_longer_is_degraded_and_used_last(vendor: Vendor) -> None:
    vendor.does("slow")
    assert vendor.sign().signature  # nothing fails
    vendor.member.station.pool.check()
    assert vendor.member.health.value == "degraded"
    for _ in range(3):
        vendor.sign()
        assert vendor.served() == ""
    vendor.does("")
    devices.probe(vendor.ada, "second")
    vendor.member.station.pool.check()
    assert vendor.member.health.value == "up"
    states = [(e.was, e.state) for e in vendor.yard.events(ev.MemberChanged)]
    assert states == [("up", "degraded"), ("degraded", "up")]
    vendor.sound()


def test_a_clock_in_the_device_is_believed_by_nobody(vendor: Vendor) -> None:
    vendor.does("clock")
    before = vendor.yard.gateway.core.now_ms()
    for _ in range(3):
        devices.probe(vendor.ada, "second")
        vendor.sign()
    row = devices.listed(vendor.ada).devices[1]
    assert (row.state, row.unlocked) == ("up", True)
    log = vendor.yard.gateway.core.log
    assert log.read(log.size - 1).time_ms >= before
    vendor.sound()


def test_a_token_whose_folder_is_gone_is_told_and_comes_back(vendor: Vendor, tmp_path: Path) -> None:
    vendor.sign()
    vendor.store.rename(tmp_path / "aside")
    for _ in range(3):
        assert vendor.sign().signature
    row = devices.probe(vendor.ada, "second")
    assert row.problem is None or all((row.problem.what, row.problem.todo))
    (tmp_path / "aside").rename(vendor.store)
    vendor.yard.kill("second")
    vendor.yard.until(lambda: not vendor.member.unlocked and vendor.member.station.alive)
    vendor.unlock()
    vendor.yard.until(lambda: vendor.sign() and vendor.served() == "second")
    vendor.sound()


def test_a_full_device_takes_no_copy_and_keeps_none(vendor: Vendor) -> None:
    key = vendor.yard.make(Algorithm.EC_P256, Usage.SIGN, label="one too many")
    client = vendor.yard.clients["second"]

    def full(*_arguments: Any) -> None:
        raise _full()

    client.unwrap = full
    order = vendor.yard.ordered(vendor.ada, "replicate-key", key=key, device="second")
    assert order.problem.code == "device-full"
    assert client.find(object_id=bytes.fromhex(key)) == ()
    vendor.sound()


def _full() -> ConsoleError:
    from hsm_console.domain.errors import DeviceError, Problem

    return DeviceError(Problem(code="device-full", what="The device is full.", todo="Make room in it."))


def test_stopped_and_continued_in_mid_work(vendor: Vendor) -> None:
    """SIGSTOP for less than a deadline: the call is late, nothing is lost and nothing is recorded."""
    pid = vendor.yard.clients["second"].pid
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    import threading

    threading.Timer(0.7, os.kill, (pid, signal.SIGCONT)).start()
    vendor.sign()
    assert time.monotonic() - began >= 0.6
    assert vendor.served() == "second"
    assert vendor.yard.events(ev.MemberChanged) == []
    vendor.sound()
