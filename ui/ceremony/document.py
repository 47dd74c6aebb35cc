"""Sign a first document: chosen by its owner, checked at once outside the module."""

from __future__ import annotations

import base64
from pathlib import Path

from PySide6.QtWidgets import QFileDialog

from hsm_console.domain.messages.ceremony import DocumentAnswer
from ui.ceremony.step_page import StepPage
from ui.texts import tr
from ui.widgets.basics import button, card, label, row
from ui.widgets.field import line

LARGEST = 16 * 1024 * 1024


class DocumentPage(StepPage):
    def build(self) -> None:
        frame, box = card()
        self.path = line(tr("&Document"), hint=tr("The file is read, signed and left as it is. At most 16 MiB."))
        choose = button(tr("&Choose a file…"))
        choose.clicked.connect(self._choose)
        self._size = label("", "hint")
        box.addWidget(self.path)
        box.addLayout(row(choose, self._size))
        self.add(frame)
        self.path.edited.connect(self._describe)
        self.first = self.path.control

    def give(self) -> None:
        self.path.clear_error()
        path = Path(self.path.text().strip()).expanduser()
        try:
            if not self.path.text().strip() or path.stat().st_size > LARGEST:
                raise OSError(tr("choose a file of at most 16 MiB"))
            content = base64.b64encode(path.read_bytes()).decode()
        except OSError as error:
            self.path.show_error(tr("This file cannot be signed: {why}.", why=error.strerror or str(error)))
            self.path.setFocus()
            return
        self.answered.emit(
            DocumentAnswer(step=self.step.id, revision=self.view.revision, name=path.name, content=content)
        )

    def _choose(self) -> None:
        dialog = QFileDialog(self, tr("Choose the document to sign"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.fileSelected.connect(self._chosen)
        dialog.open()

    def _chosen(self, path: str) -> None:
        self.path.set_text(path)
        self._describe()

    def _describe(self) -> None:
        path = Path(self.path.text().strip()).expanduser()
        try:
            self._size.setText(tr("{n} bytes", n=f"{path.stat().st_size:,}") if path.is_file() else "")
        except OSError:
            self._size.setText("")
