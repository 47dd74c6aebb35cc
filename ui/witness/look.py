"""One look of a window that only watches: the head of the log, its newest records, the ceremony that is held.

The head is asked with a short wait, in a session of the window's own: nobody else's click stands behind it, and asking
for the head counts as nobody's activity. What cannot be read is said once and not asked again: a refusal is an entry.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from hsm_console.client import audit, ceremonies
from hsm_console.client.session import Session
from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.messages.audit import EntryRow, Head
from hsm_console.domain.messages.ceremony import CeremonySummary, CeremonyView

WAIT_MS = 2000
SHOWN = 8
_GONE = ("session-ended", "call-timeout")


@dataclass(frozen=True)
class Seen:
    """rows, view: None when they were not asked for or could not be read; refused says why."""

    head: Head
    grew: bool
    rows: tuple[EntryRow, ...] | None = None
    view: CeremonyView | None = None
    refused: Problem | None = None


def look(session: Session, size: int, *, wait_ms: int = WAIT_MS, may_read: bool = True) -> Seen:
    """Blocks for up to wait_ms. size: of the log when it was looked at last, -1 before. may_read: the records.

    Raises ConsoleError when the head or the ceremony cannot be had.
    """
    head = audit.head(session, after=size, wait_ms=wait_ms)
    if head.size == size:
        return Seen(head, grew=False)
    chosen = held(ceremonies.listed(session))
    view = ceremonies.view(session, chosen.id) if chosen is not None else None
    if not may_read:
        return Seen(head, grew=True, view=view)
    try:
        rows = audit.entries(session, limit=SHOWN).rows
    except ConsoleError as error:
        if error.problem.code in _GONE:
            raise
        return Seen(head, grew=True, view=view, refused=error.problem)
    return Seen(head, grew=True, rows=rows, view=view)


def held(known: list[CeremonySummary]) -> CeremonySummary | None:
    """The ceremony to watch: the newest that is not over, else the newest; None when there was none."""
    by_age = sorted(known, key=lambda one: one.opened_ms, reverse=True)
    return next((one for one in by_age if one.status in ("open", "paused")), by_age[0] if by_age else None)


def signed_root(checkpoint: str) -> str:
    """The root of a signed head in hex: the third line of a C2SP tlog-checkpoint. Empty when there is none yet."""
    lines = checkpoint.split("\n")
    try:
        return base64.b64decode(lines[2], validate=True).hex() if len(lines) > 2 else ""
    except binascii.Error:
        return ""
