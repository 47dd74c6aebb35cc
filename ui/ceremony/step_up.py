"""Somebody steps up to a screen on which others are logged in: proves who she is, answers once, leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit

from hsm_console.domain.events import Seat
from hsm_console.domain.messages.ceremony import Statement
from ui.login.credentials import CredentialField
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, pairs
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice, line, secret
from ui.widgets.fold import technical

CHOSEN = ("Decision", "Reason")  # lines of a statement that the person chooses with the buttons


class StepUpPage(Page):
    """Credential and passphrase of the one who answers. Those who are logged in stay so."""

    proved = Signal(object, object)  # Path of the credential, Secret
    left = Signal()  # back, without having answered

    def __init__(self, seats: tuple[Seat, ...], why: str, files: Callable[[], list[Path]]) -> None:
        super().__init__(tr("{who} steps up", who=_who(seats)), why, eyebrow=tr("Prove who you are"))
        frame, box = card()
        self.person = choice(tr("&Person"), [(s.name or _who((s,)), s) for s in seats])
        self.credential = CredentialField(files)
        self.passphrase = secret(tr("Pass&phrase"), hint=tr("Only you know it. Nobody may ask you for it."))
        if len(seats) > 1:
            box.addWidget(self.person)
        box.addWidget(self.credential)
        box.addWidget(self.passphrase)
        self.add(frame)
        self.add(label(tr("You leave again by yourself after your answer. Others stay logged in."), "hint"))
        self.back = button(tr("&Back without answering"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(tr("Prove &who I am"))
        self.main.pressed.connect(self._go)
        self.aside(self.back)
        self.act(self.main)
        self.first = self.passphrase.control
        edit = self.passphrase.control
        if isinstance(edit, QLineEdit):
            edit.returnPressed.connect(self._go)
        combo = self.person.control
        if isinstance(combo, QComboBox):
            combo.currentIndexChanged.connect(self._suggest)
        self._suggest()

    def _suggest(self, _index: int = 0) -> None:
        combo = self.person.control
        seat = combo.currentData() if isinstance(combo, QComboBox) else None
        if isinstance(seat, Seat) and seat.uid:
            self.credential.suggest(seat.uid)

    def _go(self) -> None:
        if self.main.working:
            return
        self.passphrase.clear_error()
        if not self.passphrase.text():
            self.passphrase.show_error(tr("Type your passphrase."))
            self.passphrase.setFocus()
            return
        path = self.credential.path()
        if path is not None:
            self.main.start()
            self.proved.emit(path, self.passphrase.take_secret())


class StatementPage(Page):
    """What the person would sign, in words; two answers of equal weight, neither of them preselected."""

    decided = Signal(bool, str)  # yes or no, because
    left = Signal()

    def __init__(self, name: str, statement: Statement, *, sign_off: bool, reasoned: bool = False) -> None:
        """reasoned: to decline needs a sentence that says why; for a sign-off it always does."""
        yes, no = (
            (tr("I &agree: the script was followed"), tr("I do &not agree, because…"))
            if sign_off
            else (tr("I &approve and sign"), tr("I &decline and sign"))
        )
        super().__init__(
            tr("{name}, this is what you sign", name=name),
            tr("Read it. Nothing has been signed yet. Both answers are proper answers."),
            eyebrow=tr("Your decision"),
        )
        frame, box = card()
        box.addWidget(pairs([item for item in statement.lines if item[0] not in CHOSEN]))
        self.add(frame)
        self.because = line(
            tr("&Because"),
            hint=_hint(sign_off=sign_off, reasoned=reasoned),
        )
        self.add(self.because)
        self.add(technical(statement.canonical, tr("Exact text that is signed"), lines=8))
        self._needs_reason = sign_off or reasoned
        self.no, self.yes = BusyButton(no, ""), BusyButton(yes, "")
        self.no.pressed.connect(lambda: self._say(False))
        self.yes.pressed.connect(lambda: self._say(True))
        wide = max(self.no.button.sizeHint().width(), self.yes.button.sizeHint().width())
        for one in (self.no, self.yes):
            one.button.setMinimumWidth(wide)
        self.back = button(tr("&Leave without answering"))
        self.back.clicked.connect(self.left)
        self.aside(self.back)
        self.act(self.no, self.yes)
        self.first = self.because.control

    def _say(self, yes: bool) -> None:
        self.because.clear_error()
        if not yes and self._needs_reason and not self.because.text().strip():
            self.because.show_error(tr("Say why; one sentence is enough."))
            self.because.setFocus()
            return
        (self.yes if yes else self.no).start()
        self.decided.emit(yes, self.because.text().strip())

    def stop(self) -> None:
        self.yes.stop()
        self.no.stop()


def _hint(*, sign_off: bool, reasoned: bool) -> str:
    if sign_off:
        return tr("Needed when you do not agree; it stands in the minutes.")
    return tr("Needed when you decline; it is recorded.") if reasoned else tr("May stay empty.")


def _who(seats: tuple[Seat, ...]) -> str:
    from ui.texts import role

    if len(seats) == 1:
        return seats[0].name or tr("The {role}", role=role(seats[0].role).lower())
    return tr("One of those who may answer")
