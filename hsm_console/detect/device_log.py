"""The device's own log held against this one (AUDIT 1, enemy E): what the device did that nobody asked it for here,
and what this log tells of that the device does not know.

Both sides are reduced to acts: an operation with a key, or a log-in. Acts are matched one to one, by key and operation,
the nearest in time first where the device tells times. What the console does for itself without an entry of its own
(signing the log's heads, unwrapping its data key) is allowed for, and docs/detection.md says how much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from hsm_console.detect.device_acts import COMPARED, Act, Record

_WORDS = {
    "generate": "made the key",
    "sign": "signed with the key",
    "decrypt": "decrypted or agreed on a secret with the key",
    "encrypt": "encrypted with the key",
    "wrap": "wrapped the key",
    "unwrap": "unwrapped the key",
    "destroy": "destroyed the key",
    "login": "let somebody log in",
    "so-login": "let its security officer log in",
    "login-failed": "refused a log-in",
    "initialise": "was initialised anew",
    "change-pin": "had its PIN changed",
}
MOST_TOLD = 50
NEAR_MS = 60_000  # two clocks of one room; acts further apart are matched last


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """first, last: numbers of the device's records (-1: none); matched: acts that both tell of."""

    first: int
    last: int
    matched: int
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Ours:
    """This log's side. allowed: acts without an entry, (operation, key id) → how many; free: keys whose use the console
    does not record one by one (operation and key id); names: key id → label; ceremonies: when one was open, in ms."""

    acts: Sequence[Act]
    allowed: Mapping[tuple[str, str], int] = field(default_factory=dict)
    free: Collection[tuple[str, str]] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    ceremonies: Collection[tuple[int, int]] = ()


def compare(records: Sequence[Record], ours: Ours, *, after: int, complete: bool = True) -> Compared:
    """Match and tell. after: number of the last record of the comparison before; complete: nothing is missing at the
    end of the records, so that what they lack is not there."""
    findings = list(_gaps(records, after))
    waiting: dict[tuple[str, str], list[Act]] = {}
    for act in ours.acts:
        waiting.setdefault((act.operation, act.key_id), []).append(act)
    allowed, shadows = Counter(dict(ours.allowed)), []
    compared = [record for record in records if record.operation in COMPARED]
    far = [record for record in compared if not _take(waiting, record, NEAR_MS)]
    unmatched = [record for record in far if not _take(waiting, record)]
    for record in unmatched:
        if (record.operation, record.key_id) in ours.free:
            continue
        if allowed[record.operation, record.key_id] > 0:
            allowed[record.operation, record.key_id] -= 1
        elif not _in_ceremony(record, ours):
            shadows.append(record)
    findings += [f"SHADOW-OP: {_shadow(record, ours.names)}" for record in shadows]
    if complete:
        left = [act for acts in waiting.values() for act in acts if act.certain]
        left.sort(key=lambda act: act.seq)
        findings += [f"PHANTOM-OP: {_phantom(act, ours.names)}" for act in left]
    if len(findings) > MOST_TOLD:
        findings[MOST_TOLD:] = [
            f"{findings[MOST_TOLD].partition(':')[0]}: and {len(findings) - MOST_TOLD} more findings"
        ]
    numbers = [record.index for record in records]
    return Compared(
        first=min(numbers, default=-1),
        last=max(numbers, default=-1),
        matched=len(compared) - len(unmatched),
        findings=tuple(findings),
    )


def _gaps(records: Sequence[Record], after: int) -> Iterable[str]:
    expected = after + 1
    for record in records:
        if record.index != expected:
            yield (
                f"DEVICE-CHANGED: the device's own log goes on with record {record.index} where {expected} was to "
                "come; records were lost, or it is another log"
            )
        expected = record.index + 1


def _take(waiting: dict[tuple[str, str], list[Act]], record: Record, near_ms: int = 0) -> bool:
    """Use up the act of ours that this record tells of, the nearest in time. near_ms: only when it is so near."""
    keys = [record.key_id] if record.key_id else [key for operation, key in waiting if operation == record.operation]
    found = [act for key in keys for act in waiting.get((record.operation, key), ())]
    if not found or (near_ms and not record.time_ms):
        return False
    nearest = min(found, key=lambda act: (abs(act.time_ms - record.time_ms) if record.time_ms else 0, act.seq))
    if near_ms and abs(nearest.time_ms - record.time_ms) > near_ms:
        return False
    waiting[nearest.operation, nearest.key_id].remove(nearest)
    return True


def _in_ceremony(record: Record, ours: Ours) -> bool:
    """The security officer's log-in belongs to a ceremony when one was open at the time that the device tells."""
    if record.operation != "so-login" or not record.time_ms:
        return False
    return any(begin <= record.time_ms <= end for begin, end in ours.ceremonies)


def _name(key_id: str, names: Mapping[str, str]) -> str:
    label = names.get(key_id)
    return f"“{label}”" if label else f"with the id {key_id}" if key_id else "(the device does not say which)"


def _shadow(record: Record, names: Mapping[str, str]) -> str:
    if record.operation == "so-login":
        return f"the security officer logged in (record {record.index} of the device), and no ceremony was open"
    words = _WORDS[record.operation]
    key = f" {_name(record.key_id, names)}" if words.endswith("key") else ""
    return f"the device {words}{key} (its record {record.index}), and nothing here asked for it"


def _phantom(act: Act, names: Mapping[str, str]) -> str:
    words = _WORDS[act.operation]
    key = f" {_name(act.key_id, names)}" if words.endswith("key") else ""
    return f"entry {act.seq} says that the device {words}{key}, and its own log does not"
