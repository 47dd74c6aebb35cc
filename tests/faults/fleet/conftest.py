"""A house with further devices: real workers, real tokens, each with a PIN of its own."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from hsm_console.client import devices, orders
from hsm_console.client.session import Session
from hsm_console.domain import events as ev
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, Grade, KeySpec, Usage
from hsm_console.domain.messages.devices import AddDevice, DeviceRow
from hsm_console.domain.messages.orders import OrderState
from hsm_console.domain.secret import Secret
from hsm_console.gateway import compose
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

SO_PIN = "so-pin-161803"
PINS = {"second": "pin-of-second-57", "third": "pin-of-third-577"}
_TESTS = next(folder for folder in Path(__file__).parents if folder.name == "tests")


def _module(name: str, path: Path) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


flows_module = _module("flows_conftest", _TESTS / "flows" / "conftest.py")
founded = flows_module.founded
workspace = flows_module.workspace
helpers = flows_module.helpers


class Twin:
    """The primary's own token by a second worker, under another serial: a device that holds the same keys."""

    def __init__(self, client: HsmClient, serial: str) -> None:
        self.__dict__["real"], self.__dict__["serial"] = client, serial

    def describe(self) -> Any:
        return msgspec.structs.replace(self.real.describe(), serial=self.serial)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["real"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["real"], name, value)


class Yard:
    """The running gateway of a test and its devices' clients, by the folder of their token."""

    def __init__(self, workspace: Path, adapter: str = "simulation") -> None:
        self.workspace, self.adapter = workspace, adapter
        self.clients: dict[str, Any] = {}
        self.twins: set[str] = set()
        self.deadlines: dict[str, float] = {}
        self.pins = dict(PINS)
        self.environments: dict[str, dict[str, str]] = {}
        self.gateway: compose.Gateway
        self.house: Any

    def opener(self, binding: Binding) -> Any:
        name = Path(binding.directory).name
        if name in self.twins:
            home = self.gateway.core.home
            own = home.binding(home.load())
            client: Any = Twin(HsmClient(own, deadlines=self.deadlines), f"TWIN-{name}")
        else:
            name = name or "second"
            client = HsmClient(binding, deadlines=self.deadlines, environment=self.environments.get(name))
        self.clients[name] = client
        return client

    def kill(self, name: str) -> None:
        os.kill(self.clients[name].pid, signal.SIGKILL)

    def dies_in(self, name: str, method: str, when: str) -> Any:
        """Kill this device's process before or after it carries this call out, until the client's method is deleted.

        Returns the client.
        """
        client = self.clients[name]
        real = getattr(client, method)

        def killed(*arguments: Any) -> Any:
            if when == "after":
                real(*arguments)
            self.kill(name)
            return real(*arguments)

        setattr(client, method, killed)
        return client

    def token(self, name: str, label: str = "") -> None:
        """A token of its own in the folder where a further device is looked for."""
        folder = self.workspace / "devices" / name
        folder.mkdir(parents=True)
        with HsmClient(Binding(adapter=self.adapter, token_label=label or name, directory=str(folder))) as client:
            client.initialise_token(label or name, Secret(SO_PIN), Secret(self.pins[name]))

    def add(self, session: Session, name: str, **more: Any) -> DeviceRow:
        """A device with a token of its own, unlocked."""
        self.token(name)
        devices.add(session, AddDevice(name=name, adapter=self.adapter, label=name, **more))
        return devices.unlock(session, name, Secret(self.pins[name]))

    def twin(self, session: Session, name: str, **more: Any) -> DeviceRow:
        """A device that holds every key of the primary, unlocked."""
        self.twins.add(name)
        devices.add(session, AddDevice(name=name, adapter=self.adapter, label="tests", **more))
        return devices.unlock(session, name, Secret(flows_module.PIN))

    def make(self, algorithm: Algorithm, usage: Usage, *, label: str = "", extractable: bool = True) -> str:
        """A key in the primary, announced and recorded; its id."""
        core, label = self.gateway.core, label or f"{algorithm.value} {usage.value}"
        intent = ev.OperationIntended(
            operation=ev.Operation.GENERATE, algorithm=algorithm, label=label, usages=(usage,), extractable=extractable
        )
        (announced,) = core.log.append([ev.Draft(event=intent)])
        wanted = object_id(bytes.fromhex(announced.fingerprint))
        spec = KeySpec(algorithm=algorithm, label=label, object_id=wanted, usages=(usage,), extractable=extractable)
        made = core.device.run_here("generate", spec)
        core.log.append([ev.Draft(event=ev.OperationSucceeded(
            intent=announced.seq, operation=ev.Operation.GENERATE, key_id=wanted.hex(), label=label,
            algorithm=algorithm, spki=base64.b64encode(made.spki).decode(),
            fingerprint=hashlib.sha256(made.spki).hexdigest() if made.spki else "",
            attributes=core.device.run_here("attributes", wanted), grade=Grade.D,
        ))])  # fmt: skip
        return wanted.hex()

    def ordered(self, session: Session, action: str, **parameters: str) -> Any:
        """An order, approved and carried out to its end."""
        order = orders.open_order(session, action, parameters)
        order = orders.decide(self.house.be("claude"), order.id, ev.Decision.APPROVE)
        orders.run(session, order.id)
        self.until(lambda: orders.show(session, order.id).state is not OrderState.RUNNING, 30)
        return orders.show(session, order.id)

    def events(self, kind: type) -> list[Any]:
        log = self.gateway.core.log
        found = (log.read(seq).event for seq in range(log.size))
        return [event for event in found if isinstance(event, kind)]

    def until(self, holds: Callable[[], Any], seconds: float = 10.0) -> Any:
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < end, "it did not come about"
            self.gateway.tick()  # as the gateway's main thread does
            time.sleep(0.01)
        return found


class _Here:
    def __init__(self, workspace: Path, listen: str) -> None:
        from hsm_console.client import rendezvous

        self.address = rendezvous.for_workspace(workspace, listen)


@contextlib.contextmanager
def running(yard: Yard) -> Iterator[Yard]:
    yard.gateway = compose.start(yard.workspace, opener=yard.opener)
    with contextlib.ExitStack() as stack:
        stack.callback(yard.gateway.stop, "the test is over")
        rendezvous = yard.gateway.listen()
        yard.house = flows_module.House(yard.workspace, _Here(yard.workspace, rendezvous.listen), stack)
        yield yard


@pytest.fixture
def yard(workspace: Path) -> Iterator[Yard]:
    with running(Yard(workspace)) as found:
        yield found


@pytest.fixture
def soft_yard(tmp_path: Path, found: Any) -> Iterator[Yard]:
    """The same over SoftHSM."""
    if not Path("/usr/lib/softhsm/libsofthsm2.so").exists():
        pytest.skip("softhsm2 is not installed")
    target = found(msgspec.structs.replace(flows_module.spec(tmp_path / "house"), adapter="softhsm"))
    with running(Yard(target, "softhsm")) as made:
        yield made


@pytest.fixture
def run_again() -> Callable[[Yard], contextlib.AbstractContextManager[Yard]]:
    """The next run of the same workspace."""
    return lambda yard: running(Yard(yard.workspace, yard.adapter))
