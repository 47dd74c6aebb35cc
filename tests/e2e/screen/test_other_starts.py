"""The screen in front of a gateway that it knows by address, and the demonstration that leaves its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk_of_a_house import House, spec
from PySide6.QtWidgets import QApplication

from hsm_console.client.transport import GatewayProcess
from ui.calls import Calls
from ui.console import Console
from ui.desk import Desk
from ui.setup.demonstration import PASSPHRASE, Demonstration
from ui.shell.window import Window
from ui.theme.engine import ThemeEngine


@pytest.fixture
def screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication, qtbot) -> Iterator[Callable[[], House]]:
    """The application without a workspace."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    if qapp.findChild(ThemeEngine) is None:
        ThemeEngine(qapp)
    made: list[House] = []

    def start() -> House:
        calls = Calls(qapp)
        window = Window(lambda: calls.guards)
        qtbot.addWidget(window)
        desk = Desk(calls)
        house = House(qtbot, window, desk, Console(window, desk), calls)
        made.append(house)
        window.show()
        return house

    yield start
    for house in made:
        house.close()


def test_a_gateway_by_address(screen: Callable[[], House], tmp_path: Path, found: Callable) -> None:
    far = found(spec(tmp_path / "far"))
    here = tmp_path / "here"
    with GatewayProcess(far, listen="127.0.0.1:0") as gateway:
        house = screen()
        house.console.start()
        house.wait("Welcome").connect_asked.emit()
        page = house.wait("Connect to a gateway")
        page.listen.set_text("192.0.2.10")
        page.authority.set_text(str(far / "authority.pem"))
        page.digest.set_text(gateway.address.gateway_sha256)
        page.folder.set_text(str(here))
        page.main.button.click()
        house.qtbot.waitUntil(lambda: page.problem.problem is not None)
        assert page.problem.problem.code == "address-unusable"
        page.listen.set_text(gateway.ready.listen)  # everything else that was typed is still there
        page.main.button.click()
        house.wait("Log in")
        house.qtbot.waitUntil(lambda: "on another machine, at 127.0.0.1" in house.words())
        shutil.copyfile(far / "credentials" / "c.babbage.p12", here / "credentials" / "c.babbage.p12")
        house.console.login()
        house.log_in()
        house.wait("Good day, Charlotte Babbage")
        assert house.desk.records("x") == ""
        gateway.stop()
        page = house.wait("The gateway is not there any more")
        assert "does not answer any more" in page.problem.problem.what
        assert "on this disk" not in house.words()
        assert "Connect again" in page.main.button.text().replace("&", "")


@pytest.mark.parametrize("adapter", ["simulation", "softhsm"])
def test_a_demonstration_is_left_where_it_was_wanted(screen: Callable[[], House], tmp_path: Path, adapter: str) -> None:
    out = tmp_path / "demo"
    for _again in range(2):
        house = screen()
        Demonstration(house.window, house.desk, house.console, out=out, adapter=adapter)
        house.wait("Log in")
        assert str(out) in house.words()
        assert PASSPHRASE in house.words()
        words = house.words
        house.qtbot.waitUntil(lambda words=words: "The gateway is ready." in words(), timeout=20_000)
        assert f'adapter = "{adapter}"' in (out / "workspace.toml").read_text()
        house.close()


def test_somebody_elses_workspace_is_opened_without_our_passphrases(
    screen: Callable[[], House], tmp_path: Path, found: Callable
) -> None:
    house = screen()
    Demonstration(house.window, house.desk, house.console, out=found(spec(tmp_path / "other")))
    house.wait("Log in")
    assert "passphrases of their own" in house.words()
