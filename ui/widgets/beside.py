"""Two parts side by side while there is room for both, and one below the other where text is large or screens small."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QBoxLayout, QWidget

from ui.theme.engine import engine

SPACE = 14
_NO_LIMIT = 16_777_215  # QWIDGETSIZE_MAX, which the binding does not name


class Beside(QWidget):
    def __init__(self, main: QWidget, side: QWidget, *, least: int, width: int, height: int) -> None:
        """least: width that the main part needs; width: of the side part; height: of each when they are stacked."""
        super().__init__()
        self._side, self._least, self._width, self._height = side, least, width, height
        self._box = QBoxLayout(QBoxLayout.Direction.LeftToRight, self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(engine().px(SPACE))
        self._box.addWidget(main, 1)
        self._box.addWidget(side)
        main.setMinimumHeight(engine().px(height))
        self._place(stacked=False)

    @property
    def stacked(self) -> bool:
        return self._box.direction() is QBoxLayout.Direction.TopToBottom

    def minimumSizeHint(self) -> QSize:
        """As narrow as one of the two: it turns before anything is cut off."""
        return QSize(
            min(engine().px(self._width), super().minimumSizeHint().width()), super().minimumSizeHint().height()
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        stacked = event.size().width() < engine().px(self._least + SPACE + self._width)
        if stacked is not self.stacked:
            self._place(stacked=stacked)

    def _place(self, *, stacked: bool) -> None:
        way = QBoxLayout.Direction.TopToBottom if stacked else QBoxLayout.Direction.LeftToRight
        self._box.setDirection(way)
        self._side.setMinimumWidth(0 if stacked else engine().px(self._width))
        self._side.setMaximumWidth(_NO_LIMIT if stacked else engine().px(self._width))
        self._side.setMinimumHeight(engine().px(self._height) if stacked else 0)
