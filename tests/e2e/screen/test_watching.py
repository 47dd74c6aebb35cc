"""The witness window in front of a real gateway: it follows the log, acts nowhere, and says when it is cut off."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from desk_of_a_house import PASSPHRASE
from PySide6.QtWidgets import QLabel

from hsm_console.client import ceremonies
from hsm_console.domain.messages.ceremony import Confirmed, OpenCeremony


def test_it_follows_the_log_and_says_when_the_gateway_is_lost(open_house: Callable) -> None:
    house = open_house()
    house.log_in()
    house.wait("Good day, Charlotte Babbage")
    house.window._witness.click()
    room = house.console._witness
    page = room.window.page
    page.credential.suggest("w.diffie")
    page.passphrase.set_text(PASSPHRASE)
    page.main.button.click()

    def said() -> str:
        return "\n".join(label.text() for label in room.window.page.findChildren(QLabel) if label.isVisible())

    house.qtbot.waitUntil(lambda: "w.diffie logged on as witness" in said(), timeout=20_000)
    assert "No ceremony was opened yet." in said()
    assert house.desk.book.names == ["Charlotte Babbage"]

    admin = house.desk.book.acting
    script = next(s for s in ceremonies.scripts(admin) if s.id == "executive-identity-key")
    wish = OpenCeremony(
        script_id=script.id, sha256=script.sha256, parameters={"label": "ceo-identity-2026", "algorithm": "ec-p384"}
    )
    view = ceremonies.open_ceremony(admin, wish)
    house.qtbot.waitUntil(lambda: "Step 1 of" in said(), timeout=10_000)
    ceremonies.answer(admin, view.id, Confirmed(step=view.current, revision=view.revision))
    house.qtbot.waitUntil(lambda: "Step 2 of" in said(), timeout=10_000)

    size = room._size
    house.qtbot.wait(3000)
    assert room._size <= size + 3, "looking does not make the log grow for ever"

    os.kill(house.desk._gateway.pid, signal.SIGKILL)
    house.qtbot.waitUntil(lambda: "does not follow the log any more" in said(), timeout=15_000)
    house.qtbot.waitUntil(lambda: "The gateway's process has ended." in said(), timeout=5_000)
    assert "Step 2 of" in said(), "what was seen stays readable"
    room.window.page.main.click()
    assert house.console._witness is None
