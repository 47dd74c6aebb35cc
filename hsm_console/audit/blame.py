"""Which entry was changed, as exactly as the chain, the stored tiles and the signed roots can tell."""

from __future__ import annotations

from hsm_console.audit import tiles
from hsm_console.audit.findings import Findings, Word


class Blame:
    """What the verifier noticed so far. Until something is wrong, `uneasy` is False and nothing here is called.

    shifted: an entry is missing, so that nothing behind it can stand where the tree has it.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._break: int | None = None  # the chain breaks before this entry
        self._suspects: list[int] = []  # entries whose leaf is not the one in the stored tile
        self._blamed: list[int] = []  # entries that the chain says were changed
        self._unnamed = 0  # size of a checkpoint below which some entry was changed, not known which
        self.uneasy = False  # the next link of the chain must be looked at even when it holds
        self.shifted = False
        self.diverged = False

    @property
    def quiet(self) -> bool:
        """Nothing was noticed, not even what is no finding yet."""
        return not (self._suspects or self._blamed or self._unnamed or self.uneasy or self.shifted or self.diverged)

    def gap(self, expected: int, seq: int) -> None:
        missing = f"entry {expected} is" if seq == expected + 1 else f"entries {expected} to {seq - 1} are"
        self._findings.add(Word.GAP, f"{missing} missing", expected)
        self.shifted = True

    def tile(self, level: int, n: int, data: bytes, stored: bytes | None) -> None:
        """A tile that is not as its entries make it. `stored` None: it is not there."""
        if self.shifted:
            return
        if stored is None:
            self._findings.add(Word.INCOMPLETE, f"tile {n} of level {level} is missing", n << 8 if not level else -1)
        elif level == 0:
            first = n * tiles.WIDTH
            pairs = zip(tiles.split(data), tiles.split(stored), strict=False)
            wrong = [first + at for at, (mine, other) in enumerate(pairs) if mine != other]
            self._suspects.extend(wrong or [first])
        elif not self._suspects:
            self._findings.add(Word.REWRITTEN, f"tile {n} of level {level} was altered")

    def link(self, seq: int, previous: str, expected: str, signed: int) -> None:
        """Entry `seq` names `previous`; the entry before it hashes to `expected`."""
        if self._unnamed:
            self._name(signed, last=previous != expected)
        if previous == expected:
            if self._break == seq - 1 and seq > 1:
                self._blamed.append(seq - 2)
            self._break = None
        elif self._break == seq - 1:
            self._blamed.append(max(0, seq - 1))
            self._break = None
        else:
            text = f"entry {seq} does not follow entry {seq - 1} as it stands here"
            self._findings.add(Word.CHAIN, text, max(0, seq - 1))
            self._break = seq
        self.uneasy = self._break is not None

    def holds(self) -> None:
        """What is signed here has the root that the entries have: it was the tile that was altered."""
        if self._suspects:
            text = f"the stored tile is not that of entry {self._suspects[0]}, which is as it was signed"
            self._findings.add(Word.REWRITTEN, text, self._suspects[0])
            self._suspects.clear()

    def diverges(self, size: int) -> None:
        """The entries below `size` are not those that were signed: say which."""
        if self.diverged or self.shifted:
            return
        self.diverged = True
        known = [entry for entry in self._suspects or self._blamed if entry < size]
        if self._break == size - 1 and not known:
            known = [size - 2]
        if known:
            more = f" (and {len(known) - 1} more)" if len(known) > 1 else ""
            text = f"entry {known[0]} is not what was signed at size {size}{more}"
            self._findings.add(Word.REWRITTEN, text, known[0])
            self._suspects.clear()
        else:
            self._unnamed, self.uneasy = size, True  # the entry behind it may still say that the last one was changed

    def _name(self, signed: int, *, last: bool) -> None:
        """Tell of a divergence whose entry the chain did not name before."""
        size, self._unnamed = self._unnamed, 0
        if last:
            text = f"entry {size - 1} is not what was signed at size {size}; others from {signed} on may not be"
            self._findings.add(Word.REWRITTEN, text, size - 1)
        else:
            text = f"one or more of the entries {signed} to {size - 1} are not what was signed at size {size}"
            self._findings.add(Word.REWRITTEN, text, signed)

    def finish(self, signed: int) -> None:
        if self._unnamed:
            self._name(signed, last=False)
        if self._suspects:
            text = f"entry {self._suspects[0]} is not the one in the stored tile"
            self._findings.add(Word.REWRITTEN, text, self._suspects[0])
