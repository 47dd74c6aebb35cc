"""How many signatures the log key made, by this log: its checkpoints, and the roots that were signed for receipts.

The device's own log is held against that to the last one: a signature that nobody here asked for may be a second
history.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.log import AuditLog
from hsm_console.detect.device_acts import Heads, Record
from hsm_console.domain import events as ev

T = TypeVar("T")
_TRIES = 5
_SOME = "SELECT {} FROM {} ORDER BY {} LIMIT ? OFFSET ?"


class HeadCount(msgspec.Struct, frozen=True):
    """What was signed until one moment. key_id: hex CKA_ID; failed: calls that may have been carried out; under_way:
    one is being made now, and its row comes later."""

    key_id: str
    checkpoints: int
    roots: int
    failed: int
    under_way: bool

    @property
    def total(self) -> int:
        return self.checkpoints + self.roots

    @classmethod
    def take(cls, log: AuditLog, key_id: str) -> HeadCount:
        """The count of now. While it is taken, nobody else's calls reach the device."""
        failed, under_way = log.heads.take_uncertain()
        with log.query().borrow() as conn:
            (checkpoints,) = conn.execute("SELECT count(*) FROM checkpoint").fetchone()
            table = conn.execute("SELECT 1 FROM sqlite_master WHERE name = 'root_signature'").fetchone()
            roots = conn.execute("SELECT count(*) FROM root_signature").fetchone()[0] if table else 0
        return cls(key_id, checkpoints, roots, failed, under_way)

    @classmethod
    def around(cls, log: AuditLog, key_id: str, read: Callable[[], T]) -> tuple[T, HeadCount]:
        """What `read` gives of the device, and the count that belongs to it.

        No lease holds up the log's own signatures: while one was made meanwhile, both are asked again. After some
        tries one signature is left open.
        """
        was = cls.take(log, key_id)
        failed = was.failed
        for _ in range(_TRIES):
            told, now = read(), cls.take(log, key_id)
            failed += now.failed
            if now.total == was.total and not was.under_way and not now.under_way:
                return told, msgspec.structs.replace(now, failed=failed)
            was = now
        return told, msgspec.structs.replace(now, failed=failed + 1)

    def not_told(self, log: AuditLog, before: ev.DeviceLogCompared) -> Heads:
        """The signatures that the device had not told of when it was compared before."""
        uncertain = self.failed + self.under_way
        wanted = self.total - before.heads.get(self.key_id, self.total)
        if wanted <= 0:
            return Heads(uncertain=uncertain + min(0, wanted))
        with log.query().borrow() as conn:
            notes = conn.execute(_SOME.format("size, note", "checkpoint", "size"), _place(wanted, self.checkpoints))
            made = [(size, _seconds(note)) for size, note in notes]
            if self.roots:
                made += conn.execute(_SOME.format("size, seconds", "root_signature", "n"), _place(wanted, self.roots))
        return Heads(made=tuple(sorted(made)[-wanted:]), uncertain=uncertain)

    def told(self, records: Sequence[Record], before: ev.DeviceLogCompared, *, complete: bool) -> dict[str, int]:
        """For the entry of this comparison: how many the device has told of by now. What a complete log did not tell
        was told as a finding and is not waited for; what the log key made too much does not stand for a later head."""
        seen = sum(record.operation == "sign" and record.key_id in ("", self.key_id) for record in records)
        seen += before.heads.get(self.key_id, self.total)
        if complete or self.key_id not in before.heads:
            seen = max(seen, self.total)
        return {**before.heads, self.key_id: min(seen, self.total + self.under_way)}


def _place(wanted: int, count: int) -> tuple[int, int]:
    """LIMIT and OFFSET of the last `wanted` of the first `count` rows."""
    return min(wanted, count), max(0, count - wanted)


def _seconds(text: str) -> int:
    """When a checkpoint was signed; 0 when its kind of signature (0x02) does not say."""
    note = parse_note(text)
    line = next(line for line in note.lines if line.name == note.checkpoint.origin)
    return int.from_bytes(line.blob[:8], "big") if line.blob[0] == 0 else 0
