"""What a verifier checks of values under seal, pruned entries and segments, without any key (AUDIT 8)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from hsm_console.audit import disclosure, ocsf, tiles
from hsm_console.audit.findings import Findings, Word
from hsm_console.audit.retention import KEPT
from hsm_console.audit.source import Source
from hsm_console.domain.errors import VerificationFailed
from hsm_console.domain.events import DisclosuresErased, LogPruned, LogRotated, SegmentFile
from hsm_console.domain.reading import open_regular

FOLDER = "segments"
KINDS = frozenset({"disclosures-erased", "log-rotated", "log-pruned"})
_MOST_MISSING = 10_000  # a hostile file must not fill the memory
_CHUNK = 1 << 20


class Retained:
    """One pass beside the verifier's: `bridge` for a gap, `finish` at the end, and `step` for entries that concern it:
    those that seal, those of a kind in `KINDS`, those in `told`.
    """

    def __init__(
        self, source: Source, findings: Findings, folder: Path | None, told: Sequence[tuple[int, str]]
    ) -> None:
        self._source = source
        self._findings = findings
        self._folder = folder
        self.told: dict[int, list[str]] = {}
        for seq, text in told:
            self.told.setdefault(seq, []).append(text)
        self._disclosed = len(told)
        self.missing: dict[str, int] = {}
        self._bridged: tuple[int, int] | None = None
        self.pruned: LogPruned | None = None
        self._claimed = ""
        self._segments: dict[int, SegmentFile] = {}
        self._absent: list[int] = []
        self.sealed = 0
        self.redacted = 0

    # -- entries ----------------------------------------------------------------------------------------

    def step(self, seq: int, digests: Sequence[str], hashes: Sequence[str], body: bytes) -> None:
        for digest, sha256 in zip(digests, hashes, strict=False):
            self._row(seq, digest, sha256)
        if len(digests) != len(hashes):
            self._findings.add(Word.SEALED, f"entry {seq} names {len(digests)} values and {len(hashes)} rows", seq)
        for text in self.told.pop(seq, ()):
            self._disclosure(seq, text, digests)
        if b'"kind":"disclosures-erased"' in body or b'"kind":"log-' in body:
            self.event(seq, body)

    @property
    def full(self) -> bool:
        """So many values are missing that not each of them is known any more."""
        return len(self.missing) >= _MOST_MISSING

    def _row(self, seq: int, digest: str, sha256: str) -> None:
        if self._source.kind == "bundle":
            return
        row = self._source.sealed(digest)
        if row is None:
            self.redacted += 1
            if len(self.missing) < _MOST_MISSING:
                self.missing[digest] = seq
            return
        self.sealed += 1
        if row[0] != seq or hashlib.sha256(row[1]).hexdigest() != sha256:
            self._findings.add(Word.SEALED, f"a sealed row of entry {seq} is not the one that was written", seq)

    def _disclosure(self, seq: int, text: str, digests: Sequence[str]) -> None:
        try:
            disclosure.parse(text)
            matches = disclosure.digest(text) in digests
        except (VerificationFailed, UnicodeEncodeError):
            matches = False
        if not matches:
            self._findings.add(Word.DISCLOSURE, f"a value that is told for entry {seq} is not the one in it", seq)

    def event(self, seq: int, body: bytes) -> None:
        """An entry of one of `KINDS`, in order."""
        try:
            event = ocsf.decode(body).event
        except VerificationFailed:
            return  # the form of entries is judged elsewhere
        if isinstance(event, DisclosuresErased):
            for item in event.erased:
                known = self.missing.get(item.digest, seq) < seq
                if known:
                    del self.missing[item.digest]
                elif self._source.sealed(item.digest) is not None:
                    text = f"a value of entry {item.entry} was erased by order and is here again"
                    self._findings.add(Word.SEALED, text, item.entry)
        elif isinstance(event, LogRotated):
            self._segments[event.segment] = SegmentFile(
                segment=event.segment, first=event.first, last=event.last, file=event.file, sha256=event.sha256
            )
        elif isinstance(event, LogPruned):
            self.pruned = event
            self._segments |= {item.segment: item for item in event.segments}

    # -- pruned entries ---------------------------------------------------------------------------------

    def bridge(self, first: int, seq: int) -> Iterator[bytes] | None:
        """The leaf hashes of entries that are not here, from the tiles; None when they cannot have been pruned.

        Whether an order pruned exactly these is settled by `finish`.
        """
        if first != KEPT or self._bridged or seq % tiles.WIDTH:
            return None
        if any(self._source.tile(0, n) is None for n in range(seq // tiles.WIDTH)):
            return None
        self._bridged = (first, seq)
        return self._leaves(first, seq)

    def _leaves(self, first: int, seq: int) -> Iterator[bytes]:
        for n in range(seq // tiles.WIDTH):
            data = self._source.tile(0, n) or b""
            yield from tiles.split(data)[max(0, first - n * tiles.WIDTH) :]

    def continues(self, fingerprint: str) -> None:
        """The predecessor that the first entry behind the gap names."""
        self._claimed = fingerprint

    @property
    def below(self) -> int:
        return self._bridged[1] if self._bridged else 0

    # -- the end ----------------------------------------------------------------------------------------

    def finish(self) -> None:
        for digest, seq in self.missing.items():
            text = f"a sealed value of entry {seq} is gone, and no order erased it ({digest[:8]}…)"
            self._findings.add(Word.SEALED, text, seq)
        if self._source.sealed_count(self.below) > self.sealed:
            self._findings.add(Word.SEALED, "there are sealed rows that no entry names")
        for seq in self.told:
            text = f"a value is told for entry {seq}, which is not here to be compared"
            self._findings.add(Word.DISCLOSURE, text, seq)
        self._finish_pruned()
        for item in self._segments.values():
            self._segment(item)

    def _finish_pruned(self) -> None:
        if self._bridged is None:
            return
        first, seq = self._bridged
        if self.pruned is None or self.pruned.below != seq:
            text = f"entries {first} to {seq - 1} are missing, and no order pruned just these"
            self._findings.add(Word.GAP, text, first)
        elif self.pruned.fingerprint != self._claimed:
            text = f"entry {seq} does not follow the last entry that was pruned"
            self._findings.add(Word.CHAIN, text, seq)

    def _segment(self, item: SegmentFile) -> None:
        if self._folder is None:
            self._absent.append(item.segment)
            return
        path = self._folder / Path(item.file).name
        try:
            with open_regular(path) as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            if item.first < self.below:
                text = f"segment {item.segment} with the pruned entries {item.first} to {item.last} is not here"
                self._findings.add(Word.SEGMENT, text, item.first)
            else:
                self._absent.append(item.segment)
            return
        if found != item.sha256:
            self._findings.add(Word.SEGMENT, f"segment {item.segment} is not the file that was written", item.first)

    # -- the first line -----------------------------------------------------------------------------------

    def counts(self) -> str:
        """` sealed=5 redacted=1 pruned=512`, each only where there is such."""
        pruned = self._bridged[1] - self._bridged[0] if self._bridged else 0
        pairs = (("sealed", self.sealed), ("redacted", self.redacted), ("pruned", pruned))
        return "".join(f" {name}={count}" for name, count in pairs if count)

    def checked(self) -> list[str]:
        """Besides the anchors: what was brought and held against the log."""
        return [f"{self._disclosed} disclosure{'s' if self._disclosed > 1 else ''}"] if self._disclosed else []

    def not_checked(self) -> list[str]:
        left = ["values under seal"] if self.sealed else []
        if self._absent:
            left.append(f"segments {', '.join(map(str, sorted(self._absent)))}")
        return left
