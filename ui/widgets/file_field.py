"""A file that somebody brings: dropped here, chosen, or typed as a path."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QFrame, QLineEdit, QVBoxLayout

from ui.saving import place
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, restyle, row
from ui.widgets.field import FormField


class FileField(QFrame):
    """Nothing is read here: the page hands the path to a background call."""

    changed = Signal()

    def __init__(self, title: str, *, hint: str = "", pattern: str = "") -> None:
        """pattern: what the dialog offers, as Qt writes it; empty for every file."""
        super().__init__()
        self.setProperty("look", "drop")
        self.setAcceptDrops(True)
        self._pattern, self._plain = pattern, title.replace("&", "")
        self._edit = QLineEdit()
        self._edit.setAcceptDrops(False)  # the frame takes the file; a line would take its address
        self._edit.setPlaceholderText(tr("drop a file here, or type where it is"))
        self.field = FormField(title, self._edit, hint=hint)
        choose = button(tr("Choose…"), name=tr("Choose a file: {what}", what=self._plain))
        choose.clicked.connect(self._choose)
        box = QVBoxLayout(self)
        edge = engine().px(14)
        box.setContentsMargins(edge, edge, edge, edge)
        box.addWidget(self.field)
        box.addLayout(row(choose))
        self.setFocusProxy(self._edit)
        self._edit.textChanged.connect(lambda _text: self.changed.emit())

    def path(self) -> Path | None:
        """The chosen file, or None when nothing was given."""
        text = self._edit.text().strip()
        return Path(text).expanduser() if text else None

    def set_path(self, path: Path) -> None:
        self._edit.setText(str(path))

    def require(self) -> Path | None:
        """The path; says what is missing when there is none."""
        self.field.clear_error()
        found = self.path()
        if found is None:
            self.refuse(tr("Choose a file first."))
        return found

    def refuse(self, text: str) -> None:
        self.field.show_error(text)
        self._edit.setFocus()

    # -- drag and drop ---------------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped(event.mimeData()):
            event.acceptProposedAction()
            self._lift(True)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        super().dragLeaveEvent(event)
        self._lift(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self._lift(False)
        found = dropped(event.mimeData())
        if len(found) > 1:
            self.refuse(tr("One file at a time, please: {n} were dropped.", n=len(found)))
        elif found:
            self.field.clear_error()
            self.set_path(found[0])
            event.acceptProposedAction()

    def _lift(self, over: bool) -> None:
        self.setProperty("over", "true" if over else "false")
        restyle(self)

    def _choose(self) -> None:
        dialog = QFileDialog(self, tr("Choose a file"), place(), self._pattern)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.fileSelected.connect(lambda name: self.set_path(place.chosen(name)))
        dialog.open()


def dropped(data: QMimeData) -> list[Path]:
    """Local files among what is dragged."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
