"""The page on which the module's PIN is typed: attempts left first, nothing tried again by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.people import Person
from ui.devices.words import pin_state
from ui.login.credentials import CredentialField
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice, secret
from ui.widgets.problem import notice


class UnlockPage(Page):
    """The PIN. Attempts left are said before it is typed; nothing is tried again by itself."""

    asked = Signal(object, object, object, object)  # uid or None, Path or None, passphrase Secret or None, PIN Secret
    left = Signal()

    def __init__(
        self, people: list[Person], files: Callable[[], list[Path]], device: DeviceInfo | None, *, name: str = ""
    ) -> None:
        """people: those who are logged in; anybody else steps up with a credential. name: of one among several."""
        super().__init__(
            tr("Unlock the module “{name}”", name=name) if name else tr("Unlock the module"),
            tr("The PIN goes to the module and is kept nowhere. A custodian types it where others cannot see it."),
            width=680,
        )
        self.add(attempts(device))
        frame, box = card(margins=26, spacing=18)
        items: list[tuple[str, object]] = [(p.name, p.uid) for p in people]
        self.who = choice(tr("&Who unlocks"), [*items, (tr("Somebody else steps up"), None)])
        self.credential = CredentialField(files)
        self.passphrase = secret(tr("Pass&phrase of that person"))
        self.pin = secret(tr("P&IN of the module"))
        for field in (self.who, self.credential, self.passphrase, self.pin):
            box.addWidget(field)
        self.add(frame)
        self.back = button(tr("&Back, leave it locked"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(tr("&Unlock the module"))
        self.main.pressed.connect(self._go)
        self.aside(self.back)
        self.act(self.main)
        combo = self.who.control
        if isinstance(combo, QComboBox):
            combo.currentIndexChanged.connect(self._chosen)
        if isinstance(self.pin.control, QLineEdit):
            self.pin.control.returnPressed.connect(self._go)
        self._chosen()
        self.first = combo

    @property
    def uid(self) -> str | None:
        combo = self.who.control
        found = combo.currentData() if isinstance(combo, QComboBox) else None
        return found if isinstance(found, str) else None

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _chosen(self, _index: int = 0) -> None:
        for field in (self.credential, self.passphrase):
            field.setVisible(self.uid is None)

    def _go(self) -> None:
        if self.main.working:
            return
        other = self.uid is None
        wanted = (self.passphrase, self.pin) if other else (self.pin,)
        for field in wanted:
            field.clear_error()
        empty = [field for field in wanted if not field.text()]
        path = self.credential.path() if other else None
        if empty or (other and path is None):
            for field in empty:
                field.show_error(tr("Type it; it is not kept."))
            if empty:
                empty[0].setFocus()
            return
        self.main.start()
        passphrase = self.passphrase.take_secret() if other else None
        self.asked.emit(self.uid, path, passphrase, self.pin.take_secret())


def attempts(device: DeviceInfo | None) -> QWidget:
    """What is known of the attempts left, before anybody types: the same words as on the module's page."""
    pin = pin_state(device)
    if pin.look == "done":
        return label(pin.words, "hint")
    return notice(pin.words, look=pin.look, icon=pin.icon, colour=pin.colour)
