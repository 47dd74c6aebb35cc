"""Reports, exports and the checking of receipts on the wire."""

from __future__ import annotations

from typing import Literal

import msgspec

from hsm_console.domain.errors import Problem

PIECE = 4 * 1024 * 1024  # bytes of a file that travel in one answer

JobState = Literal["waiting", "running", "done", "failed", "stopped"]
ExportForm = Literal["bundle-zip", "bundle-tar", "rfc5424", "cef", "csv", "sqlite"]


class AskReport(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/reporting/reports. start, end: days in UTC as YYYY-MM-DD, both included; empty: all there is."""

    standard: str
    start: str = ""
    end: str = ""


class AskExport(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/reporting/exports."""

    form: ExportForm


class MadeFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a job: name, bytes, hex SHA-256."""

    name: str
    size: int
    sha256: str


class ControlView(msgspec.Struct, frozen=True, kw_only=True):
    """One clause of a report. state: answered, gap, not applicable, unproven. samples, faults: entries in words."""

    id: str
    title: str
    answer: str
    state: str
    why: str
    events: int
    samples: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """What a report says, for the screen; the files say all of it."""

    title: str
    period_from: str
    period_to: str
    verified: bool
    line: str
    in_period: int
    summary: dict[str, int]
    controls: tuple[ControlView, ...]
    disclaimer: str


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """One report or export. size, root: of the signed head that proves the population; unsigned: newer ones left out.

    entry: number of the entry that records it, -1 while there is none; receipt: why there is no receipt of it yet.
    """

    id: str
    kind: Literal["report", "export"]
    title: str
    state: JobState
    asked_by: str
    asked_ms: int
    stage: str = ""
    done: int = 0
    of: int = 0
    size: int = 0
    root: str = ""
    unsigned: int = 0
    entry: int = -1
    files: tuple[MadeFile, ...] = ()
    report: ReportView | None = None
    receipt: Problem | None = None
    problem: Problem | None = None


class StandardView(msgspec.Struct, frozen=True, kw_only=True):
    """A standard that can be reported against. scope: what this log can say about it and what not."""

    id: str
    title: str
    scope: str
    controls: int


class ReportingView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/reporting. first_ms, last_ms: the log's first and newest entry; jobs: newest first, of this run."""

    standards: tuple[StandardView, ...]
    jobs: tuple[JobView, ...]
    first_ms: int
    last_ms: int


class CheckFile(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/receipts/check. data: the file itself (.png, .pdf, .tlog-proof, text)."""

    name: str
    data: bytes


class CheckedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt of a file. problem None: it verifies, and `proves` says what; `not_proven` what it does not.

    in_log: this workspace's own log holds that very entry under that very head today.
    """

    name: str
    problem: Problem | None = None
    index: int = -1
    size: int = 0
    signed_ms: int = 0
    summary: str = ""
    proves: tuple[str, ...] = ()
    not_proven: tuple[str, ...] = ()
    simulated: bool = False
    in_log: bool = False


class CheckedFile(msgspec.Struct, frozen=True, kw_only=True):
    receipts: tuple[CheckedReceipt, ...]
