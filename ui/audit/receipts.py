"""A receipt that somebody brings: what it proves in words, and what it does not."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from hsm_console.client import reporting
from hsm_console.client.session import Session
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.reporting import CheckedFile, CheckedReceipt
from ui import texts
from ui.audit.rooms import RECEIPTS, Rooms
from ui.calls import Calls, Lane
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, pairs, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import FormField
from ui.widgets.file_field import FileField
from ui.widgets.problem import ProblemPanel

_PATTERN = "Receipts (*.png *.pdf *.tlog-proof *.txt *.jpg *.jpeg *.tif *.tiff)"


class CheckReceiptPage(Page):
    room_asked = Signal(str)
    record_asked = Signal(int)

    def __init__(self, session: Session, calls: Calls) -> None:
        super().__init__(
            tr("Check a receipt"),
            tr("A printed page that was scanned, a picture of its code, the proof file, or the code's text."),
            width=900,
        )
        self._session, self._lane = session, Lane(calls)
        self.destroyed.connect(self._lane.forget)
        self.rooms = Rooms(RECEIPTS)
        self.rooms.asked.connect(self.room_asked)
        self.body.insertWidget(0, self.rooms)
        self.file = FileField(tr("The &file"), hint=tr("Picture, PDF, .tlog-proof or text."), pattern=_PATTERN)
        self.add(self.file)
        area = QPlainTextEdit()
        area.setTabChangesFocus(True)
        area.setFixedHeight(engine().px(96))
        area.setPlaceholderText("HSM1:…")
        self.text = FormField(tr("Or the &text of the code"), area, hint=tr("What a hand scanner types."))
        self._area = area
        self.add(self.text)
        self._results = QVBoxLayout()
        self._results.setSpacing(engine().px(14))
        self.add(self._results)
        self.main = BusyButton(tr("&Check the receipt"))
        self.main.pressed.connect(self._go)
        self.act(self.main)
        self.first = self.file

    def show_results(self, found: CheckedFile) -> None:
        self.main.stop()
        self.problem.clear()
        clear(self._results)
        parts = [self._result(one) for one in found.receipts]
        for part in parts:
            self._results.addWidget(part)
        if parts:
            parts[0].setFocus()
            self.reveal(parts[0])

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        clear(self._results)
        self.tell(problem)

    def _go(self) -> None:
        self.text.clear_error()
        self.file.field.clear_error()
        path, text = self.file.path(), self._area.toPlainText().strip()
        if path is None and not text:
            self.file.refuse(tr("Choose a file, or put in the text of the code."))
            return
        if path is not None and text:
            self.text.show_error(tr("One at a time: empty this field, or the one above."))
            return
        self.main.start()
        work = (
            partial(reporting.check_receipt, self._session, path)
            if path is not None
            else partial(reporting.check_receipt_data, self._session, tr("the typed code"), text.encode())
        )
        self._lane.call(work, self.show_results, self.refuse)

    def _result(self, one: CheckedReceipt) -> QWidget:
        if one.problem is not None:
            panel = ProblemPanel()
            panel.tell(one.problem, extra=((tr("File"), one.name),))
            return panel
        frame, box = card("done" if one.in_log else "notice", margins=20, spacing=10)
        said = (
            tr("It verifies, and this log holds the record")
            if one.in_log
            else tr("It verifies, but this log does not hold the record")
        )
        icon, colour = ("check", "good") if one.in_log else ("alert", "warn")
        box.addLayout(marked(icon, colour, label(said, "heading"), size=24))
        facts = [
            (tr("Receipt"), one.name),
            (tr("Record"), tr("{n} of {m}", n=one.index, m=f"{one.size:,}")),
            (tr("What it says"), one.summary),
            (tr("Signed"), texts.moment(one.signed_ms)),
        ]
        box.addWidget(pairs(facts, first_width=130))
        for heading, lines in ((tr("What it proves"), one.proves), (tr("What it does not prove"), one.not_proven)):
            box.addWidget(label(heading, "label"))
            for line in lines:
                box.addWidget(label(line, "small", selectable=True))
        if one.in_log:
            there = button(tr("Show record {n}", n=one.index))
            there.clicked.connect(lambda: self.record_asked.emit(one.index))
            box.addLayout(row(there))
        frame.setAccessibleName(said)
        return frame
