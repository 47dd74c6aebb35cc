"""After each unlocking the keys in the token are held against the log: attributes, keys that are gone, foreign ones.

What is found is an entry only when it is another answer than the last time, so that a token which other software uses
as well is told of once for each change.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

from hsm_console.ceremony import recovery
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Draft
from hsm_console.domain.keys import Custody, KeyAttributes, KeyInfo
from hsm_console.gateway import projections
from hsm_console.gateway.core import Core
from hsm_console.gateway.projections import KeyRow, pruned_below
from hsm_console.hsm.pool import Priority

GUARDS = ("sensitive", "always_sensitive", "extractable", "never_extractable", "private", "token", "local")
LISTED = 100
WAIT_S = 2.0


def soon(core: Core) -> None:
    """Read and compare in the background. A token of usual size is done before this returns; nobody who unlocks one
    with ten thousand keys waits for them."""
    reading = threading.Thread(target=quietly, args=(core,), name="read-back", daemon=True)
    reading.start()
    reading.join(WAIT_S)


def quietly(core: Core) -> None:
    """Read and compare. What fails is in the diagnostics: the unlocking itself has succeeded."""
    before = _rows(core)
    try:
        found = core.device.run_here("find", priority=Priority.BULK)
    except ConsoleError as error:
        core.incidents.note(f"keys read back: {error.problem.code}", error)
        return
    event = compared(core, found, before)
    last = _last(core)
    if _answer(event) != (_answer(last) if last else ((), (), ())):
        try:
            core.log.append([Draft(event=event, critical=True)])
        except ConsoleError as error:  # the gateway ended meanwhile, or the log takes nothing: told elsewhere
            core.incidents.note("keys read back: not recorded", error)


def compared(core: Core, found: Sequence[KeyInfo], before: Mapping[str, KeyRow]) -> ev.KeysReadBack:
    """What these keys of the token are, beside those of the log. before: the log's when the reading began.

    What was made or destroyed while the token was read is neither missing nor a stranger.
    """
    rows = _rows(core)
    seen = {key.object_id.hex(): key for key in found}
    steady = (key_id for key_id, row in before.items() if row.state == "active" and rows[key_id].state == "active")
    active = {key_id: rows[key_id] for key_id in steady if not _elsewhere(rows[key_id], seen)}
    gone = {key_id for key_id, row in before.items() if row.state == "destroyed"}
    strangers = [key for key_id, key in seen.items() if key_id not in rows or key_id in gone]
    known = _remains(core) if strangers else frozenset()
    info = core.device.info
    return ev.KeysReadBack(
        serial=info.serial if info else "",
        known=len(active),
        changed=_listed(text for key_id, row in active.items() for text in _changed(row, seen.get(key_id))),
        missing=_listed(_name(row.label, key_id) for key_id, row in active.items() if key_id not in seen),
        foreign=_listed(_name(key.label, key.object_id.hex()) for key in strangers if key.object_id.hex() not in known),
    )


def _rows(core: Core) -> dict[str, KeyRow]:
    with core.reading() as conn:
        return {row.object_id: row for row in projections.keys(conn)}


def _elsewhere(row: KeyRow, seen: Collection[str]) -> bool:
    """A key that is used from a further device need not be in this token; where it is in both it is compared."""
    return getattr(row, "device", "") != "" and row.object_id not in seen


def _remains(core: Core) -> frozenset[str]:
    """Ids that an intent announced whose end was not a key: those are no strangers, they are told of elsewhere."""
    with core.reading() as conn:
        below = pruned_below(conn)
        intents = [
            row for row in projections.all_intents(conn) if row.ending != "operation-succeeded" and row.seq >= below
        ]
    return frozenset(key_id for row in intents for key_id in recovery.expected_ids(core.log.read(row.seq)))


def _changed(row: KeyRow, key: KeyInfo | None) -> list[str]:
    if key is None or row.custody is not Custody.DEVICE:
        return []
    return [
        f"{_name(row.label, row.object_id)}: {name.replace('_', ' ')} was {_word(was)}, is {_word(now)}"
        for name, was, now in _both(row.attributes, key.attributes)
        if was is not None and now is not None and was is not now
    ]


def _both(was: KeyAttributes, now: KeyAttributes) -> list[tuple[str, bool | None, bool | None]]:
    return [(name, getattr(was, name), getattr(now, name)) for name in GUARDS]


def _word(value: bool | None) -> str:
    return "yes" if value else "no"


def _name(label: str, key_id: str) -> str:
    return f"{label} ({key_id[:8]})" if label else key_id


def _listed(texts: Iterable[str]) -> tuple[str, ...]:
    found = sorted(texts)
    return (*found[:LISTED], f"and {len(found) - LISTED} more") if len(found) > LISTED else tuple(found)


def _answer(event: ev.KeysReadBack) -> tuple[tuple[str, ...], ...]:
    return event.changed, event.missing, event.foreign


def _last(core: Core) -> ev.KeysReadBack | None:
    with core.reading() as conn:
        query = "SELECT max(seq) FROM entry_row WHERE kind = 'keys-read-back' AND seq >= ?"
        (seq,) = conn.execute(query, (pruned_below(conn),)).fetchone()
    event = core.log.read(seq).event if seq is not None else None
    return event if isinstance(event, ev.KeysReadBack) else None
