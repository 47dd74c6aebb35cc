"""The table of orders: a fold over the log (invariant 3)."""

from __future__ import annotations

import sqlite3

import msgspec

from hsm_console.ceremony import orders as od
from hsm_console.domain.events import Recorded

_ENCODER = msgspec.json.Encoder(order="deterministic")


class Orders:
    name = "work_order"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "CREATE TABLE work_order(id TEXT PRIMARY KEY, seq INTEGER NOT NULL, state TEXT NOT NULL, row BLOB NOT NULL)"
            " STRICT"
        )

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        order_id = od.order_of(recorded.event)
        if not order_id:
            return
        now = od.apply(order(conn, order_id), recorded)
        if now is not None:
            conn.execute(
                "INSERT OR REPLACE INTO work_order VALUES (?,?,?,?)",
                (now.id, now.seq, now.state.value, _ENCODER.encode(now)),
            )


def order(conn: sqlite3.Connection, order_id: str) -> od.Order | None:
    row = conn.execute("SELECT row FROM work_order WHERE id=?", (order_id,)).fetchone()
    return msgspec.json.decode(row[0], type=od.Order) if row else None


def orders(conn: sqlite3.Connection) -> tuple[od.Order, ...]:
    """All, newest first."""
    rows = conn.execute("SELECT row FROM work_order ORDER BY seq DESC")
    return tuple(msgspec.json.decode(row[0], type=od.Order) for row in rows)
