"""What an entry does to the rows beside it, in the transaction that writes it: erasing disclosures, pruning bodies.

So a kill leaves either the entry with its effect or neither. These are the only places that delete from a log.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Any, NoReturn

from hsm_console.audit import tiles
from hsm_console.audit.source import Source
from hsm_console.audit.store import KEEPS_ON_DELETE
from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed
from hsm_console.domain.events import DisclosuresErased, LogPruned, Recorded

KEPT = 2
"""The genesis entries say what the log is; they are never pruned."""


def pruned_leaves(source: Source, first: int, stop: int) -> Iterator[bytes]:
    """The leaf hashes of the entries first ≤ seq < stop that are not here, where pruning explains it: from the tiles.

    Nothing comes where it cannot have been pruning; then the root does not follow either.
    """
    if first != KEPT or stop % tiles.WIDTH:
        return
    for n in range(stop // tiles.WIDTH):
        data = source.tile(0, n)
        if data is None:
            return
        yield from tiles.split(data)[max(0, first - n * tiles.WIDTH) :]


def carry_out(conn: sqlite3.Connection, recorded: Recorded) -> None:
    """The effect of an entry that was just inserted. Raises VerificationFailed `log-changed` instead of guessing."""
    act = _ACTS.get(type(recorded.event))
    if act is not None:
        act(conn, recorded.event)


def _erase(conn: sqlite3.Connection, event: DisclosuresErased) -> None:
    """Rows go, and their bytes in the file with them."""
    conn.execute("PRAGMA secure_delete=ON")
    for item in event.erased:
        done = conn.execute("DELETE FROM disclosure WHERE digest = ? AND seq = ?", (item.digest, item.entry))
        if done.rowcount != 1:
            _changed(f"entry {item.entry} has no such sealed value any more")
    conn.execute("PRAGMA secure_delete=OFF")


def _prune(conn: sqlite3.Connection, event: LogPruned) -> None:
    """Bodies go, tiles stay. The trigger that refuses it is taken away and put back in the same transaction."""
    if event.below <= event.first:
        return
    last = conn.execute("SELECT body FROM entry WHERE seq = ?", (event.below - 1,)).fetchone()
    if last is None or hashlib.sha256(last[0]).hexdigest() != event.fingerprint or event.below % tiles.WIDTH:
        _changed(f"entry {event.below - 1} is not the one that the order names")
    conn.execute(f"DROP TRIGGER IF EXISTS {KEEPS_ON_DELETE[0]}")
    done = conn.execute("DELETE FROM entry WHERE seq >= ? AND seq < ?", (event.first, event.below))
    conn.execute(KEEPS_ON_DELETE[1])
    if done.rowcount != event.below - event.first:
        _changed(f"of the entries {event.first} to {event.below - 1} there are only {done.rowcount}")


_ACTS: dict[type, Any] = {DisclosuresErased: _erase, LogPruned: _prune}


def _changed(why: str) -> NoReturn:
    raise VerificationFailed(
        Problem(
            code="log-changed",
            what=f"The log is not as the order says: {why}. Nothing was deleted.",
            todo="Run the verification, and open a new order when it is clean.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
