"""A second module comes to the workspace, is unlocked, compared, locked and taken off, on the screen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient
from ui.devices.page import DevicePage

PIN = "97531-second"


@pytest.fixture
def second(tmp_path) -> None:
    """A token of its own, initialised where the gateway looks for a module of this name."""
    folder = tmp_path / "workspace" / "devices" / "second"
    folder.mkdir(parents=True)
    with HsmClient(Binding(adapter="simulation", token_label="second", directory=str(folder))) as client:
        client.initialise_token("second", Secret("so-pin-161803"), Secret(PIN))


def module(house, title: str) -> DevicePage:
    page = house.wait(title)
    assert isinstance(page, DevicePage)
    return page


def test_a_second_module_from_its_coming_to_its_leaving(open_house: Callable, second: None) -> None:
    house = open_house()
    house.log_in()
    house.wait("Good day, Charlotte Babbage")
    house.console.go("device")
    first = module(house, "keyboard")
    first.unlock.click()
    house.unlock()
    house.qtbot.waitUntil(lambda: "In order: it serves." in house.words(), timeout=20_000)

    module(house, "keyboard").more.click()
    page = house.wait("Add a module")
    page.name.set_text("second")
    page.label.set_text("second")
    page.main.button.click()
    page = house.wait("Modules")
    house.qtbot.waitUntil(lambda: "Only “keyboard” serves now." in house.words(), timeout=20_000)
    page.opened.emit("second")

    module(house, "second").unlock.click()
    page = house.wait("Unlock the module “second”")
    house.choose(page.who.control, None)
    page.credential.suggest("a.turing")
    page.passphrase.set_text("harbour violin copper meadow")
    page.pin.set_text(PIN)
    page.main.button.click()
    page = module(house, "second")
    house.qtbot.waitUntil(lambda: "In order: it serves." in house.words(), timeout=20_000)
    page.back.click()
    page = house.wait("Modules")
    house.qtbot.waitUntil(lambda: "“keyboard” and “second” serve." in house.words(), timeout=20_000)

    page.compare.click()
    page = house.wait("Which keys lie where")
    page.main.button.click()
    house.qtbot.waitUntil(
        lambda: "All" in house.words() and "keys lie where they should" in house.words(), timeout=20_000
    )
    page.left.emit()

    house.wait("Modules").opened.emit("second")
    page = module(house, "second")
    page.lock.button.click()
    house.qtbot.waitUntil(lambda: "Locked: no key in it can be used." in house.words(), timeout=20_000)
    page.remove.click()
    house.wait("Take “second” off the list").main.button.click()
    house.wait("keyboard")
    house.qtbot.waitUntil(lambda: "Its keys stay in it." in house.words(), timeout=20_000)
