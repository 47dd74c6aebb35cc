"""The road through the rooms of the log: which page, and what leads from one to another."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from hsm_console.domain.messages.reporting import JobView
from ui.audit import rooms
from ui.audit.alerts import AlertsPage
from ui.audit.kept import KeptPage
from ui.audit.own_log import OwnLogPage
from ui.audit.page import AuditPage
from ui.audit.receipts import CheckReceiptPage
from ui.audit.report_page import ReportPage
from ui.audit.reports import ReportsPage
from ui.audit.rules import RulesPage
from ui.desk import Desk
from ui.shell.window import Window
from ui.typed import checked

if TYPE_CHECKING:
    from hsm_console.client.session import Session


class LogRoad(QObject):
    order_asked = Signal(str)

    def __init__(self, window: Window, desk: Desk) -> None:
        super().__init__(window)
        self._window, self._desk = window, desk

    @property
    def _session(self) -> Session:
        return self._desk.book.acting

    def records(self, at: int = -1) -> None:
        """at: number of the record to begin with."""
        page = AuditPage(self._session, self._desk.calls, at=at)
        page.room_asked.connect(self.room)
        self._window.show_page(page)

    def room(self, name: str) -> None:
        """Leave the present page, which stops asking, for another one."""
        if name == rooms.RECORDS:
            self.records()
            return
        page = self._made(name)
        page.room_asked.connect(self.room)
        page.record_asked.connect(self.records)
        self._window.show_page(page)

    def _made(self, name: str) -> AlertsPage | RulesPage | OwnLogPage | ReportsPage | CheckReceiptPage | KeptPage:
        session, calls = self._session, self._desk.calls
        if name == rooms.ALERTS:
            return AlertsPage(session, calls)
        if name == rooms.RULES:
            return RulesPage(session, calls)
        if name == rooms.OWN_LOG:
            return OwnLogPage(session, calls)
        if name == rooms.REPORTS:
            page = ReportsPage(session, calls)
            page.opened.connect(partial(self._report))
            return page
        if name == rooms.RECEIPTS:
            return CheckReceiptPage(session, calls)
        kept = KeptPage(session, calls)
        kept.order_asked.connect(self.order_asked)
        return kept

    def _report(self, given: object) -> None:
        job = checked(JobView, given)
        if job.report is not None:
            page = ReportPage(job, job.report)
            page.left.connect(self._window.back)
            self._window.show_over(page)
