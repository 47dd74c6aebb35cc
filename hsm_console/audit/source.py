"""Where a verifier reads from: a database that is closed, live, left behind by a crash or on a read-only medium.

Nothing is ever written beside the evidence. A database without a `-wal` file is opened as immutable; one with a
`-wal` file is read through SQLite's own shared memory file when that is there or may be made, else from a copy in
the temporary folder.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from hsm_console.audit import canonical, store
from hsm_console.domain.errors import EnvironmentFault, ExitCode, Problem, VerificationFailed
from hsm_console.domain.reading import open_regular

DATABASE = "audit.db"
Row = tuple[int, int, bytes | None]
"""(seq, length, body); body is None when it is longer than an entry may be, only then the length is told."""
_FROM = " FROM entry NOT INDEXED WHERE seq >= ? ORDER BY seq"  # an index may answer otherwise than the table
_LONGEST = 256 * 1024  # of anything that is read here; entries, notes and sealed values have their own limits


class Source(Protocol):
    """live: a process holds the writer's lock. kind: `database` or `bundle`."""

    live: bool
    kind: str

    def entries(self, start: int = 0) -> Iterator[Row]: ...

    def tile(self, level: int, n: int) -> bytes | None: ...

    def checkpoints(self) -> Iterator[tuple[int, str]]: ...

    def count(self) -> int: ...

    def sealed(self, digest: str) -> tuple[int, bytes] | None: ...

    def sealed_count(self, start: int) -> int: ...

    def newest(self, kinds: Sequence[str], stop: int) -> list[tuple[int, str]]: ...


class Database:
    """An audit.db inside one read transaction: entries, tiles and checkpoints of one moment."""

    kind = "database"

    def __init__(self, conn: sqlite3.Connection, path: Path, *, live: bool) -> None:
        self._conn = conn
        self._path = path
        self.live = live
        self._plain = store.is_plain(conn)  # then SQLite itself holds each number to be an integer

    def entries(self, start: int = 0) -> Iterator[Row]:
        first = start or -(1 << 63)  # from the beginning, whatever number somebody gave to the first row
        return self._quick(first) if self._plain else self._careful(first)

    def _quick(self, first: int) -> Iterator[Row]:
        """SQLite itself stops at a body above its limit of length; from there on each length is looked at before."""
        row: Row = (first - 1, 0, b"")
        try:
            for row in self._conn.execute("SELECT seq, 0, body" + _FROM, (first,)):
                yield row
        except sqlite3.DataError:
            yield from self._careful(row[0] + 1)

    def _careful(self, first: int) -> Iterator[Row]:
        body = f"CASE WHEN length(body) <= {canonical.MAX_BYTES} AND typeof(body) = 'blob' THEN body END"
        return self._numbered(self._conn.execute(f"SELECT seq, length(body), {body}" + _FROM, (first,)))

    def tile(self, level: int, n: int) -> bytes | None:
        row = self._conn.execute("SELECT data FROM tile WHERE level = ? AND n = ?", (level, n)).fetchone()
        return bytes(row[0]) if row and isinstance(row[0], bytes) else None

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        query = "SELECT size, CASE WHEN length(note) <= 65536 THEN CAST(note AS TEXT) ELSE '' END FROM checkpoint"
        return self._numbered(self._conn.execute(query + " ORDER BY size"))

    def _numbered(self, rows: Iterator[Any]) -> Iterator[Any]:
        """The rows as they are. Raises EnvironmentFault log-damaged where somebody loosened the schema's types."""
        for row in rows:
            if not isinstance(row[0], int):
                raise store.damaged("a row has no number", self._path)
            yield row

    def count(self) -> int:
        """How many entries there are if none is missing: counting them takes as long as reading them."""
        newest = self._conn.execute("SELECT max(seq) FROM entry").fetchone()[0]
        return newest + 1 if isinstance(newest, int) else 0

    def sealed(self, digest: str) -> tuple[int, bytes] | None:
        """(entry, sealed bytes) of a disclosure's row."""
        query = "SELECT seq, CAST(sealed AS BLOB) FROM disclosure WHERE digest = ?"
        row = self._conn.execute(query, (digest,)).fetchone()
        return (row[0], bytes(row[1])) if row and isinstance(row[0], int) else None

    def sealed_count(self, start: int) -> int:
        """How many rows of disclosures belong to entry `start` or a later one."""
        return int(
            self._conn.execute("SELECT count(*) FROM disclosure WHERE seq >= ? OR seq < 0", (start,)).fetchone()[0]
        )

    def newest(self, kinds: Sequence[str], stop: int) -> list[tuple[int, str]]:
        """(entry, kind) of the last entries before `stop` that are of these kinds, in order, as the table of rows has
        it: a hint, no evidence."""
        query = "SELECT seq, kind FROM entry_row WHERE kind IN (SELECT value FROM json_each(?)) AND seq < ? "
        try:
            rows = self._conn.execute(query + "ORDER BY seq DESC LIMIT 16", (json.dumps(kinds), stop)).fetchall()
        except sqlite3.Error:
            return []
        return [(seq, kind) for seq, kind in rows[::-1] if isinstance(seq, int)]


