"""The modules of the workspace, one below the other: how each one is, who serves, where the keys lie."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.devices import DeviceRow, FleetView
from ui.devices import fleet_words as words
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, clear, label
from ui.widgets.busy import BusyButton
from ui.widgets.problem import notice
from ui.widgets.tile import Tile


class FleetPage(Page):
    """It looks again by itself while it is shown; texts change in place and nobody's focus moves."""

    opened = Signal(str)  # name of a module
    refresh_asked = Signal()
    add_asked = Signal()
    compare_asked = Signal()

    def __init__(self, may: frozenset[str], *, news: str = "") -> None:
        """may: of change (add and take off), compare (read the keys of all). The gateway checks it again."""
        super().__init__(tr("Modules"), tr("The hardware that holds the keys. Each one has a PIN of its own."))
        if news:
            self.add(notice(news, look="done", icon="check", colour="good"))
        self._above, self._list = QVBoxLayout(), QVBoxLayout()
        self._list.setSpacing(engine().px(12))
        self.add(self._above)
        self.add(self._list)
        self._list.addWidget(label(tr("Asking the gateway."), "hint"))
        self._region = label("", "hint")
        self.add(self._region)
        self._tiles: dict[str, Tile] = {}
        self._said: words.Said | None = None
        self.refresh = BusyButton(tr("Look &again"), "")
        self.refresh.pressed.connect(self._look_again)
        self.more = button(tr("Add a &module…"))
        self.more.clicked.connect(self.add_asked)
        self.compare = button(tr("&Compare their keys…"))
        self.compare.clicked.connect(self.compare_asked)
        self.aside(self.refresh)
        self.act(self.more, self.compare)
        self.more.setVisible("change" in may)
        self.compare.setVisible("compare" in may)
        self.first: QWidget | None = self.refresh

    def show_fleet(self, fleet: FleetView) -> None:
        self.refresh.stop()
        self._tell_above(words.failover(fleet))
        region = tr("This gateway stands in the region “{region}” and prefers modules there.", region=fleet.region)
        self._region.setText(region if fleet.region else "")
        self._region.setVisible(bool(fleet.region))
        if list(self._tiles) != [row.name for row in fleet.devices]:
            self._build(fleet.devices)
        for row in fleet.devices:
            said = words.state(row)
            self._tiles[row.name].tell(words.title(row), words.line(row), icon=said.icon, colour=said.colour)

    def refuse(self, problem: Problem) -> None:
        self.refresh.stop()
        self.tell(problem)

    def _tell_above(self, said: words.Said) -> None:
        if said == self._said:
            return
        self._said = said
        clear(self._above)
        self._above.addWidget(notice(said.words, look=said.look, icon=said.icon, colour=said.colour))

    def _build(self, rows: tuple[DeviceRow, ...]) -> None:
        with self.focus_kept(*(() if self._tiles else (self.refresh.button,))):
            clear(self._list)
            self._tiles = {}
            for row in rows:
                tile = Tile("", "")
                tile.clicked.connect(lambda _checked=False, name=row.name: self.opened.emit(name))
                self._tiles[row.name] = tile
                self._list.addWidget(tile)
            self.first = next(iter(self._tiles.values()), self.refresh)

    def _look_again(self) -> None:
        self.problem.clear()
        self.refresh.start()
        self.refresh_asked.emit()
