"""Which keys lie in which device: read from every unlocked one, held against the log, recorded.

Pairs are the same when their public keys are. A secret key tells nothing of itself: it counts as a copy where the log
says that it was copied there.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field

from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Draft
from hsm_console.domain.keys import Custody, KeyInfo, Usage
from hsm_console.domain.messages.devices import ClusterKey
from hsm_console.gateway import member_rows, projections
from hsm_console.gateway.core import Core
from hsm_console.gateway.fleet import Fleet
from hsm_console.gateway.member_rows import PRIMARY
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.sessions import Session

LISTED = 100  # findings of one kind in one entry; an entry of the log has a largest size
HOW = {
    "reserved": "It stays in the workspace's own token: the ceremony authority, the log and the sealing of values "
    "have one place each.",
    "software": "It is a software key, sealed under a key that cannot leave its device. Make a key on each device "
    "and let the quorum put both into use.",
    "fixed": "It cannot leave its device. Use the maker's own way between devices of one security domain (cloning, a "
    "high-availability group, a backup token), then compare again; or make a key on each device.",
    "shared": "Two devices agreed on it, and it is of use to them alone. Where one has lost it, an order "
    "“share-wrapping-key” lets them agree on a new one.",
    "open": "An order “replicate-key” copies it under a wrapping key that both devices hold; “heal-device” brings all "
    "back that a device has lost.",
}


@dataclass(frozen=True)
class Found:
    """What the last comparison found. counts: keys seen, by device."""

    time_ms: int = 0
    keys: tuple[ClusterKey, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


class Comparison:
    """Runs one at a time."""

    def __init__(self, core: Core, fleet: Fleet) -> None:
        self._core = core
        self._fleet = fleet
        self._lock = threading.Lock()
        self.last = Found()

    def run(self, session: Session | None) -> Found:
        """Read, hold side by side, record. A device that fails in it is told by its own state and left out."""
        with self._lock:
            seen = self._seen()
            keys = self._keys(seen)
            counts = {name: len(found) for name, found in seen.items()}
            self._record(session, tuple(seen), keys)
            self.last = Found(time_ms=self._core.now_ms(), keys=keys, counts=counts)
        return self.last

    def _seen(self) -> dict[str, dict[str, KeyInfo]]:
        seen = {}
        device = self._core.device
        if device.unlocked:
            found = self._fleet.primary.look()  # without it there is nothing to compare with
            seen[PRIMARY] = {key.object_id.hex(): key for key in found}
        for member in self._fleet.members:
            if member.unlocked:
                try:
                    seen[member.name] = {key.object_id.hex(): key for key in member.look()}
                except ConsoleError as error:
                    self._core.incidents.note(f"comparison: {member.name}: {error.problem.code}", error)
        return seen

    def _keys(self, seen: dict[str, dict[str, KeyInfo]]) -> tuple[ClusterKey, ...]:
        with self._core.reading() as conn:
            rows = projections.keys(conn)
            every = (PRIMARY, *(member.name for member in self._fleet.members))
            copied = {name: member_rows.copies(conn, name) for name in every}
        known = {row.object_id for row in rows if row.state == "active"}
        found = [_known_key(row, seen, copied) for row in rows if row.state == "active"]
        strangers: dict[str, list[str]] = {}
        for name, keys in seen.items():
            for each in keys.keys() - known:
                strangers.setdefault(each, []).append(name)
        for each, names in sorted(strangers.items()):
            found.append(_foreign(seen[names[0]][each], tuple(names)))
        return tuple(found)

    def _record(self, session: Session | None, members: tuple[str, ...], keys: tuple[ClusterKey, ...]) -> None:
        event = ev.FleetCompared(
            members=members,
            keys=len(keys),
            missing=_listed(keys, "missing"),
            different=_listed(keys, "different"),
            foreign=tuple(f"{', '.join(key.members)}: {_name(key)}" for key in keys if key.foreign)[:LISTED],
        )
        draft = Draft(event=event, actor=session.actor if session else None)
        if session is not None:
            self._core.append(session, [draft])
        else:
            self._core.log.append([draft])


def _listed(keys: tuple[ClusterKey, ...], which: str) -> tuple[str, ...]:
    found = [f"{device}: {_name(key)}" for key in keys for device in getattr(key, which)]
    return tuple(found[:LISTED])


def _name(key: ClusterKey) -> str:
    plain = "".join(c for c in key.label if c.isprintable() and c.isascii())[:64]
    return f"{plain} ({key.object_id})"


def _known_key(row: KeyRow, seen: dict[str, dict[str, KeyInfo]], copied: dict[str, frozenset[str]]) -> ClusterKey:
    members, missing, different = [], [], []
    for name, keys in seen.items():
        key = keys.get(row.object_id)
        if key is None:
            missing.append(name)
        elif same(key, row, trusted=name == PRIMARY or row.object_id in copied[name]):
            members.append(name)
        elif key.algorithm.is_pair or key.algorithm.value != row.algorithm:
            different.append(name)
        else:
            missing.append(name)  # a secret key under this id: nothing proves that it is the same
    how = _how(row, agreed=any(row.object_id in ids for ids in copied.values()))
    if how == "reserved":
        missing = [name for name in missing if name == PRIMARY]
    elif how == "shared":
        missing = [name for name in missing if row.object_id in copied[name]]
    return ClusterKey(
        object_id=row.object_id,
        fingerprint=row.fingerprint if row.spki else "",
        label=row.label,
        algorithm=row.algorithm,
        members=tuple(members),
        missing=tuple(missing),
        different=tuple(different),
        replicable=how == "open",
        how=HOW[how],
    )


def same(key: KeyInfo, row: KeyRow, *, trusted: bool) -> bool:
    """Whether this is the log's key. trusted: a secret key is taken at the log's word."""
    if key.algorithm.value != row.algorithm or key.attributes.token is None:
        return False
    return key.spki == base64.b64decode(row.spki) if key.algorithm.is_pair else trusted


def _how(row: KeyRow, *, agreed: bool) -> str:
    if row.purpose:
        return "reserved"
    if row.custody is Custody.SOFTWARE_WRAPPED:
        return "software"
    if row.attributes.extractable:
        return "open"
    return "shared" if agreed and Usage.WRAP in row.attributes.usages else "fixed"


def _foreign(key: KeyInfo, names: tuple[str, ...]) -> ClusterKey:
    return ClusterKey(
        object_id=key.object_id.hex(),
        fingerprint="",
        label=key.label,
        algorithm=key.algorithm.value,
        members=names,
        foreign=True,
        how="No entry of the log knows it: another program made it, or it was destroyed here and lives on there.",
    )
