"""The file under the log: SQLite in WAL mode, synchronous=FULL, one writer (AUDIT 3).

Everything that goes wrong here comes back as an `EnvironmentFault` with one of the codes log-missing, log-in-use,
log-not-writable, log-unreadable, disk-full, log-damaged. Nothing else in the audit room looks at SQLite's errors.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem

APPLICATION_ID: Final = 0x48534D41  # "HSMA"
FORMAT: Final = 1
LOCK_SUFFIX: Final = ".lock"
_LOCK_PATIENCE_S = 1.0  # a verifier looks at the lock for an instant
_TABLES = {"entry", "tile", "checkpoint", "disclosure", "receipt", "projection"}
_GUARDED = ("entry", "tile", "checkpoint")

ENTRY_TABLE = "CREATE TABLE entry(seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT"
SCHEMA = f"""
{ENTRY_TABLE};
CREATE TABLE tile(level INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (level, n)) STRICT;
CREATE TABLE checkpoint(size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
CREATE TABLE disclosure(
  digest TEXT PRIMARY KEY, seq INTEGER NOT NULL, key_id TEXT NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE TABLE receipt(
  id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, size INTEGER NOT NULL, medium TEXT NOT NULL,
  issued_ms INTEGER NOT NULL, sha256 TEXT NOT NULL) STRICT;
CREATE TABLE projection(name TEXT PRIMARY KEY, complete_to INTEGER) STRICT;
""" + "".join(
    f"CREATE TRIGGER {table}_keeps_on_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the log is only appended to'); END;\n"
    for table in _GUARDED
    for verb in ("UPDATE", "DELETE")
)


Statement = tuple[str, tuple[object, ...]]
"""One statement of SQL and the values that are bound in it."""
ROOT_SIGNATURE_TABLE = (
    "CREATE TABLE IF NOT EXISTS root_signature(n INTEGER PRIMARY KEY, size INTEGER NOT NULL, key TEXT NOT NULL, "
    "seconds INTEGER NOT NULL) STRICT"
)
"""Which roots were signed for receipts: together with the checkpoints, every signature that the log key made. It
is no evidence; the device's own log is held against it."""

KEEPS_ON_DELETE = (
    "entry_keeps_on_delete",
    "CREATE TRIGGER entry_keeps_on_delete BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'only appended to'); END",
)
"""Name and text of the trigger that pruning takes away and puts back (`retention`)."""


class WriterLock:
    """The flock that makes one process the writer. The kernel drops it when the process dies."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + LOCK_SUFFIX)
        self._handle = -1

    def take(self) -> None:
        """Raises log-in-use when another process writes, log-not-writable when the folder cannot be written."""
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            raise not_writable(str(fault.strerror), self._path) from fault
        patience = time.monotonic() + _LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > patience:
                    self.release()
                    raise _in_use(self._path) from None
                time.sleep(0.02)

    def release(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def is_held(database: Path) -> bool:
    """Whether a live process writes this log now. Looks, takes nothing, writes nothing."""
    try:
        handle = os.open(database.with_name(database.name + LOCK_SUFFIX), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def uri(path: Path, **options: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"file:{quote(str(path.absolute()))}?{query}"


def create(path: Path) -> None:
    """A new, empty database with schema, triggers and WAL mode. The path must not exist."""
    with told(path), contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        conn.executescript(
            f"BEGIN; PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT}; {SCHEMA} COMMIT;"
        )


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def connect_writer(path: Path) -> sqlite3.Connection:
    """The writer's connection; checked for being our database. Raises as this module says."""
    if not path.is_file():
        raise missing(path)
    with told(path):
        conn = sqlite3.connect(uri(path, mode="rw"), uri=True, isolation_level=None, check_same_thread=False)
    try:
        with told(path):
            check_ours(conn, path)
            conn.execute("PRAGMA journal_mode=WAL")
            conn.execute("PRAGMA synchronous=FULL")
            conn.execute("PRAGMA trusted_schema=OFF")
            conn.execute("PRAGMA cell_size_check=ON")
            conn.execute("BEGIN IMMEDIATE")  # a read-only file or folder shows now, not at the first event
            conn.execute("ROLLBACK")
    except BaseException:
        conn.close()
        raise
    return conn


def connect_reader(path: Path) -> sqlite3.Connection:
    """A reader beside a live writer of the same process."""
    with told(path):
        conn = sqlite3.connect(uri(path, mode="ro"), uri=True, isolation_level=None, check_same_thread=False)
        conn.execute("PRAGMA query_only=ON")
        conn.execute("PRAGMA trusted_schema=OFF")
    return conn


def check_ours(conn: sqlite3.Connection, path: Path) -> None:
    """Raise log-damaged unless this database has our mark, our format and all tables."""
    mark = conn.execute("PRAGMA application_id").fetchone()[0]
    form = conn.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if mark != APPLICATION_ID:
        raise damaged("the file is a database, but no audit log", path)
    if form != FORMAT:
        raise damaged(f"the log has format {form}; this software reads format {FORMAT}", path)
    if not tables >= _TABLES:
        raise damaged(f"tables are missing: {', '.join(sorted(_TABLES - tables))}", path)


def is_plain(conn: sqlite3.Connection) -> bool:
    """Whether the table of entries is declared word for word as here: its numbers are integers, each stands once."""
    found = conn.execute("SELECT sql FROM sqlite_master WHERE type='table' AND name='entry'").fetchall()
    return found == [(ENTRY_TABLE,)]


@contextlib.contextmanager
def told(path: Path, otherwise: Callable[[str, Path, str], EnvironmentFault] | None = None) -> Iterator[None]:
    """Turn SQLite's and the system's errors into the Problems of this module; what is neither a full disk nor damage
    into `otherwise` (default: `not_writable`)."""
    otherwise = otherwise or not_writable
    try:
        yield
    except sqlite3.Error as fault:
        raise fault_of(fault, path, otherwise) from fault
    except OSError as fault:
        raise otherwise(fault.strerror or str(fault), path, "") from fault


def fault_of(
    fault: sqlite3.Error, path: Path, otherwise: Callable[[str, Path, str], EnvironmentFault] | None = None
) -> EnvironmentFault:
    name = getattr(fault, "sqlite_errorname", "") or type(fault).__name__
    if name == "SQLITE_FULL":
        return EnvironmentFault(
            Problem(
                code="disk-full",
                what="The disk is full: the audit log cannot be written.",
                todo="Make room on the disk that holds the workspace, then try again. No restart is needed.",
                details={"file": str(path), "sqlite": name},
            )
        )
    if name in {"SQLITE_NOTADB", "SQLITE_FORMAT"} or name.startswith("SQLITE_CORRUPT"):
        return damaged(str(fault), path, name)
    if name == "DatabaseError" or "no such table" in str(fault):
        return damaged(str(fault), path, name)
    return (otherwise or not_writable)(str(fault), path, name)


def missing(path: Path) -> EnvironmentFault:
    what = "is not a file" if path.exists() else "does not exist"
    return EnvironmentFault(
        Problem(
            code="log-missing",
            what=f"There is no audit log here: {path} {what}.",
            todo="Check the folder's name. If the file is gone, restore it from the backup; nothing is made anew.",
            details={"file": str(path)},
            exit_code=ExitCode.USAGE,
        )
    )


def not_writable(why: str, path: Path, name: str = "") -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="log-not-writable",
            what=f"The audit log cannot be written: {why}.",
            todo="Check the disk and the permissions of the folder. Without a log nothing is done in the HSM.",
            details={"file": str(path)} | ({"sqlite": name} if name else {}),
        )
    )


