"""Vendors' modules without vendors: the shim over SoftHSM, with one vendor's rules at a time."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
SO_PIN = "so-pin-2468"
LABEL = "vendor"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"vendor_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


RULES = _load("rules")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vendor" in metafunc.fixturenames:
        metafunc.parametrize("vendor", RULES.VENDORS, scope="module")


@pytest.fixture(scope="session")
def vendors() -> ModuleType:
    """tests/vendors/rules.py; tests are no package."""
    return RULES


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    target = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-std=gnu17", "-shared", "-fPIC", "-O1", "-w", "-o", target, source, "-ldl"], check=True)
    return target


class House:
    """A token of one vendor: its store, its environment, and clients that are closed at the end."""

    def __init__(self, name: str, shim: Path, folder: Path) -> None:
        self.name = name
        self.rules = RULES.VENDORS[name]
        self.shim = shim
        store = folder / "store"
        store.mkdir()
        configuration = folder / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {store}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.plain_environment = {"SOFTHSM2_CONF": str(configuration)}
        self.environment = {**self.plain_environment, "SHIM_MODULE": str(MODULE), **self.rules.environment()}
        self._opened: list[HsmClient] = []
        with self.plain() as client:
            client.initialise_token(LABEL, Secret(SO_PIN), Secret(self.rules.pin))

    def plain(self) -> HsmClient:
        """The same token without the vendor's rules."""
        binding = Binding(adapter="pkcs11", token_label=LABEL, options={"module": str(MODULE)})
        return self._keep(HsmClient(binding, environment=self.plain_environment))

    def client(self, adapter: str = "", **options: str) -> HsmClient:
        """The vendor's adapter over its shim, locked. options: over the vendor's; an empty one is left out."""
        chosen = {**self.rules.options, "module": str(self.shim), **options}
        given = {name: value for name, value in chosen.items() if value}
        binding = Binding(adapter=adapter or self.name, token_label=LABEL, options=given)
        return self._keep(HsmClient(binding, environment=self.environment))

    def open(self, **options: str) -> HsmClient:
        """The same, logged in."""
        client = self.client(**options)
        client.log_in(Secret(self.rules.typed))
        return client

    def close(self) -> None:
        for client in self._opened:
            client.close()

    def _keep(self, client: HsmClient) -> HsmClient:
        self._opened.append(client)
        return client


@pytest.fixture(scope="session")
def house_of(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], House]]:
    """One token per vendor and run."""
    houses: dict[str, House] = {}

    def get(name: str) -> House:
        if name not in houses:
            houses[name] = House(name, shim, tmp_path_factory.mktemp(name))
        return houses[name]

    yield get
    for house in houses.values():
        house.close()


@pytest.fixture(scope="module")
def house(vendor: str, house_of: Callable[[str], House]) -> House:
    return house_of(vendor)


@pytest.fixture(scope="module")
def token(house: House) -> Iterator[HsmClient]:
    """The vendor's token, logged in, for tests that only add keys."""
    client = house.open()
    yield client
    client.close()
