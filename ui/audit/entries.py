"""The table of the log: a million rows, of which at most 16,384 are in memory. Pages come in the background.

One request is under way at a time, because a session has one connection; of what is asked meanwhile only the newest
three pages are remembered, so that dragging the scroll bar does not ask for everything it passes. Each page that is
read is recorded in the log as a look: `looks` counts them, so that nobody takes her own looks for news.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QIcon, QPixmap

from hsm_console.client import audit
from hsm_console.client.session import Session
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.audit import EntryPage, EntryRow
from ui import texts
from ui.audit.rows import PAGE, Filter, Rows
from ui.calls import Calls, Lane
from ui.texts import tr
from ui.theme import icons
from ui.theme.engine import engine

NUMBER, WHEN, WHAT, WHO, SIGNED = range(5)
_REMEMBERED = 3
_ICON = 16
AnyIndex = QModelIndex | QPersistentModelIndex


class EntryModel(QAbstractTableModel):
    started = Signal(int)  # the first page is here; entries in the log
    arrived = Signal(int, int)  # rows that were filled: first, last
    failed = Signal(object)  # Problem

    def __init__(self, session: Session, calls: Calls, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self.lane = session, Lane(calls)
        self._rows = Rows(0, Filter())
        self._signed = 0
        self._wanted: list[int] = []
        self._under_way: int | None = None
        self._icons: dict[tuple[str, str], QIcon] = {}
        self.looks = 0
        engine().changed.connect(self._icons.clear)

    # -- what the page asks for -----------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Entries in the log, as far as the table knows."""
        return self._rows.size

    @property
    def chosen(self) -> Filter:
        return self._rows.chosen

    @property
    def complete(self) -> bool:
        """Whether `rowCount` is the whole number: a selection grows while one scrolls."""
        return not self._rows.more

    def start(self, chosen: Filter) -> None:
        """Look anew: drop everything, ask for the newest page of what is chosen."""
        self.lane.forget()
        self._wanted.clear()
        self._under_way = None

        def first(came: EntryPage) -> None:
            self.looks = 1 if came.rows else 0
            self.beginResetModel()
            self._rows = Rows(came.size, chosen)
            self._signed = max((row.seq + 1 for row in came.rows if row.signed), default=self._signed)
            if came.rows or chosen:
                self._rows.take(0 if chosen else self._rows.page_of(0), came)
            self.endResetModel()
            self.started.emit(came.size)

        self.lane.call(partial(_entries, self._session, None, chosen), first, self._refused)

    def grow(self, size: int, signed: int) -> None:
        """The log has `size` entries now. Only for the whole log: a selection is looked at anew instead."""
        self.cover(signed)
        added = size - self._rows.size
        if added <= 0 or self._rows.chosen:
            return
        self.looks = 0
        self.beginInsertRows(QModelIndex(), 0, added - 1)
        self._rows.grow(size)
        self.endInsertRows()

    def cover(self, signed: int) -> None:
        """A signed head covers the first `signed` entries."""
        if signed > self._signed:
            self._signed = signed
            if self.rowCount():
                self.dataChanged.emit(self.index(0, SIGNED), self.index(self.rowCount() - 1, SIGNED), [])

    def entry(self, row: int) -> EntryRow | None:
        """The entry of a row; asks for its page when it is not here."""
        if not 0 <= row < self._rows.count:
            return None
        found = self._rows.at(row)
        if found is None:
            self._want(self._rows.page_of(row))
        return found

    def row_of(self, seq: int) -> int:
        """Row of an entry in the whole log; -1 when it has none here."""
        return self._rows.row_of(seq) if not self._rows.chosen and 0 <= seq < self._rows.size else -1

    def is_signed(self, entry: EntryRow) -> bool:
        return entry.signed or entry.seq < self._signed

    # -- QAbstractTableModel --------------------------------------------------------------------------------

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else self._rows.count

    def columnCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else SIGNED + 1

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole and section == NUMBER:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole or orientation != Qt.Orientation.Horizontal:
            return None
        return (tr("No."), tr("When"), tr("What happened"), tr("Who"), tr("Signed"))[section]

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole:
            entry = self.entry(index.row())
            return self._text(entry, index.column()) if entry is not None else "…"
        if role == Qt.ItemDataRole.DecorationRole and index.column() in (WHAT, SIGNED):
            entry = self.entry(index.row())
            return self._mark(entry, index.column()) if entry is not None else None
        if role in (Qt.ItemDataRole.AccessibleTextRole, Qt.ItemDataRole.ToolTipRole):
            entry = self.entry(index.row())
            if entry is None:
                return tr("still being read") if role == Qt.ItemDataRole.AccessibleTextRole else None
            return self.spoken(entry) if role == Qt.ItemDataRole.AccessibleTextRole else entry.summary
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == NUMBER:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def canFetchMore(self, parent: AnyIndex) -> bool:
        return not parent.isValid() and self._rows.more

    def fetchMore(self, parent: AnyIndex) -> None:
        if self.canFetchMore(parent):
            self._want(self._rows.next_page)

    def spoken(self, entry: EntryRow) -> str:
        """One row as a screen reader says it."""
        parts = [
            tr("Record {n}", n=entry.seq),
            texts.moment(entry.time_ms),
            entry.who or tr("the workstation"),
            tr("did not succeed") if entry.status == "failure" else "",
            entry.summary.rstrip("."),
            self._text(entry, SIGNED),
        ]
        return ", ".join(part for part in parts if part)

    # -- inside ---------------------------------------------------------------------------------------------

    def _text(self, entry: EntryRow, column: int) -> str:
        if column == SIGNED:
            return tr("signed") if self.is_signed(entry) else tr("not yet")
        if column == WHEN:
            return texts.moment(entry.time_ms).rsplit(" ", 1)[0]
        if column == WHO:
            return entry.who or tr("the workstation")
        return str(entry.seq) if column == NUMBER else entry.summary

    def _mark(self, entry: EntryRow, column: int) -> QIcon | None:
        if column == SIGNED:
            return self._icon("check", "good") if self.is_signed(entry) else self._icon("ring", "ink-soft")
        return self._icon("alert", "bad") if entry.status == "failure" else None

    def _icon(self, name: str, token: str) -> QIcon:
        found = self._icons.get((name, token))
        if found is None:
            theme, edge = engine().theme, engine().px(_ICON)
            found = QIcon(_pixmap(name, theme[token], edge))
            found.addPixmap(_pixmap(name, theme["accent-ink"], edge), QIcon.Mode.Selected)
            self._icons[(name, token)] = found
        return found

    def _want(self, page: int) -> None:
        if page == self._under_way or (self._wanted and self._wanted[-1] == page):
            return
        if page in self._wanted:
            self._wanted.remove(page)
        self._wanted = [*self._wanted[-(_REMEMBERED - 1) :], page]
        self._go_on()

    def _go_on(self) -> None:
        if self._under_way is not None or not self._wanted:
            return
        page = self._under_way = self._wanted.pop()
        work = partial(_entries, self._session, self._rows.before(page), self._rows.chosen)
        self.lane.call(work, partial(self._came, page), self._did_not)

    def _came(self, page: int, came: EntryPage) -> None:
        self._under_way = None
        self.looks += 1 if came.rows else 0
        if self._rows.chosen and page == self._rows.next_page:
            if came.rows:
                count = self._rows.count
                self.beginInsertRows(QModelIndex(), count, count + len(came.rows) - 1)
                span = self._rows.take(page, came)
                self.endInsertRows()
            else:
                span = self._rows.take(page, came)
        else:
            span = self._rows.take(page, came)
        first, last = span
        if last >= first:
            self.dataChanged.emit(self.index(first, 0), self.index(last, SIGNED), [])
        self.arrived.emit(first, last)
        self._go_on()

    def _did_not(self, problem: Problem) -> None:
        """Nothing is asked again by itself: the page offers to look anew."""
        self._under_way = None
        self._wanted.clear()
        self._refused(problem)

    def _refused(self, problem: Problem) -> None:
        self.failed.emit(problem)


def _entries(session: Session, before: int | None, chosen: Filter) -> EntryPage:
    return audit.entries(session, before=before, limit=PAGE, **asdict(chosen))


def _pixmap(name: str, colour: str, edge: int) -> QPixmap:
    return icons.pixmap(name, colour, edge, 2.0)
