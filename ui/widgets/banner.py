"""The band on top that says which world this is. Simulation: colour, stripes and words; never colour alone."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame

from hsm_console.domain.messages.session import Workspace
from ui.texts import tr
from ui.theme.engine import engine

HEIGHT = 38
STRIPE = 22


class Banner(QFrame):
    """Hidden until the workspace is known; then it stays, on every page."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._striped = False
        self.setFixedHeight(engine().px(HEIGHT))
        engine().changed.connect(self._restyle)
        self.hide()

    @property
    def text(self) -> str:
        return self._text

    def tell(self, workspace: Workspace) -> None:
        if workspace.simulated:
            self._say(tr("SIMULATION: nothing made here is a real key"), striped=True)
        elif not workspace.production:
            self._say(tr("REHEARSAL: this is not the production environment"), striped=True)
        else:
            self._say(tr("Production: {name}", name=workspace.name), striped=False)

    def _say(self, text: str, *, striped: bool) -> None:
        self._text, self._striped = text, striped
        self.setAccessibleName(text)
        self.show()
        self.update()

    def _restyle(self) -> None:
        self.setFixedHeight(engine().px(HEIGHT))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        theme, painter = engine(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.colour("simulation" if self._striped else "rail"))
        font = QFont("IBM Plex Sans")
        font.setPixelSize(theme.px(15))
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        needed = painter.fontMetrics().horizontalAdvance(self._text) + theme.px(60)
        plate = QRect((self.width() - needed) // 2, 0, needed, self.height())
        if self._striped:
            self._stripes(painter)
            painter.fillRect(plate, theme.colour("simulation"))
        painter.setPen(theme.colour("simulation-ink" if self._striped else "rail-ink"))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, self._text)
        painter.end()

    def _stripes(self, painter: QPainter) -> None:
        step = engine().px(STRIPE)
        painter.setPen(QPen(engine().colour("simulation-ink"), step * 0.42))
        for x in range(-self.height(), self.width() + self.height(), step * 2):
            painter.drawLine(x, self.height() + step, x + self.height() + step * 2, -step)