def whole(source: Source, start: int = 0) -> Iterator[Row]:
    """The entries, for one who only reads: a bundle that lacks some must not pass for a log in which nothing happened.

    Raises VerificationFailed log-incomplete where the next entry of a bundle is missing.
    """
    following = start
    for row in source.entries(start):
        if source.kind == "bundle" and row[0] != following:
            break
        yield row
        following = row[0] + 1
    if source.kind == "bundle" and following < source.count():
        raise VerificationFailed(
            Problem(
                code="log-incomplete",
                what=f"INCOMPLETE: the bundle lacks entry {following}; its checkpoints tell of {source.count()}.",
                todo="Copy the bundle again, whole; “hsm-console audit verify” names what is missing.",
                contact="the auditor",
                exit_code=ExitCode.VERIFICATION,
            )
        )


@contextlib.contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """A workspace folder, an audit.db or an exported bundle. Raises EnvironmentFault log-missing, log-unreadable,
    log-damaged."""
    with store.told(path, store.unreadable):
        bundle = path.is_dir() and not (path / DATABASE).exists() and (path / "tile").is_dir()
        database = path / DATABASE if path.is_dir() else path
        if not bundle and not database.is_file():
            raise store.missing(database)
        if not bundle:
            open_regular(database).close()  # SQLite would not say why it cannot
    if bundle:
        from hsm_console.audit.bundle import Bundle

        yield Bundle(path)
        return
    with _database(database) as source:
        try:
            yield source  # what fails in the caller's hands is no fault of the log, unless SQLite says so
        except sqlite3.Error as fault:
            raise store.fault_of(fault, database, store.unreadable) from fault


@contextlib.contextmanager
def _database(path: Path) -> Iterator[Database]:
    live = store.is_held(path)
    with contextlib.ExitStack() as stack:
        conn = stack.enter_context(contextlib.closing(_connect(path, stack, live=live)))
        with store.told(path, store.unreadable):
            conn.text_factory = lambda raw: raw.decode("utf-8", "replace")  # garbled text is a finding, no fault
            conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            conn.execute("PRAGMA query_only=ON")
            conn.execute("PRAGMA trusted_schema=OFF")
            conn.execute("PRAGMA cell_size_check=ON")
            conn.execute("PRAGMA cache_size=-8192")
            conn.execute("BEGIN")
            store.check_ours(conn, path)
        yield Database(conn, path, live=live)


def _connect(path: Path, stack: contextlib.ExitStack, *, live: bool) -> sqlite3.Connection:
    wal = path.with_name(path.name + "-wal")
    try:
        pending = wal.stat().st_size > 0
    except OSError:
        pending = False
    if not live and not pending:
        return _probe(path, immutable="1")
    shared = path.with_name(path.name + "-shm")
    existed = shared.exists()
    try:
        conn = _probe(path, mode="ro")
    except EnvironmentFault:
        if live:
            raise
        return _probe(_copy(path, wal, stack), mode="rw")
    if not live and not existed:
        stack.callback(lambda: shared.unlink(missing_ok=True))
    return conn


def _probe(path: Path, **options: str) -> sqlite3.Connection:
    with store.told(path, store.unreadable):
        conn = sqlite3.connect(store.uri(path, **options), uri=True, isolation_level=None)
        try:
            conn.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            conn.close()
            raise
    return conn


def _copy(path: Path, wal: Path, stack: contextlib.ExitStack) -> Path:
    """A crash left a -wal file on a medium that cannot be written: read a copy of both."""
    try:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hsm-console-verify-")))
        for item in (path, wal):
            shutil.copyfile(item, folder / item.name)
            (folder / item.name).chmod(0o600)
    except OSError as fault:
        raise EnvironmentFault(
            Problem(
                code="log-unreadable",
                what=f"The log lies on a medium that cannot be written, and it cannot be copied: {fault.strerror}.",
                todo="Copy audit.db and audit.db-wal together into an empty folder and verify there.",
                exit_code=ExitCode.USAGE,
            )
        ) from fault
    return folder / path.name
