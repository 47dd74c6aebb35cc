"""A fingerprint as a picture, for those who see a change sooner than they read it.

The walk is OpenSSH's “drunken bishop”: each two bits move a bishop one field over a board of 17 by 9; how often a field
was met is its shade. The picture never stands alone: hex and words beside it are what counts.
"""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from ui.texts import tr
from ui.theme.engine import engine

COLUMNS, ROWS = 17, 9
FIELD = 13
_SHADES = 5  # fields that were met more often look alike


def walk(fingerprint: str) -> tuple[list[list[int]], tuple[int, int]]:
    """How often each field was met, row by row, and where the bishop stands in the end (column, row)."""
    board = [[0] * COLUMNS for _ in range(ROWS)]
    x, y = COLUMNS // 2, ROWS // 2
    for octet in bytes.fromhex(fingerprint):
        for shift in (0, 2, 4, 6):
            step = octet >> shift & 3
            x = min(max(x + (1 if step & 1 else -1), 0), COLUMNS - 1)
            y = min(max(y + (1 if step & 2 else -1), 0), ROWS - 1)
            board[y][x] += 1
    return board, (x, y)


class FingerprintPicture(QWidget):
    def __init__(self, fingerprint: str) -> None:
        super().__init__()
        self._board, self._end = walk(fingerprint)
        self.setAccessibleName(tr("Picture of the fingerprint"))
        self.setAccessibleDescription(tr("It shows the same digits as the hex and the words beside it."))
        self.setFixedSize(self.sizeHint())

    def sizeHint(self) -> QSize:
        return QSize(COLUMNS * engine().px(FIELD) + 2, ROWS * engine().px(FIELD) + 2)

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme, painter = engine(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        edge, gap = theme.px(FIELD), theme.px(1)
        painter.setPen(theme.colour("edge"))
        painter.setBrush(theme.colour("surface"))
        painter.drawRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1))
        painter.setPen(Qt.PenStyle.NoPen)
        for y, line in enumerate(self._board):
            for x, met in enumerate(line):
                if met:
                    colour = theme.colour("accent")
                    colour.setAlphaF(min(met, _SHADES) / _SHADES)
                    painter.setBrush(colour)
                    painter.drawRect(QRectF(1 + x * edge, 1 + y * edge, edge, edge).adjusted(gap, gap, -gap, -gap))
        self._mark(painter, (COLUMNS // 2, ROWS // 2), filled=False)
        self._mark(painter, self._end, filled=True)
        painter.end()

    def _mark(self, painter: QPainter, field: tuple[int, int], *, filled: bool) -> None:
        """Where the walk began (a ring) and ended (a dot): shape, not only shade."""
        edge = engine().px(FIELD)
        inset = edge * 0.28
        spot = QRectF(1 + field[0] * edge, 1 + field[1] * edge, edge, edge).adjusted(inset, inset, -inset, -inset)
        ink = engine().colour("ink")
        painter.setPen(ink)
        painter.setBrush(ink if filled else engine().colour("surface"))
        painter.drawEllipse(spot)
