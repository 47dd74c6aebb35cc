"""The log over the wire: pages of entries, one entry, the verification, receipts, the head. Every look is recorded."""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import threading

from hsm_console.audit.opened import Opener
from hsm_console.audit.verify import verify_workspace
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.audit import EntryDetail, EntryPage, Head, VerifyProgress, VerifyReport
from hsm_console.domain.messages.ceremony import ReceiptView
from hsm_console.gateway.app import Call, Raw, refused
from hsm_console.gateway.core import Core
from hsm_console.gateway.services.receipts import Receipts
from hsm_console.gateway.sessions import Session

MAX_WAIT_MS = 30_000
MAX_WAITERS = 6
SAME_LOOK_MS = 60_000
FILTERS = ("kind", "who", "text", "status", "ceremony", "since", "until")
_MEDIA = {"pdf": "application/pdf", "png": "image/png", "tlog-proof": "text/plain; charset=utf-8"}


class Auditing:
    """Handlers under /v1/audit."""

    def __init__(self, core: Core, receipts: Receipts) -> None:
        self._core = core
        self._receipts = receipts
        self._verification = Verification(core)
        self._looks: dict[tuple[str, ...], int] = {}
        self._waiters = threading.BoundedSemaphore(MAX_WAITERS)

    def entries(self, call: Call) -> EntryPage:
        """A page of entries, newest first"""
        log = self._core.log
        filters = {name: call.query.get(name, "") for name in FILTERS}
        before = call.number("before", -1, least=-1)
        opener = self._core.opener(call.session)
        filters = self._named(filters, opener)
        limit = call.number("limit", 100, least=1, most=1000)
        page = log.rows(None if before < 0 else before, limit, opener.text, **filters)
        if page.rows and self._is_new_look(call, before, filters):
            said = " ".join(f"{name}={value}" for name, value in filters.items() if value)
            event = ev.LogViewed(first=page.rows[-1].seq, last=page.rows[0].seq, filter=_plain(said))
            self._core.append(call.session, [Draft(event=event, actor=call.session.actor)])
        return page

    def _named(self, filters: dict[str, str], opener: Opener) -> dict[str, str]:
        """Where names are sealed a person is looked for by the roster: the table holds her short name only."""
        text = filters["who"].casefold()
        if not text or not opener.is_open or "names" not in self._core.environment.log.confidential:
            return filters
        people = self._core.rosters.current.entries
        found = {entry.person.uid for entry in people if text in entry.person.name.casefold()}
        return {**filters, "who": found.pop()} if len(found) == 1 else filters

    def _is_new_look(self, call: Call, before: int, filters: dict[str, str]) -> bool:
        """A screen that keeps looking at the newest page is one look, or each look would make the next one due."""
        now, look = self._core.now_ms(), (call.session.uid, *filters.values())
        last = self._looks.get(look, 0)
        if before >= 0 or now - last > SAME_LOOK_MS:
            self._looks[look] = now
            return True
        return False

    def entry(self, call: Call) -> EntryDetail:
        """One entry in full"""
        seq = _seq(call)
        detail = self._core.log.detail(seq, self._core.opener(call.session).struct)
        event = ev.LogViewed(first=seq, last=seq)
        self._core.append(call.session, [Draft(event=event, actor=call.session.actor)])
        return detail

    def head(self, call: Call) -> Head:
        """The log's size and newest checkpoint; waits until it is longer than `after`"""
        log = self._core.log
        after, wait_ms = call.number("after", -1, least=-1), call.number("wait_ms", 0, most=MAX_WAIT_MS)
        # A waiting request holds a thread of the pool; when many wait already, the answer comes at once.
        if wait_ms and log.size <= after and self._waiters.acquire(blocking=False):
            try:
                log.wait(after, wait_ms / 1000)
            finally:
                self._waiters.release()
        return log.head()

    def start_verification(self, call: Call) -> VerifyProgress:
        """Verify the whole log, in the background"""
        return self._verification.start(call.session)

    def verification(self, call: Call) -> VerifyProgress:
        """How far the verification is, or its report"""
        return self._verification.progress

    def stop_verification(self, call: Call) -> VerifyProgress:
        """Stop the verification; it has no result then"""
        return self._verification.stop()

    def receipt(self, call: Call) -> ReceiptView:
        """Make a receipt for an entry"""
        seq = _seq(call)
        self._core.log.body(seq)
        return self._receipts.view(self._receipts.issue(seq, medium="screen", by=call.session), by=call.session)

    def receipt_file(self, call: Call) -> Raw:
        """A receipt as a file to print or to keep"""
        seq, form = _seq(call), call.params["form"]
        if form not in _MEDIA:
            raise refused("form-unknown", f"A receipt comes as one of {', '.join(_MEDIA)}.")
        self._core.log.body(seq)
        receipt = self._receipts.issue(seq, medium=form, by=call.session)
        return Raw(_MEDIA[form], self._receipts.file(receipt, form, by=call.session), f"receipt-{seq:04d}.{form}")

    def close(self) -> None:
        self._verification.close()


class Verification:
    """One verification at a time, in a thread of its own. Its result is recorded as the word of who asked."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.progress = VerifyProgress(running=False, done=0, of=0)

    def start(self, session: Session) -> VerifyProgress:
        with self._lock:
            if not self.progress.running:
                self._stopping = False
                self.progress = VerifyProgress(running=True, done=0, of=self._core.log.size)
                self._thread = threading.Thread(target=self._run, args=(session,), name="verification", daemon=True)
                self._thread.start()
            return self.progress

    def stop(self) -> VerifyProgress:
        """Nothing is recorded of a verification that was stopped: it says nothing about the log."""
        self.close()
        return self.progress

    def close(self) -> None:
        self._stopping = True
        if self._thread is not None:
            self._thread.join(5)

    def _told(self, done: int, of: int) -> None:
        if self._stopping:
            raise _Stopped
        self.progress = VerifyProgress(running=True, done=done, of=of)

    def _run(self, session: Session) -> None:
        core = self._core
        report: VerifyReport | None = None
        try:
            head = core.device.token_head()
            report = verify_workspace(core.home.log, core.vkey, token_head=head, progress=self._told)
            words = tuple(f"{finding.word}: {_plain(finding.text)}" for finding in report.findings)
            event = ev.LogVerified(result=_plain(report.line), size=report.entries, findings=words[:50])
            core.append(session, [Draft(event=event, actor=session.actor)])
        except _Stopped:
            pass
        except ConsoleError as error:
            core.incidents.note(f"verification: {error.problem.code}", error)
        except Exception as error:  # noqa: BLE001 - a thread's last line: told in the diagnostics, never lost
            core.incidents.bug(error, "verification")
        size = core.log.size
        self.progress = VerifyProgress(running=False, done=size, of=size, report=report)


class _Stopped(Exception):
    """The gateway stops."""


def _seq(call: Call) -> int:
    text = call.params["seq"]
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise refused("query-refused", "An entry is named by its number.")
    return int(text)


def _plain(text: str) -> str:
    """As it may stand in the log: no control characters, NFC, not too long."""
    import unicodedata

    return unicodedata.normalize("NFC", "".join(c if c.isprintable() else " " for c in text))[:2000]
