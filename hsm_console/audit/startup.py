"""What a gateway checks before it serves: the head in the token, and everything since it (AUDIT 5).

Bodies are hashed again and held against the tree; the tree's root is held against the token's head and against the
newest checkpoints, whose signatures are verified. At most `MOST_ENTRIES` entries are read, so that a start is quick
whatever happened; the rest is for the round in the background (`startup_round`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from hashlib import sha256

import msgspec

from hsm_console.audit import canonical, tiles
from hsm_console.audit.anchors import TokenHead
from hsm_console.audit.checkpoint import verify_note
from hsm_console.audit.findings import Findings, Word
from hsm_console.audit.log import AuditLog
from hsm_console.audit.tree import Nodes, leaf_hash, perfect_root, subtree
from hsm_console.audit.vkey import Vkey
from hsm_console.domain.errors import VerificationFailed
from hsm_console.domain.messages.audit import Finding

MOST_ENTRIES = 10_240
MOST_NOTES = 64
_WORDS = {"foreign": Word.FOREIGN, "downgrade": Word.DOWNGRADE}


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Entries first ≤ seq < end were read again, of a log of `size`. anchored: the token's head, -1: none was there."""

    first: int
    end: int
    size: int
    anchored: int
    findings: tuple[Finding, ...]
    took_ms: int

    @property
    def line(self) -> str:
        """What was checked and what not; never a bare OK."""
        words = ", ".join(dict.fromkeys(item.word for item in self.findings))
        head = f"token's head of {self.anchored}" if self.anchored >= 0 else "no head in the token was at hand"
        rest = f"; not read: entries 0 to {self.first - 1}" if self.first else ""
        verdict = f"NOT OK {words}" if words else "OK"
        return f"{verdict} entries={self.first}..{self.end - 1} of {self.size}, {head}{rest}; not checked: clock, runs"


class _Fingerprint(msgspec.Struct, gc=False):
    value: str


class _Previous(msgspec.Struct, gc=False):
    fingerprint: _Fingerprint


class _Attestation(msgspec.Struct, gc=False):
    prev_event: _Previous | None = None


class _Metadata(msgspec.Struct, gc=False):
    sequence: int


class _Lean(msgspec.Struct, gc=False):
    metadata: _Metadata
    attestation: _Attestation


_lean = msgspec.json.Decoder(_Lean)


