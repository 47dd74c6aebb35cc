"""The log on the wire: rows, one entry, verification, receipts."""

from __future__ import annotations

import msgspec


class EntryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit table. kind: the event's tag; summary: one sentence in plain words."""

    seq: int
    time_ms: int
    kind: str
    who: str
    summary: str
    status: str  # success, failure, other
    signed: bool  # covered by a checkpoint
    ceremony_id: str = ""


class EntryPage(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/audit/entries?before=&limit=&kind=&who=&text= : newest first, keyset paging by seq."""

    rows: tuple[EntryRow, ...]
    size: int
    more: bool


class EntryDetail(msgspec.Struct, frozen=True, kw_only=True):
    """body: the entry's exact JSON text; words: what happened, in sentences."""

    row: EntryRow
    body: str
    fingerprint: str
    leaf: str
    words: tuple[str, ...]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """word: one of AUDIT 7 (REWRITTEN, GAP, …). entry: index of the first bad entry, -1 when none applies."""

    word: str
    text: str
    entry: int = -1


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked and what was not. line: the verifier's first line; never a bare OK."""

    line: str
    entries: int
    signed: int
    unsigned_tail: int
    root: str
    findings: tuple[Finding, ...]
    anchors: tuple[str, ...]
    not_checked: tuple[str, ...]
    elapsed_ms: int


class VerifyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/audit/verification: report is None while it runs."""

    running: bool
    done: int
    of: int
    report: VerifyReport | None = None


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/audit/head?after=SEQ&wait_ms=N : returns at once when the log is longer than `after`."""

    size: int
    checkpoint: str
    checkpoint_size: int
    last_kind: str
