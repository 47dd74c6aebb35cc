"""A large button with a heading and what follows from it: one choice among few."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ui.theme.engine import engine
from ui.widgets.basics import label, marked


class Tile(QPushButton):
    def __init__(self, title: str, below: str, *, icon: str = "right") -> None:
        super().__init__()
        self.setProperty("look", "tile")
        self.setAccessibleName(title)
        self.setAccessibleDescription(below)
        self.setAutoDefault(False)
        words = QWidget()
        inner = QVBoxLayout(words)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(engine().px(3))
        inner.addWidget(label(title, "label"))
        inner.addWidget(label(below, "hint"))
        box = QVBoxLayout(self)
        box.setContentsMargins(engine().px(20), engine().px(14), engine().px(20), engine().px(14))
        box.addLayout(marked(icon, "accent", words, size=22))
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        box = self.layout()
        return box.heightForWidth(width) if box is not None else super().heightForWidth(width)

    def sizeHint(self) -> QSize:
        box = self.layout()
        return box.sizeHint() if box is not None else super().sizeHint()
