"""The table of keys: searched and filtered here, on what the gateway has told; nothing is asked again for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QKeyEvent

from hsm_console.domain.messages.ceremony import KeyView
from ui import texts
from ui.keys import words
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.tables import ROW, Index, RowModel, Rows

NAME, KIND, STATE, GRADE, MADE, ORIGIN = range(6)
_WIDTHS = (260, 180, 176, 70, 110, 316)


@dataclass(frozen=True)
class Wanted:
    """What is looked for; empty means all. text: part of a name, a fingerprint in hex or words, or an id."""

    text: str = ""
    algorithm: str = ""
    state: str = ""
    ceremony: str = ""

    def fits(self, key: KeyView) -> bool:
        if self.algorithm and key.algorithm != self.algorithm:
            return False
        if self.state and key.state != self.state:
            return False
        if self.ceremony and words.origin_tag(key) != self.ceremony:
            return False
        text = self.text.casefold().strip()
        squeezed = text.replace(" ", "")
        hay = (key.label.casefold(), key.ceremony_id.casefold(), " ".join(key.words).casefold())
        return not text or any(text in part for part in hay) or squeezed in key.fingerprint or squeezed in key.object_id


class KeyModel(RowModel):
    def __init__(self) -> None:
        super().__init__((tr("Name"), tr("Kind"), tr("State"), tr("Grade"), tr("Made"), tr("Agreed on in")))
        self.keys: list[KeyView] = []

    def tell(self, keys: list[KeyView]) -> None:
        self.beginResetModel()
        self.keys = keys
        self.fill(len(keys))
        self.endResetModel()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        key = self.keys[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _cell(key, index.column())
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{key.label}, {words.kind(key)}, {words.state(key.state)}"
        return None


def _cell(key: KeyView, column: int) -> str:
    if column == NAME:
        return key.label
    if column == KIND:
        return words.kind(key)
    if column == STATE:
        return words.state(key.state)
    if column == GRADE:
        return key.grade.value
    if column == MADE:
        return texts.day(key.created_ms) if key.created_ms else ""
    return words.origin(key)


class KeyTable(Rows):
    """Up and Down move; Enter, Space or a click opens the key's page."""

    opened = Signal(object)  # KeyView

    def __init__(self, model: KeyModel) -> None:
        super().__init__(_WIDTHS, NAME, name=tr("Keys"), about=tr("Up and Down move, Enter opens the key."))
        self._keys = model
        self.setModel(model)
        self.clicked.connect(self._open)
        self.setMinimumHeight(engine().px(ROW * 8))
        self.fit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.currentIndex().isValid():
            self._open(self.currentIndex())
            return
        super().keyPressEvent(event)

    def _open(self, index: QModelIndex) -> None:
        self.opened.emit(self._keys.keys[index.row()])
