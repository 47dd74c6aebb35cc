"""Enrolling: the person types her own passphrase here, or brings a request for a key that she made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QCheckBox, QFileDialog, QFrame, QPushButton, QRadioButton

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.people import Enrol
from hsm_console.domain.people import Person, Role
from hsm_console.domain.secret import Secret
from ui import texts
from ui.setup.answers import Member, composed, name_fault, passphrase_fault, uid_fault
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import line, secret


@dataclass(frozen=True)
class Making:
    """Her key is made on this workstation, behind the passphrase that she typed."""

    person: Person
    roles: tuple[Role, ...]
    passphrase: Secret


class EnrolPage(Page):
    """The administrator names her and her roles; then she takes the keyboard, or her request is read from a file."""

    asked = Signal(object)  # Enrol, from a request
    making_asked = Signal(object)  # Making
    left = Signal()

    def __init__(self, *, least: int = 12) -> None:
        """least: characters of a passphrase; the process that makes the key holds to it, too."""
        super().__init__(
            tr("Enrol a person"),
            tr(
                "The authority in the module certifies her key; it must be unlocked. Check her face, not only her name."
            ),
        )
        self._least = least
        frame, box = card()
        self.name = line(tr("&Name"), hint=tr("As it shall stand in the minutes."))
        self.uid = line(tr("&Short name"), hint=tr("Small letters, digits, dots, dashes: a.turing"))
        self.csr = line(tr("&File of the request"), hint=tr("A file in PEM form."))
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
        self._no_role = label("", "error")
        self._no_role.hide()
        box.addWidget(self._no_role)
        self.add(frame)
        self.add(self._ways(choose))
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(tr("&Issue her certificate"))
        self.main.pressed.connect(self._go)
        self.aside(self.back)
        self.act(self.main)
        self.first = self.name.control

    def _ways(self, choose: QPushButton) -> QFrame:
        frame, box = card()
        box.addWidget(label(tr("Her key"), "heading"))
        self.here = QRadioButton(tr("She &types her passphrase here"))
        self.brought = QRadioButton(tr("She brings a certificate &request"))
        ways = QButtonGroup(self)  # the arrows go between the two; Tab reaches the chosen one
        for way in (self.here, self.brought):
            ways.addButton(way)
        self.here.setChecked(True)
        hint = tr("At least {n} characters. Four or five unrelated words are easy to remember.", n=self._least)
        self.one = secret(tr("&Passphrase of the new person"), hint=hint)
        self.two = secret(tr("The same a&gain"))
        self._meter = label("", "hint")
        self.one.edited.connect(self._count)
        away = label(tr("She takes the keyboard now; everybody else looks away."), "hint")
        self._hers = (away, self.one, self._meter, self.two)
        self._files = (self.csr, choose)
        for part in (self.here, self.brought, *self._hers, self.csr):
            box.addWidget(part)
        box.addLayout(row(choose))
        self.here.toggled.connect(self._show_way)
        self._show_way()
        return frame

    def _show_way(self, _on: bool = True) -> None:
        for hers in self._hers:
            hers.setVisible(self.here.isChecked())
        for brought in self._files:
            brought.setVisible(self.brought.isChecked())

    def _count(self) -> None:
        n = len(self.one.text())
        said = tr("{n} of {m} characters", n=n, m=self._least) if n < self._least else tr("Long enough")
        self._meter.setText(said)

    def _choose(self) -> None:
        dialog = QFileDialog(self, tr("Choose the certificate request"))
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.fileSelected.connect(self.csr.set_text)
        dialog.open()

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _go(self) -> None:
        if self.main.working:
            return
        self._no_role.hide()
        for field in (self.name, self.uid, self.csr, self.one):
            field.clear_error()
        person = Person(uid=self.uid.text().strip(), name=composed(self.name.text()))
        faults = [(self.name, name_fault(person.name, ())), (self.uid, uid_fault(person.uid, ()))]
        if not self.here.isChecked() and not self.csr.text().strip():
            faults.append((self.csr, tr("This is needed.")))
        for field, fault in faults:
            if fault:
                field.show_error(fault)
                field.setFocus()
                return
        granted = tuple(role for role, tick in self.roles.items() if tick.isChecked())
        if not granted:
            self._no_role.setText(tr("Choose at least one role."))
            self._no_role.show()
            self.roles[Role.ADMINISTRATOR].setFocus()
            return
        if self.here.isChecked():
            self._make(person, granted)
        else:
            self._bring(person, granted)

    def _make(self, person: Person, granted: tuple[Role, ...]) -> None:
        member = Member(role=granted[0], name=person.name, uid=person.uid)
        if fault := passphrase_fault(self.one.text(), self.two.text(), self._least, member):
            self.one.show_error(fault)
            self.one.setFocus()
            return
        self.two.take_secret().wipe()
        self.main.start()
        self.making_asked.emit(Making(person=person, roles=granted, passphrase=self.one.take_secret()))

    def _bring(self, person: Person, granted: tuple[Role, ...]) -> None:
        try:
            csr = Path(self.csr.text().strip()).expanduser().read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            self.csr.show_error(tr("This file cannot be read as a request in PEM form."))
            self.csr.setFocus()
            return
        self.main.start()
        self.asked.emit(Enrol(person=person, roles=granted, csr=csr))
