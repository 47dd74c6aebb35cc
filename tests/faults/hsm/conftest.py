"""Tokens that fail: a shim over SoftHSM that misbehaves on request, and plain tokens to do harm to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

SO_PIN = "so-pin-2468"
USER_PIN = "user-pin-1357"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")


@pytest.fixture(params=["simulation", pytest.param("softhsm", marks=pytest.mark.softhsm)])
def adapter(request: pytest.FixtureRequest) -> str:
    if request.param == "softhsm" and not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    return str(request.param)


@pytest.fixture
def binding(adapter: str, tmp_path: Path) -> Binding:
    """A fresh token of a software adapter."""
    store = tmp_path / "token"
    store.mkdir()
    return initialise(Binding(adapter=adapter, token_label="faulty", directory=str(store)))


def initialise(binding: Binding, user_pin: str = USER_PIN, **options: dict[str, str]) -> Binding:
    with HsmClient(binding, **options) as client:
        info = client.initialise_token(binding.token_label, Secret(SO_PIN), Secret(user_pin))
    return msgspec.structs.replace(binding, serial=info.serial)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    target = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-w", "-o", target, source, "-ldl"], check=True)
    return target


@pytest.fixture
def vendor(shim: Path, tmp_path: Path) -> Iterator[Callable[..., HsmClient]]:
    """Opens the shim's token with a fault, logged in: vendor("crash"), vendor("iv", adapter="cloudhsm", user="u")."""
    store = tmp_path / "vendor"
    store.mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {store}\nobjectstore.backend = file\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(configuration), "SHIM_MODULE": str(MODULE), "SHIM": ""}
    opened: list[HsmClient] = []
    binding: Binding | None = None

    def open_client(
        fault: str, adapter: str = "pkcs11", deadlines: dict[str, float] | None = None, **options: str
    ) -> HsmClient:
        nonlocal binding
        if binding is None:
            plain = Binding(adapter="pkcs11", token_label="vendor", options={"module": str(shim)})
            pin = f"{options['user']}:{USER_PIN}" if "user" in options else USER_PIN
            binding = initialise(plain, pin, environment=environment)  # type: ignore[arg-type]
        chosen = msgspec.structs.replace(binding, adapter=adapter, options={"module": str(shim), **options})
        client = HsmClient(chosen, environment={**environment, "SHIM": fault}, deadlines=deadlines)
        opened.append(client)
        client.log_in(Secret(USER_PIN))
        return client

    yield open_client
    for client in opened:
        client.close()
