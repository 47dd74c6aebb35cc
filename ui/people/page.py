"""Who is enrolled: roles, certificate, end date; the administrator enrols and revokes."""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QFrame, QVBoxLayout, QWidget

from hsm_console.domain.messages.people import PersonView
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, row
from ui.widgets.busy import BusyButton
from ui.widgets.person import PersonChip
from ui.widgets.problem import notice

_DAY_MS = 86_400_000
_SOON_DAYS = 30


class PeoplePage(Page):
    enrol_asked = Signal()
    revoke_asked = Signal(object)  # PersonView
    refresh_asked = Signal()
    save_asked = Signal(str, object)  # text of the file, Path

    def __init__(self, *, may_change: bool, own_uid: str = "", news: str = "") -> None:
        """own_uid: who is logged in; nobody revokes herself. news: what was just done, said first."""
        super().__init__(tr("People"), tr("Those whom the signed roster knows, and the roles it grants them."))
        self._may_change, self._own = may_change, own_uid
        if news:
            self.add(notice(news, look="done", icon="check", colour="good"))
        self._box = QVBoxLayout()
        self._box.setSpacing(engine().px(12))
        self.add(self._box)
        self._box.addWidget(label(tr("Asking the gateway."), "hint"))
        self.refresh = BusyButton(tr("Look &again"), "")
        self.refresh.pressed.connect(self._look_again)
        self.aside(self.refresh)
        self.first = self.refresh
        if may_change:
            enrol = button(tr("&Enrol a person…"), "act")
            enrol.clicked.connect(self.enrol_asked)
            self.act(enrol)
            self.first = enrol

    def show_people(self, people: list[PersonView]) -> None:
        self.refresh.stop()
        self.problem.clear()
        clear(self._box)
        if not people:
            self._box.addWidget(label(tr("Nobody is enrolled."), "hint"))
        for person in (p for p in people if not p.revoked):
            self._box.addWidget(self._card(person))
        revoked = [p for p in people if p.revoked]
        if revoked:
            self._box.addWidget(label(tr("Revoked"), "heading"))
        for person in revoked:
            self._box.addWidget(self._card(person))

    def saved(self, path: Path) -> None:
        done = notice(tr("Saved: {path}", path=path), look="done", icon="check", colour="good")
        self._box.insertWidget(0, done)
        self.area.ensureVisible(0, 0)

    def _card(self, person: PersonView) -> QFrame:
        frame, box = card(margins=14)
        frame.setAccessibleName(f"{person.person.name}: {texts.roles(person.roles)}, {_state(person)}")
        words = QWidget()
        inner = QVBoxLayout(words)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(engine().px(4))
        note = f"{texts.roles(person.roles)} · {person.person.uid}"
        inner.addWidget(PersonChip(person.person.name, note=note))
        icon, colour = _mark(person)
        inner.addLayout(marked(icon, colour, label(_state(person)), size=18))
        serial = tr("Certificate {serial}", serial=texts.grouped(person.serial))
        inner.addWidget(label(serial, "small", selectable=True))
        line = row(words, stretch_last=True)
        line.setStretch(0, 1)
        for made in self._buttons(person):
            line.addWidget(made, 0, Qt.AlignmentFlag.AlignVCenter)
        box.addLayout(line)
        return frame

    def _buttons(self, person: PersonView) -> list[QWidget]:
        made: list[QWidget] = []
        name = person.person.name
        if person.certificate_pem:
            save = button(tr("Save the certificate…"), name=tr("Save the certificate of {name}", name=name))
            save.clicked.connect(lambda _checked=False, p=person: self._choose(p))
            made.append(save)
        if self._may_change and not person.revoked and person.person.uid != self._own:
            revoke = button(tr("Revoke…"), name=tr("Revoke {name}", name=name))
            revoke.clicked.connect(lambda _checked=False, p=person: self.revoke_asked.emit(p))
            made.append(revoke)
        return made

    def _choose(self, person: PersonView) -> None:
        dialog = QFileDialog(self, tr("Save a copy"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.selectFile(f"{person.person.uid}.crt")
        dialog.fileSelected.connect(lambda chosen: self.save_asked.emit(person.certificate_pem, Path(chosen)))
        dialog.open()

    def _look_again(self) -> None:
        self.refresh.start()
        self.refresh_asked.emit()


def valid_until(person: PersonView) -> str:
    """A day, when it is known."""
    return texts.day(person.not_after_ms) if person.not_after_ms else tr("not known now")


def _days_left(person: PersonView) -> int:
    return (person.not_after_ms - time.time_ns() // 1_000_000) // _DAY_MS


def _state(person: PersonView) -> str:
    day = texts.day(person.not_after_ms)
    if person.revoked:
        return tr("Revoked: this certificate opens nothing any more.")
    if not person.not_after_ms:
        return tr("Until when it is valid cannot be told now: certificates are sealed while the module is locked.")
    left = _days_left(person)
    if left < 0:
        return tr("Expired on {day}: no log-in until she is enrolled anew.", day=day)
    if left <= _SOON_DAYS:
        return tr("Valid until {day}; enrol anew before that.", day=day)
    return tr("Valid until {day}", day=day)


def _mark(person: PersonView) -> tuple[str, str]:
    if person.revoked:
        return "cross", "bad"
    if not person.not_after_ms:
        return "lock", "ink-soft"
    left = _days_left(person)
    if left < 0:
        return "alert", "bad"
    return ("clock", "warn") if left <= _SOON_DAYS else ("check", "good")
