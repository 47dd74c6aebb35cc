"""Confirmation by typing one word: for acts that cannot be undone. Enter in it does nothing."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QLineEdit

from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.field import FormField


class TypedWord(FormField):
    """matched tells whether the word stands there now. Case and spaces around it do not matter."""

    matched = Signal(bool)

    def __init__(self, word: str) -> None:
        edit = QLineEdit()
        edit.setProperty("look", "word")
        edit.setMaximumWidth(engine().px(340))
        super().__init__(tr("To go on, type the word: {word}", word=word), edit)
        self._word = word
        edit.installEventFilter(self)
        edit.textChanged.connect(lambda _text: self.matched.emit(self.is_right))

    @property
    def is_right(self) -> bool:
        return self.text().strip().casefold() == self._word.casefold()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        return super().eventFilter(watched, event)