def unreadable(why: str, path: Path, name: str = "") -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="log-unreadable",
            what=f"The audit log cannot be read: {why}.",
            todo="Check the name, the medium and the permissions; or copy audit.db and verify the copy.",
            details={"file": str(path)} | ({"sqlite": name} if name else {}),
            exit_code=ExitCode.USAGE,
        )
    )


def damaged(why: str, path: Path, name: str = "") -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="log-damaged",
            what=f"The audit log is damaged: {why}.",
            key_state="No key was touched. What the log recorded before may still be readable.",
            todo="Keep the file as it is, make a copy, and run “hsm-console audit verify” on the copy.",
            contact="the auditor",
            details={"file": str(path)} | ({"sqlite": name} if name else {}),
            exit_code=ExitCode.USAGE,
        )
    )


def _in_use(path: Path) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="log-in-use",
            what="Another process is writing this audit log.",
            todo="Close the other HSM Console (or its gateway service) that uses this workspace, then try again.",
            details={"file": str(path)},
        )
    )


def closed(path: Path) -> EnvironmentFault:
    return not_writable("it was closed", path)


def exists(path: Path) -> InputError:
    return InputError(
        Problem(
            code="log-exists",
            what=f"There is an audit log here already: {path}.",
            todo="Choose an empty folder. An existing log is never overwritten.",
            exit_code=ExitCode.USAGE,
        )
    )
