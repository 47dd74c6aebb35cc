"""Logging in: credential, passphrase, role. Refusals stand exactly as the gateway gave them, beside the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit

from hsm_console.domain.errors import Problem
from hsm_console.domain.people import Role
from ui import texts
from ui.login.credentials import CredentialField
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice, secret
from ui.widgets.fold import Fold
from ui.widgets.problem import notice

WIDTH = 620


class LoginPage(Page):
    asked = Signal(object, object, object)  # Path of the credential, Secret, Role or None
    other_asked = Signal()  # another workspace, or a new one

    def __init__(self, files: Callable[[], list[Path]], *, workspace: str, why: str = "", watch: bool = False) -> None:
        """why: what happened before, when the person comes back here. watch: for a window that only watches."""
        proves = tr("Your credential file and its passphrase prove who you are.")
        watches = tr("Whoever watches proves who she is with her own credential. This window can do nothing but show.")
        super().__init__(
            tr("Log in to watch") if watch else tr("Log in"),
            watches if watch else proves,
            eyebrow=workspace,
            width=WIDTH,
        )
        if why:
            self.add(notice(why))
        frame, box = card(margins=26, spacing=18)
        self.credential = CredentialField(files)
        self.passphrase = secret(tr("Pass&phrase"), hint=tr("Only you know it. Nobody may ask you for it."))
        everything: list[tuple[str, object]] = [(tr("All roles that I hold"), None)]
        self.role = choice(tr("&Role"), everything + [(texts.role(r), r) for r in Role])
        for field in (self.credential, self.passphrase, self.role):
            box.addWidget(field)
        self.add(frame)
        self.elsewhere = False  # the gateway is on another machine: nobody asked it yet
        self._gateway = label("" if watch else tr("The gateway is starting."), "hint")
        self.add(self._gateway)
        self._identity = label("", "mono", selectable=True)
        self.fold = Fold(tr("Gateway's identity"), self._identity)
        self.fold.hide()
        self.add(self.fold)
        self.other = button(tr("Close this &window") if watch else tr("&Another workspace…"))
        self.other.clicked.connect(self.other_asked)
        self.main = BusyButton(tr("&Log in"))
        self.main.pressed.connect(self._go)
        self.aside(self.other)
        self.act(self.main)
        if isinstance(self.passphrase.control, QLineEdit):
            self.passphrase.control.returnPressed.connect(self._go)
        self.first = self.credential if len(files()) != 1 else self.passphrase.control

    def show_gateway(self, sha256: str, listen: str) -> None:
        """The gateway answers: who it is, for the witness who compares it with the sheet."""
        ready = tr("The gateway is ready.")
        far = tr("The gateway is on another machine, at {address}. It is asked when you log in.", address=listen)
        self._gateway.setText(far if self.elsewhere else ready)
        self._identity.setText(f"{texts.grouped(sha256)}\n{listen}")
        self.fold.show()

    def show_gateway_problem(self, problem: Problem) -> None:
        self._gateway.setText(tr("The gateway is not running."))
        self.tell(problem)

    def refuse(self, problem: Problem) -> None:
        """Credential and role stay as they were; only the passphrase is typed again."""
        self.main.stop()
        now = texts.moment(time.time_ns() // 1_000_000)
        self.tell(problem, extra=((tr("Workstation's clock"), now),))
        self.passphrase.setFocus()

    def _go(self) -> None:
        if self.main.working:
            return
        self.passphrase.clear_error()
        path = self.credential.path()
        if path is None:
            return
        if not self.passphrase.text():
            self.passphrase.show_error(tr("Type your passphrase."))
            self.passphrase.setFocus()
            return
        combo = self.role.control
        role = combo.currentData() if isinstance(combo, QComboBox) else None
        self.main.start()
        self.asked.emit(path, self.passphrase.take_secret(), role)
