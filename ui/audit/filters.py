"""What part of the log is shown, and the way to one record by its number."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from ui.audit.kinds import kinds
from ui.audit.more import MoreFilters
from ui.audit.rows import Filter
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button
from ui.widgets.field import FormField, choice, line

_NUMBER_WIDTH = 130


class FilterBar(QWidget):
    """Filters work when they are asked for, not at each key: every look at the log is recorded in it."""

    chosen = Signal(object)  # Filter
    number_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Filters"))
        items: list[tuple[str, object]] = [(tr("Everything"), "")]
        items += [(words, tag) for tag, words in kinds().items()]
        self.kind = choice(tr("&Show"), items)
        self.who = line(tr("&Who"), placeholder=tr("name"))
        self.text = line(tr("With these wor&ds"), placeholder=tr("part of the sentence"))
        self.apply = button(tr("&Filter"))
        self.number = line(tr("&Go to record"), placeholder=tr("number"))
        self.go = button(tr("G&o"), name=tr("Go to that record"))
        self.unfold = button(tr("&More"), "link", name=tr("More filters: outcome, ceremony, days"))
        self.unfold.setCheckable(True)
        self.more = MoreFilters()
        self.more.hide()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(engine().px(10))
        box = QHBoxLayout()
        box.setSpacing(engine().px(12))
        outer.addLayout(box)
        outer.addWidget(self.more)
        for part, share in ((self.kind, 3), (self.who, 2), (self.text, 3), (self.apply, 0), (self.unfold, 0)):
            box.addWidget(part, share, self._edge(part))
        box.addSpacing(engine().px(12))
        self.number.setFixedWidth(engine().px(_NUMBER_WIDTH))
        for part in (self.number, self.go):
            box.addWidget(part, 0, self._edge(part))
        self.apply.clicked.connect(self._choose)
        self.unfold.toggled.connect(self._unfold)
        self.more.asked.connect(self._choose)
        self.go.clicked.connect(self._ask)
        for field, slot in ((self.who, self._choose), (self.text, self._choose), (self.number, self._ask)):
            if isinstance(field.control, QLineEdit):
                field.control.returnPressed.connect(slot)
        combo = self.kind.control
        if isinstance(combo, QComboBox):
            combo.setMaxVisibleItems(16)
            combo.activated.connect(lambda _index: self._choose())

    @property
    def filter(self) -> Filter | None:
        """What is chosen; None when a day cannot be read."""
        combo = self.kind.control
        tag = str(combo.currentData()) if isinstance(combo, QComboBox) else ""
        more = self.more.chosen()
        return None if more is None else Filter(tag, self.who.text().strip(), self.text.text().strip(), **more)

    def show_everything(self) -> None:
        combo = self.kind.control
        if isinstance(combo, QComboBox):
            combo.setCurrentIndex(0)
        self.who.set_text("")
        self.text.set_text("")
        self.more.clear()

    @staticmethod
    def _edge(part: QWidget) -> Qt.AlignmentFlag:
        """Buttons stand on the line of the controls, not of the labels above them."""
        return Qt.AlignmentFlag.AlignTop if isinstance(part, FormField) else Qt.AlignmentFlag.AlignBottom

    def _unfold(self, shown: bool) -> None:
        self.more.setVisible(shown)
        self.unfold.setText(tr("&Fewer") if shown else tr("&More"))
        if not shown:
            self.more.clear()

    def _choose(self) -> None:
        chosen = self.filter
        if chosen is not None:
            self.chosen.emit(chosen)

    def _ask(self) -> None:
        self.number.clear_error()
        text = self.number.text().strip()
        if not text.isascii() or not text.isdecimal():
            self.number.show_error(tr("Type a number."))
            self.number.setFocus()
            return
        self.number_asked.emit(int(text))
