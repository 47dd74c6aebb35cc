"""Reading a log beside its writer: entries, rows for the audit table, tiles for proofs. Thread-safe."""

from __future__ import annotations

import contextlib
import queue
import sqlite3
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from hsm_console.audit import ocsf, store
from hsm_console.audit.disclosure import HIDDEN
from hsm_console.audit.tree import leaf_hash
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.events import Recorded
from hsm_console.domain.messages.audit import EntryDetail, EntryPage, EntryRow

_CHUNK = 256
Shown = Callable[[str], str]
Opened = Callable[[Recorded], Recorded]
MAX_PAGE = 1024


class LogReader:
    """A small pool of read-only connections; each call borrows one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()

    @contextlib.contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """A connection for the time of the block. SQLite's errors come out as the store's Problems."""
        try:
            conn = self._idle.get_nowait()
        except queue.Empty:
            conn = store.connect_reader(self._path)
        try:
            with store.told(self._path):
                yield conn
        except BaseException:
            conn.close()
            raise
        self._idle.put(conn)

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def body(self, seq: int) -> bytes:
        """An entry's exact bytes. Raises InputError `entry-missing`."""
        with self.borrow() as conn:
            row = conn.execute("SELECT body FROM entry WHERE seq = ?", (seq,)).fetchone()
        if row is None:
            raise InputError(
                Problem(
                    code="entry-missing",
                    what=f"The log has no entry {seq}.",
                    todo="Choose an entry from the list. What was pruned stands in the segments, with the auditor.",
                    exit_code=ExitCode.USAGE,
                )
            )
        return bytes(row[0])

    def read(self, seq: int) -> Recorded:
        return ocsf.decode(self.body(seq))

    def scan(self, start: int = 0, stop: int | None = None) -> Iterator[Recorded]:
        """Entries start ≤ seq < stop in order; decoded in chunks, so a long scan holds no transaction open."""
        while stop is None or start < stop:
            until = start + _CHUNK if stop is None else min(start + _CHUNK, stop)
            with self.borrow() as conn:
                rows = conn.execute(
                    "SELECT body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq", (start, until)
                ).fetchall()
            yield from (ocsf.decode(body) for (body,) in rows)
            if stop is None and len(rows) < until - start:  # a log that was pruned has a gap before its end
                return
            start = until

    def tile(self, level: int, n: int) -> bytes:
        """A full tile. Raises log-damaged when it is not there."""
        with self.borrow() as conn:
            row = conn.execute("SELECT data FROM tile WHERE level = ? AND n = ?", (level, n)).fetchone()
        if row is None:
            raise store.damaged(f"tile {n} of level {level} is missing", self._path)
        return bytes(row[0])

    def rows(
        self, before: int | None, limit: int, signed: int, filters: dict[str, str], shown: Shown
    ) -> tuple[list[EntryRow], bool]:
        """Newest first, seq < before. filters: kind, who (uid or part of the name), text, status, ceremony,
        since and until (milliseconds since 1970, the second one excluded).

        The bool says whether more follow.
        """
        clauses, values = _where(filters)
        if before is not None:
            clauses.append("seq < ?")
            values.append(before)
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        limit = max(1, min(limit, MAX_PAGE))
        columns = "seq, time_ms, kind, who, who_uid, status, ceremony_id, summary"
        with self.borrow() as conn:
            found = conn.execute(
                f"SELECT {columns} FROM entry_row {where} ORDER BY seq DESC LIMIT ?",  # noqa: S608 (values are bound)
                [*values, limit + 1],
            ).fetchall()
        page = [
            EntryRow(
                seq=seq,
                time_ms=time_ms,
                kind=kind,
                who=named(who, uid, shown),
                status=status,
                ceremony_id=ceremony,
                summary=shown(text.replace(who, named(who, uid, shown)) if who else text),
                signed=seq < signed,
            )
            for seq, time_ms, kind, who, uid, status, ceremony, text in found[:limit]
        ]
        return page, len(found) > limit

    def detail(self, seq: int, signed: int, opened: Opened) -> EntryDetail:
        """One entry in full: its exact text, its hashes, and what it says in sentences."""
        body = self.body(seq)
        recorded = opened(ocsf.decode(body))
        return EntryDetail(
            row=row_of(recorded, signed=seq < signed),
            body=body.decode(),
            fingerprint=sha256(body).hexdigest(),
            leaf=leaf_hash(body).hex(),
            words=ocsf.explain(recorded),
        )


def as_it_is(recorded: Recorded) -> Recorded:
    return recorded


def named(who: str, uid: str, shown: Shown) -> str:
    """A person's name to show: her short name while the name is sealed."""
    text = shown(who)
    return uid if text != who and text == HIDDEN else text


def row_of(recorded: Recorded, *, signed: bool) -> EntryRow:
    return EntryRow(
        seq=recorded.seq,
        time_ms=recorded.time_ms,
        kind=str(recorded.event.__struct_config__.tag),
        who=ocsf.name_of(recorded),
        summary=ocsf.summary(recorded),
        status=ocsf.status(recorded),
        signed=signed,
        ceremony_id=getattr(recorded.event, "ceremony_id", ""),
    )


def page(rows: list[EntryRow], size: int, *, more: bool) -> EntryPage:
    return EntryPage(rows=tuple(rows), size=size, more=more)


_EXACT = {"kind": "kind", "status": "status", "ceremony": "ceremony_id"}
_TIMES = {"since": "time_ms >= ?", "until": "time_ms < ?"}


def _where(filters: dict[str, str]) -> tuple[list[str], list[object]]:
    clauses: list[str] = []
    values: list[object] = []
    for name, text in filters.items():
        if not text:
            continue
        if name in _EXACT:
            clauses.append(f"{_EXACT[name]} = ?")
            values.append(text)
        elif name in _TIMES:
            clauses.append(_TIMES[name])
            values.append(_time(text))
        elif name == "who":
            clauses.append("(who_uid = ? OR who LIKE ? ESCAPE '!')")
            values += [text, _like(text)]
        elif name == "text":
            clauses.append("summary LIKE ? ESCAPE '!'")
            values.append(_like(text))
        else:
            raise InputError(
                Problem(
                    code="filter-unknown",
                    what=f"Entries cannot be filtered by “{name}”.",
                    todo="Filter by kind, who, text, status, ceremony, since or until.",
                    exit_code=ExitCode.USAGE,
                )
            )
    return clauses, values


def _time(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise InputError(
            Problem(
                code="filter-unreadable",
                what="A time to filter by is a whole number of milliseconds since 1970.",
                todo="Choose the days again.",
                exit_code=ExitCode.USAGE,
            )
        )
    return int(text)


def _like(text: str) -> str:
    for sign in "!%_":
        text = text.replace(sign, "!" + sign)
    return f"%{text}%"
