"""The rooms of the log: its records, what watches it, reports and receipts, what outlives it. A row of links."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QWidget

from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, restyle
from ui.widgets.flow import Flow

RECORDS, ALERTS, RULES, OWN_LOG = "audit", "alerts", "rules", "own-log"
REPORTS, RECEIPTS, KEPT = "reports", "receipts", "kept"


class Rooms(QWidget):
    asked = Signal(str)

    def __init__(self, here: str) -> None:
        super().__init__()
        self.setAccessibleName(tr("Rooms of the log"))
        self._here = here
        self._links: dict[str, QPushButton] = {}
        box = Flow(self, engine().px(4))
        for name, title in _titles().items():
            made = button(title, "tab")
            made.setProperty("here", "true" if name == here else "false")
            made.clicked.connect(lambda _checked=False, name=name: self._go(name))
            self._links[name] = made
            box.addWidget(made)
        self._say(ALERTS, _titles()[ALERTS])

    def show_open(self, count: int) -> None:
        """Alerts that nobody has answered yet: a number, never a colour alone."""
        title = _titles()[ALERTS]
        self._say(ALERTS, tr("{title} ({n} open)", title=title, n=count) if count else title)

    def _say(self, name: str, text: str) -> None:
        made = self._links[name]
        made.setText(text)
        for other, link in self._links.items():
            state = tr("you are here") if other == self._here else ""
            link.setAccessibleName(", ".join(part for part in (link.text(), state) if part))
        restyle(made)

    def _go(self, name: str) -> None:
        if name != self._here:
            self.asked.emit(name)


def _titles() -> dict[str, str]:
    return {
        RECORDS: tr("Records"),
        ALERTS: tr("Alerts"),
        RULES: tr("Rules"),
        OWN_LOG: tr("The module's own log"),
        REPORTS: tr("Reports and copies"),
        RECEIPTS: tr("Check a receipt"),
        KEPT: tr("Anchors and keeping"),
    }