class Leaves:
    """Entries in order: each follows the one before, and its leaf is the one in the tree."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def tile(self, n: int, rows: Sequence[tuple[int, bytes]], expected: Sequence[bytes], before: bytes | None) -> None:
        """The entries of one tile. expected: its hashes in the tree; before: the body before the first one."""
        add, first = self._findings.add, n * tiles.WIDTH
        seqs = [seq for seq, _ in rows]
        if seqs != list(range(first, first + len(expected))):
            missing = next((s for s in range(first, first + len(expected)) if s not in set(seqs)), first)
            add(Word.GAP, f"entry {missing} is missing", missing)
        previous = sha256(before).hexdigest() if before is not None else ""
        last = first - 1 if before is not None or not first else -1
        for seq, body in rows:
            at = seq - first
            if 0 <= at < len(expected) and leaf_hash(body) != expected[at]:
                add(Word.REWRITTEN, f"entry {seq} is not the one in the tree", seq)
            self._follows(seq, body, previous, known=last == seq - 1)
            previous, last = sha256(body).hexdigest(), seq

    def _follows(self, seq: int, body: bytes, previous: str, *, known: bool) -> None:
        try:
            lean = _lean.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._findings.add(Word.REWRITTEN, f"entry {seq} is not in the form of an entry", seq)
            return
        if lean.metadata.sequence != seq:
            self._findings.add(Word.GAP, f"the entry at {seq} was written as entry {lean.metadata.sequence}", seq)
        link = lean.attestation.prev_event
        if known and (link.fingerprint.value if link else "") != previous:
            self._findings.add(Word.CHAIN, f"entry {seq} does not follow the entry before it", seq)


def rows_of(log: AuditLog, start: int, stop: int) -> list[tuple[int, bytes]]:
    """(seq, body) of these entries; what cannot be an entry comes as nothing."""
    query = (
        "SELECT seq, CASE WHEN typeof(body) = 'blob' AND length(body) <= ? THEN body ELSE x'' END "
        "FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq"
    )
    with log.query().borrow() as conn:
        return [
            (int(seq), bytes(body)) for seq, body in conn.execute(query, (canonical.MAX_BYTES, start, stop)).fetchall()
        ]


def expected_leaves(nodes: Nodes, n: int, size: int) -> list[bytes]:
    """The hashes of tile n at the lowest level, as the tree has them."""
    return [nodes(0, at) for at in range(n * tiles.WIDTH, min((n + 1) * tiles.WIDTH, size))]


def check(log: AuditLog, vkey: Vkey, head: TokenHead | None, *, below: int = 0) -> Checked:
    """Everything since the token's head. below: entries under it were pruned and are not asked for. Never raises for
    what it finds."""
    begun = time.monotonic()
    findings, size, nodes = Findings(), log.size, log.nodes()
    if head is not None:
        _check_head(findings, vkey, head, size, nodes)
    since = min(head.size, size) if head is not None else 0
    start = max(since, size - MOST_ENTRIES, below) // tiles.WIDTH * tiles.WIDTH
    _check_notes(findings, log, vkey, since, nodes)
    leaves = Leaves(findings)
    before = _body_before(log, start, below)
    for n in range(start // tiles.WIDTH, -(-size // tiles.WIDTH)):
        rows = rows_of(log, n * tiles.WIDTH, min((n + 1) * tiles.WIDTH, size))
        leaves.tile(n, rows, expected := expected_leaves(nodes, n, size), before)
        check_parents(findings, nodes, n, expected, size)
        before = rows[-1][1] if rows else None
    return Checked(
        first=start,
        end=size,
        size=size,
        anchored=head.size if head is not None else -1,
        findings=findings.all(),
        took_ms=int((time.monotonic() - begun) * 1000),
    )


def _body_before(log: AuditLog, start: int, below: int) -> bytes | None:
    """The body before `start`, where it still is."""
    if start <= below or not start:
        return None
    rows = rows_of(log, start - 1, start)
    return rows[0][1] if rows else None


def check_parents(findings: Findings, nodes: Nodes, n: int, hashes: Sequence[bytes], size: int) -> None:
    """A full tile, and those above it that it completes, are what the level above says."""
    level, index, found = 0, n, hashes
    while len(found) == tiles.WIDTH:
        height = tiles.HEIGHT * (level + 1)
        if perfect_root(found) != nodes(height, index):
            findings.add(Word.REWRITTEN, f"tile {index} of level {level} was altered", index << height)
        if (index + 1) % tiles.WIDTH:
            return
        level, index = level + 1, index // tiles.WIDTH
        if (index + 1) << tiles.HEIGHT * (level + 1) > size:
            return
        found = [nodes(tiles.HEIGHT * level, at) for at in range(index * tiles.WIDTH, (index + 1) * tiles.WIDTH)]


def _check_head(findings: Findings, vkey: Vkey, head: TokenHead, size: int, nodes: Nodes) -> None:
    if head.origin != vkey.name:
        findings.add(Word.FOREIGN, f"the token's head is of the log “{head.origin}”")
    elif head.size > size:
        findings.add(Word.TRUNCATED, f"the token knows {head.size} entries, this log has {size}", size)
    elif subtree(nodes, 0, head.size) != head.root:
        findings.add(Word.FORK, f"the first {head.size} entries are not those that the token remembers", head.size - 1)


def _check_notes(findings: Findings, log: AuditLog, vkey: Vkey, since: int, nodes: Nodes) -> None:
    """The newest checkpoints since the head: signed by the key, over this tree."""
    with log.query().borrow() as conn:
        query = "SELECT size, CAST(note AS TEXT) FROM checkpoint WHERE size >= ? ORDER BY size DESC LIMIT ?"
        notes = conn.execute(query, (since, MOST_NOTES)).fetchall()
    for size, text in notes:
        check_note(findings, vkey, (size, text), log.size, nodes)


def check_note(findings: Findings, vkey: Vkey, note: tuple[int, str], size: int, nodes: Nodes) -> None:
    """One stored checkpoint. note: the size that it is kept for, and its text."""
    kept, text = note
    try:
        head, _ = verify_note(text, vkey)
    except VerificationFailed as fault:
        word = _WORDS.get(fault.problem.code, Word.BAD_SIGNATURE)
        findings.add(word, f"at size {kept}: {fault.problem.what.partition(': ')[2].rstrip('.')}", kept - 1)
        return
    if head.size != kept or head.size > size:
        findings.add(Word.ROLLED_BACK, f"the checkpoint kept for {kept} entries speaks of {head.size}", kept - 1)
    elif subtree(nodes, 0, head.size) != head.root:
        findings.add(Word.REWRITTEN, f"the entries below {head.size} are not those that were signed", head.size - 1)
