"""One suite for every kind of token: fixtures give a fresh token behind a worker, by adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

SO_PIN = "so-pin-2468"
USER_PIN = "user-pin-1357"
DEFAULT = "simulation,softhsm"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--adapters", default=DEFAULT, help="adapters that the contract suite runs over")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "adapter" in metafunc.fixturenames:
        names = metafunc.config.getoption("--adapters", DEFAULT).split(",")
        marks = {"softhsm": [pytest.mark.softhsm]}
        metafunc.parametrize("adapter", [pytest.param(n, marks=marks.get(n, [])) for n in names], scope="session")


@pytest.fixture(scope="session")
def make_token(adapter: str) -> Callable[[Path], Binding]:
    """Initialises a token in a directory; answers the binding that means it, with its serial number."""
    if adapter == "softhsm" and not MODULE.exists():
        pytest.skip("softhsm2 is not installed")

    def make(directory: Path, label: str = "contract") -> Binding:
        binding = Binding(adapter=adapter, token_label=label, directory=str(directory))
        with HsmClient(binding) as client:
            info = client.initialise_token(label, Secret(SO_PIN), Secret(USER_PIN))
        return msgspec.structs.replace(binding, serial=info.serial)

    return make


@pytest.fixture
def binding(make_token: Callable[[Path], Binding], tmp_path: Path) -> Binding:
    return make_token(tmp_path)


@pytest.fixture
def locked(binding: Binding) -> Iterator[HsmClient]:
    """A fresh token of its own, nobody logged in."""
    with HsmClient(binding) as client:
        yield client


@pytest.fixture
def token(locked: HsmClient) -> HsmClient:
    """A fresh token of its own, logged in."""
    locked.log_in(Secret(USER_PIN))
    return locked


@pytest.fixture(scope="module")
def shared(make_token: Callable[[Path], Binding], tmp_path_factory: pytest.TempPathFactory) -> Iterator[HsmClient]:
    """One logged-in token per module, for tests that only add keys."""
    with HsmClient(make_token(tmp_path_factory.mktemp("shared"))) as client:
        client.log_in(Secret(USER_PIN))
        yield client
