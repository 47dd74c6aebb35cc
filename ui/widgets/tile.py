"""A large button with a heading and what follows from it: one choice among few."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ui.theme import icons
from ui.theme.engine import engine
from ui.widgets.basics import label, picture

SIGN = 22


class Tile(QPushButton):
    def __init__(self, title: str, below: str, *, icon: str = "right") -> None:
        super().__init__()
        self.setProperty("look", "tile")
        self.setAutoDefault(False)
        self._title, self._below = label("", "label"), label("", "hint")
        self._sign = picture(icon, "accent", SIGN)
        self._signed = (icon, "accent")
        words = QWidget()
        inner = QVBoxLayout(words)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(engine().px(3))
        inner.addWidget(self._title)
        inner.addWidget(self._below)
        line = QHBoxLayout()
        line.setSpacing(engine().px(10))
        line.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(words, 1)
        box = QVBoxLayout(self)
        box.setContentsMargins(engine().px(20), engine().px(14), engine().px(20), engine().px(14))
        box.addLayout(line)
        self.tell(title, below, icon=icon)
        for child in self.findChildren(QWidget):
            child.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def tell(self, title: str, below: str, *, icon: str, colour: str = "accent") -> None:
        """Other words in the same place. colour: a token of the theme."""
        for part, text in ((self._title, title), (self._below, below)):
            if part.text() != text:
                part.setText(text)
        if self._signed != (icon, colour):
            self._signed = (icon, colour)
            self._sign.setPixmap(icons.pixmap(icon, engine().theme[colour], engine().px(SIGN), 2.0))
        self.setAccessibleName(title)
        self.setAccessibleDescription(below)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        box = self.layout()
        return box.heightForWidth(width) if box is not None else super().heightForWidth(width)

    def sizeHint(self) -> QSize:
        box = self.layout()
        return box.sizeHint() if box is not None else super().sizeHint()
