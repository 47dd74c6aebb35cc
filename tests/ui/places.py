"""A gateway that answers from the memory of the test, and the pictures of the log and people pages.

.venv/bin/python tests/ui/places.py [PAGE …] [THEME …]
"""

# ruff: noqa: E402

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import samples as s
from msgspec.structs import replace
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QTimer

from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.keys import Grade
from hsm_console.domain.messages.audit import (
    EntryDetail,
    EntryPage,
    EntryRow,
    Finding,
    Head,
    VerifyProgress,
    VerifyReport,
)
from hsm_console.domain.messages.ceremony import KeyView, ReceiptView
from hsm_console.domain.messages.people import PersonView
from hsm_console.domain.messages.session import DeviceState

WHO = ("Charlotte Babbage", "Alan Turing", "Grace Hopper", "")
KINDS = (
    ("step-done", "{who} took the step “Read the words aloud” of the ceremony.", "success"),
    ("logged-on", "{who} logged in as custodian.", "success"),
    ("operation-succeeded", "The workstation generated the key “ceo-identity-2026”.", "success"),
    ("device-unlock-refused", "{who} could not unlock the module: the PIN was wrong.", "failure"),
    ("approval-given", "{who} approved what the quorum was asked.", "success"),
    ("log-viewed", "{who} looked at records 900 to 1155.", "success"),
)
RECEIPT_FORMS = {"pdf": b"%PDF-1.7 receipt", "png": b"\x89PNG receipt", "tlog-proof": b"c2sp.org/tlog-proof@v1\n"}
DENIED = Problem(code="role-refused", what="Alan Turing is here as custodian and may not read the audit log.",
                 todo="Ask somebody who is logged in as administrator or witness or auditor.")  # fmt: skip


