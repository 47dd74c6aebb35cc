"""Anchors on the wire: heads for witnesses, cosignatures, root sheets, how the log stands."""

from __future__ import annotations

import msgspec

from hsm_console.domain.messages.audit import Finding


class WitnessHead(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/witness/head?since=N : what goes out to a witness.

    text: the signed checkpoint, with a consistency proof from `since` (C2SP tlog-witness) when asked; statement: what
    a person signs as detached CMS; codes: the texts of the QR codes (one, or several frames); png: base64 of each.
    """

    text: str
    size: int
    root: str
    signed_ms: int
    seconds: int
    statement: str
    codes: tuple[str, ...]
    png: tuple[str, ...]


class BringCosignature(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/witness/cosignatures: a cosigned checkpoint (`text`, the texts of its codes, or `data`: a file with
    text or a picture of codes), or a person's own CMS over `WitnessHead.statement` at `seconds`.

    key: vkey of a witness that the log does not know yet.
    """

    text: str = ""
    codes: tuple[str, ...] = ()
    data: bytes = b""
    cms: str = ""
    seconds: int = 0
    size: int = 0
    key: str = ""


class CosignatureView(msgspec.Struct, frozen=True, kw_only=True):
    """One cosignature that stands in the log. entry: where; file: name of the file beside it."""

    entry: int
    witness: str
    key: str
    person: bool
    size: int
    root: str
    signed_ms: int
    brought_by: str
    file: str
    note: str


class SheetView(msgspec.Struct, frozen=True, kw_only=True):
    """A day's root sheet. codes: the texts of its QR codes; software: the key is no hardware key."""

    entry: int
    day: str
    size: int
    root: str
    key: str
    software: bool
    note: str
    codes: tuple[str, ...]


class CheckView(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway checks by itself. state: none, running, done or failed; first and last: entries of this part."""

    state: str
    first: int = 0
    last: int = 0
    done: int = 0
    of: int = 0
    resumed: bool = False
    anchored: int = -1
    took_ms: int = 0
    line: str = ""
    findings: tuple[Finding, ...] = ()


class AnchorView(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of anchor. size: newest head that it holds, -1: none known; problem: why it counts as missing."""

    kind: str
    required: bool
    size: int = -1
    problem: str = ""


class SheetDue(msgspec.Struct, frozen=True, kw_only=True):
    """The day's root sheet. by_itself: policy asks for one a day; last_day: like 2026-11-25, empty: none yet.

    due: today's is not made yet; next_ms: when the next day begins; locked: it waits for the module to be unlocked;
    problem: why the last try failed.
    """

    by_itself: bool
    last_day: str
    due: bool
    next_ms: int
    locked: bool
    problem: str = ""


class LogStatus(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/audit/status."""

    size: int
    signed: int
    startup: CheckView
    background: CheckView
    anchors: tuple[AnchorView, ...]
    sheet: SheetDue | None = None
