"""A workspace with seven people, and hands that press the screen's own buttons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QComboBox, QLabel

from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import Person, Role
from ui.calls import Calls
from ui.console import Console
from ui.desk import Desk
from ui.shell.window import Window

PASSPHRASE = "harbour violin copper meadow"
PIN = "24680-demo"
PEOPLE = {
    "c.babbage": ("Charlotte Babbage", Role.ADMINISTRATOR),
    "a.turing": ("Alan Turing", Role.CUSTODIAN),
    "g.hopper": ("Grace Hopper", Role.CUSTODIAN),
    "e.noether": ("Emmy Noether", Role.CUSTODIAN),
    "a.lovelace": ("Ada Lovelace", Role.EXECUTIVE),
    "w.diffie": ("Wilhelmina Diffie", Role.WITNESS),
    "k.goedel": ("Kurt Goedel", Role.AUDITOR),
}
PAGE_MS = 30_000


def spec(folder: Path, adapter: str = "simulation") -> FoundingSpec:
    """What the house is founded with."""
    return FoundingSpec(
        directory=str(folder), name="Keyboard House", adapter=adapter, environment="rehearsal",
        token_label="keyboard", so_pin="13579-demo", pin=PIN, kdf_iterations=2048,
        people=tuple(Founder(person=Person(uid=u, name=n), roles=(r,), passphrase=PASSPHRASE)
                     for u, (n, r) in PEOPLE.items()),
    )  # fmt: skip


class House:
    def __init__(self, qtbot: Any, window: Window, desk: Desk, console: Console, calls: Calls) -> None:
        self.qtbot, self.window, self.desk, self.console, self.calls = qtbot, window, desk, console, calls
        self._open = True

    @property
    def page(self) -> Any:
        return self.window.page

    def wait(self, title: str) -> Any:
        def there() -> bool:
            return self.window.page.title == title

        try:
            self.qtbot.waitUntil(there, timeout=PAGE_MS)
        except Exception as error:
            raise AssertionError(f"waited for “{title}”: {self.page.title}, {self.page.problem.problem}") from error
        return self.page

    def words(self) -> str:
        return "\n".join(label.text() for label in self.page.findChildren(QLabel) if label.isVisible())

    def log_in(self, uid: str = "c.babbage", passphrase: str = PASSPHRASE) -> None:
        page = self.wait("Log in")
        page.credential.suggest(uid)
        page.passphrase.set_text(passphrase)
        page.main.button.click()

    def choose(self, combo: Any, data: object) -> None:
        assert isinstance(combo, QComboBox)
        combo.setCurrentIndex(next(i for i in range(combo.count()) if combo.itemData(i) == data))

    def unlock(self, pin: str = PIN, uid: str = "a.turing") -> None:
        page = self.wait("Unlock the module")
        self.choose(page.who.control, None)
        page.credential.suggest(uid)
        page.passphrase.set_text(PASSPHRASE)
        page.pin.set_text(pin)
        page.main.button.click()

    def close(self) -> None:
        if self._open:
            self._open = False
            self.console.stop()
            self.desk.stop()
            self.calls.drain(5000)
