"""Real modules that nobody wrote rules for: a TPM by tpm2-pkcs11 over swtpm, and p11-kit between console and SoftHSM.

Each gives the adapter and the options of a binding, for as long as a test lasts. Loaded by path: tests are no package.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

PLACES = [Path(folder) / kind for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")
          for kind in ("", "pkcs11")]  # fmt: skip
SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
LABEL, SO_PIN, PIN = "tests", "so-pin-314159", "user-pin-271828"


def needs(*modules_and_programs: str) -> list[str]:
    """The whole paths. Skips the test where one is not installed: not every system has them all."""
    found = []
    for name in modules_and_programs:
        there = (place / name for place in PLACES if (place / name).is_file())
        path = next(map(str, there), None) or shutil.which(name)
        if path is None and not name.startswith("/"):
            pytest.skip(f"{name} is not installed")
        found.append(path or name)
    return found


@contextlib.contextmanager
def running(*command: str, environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    own = {**os.environ, **(environment or {})}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=own, stdout=quiet, stderr=quiet, stdin=quiet) as process:
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def until(true: Callable[[], bool]) -> None:
    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not start")


def free_port() -> int:
    """One of a pair that is free: swtpm takes the next one for its control channel."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            second.bind(("127.0.0.1", port + 1))
            return port
    raise AssertionError("no free ports")


@contextlib.contextmanager
def tpm(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A TPM of its own, with the resource manager that its driver asks for."""
    swtpm, bus, manager, getrandom = needs("swtpm", "dbus-daemon", "tpm2-abrmd", "tpm2_getrandom")
    needs("libtpm2_pkcs11.so", "libtss2-tcti-tabrmd.so.0")
    for name in ("state", "store"):
        (folder / name).mkdir()
    port, address = free_port(), f"unix:path={folder / 'bus'}"
    chip = ("socket", "--tpm2", "--tpmstate", f"dir={folder / 'state'}", "--flags", "not-need-init,startup-clear",
            "--server", f"type=tcp,port={port}", "--ctrl", f"type=tcp,port={port + 1}")  # fmt: skip
    tcti = {"DBUS_SESSION_BUS_ADDRESS": address, "TPM2TOOLS_TCTI": "tabrmd:bus_type=session"}
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(swtpm, *chip))
        stack.enter_context(running(bus, "--session", "--nofork", f"--address={address}"))
        until((folder / "bus").exists)
        stack.enter_context(
            running(manager, "--allow-root", "--session", f"--tcti=swtpm:host=127.0.0.1,port={port}", environment=tcti)
        )
        ask = [getrandom, "--hex", "4"]
        until(lambda: subprocess.run(ask, env={**os.environ, **tcti}, capture_output=True, check=False).returncode == 0)
        options = {"tcti": "tabrmd:bus_type=session", "store": str(folder / "store")}
        yield "tpm2", {**options, "env.DBUS_SESSION_BUS_ADDRESS": address}


def softhsm(folder: Path) -> dict[str, str]:
    """A SoftHSM store with an initialised token; the environment that names it."""
    needs(SOFTHSM)
    (folder / "store").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'store'}\nobjectstore.backend = file\n")
    environment = {"SOFTHSM2_CONF": str(configuration)}
    binding = Binding(adapter="pkcs11", token_label=LABEL, options={"module": SOFTHSM})
    with HsmClient(binding, environment=environment) as tool:
        tool.initialise_token(LABEL, Secret(SO_PIN), Secret(PIN))
    return environment


@contextlib.contextmanager
def proxy(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """All modules that p11-kit knows behind one: SoftHSM is among them where its package says so."""
    (module,) = needs("p11-kit-proxy.so")
    environment = softhsm(folder)
    yield "pkcs11", {"module": module, **{f"env.{name}": value for name, value in environment.items()}}


@contextlib.contextmanager
def forwarded(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A token behind a socket: a module of another process, that can go away."""
    module, p11kit = needs("p11-kit-client.so", "p11-kit")
    environment, place = softhsm(folder), folder / "p11.sock"
    command = (p11kit, "server", "-f", "--name", str(place), "--provider", SOFTHSM, f"pkcs11:token={LABEL}")
    with running(*command, environment=environment):
        until(place.exists)
        yield "pkcs11", {"module": module, "env.P11_KIT_SERVER_ADDRESS": f"unix:path={place}"}


KINDS: dict[str, Any] = {"tpm": tpm, "p11-kit-proxy": proxy, "p11-kit-client": forwarded}
