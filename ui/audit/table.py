"""The view of the log's table: fixed rows, no measuring of contents, so that a million rows cost what thirty do."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from ui.audit.entries import WHAT, WHO, EntryModel
from ui.texts import tr
from ui.theme.engine import engine

ROW, ICON = 38, 16
_WIDTHS = (72, 186, 400, 170, 102)
_ROOM_FOR_WHO = 820  # below that the sentence says it alone


class EntryTable(QTableView):
    opened = Signal(int)  # row; a click or Enter: the person wants the whole record
    moved = Signal(int)  # row; the keyboard stands on another record

    def __init__(self, model: EntryModel) -> None:
        super().__init__()
        self.setModel(model)
        self.setAccessibleName(tr("Records of the log, newest first"))
        self.setAccessibleDescription(tr("Up and Down move, Enter opens the record."))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerItem)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        rows = self.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        columns = self.horizontalHeader()
        columns.setSectionsClickable(False)
        columns.setHighlightSections(False)
        columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        columns.setSectionResizeMode(WHAT, QHeaderView.ResizeMode.Stretch)
        self.clicked.connect(lambda index: self.opened.emit(index.row()))
        self._measure()
        engine().changed.connect(self._measure)

    def _measure(self) -> None:
        width, line, focus = engine().px(3), engine().theme["line"], engine().theme["focus"]
        # As wide with the focus as without it: a border that grows would lie over the rows.
        plain = f"QTableView {{ border: {width}px solid {line}; outline: none; }}"
        self.setStyleSheet(f"{plain} QTableView:focus {{ border-color: {focus}; }}")
        self.verticalHeader().setDefaultSectionSize(engine().px(ROW))
        self.setIconSize(QSize(engine().px(ICON), engine().px(ICON)))
        for column, width in enumerate(_WIDTHS):
            if column != WHAT:
                self.setColumnWidth(column, engine().px(width))

    def jump(self, row: int) -> None:
        """Show a row in the middle and make it the chosen one."""
        index = self.model().index(row, WHAT)
        self.setCurrentIndex(index)
        self.scrollTo(index, QAbstractItemView.ScrollHint.PositionAtCenter)

    @property
    def row(self) -> int:
        """The chosen row, -1 when there is none."""
        return self.currentIndex().row()

    @property
    def at_top(self) -> bool:
        return self.verticalScrollBar().value() == 0

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.setColumnHidden(WHO, self.width() < engine().px(_ROOM_FOR_WHO))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.row >= 0:
            self.opened.emit(self.row)
            return
        super().keyPressEvent(event)

    def currentChanged(
        self, current: QModelIndex | QPersistentModelIndex, previous: QModelIndex | QPersistentModelIndex
    ) -> None:
        super().currentChanged(current, previous)
        if current.isValid():
            self.moved.emit(current.row())
