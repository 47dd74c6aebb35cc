"""Enrolling: the person's key is made where she keeps it; only her request comes here."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QFileDialog

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.people import Enrol
from hsm_console.domain.people import Person, Role
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import line


class EnrolPage(Page):
    """The person's key is made where she keeps it; only her request comes here."""

    asked = Signal(object)  # Enrol
    left = Signal()

    def __init__(self) -> None:
        super().__init__(
            tr("Enrol a person"),
            tr(
                "She has made her key herself, behind a passphrase that only she knows, and brings a certificate "
                "request. Check her face, not only the file."
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
        self._no_role = label("", "error")
        self._no_role.hide()
        box.addWidget(self._no_role)
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

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _go(self) -> None:
        if self.main.working:
            return
        self._no_role.hide()
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
        if not granted:
            self._no_role.setText(tr("Choose at least one role."))
            self._no_role.show()
            self.roles[Role.ADMINISTRATOR].setFocus()
            return
        self.main.start()
        self.asked.emit(Enrol(person=person, roles=granted, csr=csr))
