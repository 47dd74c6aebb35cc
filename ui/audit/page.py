"""The log: every record of this workspace, newest first; one record in words; verification and receipts.

The page drives itself: it takes a session and makes its calls in the background. It asks for the head every two
seconds without letting the gateway wait, because a session has one connection and a click would stand behind it.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from hsm_console.client import audit, ceremonies
from hsm_console.client.session import Session
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.audit import EntryDetail, Head, VerifyProgress
from hsm_console.domain.messages.ceremony import ReceiptView
from ui.audit.entries import EntryModel
from ui.audit.filters import FilterBar
from ui.audit.panels import RECORD, VERIFICATION, SidePanel
from ui.audit.rooms import RECORDS, Rooms
from ui.audit.rows import Filter
from ui.audit.table import EntryTable
from ui.calls import Calls, Lane
from ui.saving import write
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, label, row
from ui.widgets.beside import Beside
from ui.widgets.busy import BusyButton

WIDTH = 2000
HEAD_MS = 2000
PROGRESS_MS = 400
_LEAST, _SIDE, _HIGH = 600, 436, 280  # widths of the table and of what stands beside it, and the least height


class AuditPage(Page):
    room_asked = Signal(str)  # another room of the log

    def __init__(self, session: Session, calls: Calls, *, at: int = -1) -> None:
        """at: number of the record to begin with."""
        super().__init__(
            tr("The log"),
            tr("Everything that was asked and done, newest first. Looking is recorded, too."),
            width=WIDTH,
        )
        self._session, self._lane = session, Lane(calls)
        self.model = EntryModel(session, calls, self)
        self.destroyed.connect(self._lane.forget)  # late answers have nobody to tell
        self.destroyed.connect(self.model.lane.forget)
        self._jump_to = at
        self._stopped = False
        self._begun = False
        self.rooms = Rooms(RECORDS)
        self.rooms.asked.connect(self.room_asked)
        self.body.insertWidget(0, self.rooms)
        self.filters = FilterBar()
        self.add(self.filters)
        self.add(self._news_line())
        self.add(self._middle_part())
        self._stretch()
        self.again = button(tr("&Look anew"))
        self.again.clicked.connect(self.look_anew)
        self.verify = BusyButton(tr("&Verify the whole log"))
        self.verify.pressed.connect(self.start_verification)
        self.aside(self.again)
        self.act(self.verify)
        self.first = self.table
        self._clock = QTimer(self)
        self._clock.setInterval(HEAD_MS)
        self._clock.timeout.connect(self.ask_head)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Refresh), self, self.look_anew)
        self._connect()

    # -- the table ------------------------------------------------------------------------------------------

    def look_anew(self) -> None:
        self.problem.clear()
        self.side.problem.clear()
        chosen = self.filters.filter
        if chosen is not None:
            self._say_waiting()
            self.model.start(chosen)

    def go_to(self, seq: int) -> None:
        """Show the record with this number; a filter that stands in the way is taken off."""
        if self.model.chosen:
            self.filters.show_everything()
            self._jump_to = seq
            self.model.start(Filter())
            return
        if seq >= self.model.size:
            self.filters.number.show_error(tr("The newest is {n}.", n=self.model.size - 1))
            return
        self.side.turn(RECORD)
        self.table.jump(self.model.row_of(seq))
        self.table.setFocus()

    def ask_head(self) -> None:
        after = self.model.size - 1
        self._lane.call(partial(audit.head, self._session, after=after), self.show_head, self._head_failed)

    def show_head(self, head: Head) -> None:
        """News come by themselves while nobody has scrolled away from the top; else a button offers them.

        Looks never count as news for themselves: two screens that watch each other would fill the log.
        """
        self.model.cover(head.checkpoint_size)
        news = head.size - self.model.size - self.model.looks
        if news > 0 and head.last_kind != "log-viewed" and self.table.at_top and not self.model.chosen:
            self.model.grow(head.size, head.checkpoint_size)
            news = 0
        self.news.setVisible(news > 0)
        text = tr("Show one new record") if news == 1 else tr("Show {n} new records", n=news)
        self.news.setText(text)
        self.news.setAccessibleName(text)
        self._count()

    # -- verification ---------------------------------------------------------------------------------------

    def start_verification(self) -> None:
        self.verify.start()
        self._stopped = False
        self.side.turn(VERIFICATION)
        self._bring()
        self._lane.call(partial(audit.start_verification, self._session), self._verified, self._verification_failed)

    def _ask_verification(self) -> None:
        self._lane.call(partial(audit.verification, self._session), self._verified, self._verification_failed)

    def _stop_verification(self) -> None:
        self._stopped = True
        self._lane.call(partial(audit.stop_verification, self._session), self._verified, self._verification_failed)

    def _verified(self, progress: VerifyProgress) -> None:
        if self._stopped and not progress.running and progress.report is None:
            self.verify.stop()
            self.side.verification.show_stopped()
        elif progress.running:
            self.side.verification.show_progress(progress)
            QTimer.singleShot(PROGRESS_MS, self, self._ask_verification)
        elif progress.report is None:
            self._verification_failed(_no_result())
        else:
            self.verify.stop()
            self.side.verification.show_report(progress.report)

    def _verification_failed(self, problem: Problem) -> None:
        self.verify.stop()
        self.side.verification.show_problem(problem)

    # -- inside ---------------------------------------------------------------------------------------------

    def _news_line(self) -> QWidget:
        holder = QWidget()
        self.count = label(tr("Asking the gateway."), "hint")
        self.count.setWordWrap(False)
        self.news = button("", "link")
        self.news.clicked.connect(self._show_news)
        self.news.hide()
        holder.setLayout(row(self.count, self.news))
        holder.setMinimumHeight(engine().px(34))
        return holder

    def _middle_part(self) -> QWidget:
        self.table = EntryTable(self.model)
        self._empty = QWidget()
        box = QVBoxLayout(self._empty)
        box.addStretch(1)
        self._empty_text = label(tr("Asking the gateway."), "heading")
        self._empty_text.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._everything = button(tr("Show &everything"))
        self._everything.clicked.connect(self._show_everything)
        self._everything.hide()
        box.addWidget(self._empty_text)
        box.addWidget(self._everything, 0, Qt.AlignmentFlag.AlignCenter)
        box.addStretch(2)
        self._middle = QStackedWidget()
        self._middle.addWidget(self.table)
        self._middle.addWidget(self._empty)
        self.side = SidePanel()
        self.beside = Beside(self._middle, self.side, least=_LEAST, width=_SIDE, height=_HIGH)
        return self.beside

    def _stretch(self) -> None:
        """The table takes the height that is left, instead of ending where its rows end."""
        inner = self._body.layout()
        if isinstance(inner, QBoxLayout):
            inner.setStretch(0, 1)
            inner.setStretch(1, 0)
        self.body.setStretch(self.body.count() - 1, 1)
        self.body.setSpacing(engine().px(10))

    def _connect(self) -> None:
        self.filters.chosen.connect(lambda _filter: self.look_anew())
        self.filters.number_asked.connect(self.go_to)
        self.model.started.connect(self._started)
        self.model.arrived.connect(self._arrived)
        self.model.failed.connect(self._failed_to_read)
        self.table.moved.connect(self._moved)
        self.table.opened.connect(self._open_row)
        self.side.detail.record_asked.connect(self._open)
        self.side.detail.receipt_asked.connect(self._make_receipt)
        self.side.verification.entry_asked.connect(self.go_to)
        self.side.verification.stop_asked.connect(self._stop_verification)
        self.filters.unfold.toggled.connect(self._ask_ceremonies)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._begun:
            self._begun = True
            self.model.start(Filter())
        self._clock.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._clock.stop()

    def _ask_ceremonies(self, shown: bool) -> None:
        if shown:
            self._lane.call(partial(ceremonies.listed, self._session), self.filters.more.show_ceremonies, self.tell)

    def _show_everything(self) -> None:
        self.filters.show_everything()
        self.look_anew()
        self.table.setFocus()

    def _show_news(self) -> None:
        self.news.hide()
        if self.model.chosen:
            self.look_anew()
        else:
            self._lane.call(partial(audit.head, self._session), self._grow, self._failed)

    def _grow(self, head: Head) -> None:
        self.model.grow(head.size, head.checkpoint_size)
        self.table.scrollToTop()
        self._count()

    def _started(self, _size: int) -> None:
        some = self.model.rowCount() > 0
        self._middle.setCurrentWidget(self.table if some else self._empty)
        if not some:
            self._empty_text.setText(tr("No record fits what you look for"))
            self._everything.setVisible(bool(self.model.chosen))
        self.news.hide()
        self.side.detail.show_nothing()
        self._count()
        if self._jump_to >= 0:
            seq, self._jump_to = self._jump_to, -1
            self.go_to(seq)

    def _say_waiting(self) -> None:
        self._everything.hide()
        self._empty_text.setText(tr("Asking the gateway."))
        self.count.setText(tr("Asking the gateway."))

    def _count(self) -> None:
        n = self.model.rowCount()
        if not self.model.chosen:
            self.count.setText(tr("{n} records", n=f"{n:,}"))
        elif self.model.complete:
            self.count.setText(tr("{n} of {m} records fit", n=f"{n:,}", m=f"{self.model.size:,}"))
        else:
            self.count.setText(tr("The newest {n} that fit; more come as you scroll", n=f"{n:,}"))

    def _arrived(self, first: int, last: int) -> None:
        self._count()
        if first <= self.table.row <= last and self.side.detail.seq < 0:
            self._moved(self.table.row)

    def _moved(self, at: int) -> None:
        entry = self.model.entry(at)
        if entry is None:
            self.side.detail.show_nothing()
        elif entry.seq != self.side.detail.seq:
            self.side.problem.clear()
            self.side.detail.show_row(entry, signed=self.model.is_signed(entry))
        self.side.turn(RECORD)

    def _open_row(self, at: int) -> None:
        entry = self.model.entry(at)
        if entry is not None:
            self._open(entry.seq)

    def _open(self, seq: int) -> None:
        self.side.problem.clear()
        self.side.detail.start()
        self._lane.call(partial(audit.entry, self._session, seq), self._show_record, self._side_failed)

    def _show_record(self, detail: EntryDetail) -> None:
        self.model.looks += 1
        if detail.row.seq == self.side.detail.seq:
            self.side.detail.show_record(detail, signed=self.model.is_signed(detail.row))
            self._bring()

    def _bring(self) -> None:
        """What stands below the table is brought into sight when it was asked for."""
        if self.beside.stacked:
            self.area.ensureWidgetVisible(self.side)

    def _make_receipt(self, seq: int) -> None:
        self.side.problem.clear()
        self.side.detail.start()
        self._lane.call(partial(audit.make_receipt, self._session, seq), self._show_receipt, self._side_failed)

    def _show_receipt(self, receipt: ReceiptView) -> None:
        self.side.detail.stop()
        self.side.show_receipt(receipt).save_asked.connect(self._save)
        self._bring()

    def _save(self, seq: int, form: str, path: object) -> None:
        if isinstance(path, Path):
            work = partial(_save_receipt, self._session, seq, form, path)
            self._lane.call(work, self._saved, self._side_failed, guard=tr("A receipt is being saved."))

    def _saved(self, path: Path) -> None:
        if self.side.receipt is not None:
            self.side.receipt.saved(path)

    def _side_failed(self, problem: Problem) -> None:
        self.side.detail.stop()
        self.side.tell(problem)
        self._bring()

    def _failed_to_read(self, problem: object) -> None:
        if isinstance(problem, Problem):
            self._failed(problem)

    def _failed(self, problem: Problem) -> None:
        if not self.model.rowCount():
            self._middle.setCurrentWidget(self._empty)
            self._empty_text.setText(tr("The log could not be read"))
            self.count.setText("")
        self.tell(problem)

    def _head_failed(self, problem: Problem) -> None:
        """Said once: the page asks again when the person looks anew."""
        self._clock.stop()
        self.tell(problem)


def _save_receipt(session: Session, seq: int, form: str, path: Path) -> Path:
    """Raises ConsoleError: the gateway's, or `file-not-written`."""
    return write(path, audit.receipt_file(session, seq, form))


def _no_result() -> Problem:
    return Problem(
        code="verification-no-result",
        what=tr("The verification ended without a result."),
        todo=tr("Start it again. If that happens twice, verify with the command line: hsm-console audit verify."),
    )
