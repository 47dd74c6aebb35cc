"""Who is enrolled. The administrator enrols (from a request made elsewhere) and revokes."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog, QVBoxLayout

from hsm_console.domain.messages.people import Enrol, PersonView
from hsm_console.domain.people import Person, Role
from ui import texts
from ui.ceremony.step_page import commit_warning
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, clear, label, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice, line
from ui.widgets.person import PersonChip
from ui.widgets.typed_word import TypedWord

REASONS = ("keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "unspecified")


class PeoplePage(Page):
    enrol_asked = Signal()
    revoke_asked = Signal(object)  # PersonView

    def __init__(self, *, may_change: bool) -> None:
        super().__init__(tr("People"), tr("Those whom the signed roster knows, and the roles it grants them."))
        self._may_change = may_change
        self._box = QVBoxLayout()
        self._box.setSpacing(12)
        self.add(self._box)
        self._box.addWidget(label(tr("Asking the gateway."), "hint"))
        if may_change:
            enrol = button(tr("&Enrol a person…"), "act")
            enrol.clicked.connect(self.enrol_asked)
            self.act(enrol)
            self.first = enrol

    def show_people(self, people: list[PersonView]) -> None:
        clear(self._box)
        for person in people:
            frame, box = card(margins=14)
            state = tr("revoked") if person.revoked else tr("valid until {day}", day=texts.day(person.not_after_ms))
            note = f"{texts.roles(person.roles)} · {person.person.uid} · {state}"
            line_ = row(PersonChip(person.person.name, note=note), stretch_last=True)
            if self._may_change and not person.revoked:
                revoke = button(tr("Revoke…"), name=tr("Revoke {name}", name=person.person.name))
                revoke.clicked.connect(lambda _checked=False, p=person: self.revoke_asked.emit(p))
                line_.addWidget(revoke, 0, Qt.AlignmentFlag.AlignVCenter)
            box.addLayout(line_)
            self._box.addWidget(frame)


class EnrolPage(Page):
    """The person's key is made where she keeps it; only her request comes here."""

    asked = Signal(object)  # Enrol
    left = Signal()

    def __init__(self) -> None:
        super().__init__(
            tr("Enrol a person"),
            tr(
                "She brings a certificate request, made with her own key on her own medium. Check her face, not only the file."
            ),
        )
        frame, box = card()
        self.name = line(tr("&Name"), hint=tr("As it shall stand in the minutes."))
        self.uid = line(tr("&Short name"), hint=tr("Small letters, digits, dots, dashes: a.turing"))
        self.csr = line(tr("Certificate re&quest"), hint=tr("A file in PEM form."))
        choose = button(tr("&Choose a file…"))
        choose.clicked.connect(self._choose)
        for part in (self.name, self.uid):
            box.addWidget(part)
        box.addWidget(label(tr("Roles"), "label"))
        self.roles: dict[Role, QCheckBox] = {}
        for role in Role:
            tick = QCheckBox(texts.role(role))
            tick.setAccessibleName(texts.role(role))
            self.roles[role] = tick
            box.addWidget(tick)
        box.addWidget(self.csr)
        box.addLayout(row(choose))
        self.add(frame)
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(tr("&Issue her certificate"))
        self.main.pressed.connect(self._go)
        self.aside(self.back)
        self.act(self.main)
        self.first = self.name.control

    def _choose(self) -> None:
        dialog = QFileDialog(self, tr("Choose the certificate request"))
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.fileSelected.connect(self.csr.set_text)
        dialog.open()

    def _go(self) -> None:
        for field in (self.name, self.uid, self.csr):
            field.clear_error()
            if not field.text().strip():
                field.show_error(tr("This is needed."))
                field.setFocus()
                return
        try:
            csr = Path(self.csr.text().strip()).expanduser().read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            self.csr.show_error(tr("This file cannot be read as a request in PEM form."))
            self.csr.setFocus()
            return
        person = Person(uid=self.uid.text().strip(), name=self.name.text().strip())
        granted = tuple(role for role, tick in self.roles.items() if tick.isChecked())
        self.main.start()
        self.asked.emit(Enrol(person=person, roles=granted, csr=csr))


class RevokePage(Page):
    """Irreversible: a revoked certificate never comes back."""

    asked = Signal(str)  # CRLReason name
    left = Signal()

    def __init__(self, person: PersonView) -> None:
        super().__init__(tr("Revoke {name}", name=person.person.name))
        self.add(
            commit_warning(
                tr(
                    "{name} cannot log in any more, from this moment. A new certificate needs a new enrolment.",
                    name=person.person.name,
                )
            )
        )
        names = (tr("Her key may be known to others"), tr("She has left, or changed her duty"), tr("A newer one replaces it"),
                 tr("It is no longer needed"), tr("Without a reason given"))  # fmt: skip
        self.reason = choice(tr("&Reason"), list(zip(names, REASONS, strict=True)))
        self.word = TypedWord(tr("revoke"))
        self.add(self.reason)
        self.add(self.word)
        self.back = button(tr("&Do nothing"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(tr("&Revoke this certificate"), "commit")
        self.main.set_allowed(False)
        self.word.matched.connect(self.main.set_allowed)
        self.main.pressed.connect(self._go)
        self.act(self.back, self.main)
        self.first = self.back

    def _go(self) -> None:
        from PySide6.QtWidgets import QComboBox

        combo = self.reason.control
        if self.word.is_right and isinstance(combo, QComboBox):
            self.main.start()
            self.asked.emit(str(combo.currentData()))
