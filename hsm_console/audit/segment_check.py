"""Verifying an opened segment with the log's public key alone: entries, chain, tiles, root, checkpoint, receipt."""

from __future__ import annotations

import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import msgspec

from hsm_console.audit import receipt, segment, tiles
from hsm_console.audit.checkpoint import Vkey, verify_note
from hsm_console.audit.findings import Findings, Word
from hsm_console.audit.in_clear import KINDS as SEALING_KINDS
from hsm_console.audit.in_clear import InClear
from hsm_console.audit.lean import decoder as lean_entries
from hsm_console.audit.receipt import Receipt
from hsm_console.audit.tile_files import MOST_ENTRIES, read_tile, split_entries
from hsm_console.audit.tree import leaf_hash, perfect_root, subtree
from hsm_console.domain.errors import VerificationFailed
from hsm_console.domain.messages.audit import VerifyReport
from hsm_console.domain.reading import read_whole

_NO_HASH = bytes(32)


def is_segment(folder: Path) -> bool:
    """Whether this is an opened segment, and no bundle or workspace."""
    return (folder / segment.MANIFEST).is_file()


def verify_segment(folder: Path, vkey: Vkey) -> VerifyReport:
    """Verify an opened segment. Raises InputError `segment-unreadable`."""
    begun = time.monotonic()
    check = _Check(folder, segment.read_manifest(folder))
    check.run(vkey)
    manifest, words = check.manifest, check.findings.words()
    entries = manifest.last - manifest.first + 1
    verdict = "NOT OK " + ", ".join(words) if words else "OK"
    line = (
        f"{verdict} segment={manifest.segment} entries={manifest.first}..{manifest.last} size={manifest.size} "
        "anchors: its receipt; not checked: the log it was taken from, other segments"
    )
    return VerifyReport(
        line=line,
        entries=entries,
        signed=0 if words else entries,
        unsigned_tail=entries if words else 0,
        root=manifest.root,
        findings=check.findings.all(),
        anchors=("receipt of the segment",),
        not_checked=("the log it was taken from", "other segments"),
        elapsed_ms=int((time.monotonic() - begun) * 1000),
    )


