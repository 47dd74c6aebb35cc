"""Projections: tables that are a fold over the log, updated in the transaction that appends (DESIGN 4.3).

`rebuild` folds the whole log into fresh tables beside, compares them byte by byte with those in force, and
replaces what differs.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from hsm_console.audit import kinds, ocsf, words
from hsm_console.audit.restored import Keys, whole
from hsm_console.audit.source import Database, Source
from hsm_console.audit.store import WriterLock, connect_writer, told
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.events import Recorded


class Projection(Protocol):
    """name: unique and stable. create: the tables, empty. apply: fold one entry in; must not look at anything
    but its tables and the entry, or a rebuild would differ."""

    @property
    def name(self) -> str: ...

    def create(self, conn: sqlite3.Connection) -> None: ...

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None: ...


class EntryRows:
    """What the audit table shows and filters by, one short row an entry."""

    name = "entry_row"

    def create(self, conn: sqlite3.Connection) -> None:
        conn.execute(
            "CREATE TABLE entry_row(seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, kind TEXT NOT NULL, "
            "who TEXT NOT NULL, who_uid TEXT NOT NULL, status TEXT NOT NULL, ceremony_id TEXT NOT NULL, "
            "summary TEXT NOT NULL) STRICT"
        )

    def apply(self, conn: sqlite3.Connection, recorded: Recorded) -> None:
        event, actor = recorded.event, recorded.actor
        conn.execute(
            "INSERT INTO entry_row VALUES (?,?,?,?,?,?,?,?)",
            (
                recorded.seq,
                recorded.time_ms,
                event.__struct_config__.tag,
                actor.name if actor else "",
                actor.uid if actor else "",
                kinds.status_of(event),
                getattr(event, "ceremony_id", ""),
                words.summary(event, actor),
            ),
        )


def prepare(conn: sqlite3.Connection, projections: Sequence[Projection], size: int) -> None:
    """At open: create what is new and fold in what a projection missed while a run went on without it."""
    known = dict(conn.execute("SELECT name, complete_to FROM projection").fetchall())
    mine = {item.name: item for item in projections}
    if len(mine) != len(projections):
        raise ValueError("two projections have one name")
    conn.execute("BEGIN IMMEDIATE")
    try:
        for name, projection in mine.items():
            if name not in known:
                projection.create(conn)
            start = known.get(name, 0)
            if start is not None:
                fold(conn, projection, bodies(conn, start, size))
            conn.execute("INSERT OR REPLACE INTO projection VALUES (?, NULL)", (name,))
        for name in known.keys() - mine.keys():
            # complete up to here; a later run that has it again catches up from there
            conn.execute("UPDATE projection SET complete_to=? WHERE name=? AND complete_to IS NULL", (size, name))
        conn.execute("COMMIT")
    except BaseException:
        conn.execute("ROLLBACK")
        raise


def bodies(conn: sqlite3.Connection, start: int, stop: int) -> Iterable[bytes]:
    rows = conn.execute("SELECT body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq", (start, stop))
    return (body for (body,) in rows)


def fold(conn: sqlite3.Connection, projection: Projection, entries: Iterable[bytes]) -> None:
    for body in entries:
        projection.apply(conn, ocsf.decode(body))


def rebuild(path: Path, projections: Sequence[Projection], segments: Keys | None = None) -> dict[str, str]:
    """Fold the log anew; name → `identical` or `replaced`. Needs the writer's lock (log-in-use otherwise).

    segments: opens those that hold what was pruned. Raises InputError `log-pruned` where it is needed and not given,
    and as `restored.whole`; nothing is changed then.
    """
    lock = WriterLock(path)
    lock.take()
    try:
        with contextlib.closing(connect_writer(path)) as conn, told(path):
            if segments is None:
                _require_whole(conn)
            with whole(Database(conn, path, live=True), segments) as source:
                return {item.name: _rebuild_one(conn, item, source) for item in [EntryRows(), *projections]}
    finally:
        lock.release()


def _require_whole(conn: sqlite3.Connection) -> None:
    """Raises InputError `log-pruned`: from what is left the tables would come out wrong."""
    count, size = conn.execute("SELECT count(*), coalesce(max(seq) + 1, 0) FROM entry").fetchone()
    if count < size:
        raise InputError(
            Problem(
                code="log-pruned",
                what=f"{size - count} entries were pruned from this log; its tables cannot be made from what is left.",
                key_state="Nothing was changed.",
                todo="Give the auditor's identity, which opens the segments: “hsm-console rebuild … --identity FILE”.",
                contact="the auditor",
                exit_code=ExitCode.USAGE,
            )
        )


def _rebuild_one(conn: sqlite3.Connection, projection: Projection, source: Source) -> str:
    size = source.count()
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        fresh.execute("BEGIN")
        projection.create(fresh)
        fold(fresh, projection, (body or b"" for _, _, body in source.entries()))
        fresh.execute("COMMIT")
        tables = [name for (name,) in fresh.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        if all(digest(fresh, name) == digest(conn, name) for name in tables):
            return "identical"
        conn.execute("BEGIN IMMEDIATE")
        for name in tables:
            conn.execute(f'DROP TABLE IF EXISTS "{name}"')
        projection.create(conn)
        for name in tables:
            _copy(fresh, conn, name)
        conn.execute("INSERT OR REPLACE INTO projection VALUES (?, ?)", (projection.name, size))
        conn.execute("COMMIT")
    return "replaced"


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
    for row in source.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 (names come from our own schema)
        target.execute(f'INSERT INTO "{table}" VALUES ({",".join("?" * len(row))})', row)  # noqa: S608


def digest(conn: sqlite3.Connection, table: str) -> str:
    """SHA-256 over the schema and all rows of a table, in the order of all columns; empty when there is none."""
    found = conn.execute("SELECT sql FROM sqlite_master WHERE type='table' AND name=?", (table,)).fetchone()
    if found is None:
        return ""
    state = hashlib.sha256(found[0].encode())
    columns = [row[1] for row in conn.execute(f'PRAGMA table_info("{table}")')]
    order = ",".join(f'"{name}"' for name in columns)
    for row in conn.execute(f'SELECT {order} FROM "{table}" ORDER BY {order}'):  # noqa: S608
        state.update(repr(row).encode() + b"\n")
    return state.hexdigest()
