"""Heads that somebody signed or keeps elsewhere, held against the roots that the entries have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hsm_console.audit.anchors import Anchor
from hsm_console.audit.anchors_required import Required
from hsm_console.audit.blame import Blame
from hsm_console.audit.checkpoint import Vkey, verify_note
from hsm_console.audit.findings import Findings, Word
from hsm_console.audit.history import CLOCK_SLACK_MS
from hsm_console.audit.tiles import Edge
from hsm_console.domain.errors import VerificationFailed

_NOTE_WORDS = {
    "bad-signature": Word.BAD_SIGNATURE,
    "foreign": Word.FOREIGN,
    "downgrade": Word.DOWNGRADE,
    "note-unreadable": Word.BAD_SIGNATURE,
}


class Vouched:
    """Checkpoints and anchors in the order of their sizes. The verifier calls `at_size` when it reaches `next_stop`."""

    def __init__(
        self,
        vkey: Vkey,
        notes: Iterator[tuple[int, str]],
        anchors: Sequence[Anchor],
        findings: Findings,
        blame: Blame,
        required: Required,
    ) -> None:
        self._vkey = vkey
        self._notes = notes
        self._note = next(notes, None)
        self.anchors = sorted(anchors, key=lambda anchor: anchor.size)
        self._findings = findings
        self._blame = blame
        self.required = required
        self._note_faults: dict[Word, int] = {}
        self.line_kinds: set[bytes] = set()
        self.indexed: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            if anchor.leaf:
                self.indexed.setdefault(anchor.index, []).append(anchor)
        self.roots: dict[int, bytes] = {}
        self.next_stop = 0
        self.signed = 0

    def leaf(self, seq: int, leaf: bytes) -> None:
        """An entry that some receipt is about."""
        for anchor in self.indexed[seq]:
            if leaf != anchor.leaf:
                text = f"entry {seq} is not the one that the {anchor.name} proves"
                self._findings.add(Word.REWRITTEN, text, seq)

    def at_size(self, edge: Edge, time_ms: int) -> None:
        """So many entries are read; time_ms: what the last of them says."""
        size, root = edge.size, edge.root()
        while self._note is not None and self._note[0] <= size:
            self._check_note(self._note[0], self._note[1], root, time_ms)
            self._note = next(self._notes, None)
        for anchor in self.anchors:
            if anchor.size == size:
                self.roots[size] = root
        waiting = [anchor.size for anchor in self.anchors if anchor.size > size]
        if self._note is not None:
            waiting.append(self._note[0])
        self.next_stop = min(waiting, default=-1)

    def _check_note(self, size: int, text: str, root: bytes, time_ms: int) -> None:
        try:
            head, seconds = verify_note(text, self._vkey)
        except VerificationFailed as fault:
            word = _NOTE_WORDS[fault.problem.code]
            self._note_faults[word] = self._note_faults.get(word, 0) + 1
            if self._note_faults[word] == 1:
                self._findings.add(word, f"at size {size}: {fault.problem.what.partition(': ')[2]}", size - 1)
            return
        if head.size != size:
            text = f"the checkpoint kept for {size} entries speaks of {head.size}"
            self._findings.add(Word.ROLLED_BACK, text, size - 1)
        elif head.root != root:
            self._blame.diverges(size)
        else:
            self.required.signed(size, root)
            self._accept(size, text, seconds, time_ms)

    def _accept(self, size: int, text: str, seconds: int, time_ms: int) -> None:
        self._blame.holds()
        self.signed = size
        if 0 <= seconds * 1000 < time_ms - 999 - CLOCK_SLACK_MS:
            self._findings.add(Word.CLOCK, f"the checkpoint of size {size} is dated before its last entry", size - 1)
        kinds = {line.encode() for line in text.split("\n") if line.startswith(f"— {self._vkey.name} ")}
        prefixes = {line.split(b" ")[2][:5] for line in kinds}  # the key id in Base64
        if not prefixes >= self.line_kinds:
            self._findings.add(
                Word.DOWNGRADE, f"the checkpoint of size {size} lacks a signature that earlier ones had", size - 1
            )
        self.line_kinds = prefixes

    def finish(self, entries: int) -> None:
        """No more entries: whoever knows more of them tells of a cut; and each anchor must lie in this log."""
        if self._note is not None and self._note[0] > entries:
            text = f"a checkpoint over {self._note[0]} entries is kept here, but there are only {entries}"
            self._findings.add(Word.TRUNCATED, text, entries)
        for anchor in self.anchors:
            self._check_anchor(anchor, entries)
        for word, text in self.required.findings(self.anchors, self.roots):
            self._findings.add(word, text)

    def _check_anchor(self, anchor: Anchor, entries: int) -> None:
        add = self._findings.add
        if anchor.origin != self._vkey.name:
            add(Word.FOREIGN, f"the {anchor.name} is of the log “{anchor.origin}”")
        elif anchor.size > entries:
            whole = entries and self.signed == entries
            word = Word.ROLLED_BACK if whole else Word.TRUNCATED
            state = "an earlier state" if whole else "cut off"
            add(word, f"the {anchor.name} knows {anchor.size} entries; this log is {state} at {entries}", entries)
        elif self.roots.get(anchor.size) == anchor.root:
            return
        elif self.signed >= anchor.size:
            text = f"the {anchor.name} and this log were signed by one key over different entries (size {anchor.size})"
            add(Word.FORK, text, anchor.index)
        elif not self._blame.diverged:
            text = f"the entries below {anchor.size} are not those that the {anchor.name} proves"
            add(Word.REWRITTEN, text, anchor.index)
