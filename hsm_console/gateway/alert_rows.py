"""The table of alerts: a fold over the log (invariant 3)."""

from __future__ import annotations

import sqlite3

import msgspec

from hsm_console.detect import told
from hsm_console.domain import events as ev
from hsm_console.domain.events import Recorded
from hsm_console.domain.messages.alerts import AlertView

_ENCODER = msgspec.json.Encoder(order="deterministic")


class _Fired(msgspec.Struct, gc=False):
    """What counting needs of an alert."""

    seq: int
    time_ms: int
    rule: str


class Alerts:
    name = "alert"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute("CREATE TABLE alert(seq INTEGER PRIMARY KEY, open INTEGER NOT NULL, row BLOB NOT NULL) STRICT")

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, ev.AlertRaised):
            self._put(conn, told.raised(recorded, event))
        elif isinstance(event, ev.AlertAcknowledged):
            known = alert(conn, event.alert)
            if known is not None:
                self._put(conn, told.acknowledged(known, recorded, event))

    @staticmethod
    def _put(conn: sqlite3.Connection, row: AlertView) -> None:
        is_open = int(not row.acknowledged_ms)
        conn.execute("INSERT OR REPLACE INTO alert VALUES (?,?,?)", (row.seq, is_open, _ENCODER.encode(row)))


def alert(conn: sqlite3.Connection, seq: int) -> AlertView | None:
    row = conn.execute("SELECT row FROM alert WHERE seq=?", (seq,)).fetchone()
    return msgspec.json.decode(row[0], type=AlertView) if row else None


def alerts(
    conn: sqlite3.Connection, *, before: int, after: int, limit: int, only_open: bool
) -> tuple[tuple[AlertView, ...], bool]:
    """Newest first, after < seq < before; the bool says whether more follow."""
    rows = conn.execute(
        "SELECT row FROM alert WHERE seq < ? AND seq > ? AND open >= ? ORDER BY seq DESC LIMIT ?",
        (before, after, int(only_open), limit + 1),
    ).fetchall()
    found = tuple(msgspec.json.decode(row[0], type=AlertView) for row in rows[:limit])
    return found, len(rows) > limit


def counts(conn: sqlite3.Connection) -> tuple[int, int]:
    """(open alerts, entry of the newest alert or -1)."""
    row = conn.execute("SELECT coalesce(sum(open), 0), coalesce(max(seq), -1) FROM alert").fetchone()
    return int(row[0]), int(row[1])


def fired(conn: sqlite3.Connection) -> dict[str, tuple[int, int, int]]:
    """Rule → (how many alerts of it there are, time of the newest in ms, its entry)."""
    found: dict[str, tuple[int, int, int]] = {}
    for (body,) in conn.execute("SELECT row FROM alert ORDER BY seq"):
        row = msgspec.json.decode(body, type=_Fired)
        found[row.rule] = (found.get(row.rule, (0, 0, 0))[0] + 1, row.time_ms, row.seq)
    return found


def raised(conn: sqlite3.Connection, since: int) -> set[tuple[str, int, str]]:
    """(rule, last entry, text) of alerts about entry `since` or a later one: what need not be raised again."""
    found = (msgspec.json.decode(body, type=AlertView) for (body,) in conn.execute("SELECT row FROM alert"))
    return {(row.rule, row.last, row.text) for row in found if row.last >= since}
