"""Alerts, rules and the module's own log on the screen, from a real gateway that watches its log."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_console.client import device, rendezvous
from hsm_console.client.session import log_in
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.secret import Secret
from ui.audit.alerts import AlertsPage
from ui.audit.own_log import OwnLogPage
from ui.audit.rules import RulesPage

PASSPHRASE = "harbour violin copper meadow"


def wrong_pins(workspace: Path, times: int) -> None:
    """Somebody tries at the token, at another screen."""
    running = rendezvous.running(workspace)
    assert running is not None
    address = rendezvous.for_workspace(workspace, running.listen)
    with log_in(address, workspace / "credentials" / "a.turing.p12", Secret(PASSPHRASE)) as session:
        for _ in range(times):
            with pytest.raises(ConsoleError):
                device.unlock(session, Secret("9876-not-it"))


def test_an_alert_comes_while_the_auditor_looks_and_is_answered(open_house: Callable, tmp_path: Path) -> None:
    house = open_house()
    house.log_in("k.goedel")
    house.wait("Good day, Kurt Goedel")
    house.window.show_page(AlertsPage(house.desk.book.acting, house.desk.calls))
    page = house.wait("Alerts")
    house.qtbot.waitUntil(lambda: "No alert is open." in house.words(), timeout=15_000)
    wrong_pins(tmp_path / "workspace", 3)
    house.qtbot.waitUntil(lambda: "Several wrong PINs" in house.words(), timeout=20_000)
    assert "wrong 3 times within fifteen minutes" in house.words()
    assert "Stop trying. Ask the person who tried" in house.words()
    assert "(1 open)" in page.rooms._links["alerts"].text()
    house.qtbot.wait(600)
    if shots := os.environ.get("HSM_CONSOLE_TEST_SHOTS"):
        house.window.grab().save(f"{shots}/alerts-live.png")
    (card,) = page.cards.values()
    card.note.set_text("Alan learned the new PIN on Monday; he read the old sheet.")
    card.send.button.click()
    house.qtbot.waitUntil(lambda: "No alert is open." in house.words(), timeout=15_000)
    house.choose(page.which.control, False)
    page.look()
    house.qtbot.waitUntil(lambda: "k.goedel, 20" in house.words(), timeout=15_000)
    assert "(sealed)" in house.words(), "free text is confidential in this house: its digest is not shown"


def test_the_auditor_sees_the_rules_what_is_usual_and_the_modules_own_log(open_house: Callable, tmp_path: Path) -> None:
    house = open_house()
    house.log_in("k.goedel")
    house.wait("Good day, Kurt Goedel")
    house.window.show_page(RulesPage(house.desk.book.acting, house.desk.calls))
    page = house.wait("What is watched for")
    house.qtbot.waitUntil(lambda: "rules are on." in house.words(), timeout=15_000)
    assert page.model.rowCount() > 30
    page.turn("people")
    house.qtbot.waitUntil(lambda: "Short name" in house.words(), timeout=15_000)
    assert "Kurt Goedel" in house.words(), "names come from the roster, also where the log seals them"
    assert "raises no alert yet" in house.words()
    house.window.show_page(OwnLogPage(house.desk.book.acting, house.desk.calls))
    page = house.wait("The module's own log")
    house.qtbot.waitUntil(lambda: "The module is locked." in house.words(), timeout=15_000)
    assert not page.ask.button.isEnabled()
    file = tmp_path / "tool.csv"
    file.write_text("index,operation\n1,login\n2,so-login\n", "utf-8")
    page.file.set_path(file)
    page.bring.button.click()
    house.qtbot.waitUntil(lambda: "The first look" in house.words(), timeout=15_000)
    file.write_text("index,operation\n3,so-login\n", "utf-8")
    page.bring.button.click()
    house.qtbot.waitUntil(lambda: "One thing differed" in house.words(), timeout=15_000)
    assert "The security officer logged in (record 3 of the device), and no ceremony was open" in house.words()
    assert "Somebody used the module without asking here." in house.words()
