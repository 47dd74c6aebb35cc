"""Connecting to a gateway on another machine: its address, and the two things that prove that it is the right one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog

from hsm_console.domain.errors import Problem
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import line


class ConnectPage(Page):
    asked = Signal(str, str, str, str)  # folder, address, authority file, digest
    left = Signal()

    def __init__(self) -> None:
        super().__init__(
            tr("Connect to a gateway"),
            tr("The gateway proves itself with its certificate. An authority and a digest say which one is accepted."),
            width=760,
        )
        frame, box = card(margins=26, spacing=18)
        self.listen = line(tr("&Address"), hint=tr("host:port, for example 192.0.2.10:8443."))
        self.authority = line(
            tr("Authority &file"), hint=tr("authority.pem of the gateway's workspace, brought over by hand.")
        )
        choose = button(tr("&Choose the file…"), "flush")
        choose.clicked.connect(self._choose)
        self.digest = line(
            tr("&Digest of the gateway's certificate"),
            hint=tr("SHA-256, 64 hexadecimal digits; it stands on the log-in page of the gateway's own machine."),
        )
        self.folder = line(
            tr("F&older here"),
            text=str(Path.home() / "hsm-console-gateway"),
            hint=tr("It keeps these answers, and credential files that people put there."),
        )
        for part in (self.listen, self.authority):
            box.addWidget(part)
        box.addLayout(row(choose))
        for part in (self.digest, self.folder):
            box.addWidget(part)
        self.add(frame)
        back = button(tr("&Back"))
        back.clicked.connect(self.left)
        self.main = BusyButton(tr("Co&nnect"))
        self.main.pressed.connect(self._go)
        self.aside(back)
        self.act(self.main)
        self.first = self.listen.control

    def refuse(self, problem: Problem) -> None:
        """Everything typed stays."""
        self.main.stop()
        self.tell(problem)

    def _choose(self) -> None:
        dialog = QFileDialog(self, tr("Choose the authority's certificate"), "", tr("Certificates (*.pem)"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.fileSelected.connect(self.authority.set_text)
        dialog.open()

    def _go(self) -> None:
        if self.main.working:
            return
        fields = (self.folder, self.listen, self.authority, self.digest)
        for field in fields:
            field.clear_error()
        for field in (self.listen, self.authority, self.digest, self.folder):
            if not field.text().strip():
                field.show_error(tr("This is needed."))
                field.setFocus()
                return
        folder, listen, authority, digest = (field.text().strip() for field in fields)
        self.main.start()
        self.asked.emit(str(Path(folder).expanduser()), listen, str(Path(authority).expanduser()), digest)
