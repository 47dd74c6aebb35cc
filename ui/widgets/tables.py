"""What every table of rows has in common: one row is chosen, the keyboard moves it, Tab leaves it, and it fits."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QTableView

from ui.theme.engine import engine

ROW = 40
_ICON, _LEAST = 18, 110
_ROOT = QModelIndex()
Index = QModelIndex | QPersistentModelIndex


class RowModel(QAbstractTableModel):
    """A table of titled columns over a list. Whoever derives from it tells `data`, and resets around `fill`."""

    def __init__(self, titles: tuple[str, ...] = ()) -> None:
        super().__init__()
        self._titles = titles
        self._count = 0

    def fill(self, count: int, titles: tuple[str, ...] = ()) -> None:
        """Between beginResetModel and endResetModel: so many rows now. titles: others than before, if any."""
        self._count, self._titles = count, titles or self._titles

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else self._count

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._titles)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._titles[section]
        return None


class Rows(QTableView):
    """All columns at every size: room that is left goes to one of them, room that lacks is taken from all."""

    def __init__(self, widths: tuple[int, ...], widest: int, *, name: str, about: str) -> None:
        """widths: of the columns, as wide as they need to be; widest: who gets what is left; about: how it is used."""
        super().__init__()
        self._widths, self._widest = widths, widest
        self.setAccessibleName(name)
        self.setAccessibleDescription(about)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # kinds and ids differ at their ends
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        columns = self.horizontalHeader()
        columns.setSectionsClickable(False)
        columns.setHighlightSections(False)
        columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        engine().changed.connect(self.fit)

    def share(self, widths: tuple[int, ...], widest: int) -> None:
        """Other columns than before."""
        self._widths, self._widest = widths, widest
        self.fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.fit()

    def fit(self) -> None:
        """Rows as high as the text is large, columns as wide as there is room; narrow ones are narrowed last."""
        self.verticalHeader().setDefaultSectionSize(engine().px(ROW))
        self.setIconSize(QSize(engine().px(_ICON), engine().px(_ICON)))
        wanted = [engine().px(width) for width in self._widths]
        left = self.viewport().width() - sum(wanted)
        spare = [max(width - engine().px(_LEAST), 0) for width in wanted]
        lack = min(-left / max(sum(spare), 1), 1.0)
        for column, width in enumerate(wanted):
            more = left if left > 0 and column == self._widest else 0
            less = round(spare[column] * lack) if left < 0 else 0
            self.setColumnWidth(column, width + more - less)
