"""A token that counts wrong PINs and locks: openCryptoki's software token, as a second device of a house."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hsm_console.client import device, devices
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.messages.devices import AddDevice
from hsm_console.domain.secret import Secret

SLOT, FACTORY, FIRST, PIN = "3", "87654321", "12345678", "23456789"  # slot 3: the software token
SO = "76543210"
STORE = Path("/var/lib/opencryptoki/swtok")
LABEL = "hsm-console-test"


def _slotd() -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (entry / "comm").exists() and "pkcsslotd" in (entry / "comm").read_text():
            found.add(int(entry.name))
    return found


def _conf(*arguments: str, typed: str = "") -> None:
    command = ["pkcsconf", "-c", SLOT, *arguments]
    subprocess.run(command, input=typed, text=True, check=True, capture_output=True, timeout=20)


@pytest.fixture
def token(tmp_path: Path) -> Iterator[str]:
    """A new token in the place of the machine's own, which is laid aside and put back."""
    if shutil.which("pkcsconf") is None or shutil.which("pkcsslotd") is None or os.geteuid() != 0:
        pytest.skip("opencryptoki is not installed, or nobody here may start its daemon")
    if _slotd():
        pytest.skip("the slot daemon serves somebody else")
    aside = tmp_path / "aside"
    shutil.copytree(STORE, aside)
    try:
        _emptied()
        subprocess.run(["pkcsslotd"], check=True, capture_output=True, timeout=20)
        time.sleep(0.5)
        _conf("-I", "-S", FACTORY, typed=f"{LABEL}\n")
        _conf("-P", "-S", FACTORY, "-n", SO)
        _conf("-u", "-S", SO, "-n", FIRST)
        _conf("-p", "-U", FIRST, "-n", PIN)
        yield LABEL
    finally:
        for pid in _slotd():
            os.kill(pid, signal.SIGTERM)
        _emptied()
        shutil.copytree(aside, STORE, dirs_exist_ok=True)
        subprocess.run(["chgrp", "-R", "pkcs11", STORE], check=True)


def _emptied() -> None:
    for path in STORE.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    (STORE / "TOK_OBJ").mkdir(mode=0o770)
    shutil.chown(STORE / "TOK_OBJ", group="pkcs11")


def test_a_pin_that_locks_is_counted_told_and_not_tried_again(yard: Any, token: str) -> None:
    ada = yard.house.admin()
    devices.add(ada, AddDevice(name="second", adapter="opencryptoki", label=token))
    codes = []
    for _ in range(4):
        with pytest.raises(ConsoleError) as caught:
            devices.unlock(ada, "second", Secret("99999999"))
        problem = caught.value.problem
        assert all((problem.what, problem.key_state, problem.todo, problem.contact))
        codes.append(problem.code)
    assert codes[0] == "pin-incorrect"
    assert codes[-1] == "pin-locked"
    with pytest.raises(ConsoleError) as caught:
        devices.unlock(ada, "second", Secret(PIN))  # even the right one
    assert caught.value.problem.code == "pin-locked"
    row = devices.listed(ada).devices[1]
    assert not row.unlocked
    assert row.problem is not None
    assert row.problem.code == "pin-locked"
    refused = yard.events(ev.DeviceUnlockRefused)
    assert [event.reason for event in refused] == [*codes, "pin-locked"]
    assert device.state(ada).unlocked  # the workspace's own token goes on
    assert device.health(ada).log_writable
