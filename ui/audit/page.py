"""The log: every record of this workspace, newest first; verification and receipts."""

from __future__ import annotations

from hsm_console.client import audit
from hsm_console.client.session import Session
from hsm_console.domain.messages.audit import EntryPage
from ui.calls import Calls, Lane
from ui.shell.page import Page
from ui.texts import moment, tr
from ui.widgets.basics import label, pairs


class AuditPage(Page):
    """Drives itself: the shell makes it with the session to read with, and calls `leave` when it is put away."""

    def __init__(self, session: Session, calls: Calls) -> None:
        super().__init__(tr("The log"), tr("Everything that was asked and done, newest first."), width=1280)
        self._lane = Lane(calls)
        self._lane.call(lambda: audit.entries(session, limit=256), self._show, self.tell)

    def leave(self) -> None:
        self._lane.forget()

    def _show(self, page: EntryPage) -> None:
        self.add(label(tr("{n} records", n=page.size), "hint"))
        self.add(pairs([(moment(row.time_ms), row.summary) for row in page.rows]))
