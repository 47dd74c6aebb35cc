"""Which keys lie where: every unlocked module was read, and what is not as it should be stands first."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.devices import ClusterKey, FleetView
from ui import texts
from ui.devices import fleet_words as words
from ui.shell.page import Page
from ui.texts import tr
from ui.theme import icons
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, pairs, row
from ui.widgets.busy import BusyButton
from ui.widgets.problem import notice
from ui.widgets.tables import ROW, Index, RowModel, Rows

WIDTH = 1180
NAME, KIND, WHERE, FOUND = range(4)
_WIDTHS = (240, 190, 300, 330)


class ComparedModel(RowModel):
    def __init__(self) -> None:
        super().__init__((tr("Name"), tr("Kind"), tr("It lies on"), tr("What was found")))
        self.keys: list[ClusterKey] = []
        self._called: dict[str, str] = {}

    def tell(self, fleet: FleetView) -> None:
        self.beginResetModel()
        self._called = words.names(fleet)
        self.keys = sorted(fleet.keys, key=lambda key: (words.is_right(key), not (key.different or key.foreign)))
        self.fill(len(self.keys))
        self.endResetModel()

    def verdict(self, key: ClusterKey) -> words.Said:
        return words.verdict(key, self._called)

    def where(self, key: ClusterKey) -> str:
        return words.where(key, self._called)

    def called(self, name: str) -> str:
        return self._called.get(name, name)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        key = self.keys[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            cells = (key.label, texts.algorithm(key.algorithm), self.where(key), self.verdict(key).words)
            return cells[index.column()]
        if role == Qt.ItemDataRole.DecorationRole and index.column() == FOUND:
            said = self.verdict(key)
            return icons.chosen(said.icon, engine().theme[said.colour], engine().theme["accent-ink"])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{key.label}, {self.verdict(key).words}"
        return None


class ComparePage(Page):
    compare_asked = Signal()
    copy_asked = Signal(object, str)  # ClusterKey, name of the module where it is missing
    left = Signal()

    def __init__(self, *, may_copy: bool = False) -> None:
        """may_copy: this person may ask that a key is copied; the gateway checks it again."""
        lead = tr("Each key is held against the log by its public key, never by its name. Locked modules are not read.")
        super().__init__(tr("Which keys lie where"), lead, eyebrow=tr("Modules"), width=WIDTH)
        self._may_copy = may_copy
        self._said, self._one = QVBoxLayout(), QVBoxLayout()
        self.add(self._said)
        self._when = label("", "hint")
        self.add(self._when)
        self.model = ComparedModel()
        about = tr("Up and Down move; what was found of a key stands below the table.")
        self.table = Rows(_WIDTHS, FOUND, name=tr("Keys and the modules where they lie"), about=about)
        self.table.setModel(self.model)
        self.table.setMinimumHeight(engine().px(ROW * 7))
        self.table.selectionModel().currentRowChanged.connect(lambda now, _before: self._tell(now))
        self.add(self.table)
        self.add(self._one)
        back = button(tr("&Back to the modules"))
        back.clicked.connect(self.left)
        self.main = BusyButton(tr("&Compare now"))
        self.main.pressed.connect(self._go)
        self.aside(back)
        self.act(self.main)
        self.first = self.main

    def show_fleet(self, fleet: FleetView) -> None:
        self.main.stop()
        clear(self._said)
        clear(self._one)
        self.table.setVisible(bool(fleet.keys))
        self.model.tell(fleet)
        if not fleet.compared_ms:
            self._when.setText(tr("Nobody has compared them since the gateway started."))
            return
        self._when.setText(tr("Compared {when}", when=texts.moment(fleet.compared_ms)))
        said = words.found(fleet.keys)
        self._said.addWidget(notice(said.words, look=said.look, icon=said.icon, colour=said.colour))

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _tell(self, index: QModelIndex) -> None:
        """The chosen key in full, below the table."""
        clear(self._one)
        if not index.isValid():
            return
        key = self.model.keys[index.row()]
        frame, box = card()
        box.addWidget(label(key.label, "heading"))
        facts = [
            (tr("What was found"), self.model.verdict(key).words),
            (tr("It lies on"), self.model.where(key)),
            (tr("Fingerprint"), texts.digest(key.fingerprint) if key.fingerprint else tr("a secret key has none")),
            (tr("Its id"), texts.grouped(key.object_id)),
            (tr("A copy elsewhere"), key.how or tr("not told")),
        ]
        box.addWidget(pairs(facts))
        if self._may_copy and key.replicable:
            box.addLayout(row(*(self._copy(key, name) for name in key.missing)))
        self._one.addWidget(frame)

    def _copy(self, key: ClusterKey, name: str) -> QPushButton:
        made = button(tr("Ask for a copy on “{name}”…", name=self.model.called(name)))
        made.clicked.connect(lambda _checked=False: self.copy_asked.emit(key, name))
        return made

    def _go(self) -> None:
        self.problem.clear()
        self.main.start()
        self.compare_asked.emit()
