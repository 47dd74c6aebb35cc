"""Choosing a credential file: those of the workspace by name, or any other by its path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QComboBox, QFileDialog, QVBoxLayout, QWidget

from ui.texts import tr
from ui.widgets.basics import button, row
from ui.widgets.field import FormField


class CredentialField(QWidget):
    def __init__(self, files: Callable[[], list[Path]]) -> None:
        super().__init__()
        self._combo = QComboBox()
        self._combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._combo.setMinimumContentsLength(34)
        for path in files():
            self._combo.addItem(path.stem, path)
        self.field = FormField(
            tr("&Credential"), self._combo, hint=tr("Your personal credential file; it needs your passphrase.")
        )
        self._other = button(tr("Another &file…"), "flush")
        self._other.clicked.connect(self._choose)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.field)
        box.addLayout(row(self._other))
        self.setFocusProxy(self._combo)

    def path(self) -> Path | None:
        """The chosen file; tells what is wrong when there is none."""
        self.field.clear_error()
        found = self._combo.currentData()
        if not isinstance(found, Path):
            self.field.show_error(tr("Choose your credential file."))
            self._combo.setFocus()
            return None
        return found

    def suggest(self, uid: str) -> None:
        """Put the person's own file first, when the workspace has it."""
        index = self._combo.findText(uid)
        if index >= 0:
            self._combo.setCurrentIndex(index)

    def add(self, path: Path) -> None:
        self._combo.addItem(str(path), path)
        self._combo.setCurrentIndex(self._combo.count() - 1)

    def _choose(self) -> None:
        dialog = QFileDialog(self, tr("Choose a credential file"), "", tr("Credentials (*.p12)"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.fileSelected.connect(lambda name: self.add(Path(name)))
        dialog.open()