def entry(seq: int, signed: int) -> EntryRow:
    kind, words, status = KINDS[seq % len(KINDS)]
    who = WHO[(seq // 3) % len(WHO)]
    return EntryRow(seq=seq, time_ms=s.NOW + seq * 1000, kind=kind, who=who, status=status, signed=seq < signed,
                    summary=words.format(who=who or "The workstation"))  # fmt: skip


def detail(seq: int, signed: int) -> EntryDetail:
    row = entry(seq, signed)
    body = '{"activity_id":1,"category_uid":3,"class_uid":3002,"hsm_console":{"event":{"kind":"%s"}},"seq":%d}'
    words = (
        row.summary,
        "When: 2026-11-24 13:33:20.000 UTC by this workstation's clock.",
        f"Who: {row.who} (x), acting as witness.",
        f"Known by the certificate with the SHA-256 {s.FINGERPRINT}.",
        "step: read-aloud",
    )
    return EntryDetail(
        row=row, body=body % (row.kind, seq), fingerprint=s.FINGERPRINT, leaf=s.FINGERPRINT[::-1], words=words
    )


def report(*findings: Finding, size: int = 1_204) -> VerifyReport:
    word = ", ".join(f.word for f in findings) or "OK"
    return VerifyReport(
        line=f"{word} entries={size} signed={size - 4} unsigned_tail=4 anchors: token; not checked: witness",
        entries=size, signed=size - 4, unsigned_tail=4, root=s.FINGERPRINT, findings=findings, anchors=("token",),
        not_checked=("witness", "device log"), elapsed_ms=1_240)  # fmt: skip


@functools.cache
def receipt() -> ReceiptView:
    return s.receipt()


class Gateway:
    """Stands where a Session stands: `call` and `raw`. Every request is noted in `asked`."""

    def __init__(self, size: int = 1_204) -> None:
        self.size = size
        self.signed = size - 4
        self.last_kind = "step-done"
        self.asked: list[str] = []
        self.problem: Problem | None = None
        self.progress: list[VerifyProgress] = []
        self.answers: dict[str, Any] = {}
        self.greeting = s.greeting()

    def call(self, method: str, path: str, body: Any, reply: Any, **_kw: Any) -> Any:
        self.asked.append(f"{method} {path}")
        if self.problem is not None:
            raise ConsoleError(self.problem)
        where = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(where.query).items()}
        if where.path == "/v1/audit/entries":
            return self._entries(query)
        if where.path == "/v1/audit/head":
            return Head(size=self.size, checkpoint="", checkpoint_size=self.signed, last_kind=self.last_kind)
        if where.path == "/v1/audit/verification":
            return self.progress.pop(0) if len(self.progress) > 1 else self.progress[0]
        if where.path.endswith("/receipt"):
            return receipt()
        if where.path.startswith("/v1/audit/entries/"):
            return detail(int(where.path.rsplit("/", 1)[1]), self.signed)
        answer = self.answers[f"{method} {where.path}"]
        return answer(body) if callable(answer) else answer

    def raw(self, method: str, path: str, **_kw: Any) -> bytes:
        self.asked.append(f"{method} {path}")
        return RECEIPT_FORMS[path.rsplit(".", 1)[1]]

    def _entries(self, query: dict[str, str]) -> EntryPage:
        below, limit = min(int(query.get("before", self.size)), self.size), int(query["limit"])
        wanted = {name: query[name] for name in ("kind", "who", "text") if name in query}
        if not wanted:
            rows = tuple(entry(n, self.signed) for n in range(below - 1, max(below - limit, 0) - 1, -1))
            return EntryPage(rows=rows, size=self.size, more=below - limit > 0)
        found = []
        for n in range(below - 1, -1, -1):
            row = entry(n, self.signed)
            if wanted.get("kind", row.kind) == row.kind and wanted.get("who", "") in row.who \
                    and wanted.get("text", "") in row.summary:  # fmt: skip
                found.append(row)
                if len(found) > limit:
                    break
        return EntryPage(rows=tuple(found[:limit]), size=self.size, more=len(found) > limit)


def settle(until: Callable[[], bool], ms: int = 3000) -> None:
    """Run the event loop until something is so. Raises AssertionError after `ms`."""
    loop, clock = QEventLoop(), QTimer()
    clock.setInterval(2)
    clock.timeout.connect(lambda: loop.quit() if until() else None)
    clock.start()
    QTimer.singleShot(ms, loop.quit)
    if not until():
        loop.exec()
    assert until(), "it did not come about in time"


def turn_over() -> None:
    for _ in range(4):
        QCoreApplication.sendPostedEvents(None, 0)
        QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def pictures(makers: dict[str, Callable[[], Any]], only: tuple[str, ...], themes: tuple[str, ...]) -> Iterator[Path]:
    """Draw pages inside the window, each theme in turn."""
    from gallery import OUT, window_with

    from ui.theme.engine import engine

    OUT.mkdir(parents=True, exist_ok=True)
    for theme in themes:
        engine().use(theme)
        for name, make in makers.items():
            if only and not any(part in name for part in only):
                continue
            after: list[Callable[[], None]] = []
            window = window_with(lambda make=make, after=after: make(after), None)
            turn_over()
            for act in after:
                act()
            turn_over()
            path = OUT / f"{name}--{theme}.png"
            window.grab().save(str(path))
            window.close()
            window.deleteLater()
            turn_over()
            yield path


def audit_pages() -> dict[str, Callable[[list[Callable[[], None]]], Any]]:
    """name → maker; a maker may leave acts to do once the page stands."""
    from ui.audit.page import AuditPage
    from ui.calls import Calls

    calls = Calls()

    def page(after: list[Callable[[], None]], **ready: Any) -> AuditPage:
        gateway = Gateway()
        for name, value in ready.items():
            setattr(gateway, name, value)
        made = AuditPage(gateway, calls)
        after.append(lambda: settle(lambda: made.model.rowCount() > 0 or made.problem.problem is not None))
        return made

    def record(after: list[Callable[[], None]]) -> AuditPage:
        made = page(after)
        after.append(lambda: (made.table.selectRow(6), made.table.opened.emit(6)))
        after.append(lambda: settle(lambda: made.side.detail.findChild(Fold) is not None))
        return made

    def receipt_(after: list[Callable[[], None]]) -> AuditPage:
        made = record(after)
        after.append(lambda: made.side.detail.receipt_asked.emit(41))
        after.append(lambda: settle(lambda: made.side.receipt is not None))
        return made

    def verified(after: list[Callable[[], None]], *findings: Finding, running: bool = False) -> AuditPage:
        end = VerifyProgress(running=running, done=812, of=1_204, report=None if running else report(*findings))
        made = page(after, progress=[end])
        after.append(made.start_verification)
        after.append(lambda: settle(lambda: bool(made.side.verification.heading.text())))
        after.append(turn_over)
        return made

    def nothing(after: list[Callable[[], None]]) -> AuditPage:
        made = page(after)
        after.append(lambda: made.filters.text.set_text("quorum of the moon"))
        after.append(made.look_anew)
        after.append(lambda: settle(lambda: bool(made.model.chosen)))
        return made

    from ui.widgets.fold import Fold

    bad = (Finding(word="REWRITTEN", text="Entry 41 hashes to something else than the tree holds.", entry=41),
           Finding(word="ROLLED-BACK", text="The token remembers 1,220 entries, this log has 1,204."))  # fmt: skip
    return {
        "audit": page,
        "audit-record": record,
        "audit-receipt": receipt_,
        "audit-verify-running": lambda after: verified(after, running=True),
        "audit-verify-good": verified,
        "audit-verify-bad": lambda after: verified(after, *bad),
        "audit-nothing": nothing,
        "audit-refused": lambda after: page(after, problem=DENIED),
    }


PINS = {
    "final-try": {"user_pin_low": True, "user_pin_final_try": True},
    "low": {"user_pin_low": True},
    "locked": {"user_pin_locked": True},
}
MISSING = Problem(
    code="token-missing",
    what="No module with the serial number 4F00A1 is connected.",
    key_state="The keys are where they were: in the module.",
    todo="Connect it, then look again.",
)


def device(unlocked: bool = False, problem: Problem | None = None, **more: Any) -> DeviceState:
    simulated = more.pop("simulated", True)
    info = replace(s.DEVICE, simulated=simulated, **more)
    return DeviceState(unlocked=unlocked, device=info, problem=problem)


def hardware(**more: Any) -> DeviceState:
    info = {"vendor": "Thales", "model": "Luna 7", "serial": "1238696044953", "firmware": "7.8.4", "hardware": "1.2"}
    return device(simulated=False, remarks=(), **info, **more)


def certified() -> KeyView:
    pem = "-----BEGIN CERTIFICATE-----\nMIIBfzCCASWgAwIBAgIUJ\n-----END CERTIFICATE-----\n"
    return replace(s.key(), label="code-signing-2026", certificate_pem=pem, algorithm="rsa-3072", grade=Grade.C,
                   grade_meaning=Grade.C.meaning, does_not_prove=Grade.C.does_not_prove,
                   attributes=replace(s.key().attributes, always_sensitive=None, extractable=True))  # fmt: skip


def people() -> list[PersonView]:
    day = 86_400_000
    now = time.time_ns() // 1_000_000
    ends = [now + 300 * day, now + 12 * day, now - 2 * day]
    found = []
    for n, one in enumerate(s.people()):
        serial = f"{0x1F3A5B7C9D2E4F60 * (n + 3):x}"
        found.append(replace(one, not_after_ms=ends[n] if n < len(ends) else ends[0], revoked=n == 3, serial=serial))
    return found


def simple() -> dict[str, Callable[[], Any]]:
    """Pages that show what they are given: people."""
    from ui.people.enrol import EnrolPage
    from ui.people.page import PeoplePage
    from ui.people.revoke import RevokePage

    def shown(page: Any, act: str, value: Any) -> Any:
        getattr(page, act)(value)
        return page

    return {
        "people": lambda: shown(PeoplePage(may_change=True, own_uid="c.babbage"), "show_people", people()),
        "people-sealed": lambda: shown(
            PeoplePage(may_change=True), "show_people", [replace(one, not_after_ms=0) for one in people()]
        ),
        "people-reader": lambda: shown(PeoplePage(may_change=False), "show_people", people()),
        "people-enrol": EnrolPage,
        "people-revoke": lambda: RevokePage(people()[1]),
    }


if __name__ == "__main__":
    from PySide6.QtWidgets import QApplication

    from ui.theme.engine import ThemeEngine
    from ui.theme.tokens import NAMES

    application = QApplication([])
    ThemeEngine(application)
    chosen = tuple(a for a in sys.argv[1:] if a not in NAMES)
    wanted = tuple(a for a in sys.argv[1:] if a in NAMES) or NAMES
    makers = audit_pages() | {name: lambda _after, make=make: make() for name, make in simple().items()}
    for picture in pictures(makers, chosen, wanted):
        sys.stdout.write(f"{picture}\n")
