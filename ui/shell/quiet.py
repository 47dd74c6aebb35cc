"""Whether people are at this screen. While nobody is, it asks the gateway for nothing, so that idle sessions end."""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, QObject
from PySide6.QtWidgets import QWidget

AWAY_SECONDS = 120.0
_HANDS = (QEvent.Type.KeyPress, QEvent.Type.MouseMove, QEvent.Type.MouseButtonPress, QEvent.Type.Wheel)


class Quiet(QObject):
    """Notes when a key was pressed or the mouse moved, and nothing of what was typed."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._watched: QObject | None = None
        self._last = time.monotonic()

    def watch(self) -> None:
        """Begin, when the window is shown: its platform window sees each key once, not each widget."""
        self._last = time.monotonic()
        handle = self._window.windowHandle()
        if handle is not None and handle is not self._watched:
            handle.installEventFilter(self)
            self._watched = handle

    @property
    def away(self) -> bool:
        """Nobody touched anything for AWAY_SECONDS."""
        return time.monotonic() - self._last > AWAY_SECONDS

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:
        if event.type() in _HANDS:
            self._last = time.monotonic()
        return False
