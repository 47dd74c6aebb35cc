"""A button that starts something slow: nothing under 100 ms, an indicator after 1 s, never pressed twice."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, label

INDICATOR_MS = 1000
TICK_MS = 500


class BusyButton(QWidget):
    """The act of a page. It keeps the keyboard's focus while it works, and ignores further presses."""

    pressed = Signal()  # the person asks for the act; never emitted while it runs

    def __init__(self, text: str, look: str = "act", *, stoppable: str = "") -> None:
        """stoppable: what is said about stopping while it runs."""
        super().__init__()
        self.button: QPushButton = button(text, look)
        self._stoppable = stoppable
        self._since = 0.0
        self._working = False
        self._bar = QProgressBar()
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._bar.setFixedWidth(engine().px(90))
        self._bar.setAccessibleName(tr("Working"))
        self._said = label("", "hint")
        self._said.setWordWrap(False)
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(10))
        for part in (self._said, self._bar, self.button):
            box.addWidget(part)
        self._bar.hide()
        self._said.hide()
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self.button.clicked.connect(self._clicked)
        self.setFocusProxy(self.button)

    @property
    def working(self) -> bool:
        return self._working

    def set_text(self, text: str) -> None:
        self.button.setText(text)
        self.button.setAccessibleName(text.replace("&", ""))

    def set_allowed(self, allowed: bool) -> None:
        self.button.setEnabled(allowed)

    def start(self) -> None:
        self._working = True
        self._since = time.monotonic()
        self._timer.start()

    def stop(self) -> None:
        self._working = False
        self._timer.stop()
        self._bar.hide()
        self._said.hide()

    def _clicked(self) -> None:
        if not self._working:
            self.pressed.emit()

    def _tick(self) -> None:
        seconds = time.monotonic() - self._since
        if seconds * 1000 < INDICATOR_MS:
            return
        said = tr("Working, {n} s.", n=int(seconds))
        self._said.setText(f"{said} {self._stoppable}".strip())
        self._said.show()
        self._bar.show()
