"""A person with a role: initials, name, role. Initials and text carry it; colour only helps."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from hsm_console.domain.people import Role
from ui.texts import role as role_text
from ui.theme.engine import engine
from ui.widgets.basics import label

_SIZE = 36


class _Initials(QWidget):
    def __init__(self, name: str) -> None:
        super().__init__()
        parts = [p for p in name.split() if p[:1].isalpha()]
        self._text = "".join(p[0] for p in (parts[:1] + parts[1:][-1:])).upper() or "?"
        self.setFixedSize(QSize(engine().px(_SIZE), engine().px(_SIZE)))

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(engine().colour("accent"))
        painter.setBrush(engine().colour("accent-wash"))
        painter.drawEllipse(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        font = QFont("IBM Plex Sans")
        font.setPixelSize(engine().px(14))
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(engine().colour("ink"))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._text)
        painter.end()


class PersonChip(QWidget):
    def __init__(self, name: str, role: Role | None = None, *, note: str = "") -> None:
        super().__init__()
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(10))
        box.addWidget(_Initials(name), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label(name, "label"))
        below = " · ".join(part for part in (role_text(role) if role else "", note) if part)
        if below:
            words.addWidget(label(below, "small"))
        box.addLayout(words, 1)
