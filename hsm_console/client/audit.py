"""The audit log: rows, entries, verification, receipts. All functions raise ConsoleError with the gateway's Problem."""

from __future__ import annotations

from urllib.parse import urlencode

from hsm_console.client.session import Session
from hsm_console.domain.messages.audit import EntryDetail, EntryPage, Head, VerifyProgress
from hsm_console.domain.messages.ceremony import ReceiptView

RECEIPT_FORMS = ("pdf", "png", "tlog-proof")


FILTERS = ("kind", "who", "text", "status", "ceremony", "since", "until")


def entries(session: Session, *, before: int | None = None, limit: int = 100, **filters: str) -> EntryPage:
    """Newest first. before: sequence number below which to go on. The look itself is recorded.

    filters: some of FILTERS; since and until are milliseconds since 1970 as text, until is excluded.
    """
    wanted = {"limit": str(limit)} | {name: filters.pop(name, "") for name in FILTERS}
    if filters:
        raise TypeError(f"entries cannot be filtered by {', '.join(filters)}")
    if before is not None:
        wanted["before"] = str(before)
    query = urlencode({name: value for name, value in wanted.items() if value})
    return session.call("GET", f"/v1/audit/entries?{query}", None, EntryPage)


def entry(session: Session, seq: int) -> EntryDetail:
    return session.call("GET", f"/v1/audit/entries/{seq}", None, EntryDetail)


def start_verification(session: Session) -> VerifyProgress:
    return session.call("POST", "/v1/audit/verification", None, VerifyProgress)


def stop_verification(session: Session) -> VerifyProgress:
    """Stop it; it has no result then, and nothing is recorded of it."""
    return session.call("POST", "/v1/audit/verification/stop", None, VerifyProgress)


def verification(session: Session) -> VerifyProgress:
    return session.call("GET", "/v1/audit/verification", None, VerifyProgress)


def head(session: Session, *, after: int = -1, wait_ms: int = 0) -> Head:
    """Size of the log; returns at once when it is longer than `after`.

    wait_ms: how long the gateway may hold the answer back. Other calls of this session stand behind it.
    """
    return session.call("GET", f"/v1/audit/head?after={after}&wait_ms={wait_ms}", None, Head)


def make_receipt(session: Session, seq: int) -> ReceiptView:
    return session.call("POST", f"/v1/audit/entries/{seq}/receipt", None, ReceiptView)


def receipt_file(session: Session, seq: int, form: str) -> bytes:
    """form: one of RECEIPT_FORMS."""
    if form not in RECEIPT_FORMS:
        raise ValueError(f"a receipt comes as one of {RECEIPT_FORMS}")
    return session.raw("GET", f"/v1/audit/entries/{seq}/receipt.{form}")


def disclosures(session: Session, entries: str) -> bytes:
    """The sealed values of some entries, for people outside. entries: numbers and ranges, such as `4,9-12`."""
    return session.raw("GET", f"/v1/audit/disclosures?{urlencode({'entries': entries})}")
