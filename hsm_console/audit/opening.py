"""What a writer looks at when it opens a log: tail, tiles and last checkpoint must belong together.

Fast on purpose (tiles and at most 256 entries are read): the whole log is checked by `hsm_console.audit.verify`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import NoReturn

import msgspec

from hsm_console.audit import ocsf, tiles
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.retention import KEPT
from hsm_console.audit.tree import leaf_hash, subtree
from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.events import CeremonyOpened, LogCreated
from hsm_console.domain.keys import DeviceInfo


class Loaded(msgspec.Struct):
    """State of an opened log. note: (origin, newest signed note or empty)."""

    edge: tiles.Edge
    fingerprint: str
    last_kind: str
    device: DeviceInfo
    scripts: dict[str, str]
    note: tuple[str, str]


def load(conn: sqlite3.Connection, path: Path, chain_uid: str) -> Loaded:
    """Read the state and check the tail. Raises log-foreign, log-changed, log-damaged."""
    first = conn.execute("SELECT body FROM entry WHERE seq = 0").fetchone()
    if first is None:
        _changed("entry 0, which says what this log is, is missing", path)
    genesis = ocsf.decode(bytes(first[0])).event
    if not isinstance(genesis, LogCreated):
        _changed("entry 0 does not say what this log is", path)
    if genesis.chain_uid != chain_uid:
        raise _foreign(genesis, chain_uid)
    size = int(conn.execute("SELECT max(seq) + 1 FROM entry").fetchone()[0])
    full = _full_tiles(conn, path, size)
    bodies = _tail(conn, path, full[0] * tiles.WIDTH if full else 0, size)
    edge = tiles.load_edge([leaf_hash(body) for body in bodies[1]], full, _fetch(conn, path))
    last = bodies[1][-1] if bodies[1] else bodies[0]
    note = _check_note(conn, path, edge)
    return Loaded(
        edge=edge,
        fingerprint=hashlib.sha256(last).hexdigest(),
        last_kind=str(ocsf.decode(last).event.__struct_config__.tag),
        device=genesis.device,
        scripts=_scripts(conn),
        note=(genesis.origin, note),
    )


def _full_tiles(conn: sqlite3.Connection, path: Path, size: int) -> list[int]:
    full: list[int] = []
    for level, count, highest in conn.execute("SELECT level, count(*), max(n) FROM tile GROUP BY level ORDER BY level"):
        if level != len(full) or count != highest + 1 or count != size >> tiles.HEIGHT * (level + 1):
            _changed("tiles of the tree are missing or too many", path)
        full.append(count)
    if size >> tiles.HEIGHT * (len(full) + 1):
        _changed("tiles of the tree are missing", path)
    return full


def _tail(conn: sqlite3.Connection, path: Path, start: int, size: int) -> tuple[bytes, list[bytes]]:
    """(the entry before the tail, the tail's entries), after the chain from one to the next was checked."""
    begin = start if _pruned_up_to(conn, start) else max(0, start - 1)
    rows = conn.execute("SELECT seq, body FROM entry WHERE seq >= ? ORDER BY seq", (begin,)).fetchall()
    if [seq for seq, _ in rows] != list(range(begin, size)):
        _changed("an entry of the last ones is missing", path)
    bodies = [bytes(body) for _, body in rows]
    for seq in range(1, len(bodies)):
        if ocsf.open_envelope(bodies[seq]).previous != hashlib.sha256(bodies[seq - 1]).hexdigest():
            _changed(f"entry {rows[seq][0]} does not follow the entry before it", path)
    return (bodies[0], bodies[1:]) if begin < start else (b"", bodies)


def _pruned_up_to(conn: sqlite3.Connection, start: int) -> bool:
    """Whether everything before `start` but the first entries is gone, as pruning leaves it. The full verification
    holds that to its order."""
    return start > KEPT and conn.execute("SELECT max(seq) FROM entry WHERE seq < ?", (start,)).fetchone() == (KEPT - 1,)


def _fetch(conn: sqlite3.Connection, path: Path) -> tiles.FetchTile:
    def fetch(level: int, n: int) -> bytes:
        row = conn.execute("SELECT data FROM tile WHERE level = ? AND n = ?", (level, n)).fetchone()
        if row is None or len(row[0]) != tiles.TILE_BYTES:
            _changed(f"tile {n} of level {level} is missing", path)
        return bytes(row[0])

    return fetch


def _check_note(conn: sqlite3.Connection, path: Path, edge: tiles.Edge) -> str:
    """The newest checkpoint, after its root was recomputed from tiles and tail. Its signature needs the key."""
    row = conn.execute("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    if row is None:
        return ""
    head = parse_note(row[1]).checkpoint
    if head.size != row[0] or not 0 < head.size <= edge.size:
        _changed(f"the last checkpoint speaks of {head.size} entries, the log has {edge.size}", path)
    if subtree(tiles.nodes(edge, _fetch(conn, path)), 0, head.size) != head.root:
        _changed(f"the entries below {head.size} are not those that were signed", path)
    return str(row[1])


def _scripts(conn: sqlite3.Connection) -> dict[str, str]:
    """Digest of the script of each ceremony that was opened."""
    known: dict[str, str] = {}
    if conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'entry_row'").fetchone():
        query = "SELECT body FROM entry JOIN entry_row USING (seq) WHERE kind = 'ceremony-opened'"
        for (body,) in conn.execute(query):
            event = ocsf.decode(bytes(body)).event
            if isinstance(event, CeremonyOpened):
                known[event.ceremony_id] = event.script_sha256
    return known


def _changed(why: str, path: Path) -> NoReturn:
    raise VerificationFailed(
        Problem(
            code="log-changed",
            what=f"The audit log was changed outside this application, or damaged: {why}.",
            key_state="Nothing has been done; no key was touched. The log is not written to.",
            todo="Keep the files as they are, make a copy, and run “hsm-console audit verify” on the copy.",
            contact="the auditor",
            details={"file": str(path)},
            exit_code=ExitCode.VERIFICATION,
        )
    )


def _foreign(genesis: LogCreated, chain_uid: str) -> InputError:
    return InputError(
        Problem(
            code="log-foreign",
            what=f"This audit log belongs to “{genesis.origin}”, not to this workspace.",
            todo="Put the workspace's own audit.db back. Do not mix the files of two workspaces.",
            contact="the auditor",
            details={"found": genesis.chain_uid, "expected": chain_uid},
            exit_code=ExitCode.USAGE,
        )
    )
