"""`Technical details`: words of the trade, folded away for the witness who wants them."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from ui.texts import tr
from ui.theme import icons
from ui.theme.engine import engine
from ui.widgets.basics import button

ARROW = 16


class Fold(QWidget):
    """A link that opens and closes what lies below it."""

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self._title = title
        self.content = content
        self.handle = button(title, "flush")
        self.handle.setCheckable(True)
        self.handle.setIconSize(QSize(engine().px(ARROW), engine().px(ARROW)))
        self.handle.toggled.connect(self._show)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(6))
        box.addWidget(self.handle, 0, Qt.AlignmentFlag.AlignLeft)
        box.addWidget(content)
        self._show(False)

    def _show(self, opened: bool) -> None:
        self.content.setVisible(opened)
        self.handle.setIcon(icons.icon("down" if opened else "right", engine().theme["accent"]))
        state = tr("open") if opened else tr("closed")
        self.handle.setAccessibleName(f"{self._title}, {state}")


def technical(text: str, title: str = "", *, lines: int = 6) -> Fold:
    """A fold over exact text in fixed width, which can be selected and copied."""
    title = title or tr("Technical details")
    area = QPlainTextEdit(text)
    area.setReadOnly(True)
    area.setProperty("look", "mono")
    area.setStyleSheet(f'font-family: "IBM Plex Mono"; font-size: {engine().px(13)}px;')
    area.setAccessibleName(title)
    area.setTabChangesFocus(True)
    area.setFixedHeight(engine().px(22 * min(lines, text.count("\n") + 2) + 20))
    return Fold(title, area)
