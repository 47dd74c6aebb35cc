"""The module: what it is, whether it is unlocked; and the page on which its PIN is typed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.messages.session import DeviceState
from hsm_console.domain.people import Person
from ui.login.credentials import CredentialField
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, clear, label, pairs
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice, secret
from ui.widgets.fold import technical
from ui.widgets.problem import ProblemPanel, notice


class DevicePage(Page):
    unlock_asked = Signal()
    lock_asked = Signal()

    def __init__(self) -> None:
        super().__init__(tr("The module"), tr("The hardware that holds the keys, as it describes itself now."))
        self._box = QVBoxLayout()
        self._box.setSpacing(18)
        self.add(self._box)
        self.unlock = button(tr("&Unlock…"), "act")
        self.unlock.clicked.connect(self.unlock_asked)
        self.lock = BusyButton(tr("&Lock the module"), "")
        self.lock.pressed.connect(self.lock_asked)
        self.act(self.lock, self.unlock)
        self.show_state(None)

    def show_state(self, state: DeviceState | None) -> None:
        self.lock.stop()
        clear(self._box)
        self.unlock.setVisible(state is not None and not state.unlocked)
        self.lock.setVisible(state is not None and state.unlocked)
        if state is None:
            self._box.addWidget(label(tr("Asking the gateway."), "hint"))
            return
        said = tr("Unlocked: keys can be used.") if state.unlocked else tr("Locked: no key can be used.")
        look, token = ("done", "good") if state.unlocked else ("notice", "warn")
        self._box.addWidget(notice(said, look=look, icon="unlock" if state.unlocked else "lock", token=token))
        if state.problem is not None:
            panel = ProblemPanel()
            panel.tell(state.problem)
            self._box.addWidget(panel)
        if state.device is None:
            self._box.addWidget(label(tr("No module has described itself yet."), "hint"))
            return
        frame, box = card()
        box.addWidget(pairs(_facts(state.device, state.busy_with)))
        for remark in state.device.remarks:
            box.addWidget(label(remark, "hint"))
        box.addWidget(technical("\n".join(sorted(state.device.mechanisms)) or "-", tr("Mechanisms"), lines=10))
        self._box.addWidget(frame)


class UnlockPage(Page):
    """The PIN. Attempts left are said before it is typed; nothing is tried again by itself."""

    asked = Signal(object, object, object, object)  # uid or None, Path or None, passphrase Secret or None, PIN Secret
    left = Signal()

    def __init__(self, people: list[Person], files: Callable[[], list[Path]], device: DeviceInfo | None) -> None:
        """people: those who are logged in; anybody else steps up with a credential."""
        super().__init__(
            tr("Unlock the module"),
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
    """What is known of the attempts left, before anybody types."""
    if device is None:
        return notice(tr("The module has not said how many attempts are left. Type slowly; a wrong PIN counts."))
    left = device.limits.get("pin_attempts_left", -1)
    if device.user_pin_locked:
        return notice(
            tr("The PIN is locked. Only the security officer can set a new one."), look="problem", token="bad"
        )
    if device.user_pin_final_try or left == 1:
        text = tr("ONE attempt is left. A wrong PIN now locks the module. Stop if you are not sure.")
        return notice(text, look="problem", token="bad")  # noqa: S106
    if device.user_pin_low or 0 <= left <= 2:
        return notice(
            tr("A wrong PIN was typed before; few attempts are left. Do not guess."), look="problem", token="bad"
        )
    if left > 0:
        return label(tr("{n} attempts are left.", n=left), "hint")
    return label(tr("No wrong PIN has been typed since the last right one."), "hint")


def _facts(device: DeviceInfo, busy: str) -> list[tuple[str, str]]:
    return [
        (tr("Label"), device.label),
        (tr("Kind"), f"{device.vendor} {device.model}"),
        (tr("Serial number"), device.serial),
        (tr("Firmware"), device.firmware or tr("not told")),
        (tr("Hardware"), tr("none: this is a simulation") if device.simulated else device.hardware or tr("not told")),
        (tr("At work with"), busy or tr("nothing")),
    ]