class _Check:
    def __init__(self, folder: Path, manifest: segment.Manifest) -> None:
        self._folder = folder
        self.manifest = manifest
        self.findings = Findings()
        self._in_clear = InClear(self.findings)

    def run(self, vkey: Vkey) -> None:
        note = segment.read_part(self._folder, segment.CHECKPOINT).decode("utf-8", "replace")
        try:
            head, _ = verify_note(note, vkey)
        except VerificationFailed as fault:
            self._told(fault, Word.BAD_SIGNATURE)
            return
        manifest = self.manifest
        if (head.size, head.root.hex(), head.origin) != (manifest.size, manifest.root, manifest.origin):
            self.findings.add(Word.SEGMENT, "the checkpoint is not the one that segment.json names")
        stop = manifest.last + 1
        if manifest.first % tiles.WIDTH or stop % tiles.WIDTH or not 0 <= manifest.first < stop <= head.size:
            self.findings.add(Word.SEGMENT, f"entries {manifest.first} to {manifest.last} are no segment")
            return
        self._entries(manifest.first, stop)
        self._levels(head.size)
        levels = [self._hashes(level, n, width) for level, n, width in _edge_tiles(head.size)]
        fetch = self._tile_or_nothing
        if subtree(tiles.nodes(tiles.Edge(head.size, levels), fetch), 0, head.size) != head.root:
            self.findings.add(Word.REWRITTEN, "the tiles do not lead to the signed root", manifest.first)
        self._receipt(vkey)

    def _told(self, fault: VerificationFailed, otherwise: Word) -> None:
        word, _, text = fault.problem.what.partition(": ")
        known = word in Word.__members__.values() or word in {item.value for item in Word}
        self.findings.add(Word(word) if known else otherwise, text.rstrip("."))

    def _entries(self, first: int, stop: int) -> None:
        previous, expected = "", first
        for n in range(first // tiles.WIDTH, stop // tiles.WIDTH):
            data, leaves = read_tile(self._folder / "tile" / "entries", n, MOST_ENTRIES), []
            for seq, _, body in split_entries(data or b"", n):
                leaves.append(leaf_hash(body or b""))
                previous = self._entry(seq, body or b"", previous)
                expected = seq + 1
            if expected != (n + 1) * tiles.WIDTH:
                self.findings.add(Word.GAP, f"entry {expected} is missing", expected)
                expected, previous = (n + 1) * tiles.WIDTH, ""
            elif b"".join(leaves) != self._tile_or_nothing(0, n):
                self.findings.add(
                    Word.REWRITTEN, f"an entry from {n * tiles.WIDTH} on is not the one in the tree", n << 8
                )

    def _entry(self, seq: int, body: bytes, previous: str) -> str:
        try:
            lean = lean_entries.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.findings.add(Word.REWRITTEN, f"entry {seq} is not in the form of an entry", seq)
            return ""
        link = lean.attestation.prev_event
        if previous and (link is None or link.fingerprint.value != previous):
            self.findings.add(Word.CHAIN, f"entry {seq} does not follow entry {seq - 1}", seq - 1)
        if lean.metadata.sequence != seq:
            self.findings.add(Word.GAP, f"the entry at {seq} was written as entry {lean.metadata.sequence}", seq)
        kind = lean.hsm_console.event.kind
        if kind in SEALING_KINDS:
            self._in_clear.see(seq, kind, body)
        if self._in_clear.watching:  # only where the segment itself tells what policy seals
            self._in_clear.step(seq, lean, body)
        return sha256(body).hexdigest()

    def _levels(self, size: int) -> None:
        """Each full tile's root is a hash in the tile above, from the segment's own tiles to the top."""
        wanted = range(self.manifest.first // tiles.WIDTH, (self.manifest.last + 1) // tiles.WIDTH)
        level = 0
        while wanted:
            above_full = size >> tiles.HEIGHT * (level + 2)
            for n in wanted:
                parent = n // tiles.WIDTH
                width = tiles.WIDTH if parent < above_full else (size >> tiles.HEIGHT * (level + 1)) % tiles.WIDTH
                above = self._hashes(level + 1, parent, width)
                if above[n % tiles.WIDTH] != perfect_root(tiles.split(self._tile_or_nothing(level, n))):
                    self.findings.add(Word.REWRITTEN, f"tile {n} of level {level} does not belong to this tree")
            level += 1
            wanted = range(size >> tiles.HEIGHT * (level + 1))

    def _hashes(self, level: int, n: int, width: int) -> list[bytes]:
        data = read_tile(self._folder / "tile" / str(level), n) or b""
        found = tiles.split(data)[:width]
        return [*found, *[_NO_HASH] * (width - len(found))]

    def _tile_or_nothing(self, level: int, n: int) -> bytes:
        data = read_tile(self._folder / "tile" / str(level), n)
        return data if data is not None and len(data) == tiles.TILE_BYTES else bytes(tiles.TILE_BYTES)

    def _receipt(self, vkey: Vkey) -> None:
        try:
            text = read_whole(self._folder / segment.RECEIPT, segment.MOST_PART).decode("utf-8", "replace")
            proven = receipt.verify(Receipt(proof=text, name=segment.RECEIPT), vkey)
        except OSError:
            self.findings.add(Word.INCOMPLETE, "the segment's receipt is missing")
        except VerificationFailed as fault:
            self._told(fault, Word.BAD_PROOF)
        else:
            if proven.index != self.manifest.last:
                self.findings.add(Word.BAD_PROOF, f"the receipt is that of entry {proven.index}", proven.index)


def _edge_tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """(level, index, width) of the unfinished tile at each level; width 0 where a level ends with a full one."""
    level = 0
    while level == 0 or size >> tiles.HEIGHT * level:
        yield level, size >> tiles.HEIGHT * (level + 1), (size >> tiles.HEIGHT * level) % tiles.WIDTH
        level += 1
