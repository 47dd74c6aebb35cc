"""The copy of the log as tables, for auditors who ask in SQL: `SELECT … WHERE actor_uid = …`, or a search for words.

Made with sqlite-utils and never read back: the log itself stays the only thing that is verified (ADR 0014).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.audit import siem

NUMBERS = ("seq", "time_ms", "severity_id")
INDEXED = ("kind", "actor_uid", "time_ms", "ceremony", "correlation")
SEARCHED = ("message", "actor_name", "resources")
_OF_THE_FRAME = ("size", "root", "checkpoint")


def write(path: Path, rows: Iterable[siem.Row], frame: siem.Row, origin: str) -> None:
    """Tables `entries` (one row an entry, the columns of the CSV) and `export` (what the copy holds, how to prove it).

    frame: size, root, checkpoint and the statement of the whole. Raises OSError when the file cannot be written.
    """
    from sqlite_utils import Database

    try:
        with closing(sqlite3.connect(path)) as conn:
            db = Database(conn, execute_plugins=False)  # what somebody else installed has no say here
            db.table("export").insert({"origin": origin, "statement": frame.message} | _named(frame))
            entries = db.table("entries")
            kinds = {name: int if name in NUMBERS else str for name in _columns()}
            entries.create(kinds, pk="seq", strict=True)
            entries.insert_all(_cells(rows), batch_size=100)
            for column in INDEXED:
                entries.create_index([column])
            entries.enable_fts(list(SEARCHED))
            conn.commit()
    except sqlite3.OperationalError as fault:
        raise OSError(0, str(fault)) from fault


def _columns() -> tuple[str, ...]:
    return (*(name for name in siem.COLUMNS if name not in _OF_THE_FRAME), "severity_id")


def _cells(rows: Iterable[siem.Row]) -> Iterator[dict[str, Any]]:
    for row in rows:
        flat = msgspec.structs.asdict(row)
        yield {name: int(flat[name]) if name in NUMBERS else flat[name] for name in _columns()}


def _named(frame: siem.Row) -> dict[str, str]:
    return {name: getattr(frame, name) for name in _OF_THE_FRAME}
