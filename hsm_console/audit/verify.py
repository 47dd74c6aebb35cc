"""The verifier: reads everything once, trusts only the key it was given, names what it checked and what not.

`verify_workspace` needs no running gateway and never writes. A second verifier that shares no code with this one
is docs/verify.py; both run over every golden log and every attack.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from hsm_console.audit import tiles
from hsm_console.audit.anchors import Anchor, TokenHead, decode_head
from hsm_console.audit.anchors_required import KINDS, Required
from hsm_console.audit.checkpoint import Vkey, verify_note
from hsm_console.audit.findings import Findings, Word, first_line
from hsm_console.audit.history import CLOCK_SLACK_MS, History
from hsm_console.audit.lean import Lean
from hsm_console.audit.lean import decoder as lean_entries
from hsm_console.audit.retained import FOLDER, Retained
from hsm_console.audit.retained import KINDS as RETAINED_KINDS
from hsm_console.audit.source import Source, open_source
from hsm_console.audit.tree import leaf_hash
from hsm_console.domain.errors import VerificationFailed
from hsm_console.domain.messages.audit import Finding, VerifyReport

Progress = Callable[[int, int], None]
_PROGRESS_EVERY = 4096
_NOTE_WORDS = {
    "bad-signature": Word.BAD_SIGNATURE,
    "foreign": Word.FOREIGN,
    "downgrade": Word.DOWNGRADE,
    "note-unreadable": Word.BAD_SIGNATURE,
}


def verify_workspace(
    path: Path,
    vkey: Vkey,
    receipts: Sequence[Anchor] = (),
    token_head: bytes | None = None,
    progress: Progress | None = None,
    *,
    refused: Sequence[Finding] = (),
    disclosures: Sequence[tuple[int, str]] = (),
    segments: Path | None = None,
) -> VerifyReport:
    """Verify a workspace folder, an audit.db or an exported bundle against the key the caller brings.

    receipts: anchors from receipts that were verified on their own (`receipt.anchor`). token_head: value of the
    token's data object. progress(done, of) may raise to stop.
    refused: receipts that did not verify on their own. disclosures: (entry, disclosure) that somebody was told.
    segments: folder of segment files, by default the one beside the log. Raises EnvironmentFault log-missing,
    log-damaged.
    """
    begun = time.monotonic()
    anchors = list(receipts)
    if token_head is not None:
        anchors.append(_token_anchor(decode_head(token_head)))
    with open_source(path) as source:
        beside = (path if path.is_dir() else path.parent) / FOLDER
        folder = segments or (beside if beside.is_dir() or source.kind == "database" else None)
        verifier = Verifier(source, vkey, anchors, progress, disclosures, folder)
        for item in refused:
            verifier.note(item)
        verifier.run()
    return verifier.report(int((time.monotonic() - begun) * 1000))


def _token_anchor(head: TokenHead) -> Anchor:
    return Anchor(kind="token", name="token", origin=head.origin, size=head.size, root=head.root)


class Verifier:
    """One pass over one source. Memory does not grow with the log."""

    def __init__(
        self,
        source: Source,
        vkey: Vkey,
        anchors: Sequence[Anchor],
        progress: Progress | None,
        disclosures: Sequence[tuple[int, str]] = (),
        segments: Path | None = None,
    ) -> None:
        self._source = source
        self._vkey = vkey
        self._anchors = sorted(anchors, key=lambda anchor: anchor.size)
        self._progress = progress
        self._findings = Findings()
        self._history = History(self._findings)
        self._retained = Retained(source, self._findings, segments, disclosures)
        self._required = Required()
        self._edge = tiles.Edge()
        self._notes: Iterator[tuple[int, str]] = source.checkpoints()
        self._note = next(self._notes, None)
        self._next_stop = 0
        self._chain_uid: str | None = None
        self._previous = ""
        self._expected = 0
        self._time_ms = 0
        self._break: int | None = None  # the chain breaks before this entry
        self._suspects: list[int] = []  # entries whose leaf is not the one in the stored tile
        self._blamed: list[int] = []  # entries that the chain says were changed
        self._shifted = False
        self._diverged = False
        self._unnamed = 0  # size of a checkpoint below which some entry was changed, not known which
        self._note_faults: dict[Word, int] = {}
        self._line_kinds: set[bytes] = set()
        self._indexed: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            if anchor.leaf:
                self._indexed.setdefault(anchor.index, []).append(anchor)
        self._proven: list[str] = []
        self._roots: dict[int, bytes] = {}
        self.signed = 0

    def note(self, finding: Finding) -> None:
        """A finding that was made before the log was opened."""
        self._findings.add(Word(finding.word), finding.text, finding.entry)

    def run(self) -> None:
        total = self._source.count() if self._progress else 0
        self._at_size()  # a checkpoint over no entries, or fewer, is one that nobody signed
        for seq, length, body in self._source.entries():
            self._entry(seq, length, body)
            if self._edge.size == self._next_stop:
                self._at_size()
            if self._progress and not seq % _PROGRESS_EVERY:
                self._progress(seq, total)
        self._end()
        if self._progress:
            self._progress(total, total)

    # -- one entry --------------------------------------------------------------------------------------

    def _entry(self, seq: int, length: int, body: bytes | None) -> None:
        add = self._findings.add
        bridged = seq > self._expected and self._bridge(seq)
        if seq != self._expected and not bridged:
            missing = (
                f"entry {self._expected} is"
                if seq == self._expected + 1
                else f"entries {self._expected} to {seq - 1} are"
            )
            add(Word.GAP, f"{missing} missing", self._expected)
            self._shifted = True
        self._expected = seq + 1
        if body is None:
            add(Word.REWRITTEN, f"entry {seq} is {length} bytes of something that this log never writes", seq)
            body = b""
        self._leaf(seq, leaf_hash(body))
        previous, self._previous = self._previous, sha256(body).hexdigest()
        try:
            lean = lean_entries.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if body:
                add(Word.REWRITTEN, f"entry {seq} is not in the form of an entry", seq)
            return
        link = lean.attestation.prev_event
        if bridged and link is not None:
            previous = link.fingerprint.value
            self._retained.continues(previous)
        if link is None or link.fingerprint.value != previous or self._break is not None or self._unnamed:
            self._chain(seq, link.fingerprint.value if link else "", previous)
        if lean.metadata.sequence != seq:
            add(Word.GAP, f"the entry at {seq} was written as entry {lean.metadata.sequence}", seq)
        if lean.attestation.chain_uid != self._chain_uid:
            self._belongs(seq, lean)
        self._time_ms = lean.time
        extension = lean.hsm_console
        if extension.sd or extension.event.kind in RETAINED_KINDS or seq in self._retained.told:
            self._retained.step(seq, extension.sd, extension.sealed, body)
        if extension.event.kind in KINDS:
            self._required.see(seq, body)
        boot = (lean.device.boot_uid, extension.boottime_ms)
        person = lean.actor.user is not None
        self._history.step(seq, lean.time, boot, extension.event, critical=extension.critical, person=person)

    def _bridge(self, seq: int) -> bool:
        """Pass over entries whose hashes are here and whose bodies may have been pruned."""
        leaves = self._retained.bridge(self._expected, seq)
        if leaves is None:
            return False
        for at, leaf in enumerate(leaves, self._expected):
            self._leaf(at, leaf)
            if self._edge.size == self._next_stop:
                self._at_size()
        self._history.pass_over()
        return True

    def _leaf(self, seq: int, leaf: bytes) -> None:
        for anchor in self._indexed.get(seq, ()) if self._indexed else ():
            if leaf != anchor.leaf:
                text = f"entry {seq} is not the one that the {anchor.name} proves"
                self._findings.add(Word.REWRITTEN, text, seq)
        for level, n, data in self._edge.push(leaf):
            stored = self._source.tile(level, n)
            if stored == data or self._shifted:
                continue
            if stored is None:
                self._findings.add(
                    Word.INCOMPLETE, f"tile {n} of level {level} is missing", n << 8 if not level else -1
                )
            elif level == 0:
                self._compare(n * tiles.WIDTH, data, stored)
            elif not self._suspects:
                self._findings.add(Word.REWRITTEN, f"tile {n} of level {level} was altered")

    def _compare(self, first: int, data: bytes, stored: bytes) -> None:
        pairs = zip(tiles.split(data), tiles.split(stored), strict=False)
        wrong = [first + at for at, (mine, other) in enumerate(pairs) if mine != other]
        self._suspects.extend(wrong or [first])

    def _chain(self, seq: int, previous: str, expected: str) -> None:
        if self._unnamed:
            self._name(last=previous != expected)
        if previous == expected:
            if self._break == seq - 1 and seq > 1:
                self._blame(seq - 2)
            self._break = None
            return
        if self._break == seq - 1:
            self._blame(seq - 1)
            self._break = None
            return
        self._findings.add(
            Word.CHAIN, f"entry {seq} does not follow entry {seq - 1} as it stands here", max(0, seq - 1)
        )
        self._break = seq

    def _blame(self, seq: int) -> None:
        self._blamed.append(max(0, seq))

    def _belongs(self, seq: int, lean: Lean) -> None:
        event = lean.hsm_console.event
        if seq == 0:
            self._chain_uid = lean.attestation.chain_uid
            if event.kind != "log-created":
                self._findings.add(Word.INCOMPLETE, "entry 0 does not say what this log is", 0)
            elif event.origin != self._vkey.name:
                text = f"this is the log “{event.origin}”; the key is for “{self._vkey.name}”"
                self._findings.add(Word.FOREIGN, text, 0)
        else:
            self._chain_uid = self._chain_uid or lean.attestation.chain_uid
        if lean.attestation.chain_uid != self._chain_uid:
            self._findings.add(Word.FOREIGN, f"entry {seq} belongs to another log", seq)

    # -- sizes at which somebody signed or anchored a root ----------------------------------------------

    def _plan(self) -> None:
        waiting = [anchor.size for anchor in self._anchors if anchor.size > self._edge.size]
        if self._note is not None and self._note[0] > self._edge.size:
            waiting.append(self._note[0])
        self._next_stop = min(waiting, default=-1)

    def _at_size(self) -> None:
        size, root = self._edge.size, self._edge.root()
        while self._note is not None and self._note[0] <= size:
            self._check_note(self._note[0], self._note[1], root)
            self._note = next(self._notes, None)
        for anchor in self._anchors:
            if anchor.size == size:
                self._roots[size] = root
        self._plan()

    def _check_note(self, size: int, text: str, root: bytes) -> None:
        try:
            head, seconds = verify_note(text, self._vkey)
        except VerificationFailed as fault:
            word = _NOTE_WORDS[fault.problem.code]
            self._note_faults[word] = self._note_faults.get(word, 0) + 1
            if self._note_faults[word] == 1:
                self._findings.add(word, f"at size {size}: {fault.problem.what.partition(': ')[2]}", size - 1)
            return
        if head.size != size:
            self._findings.add(
                Word.ROLLED_BACK, f"the checkpoint kept for {size} entries speaks of {head.size}", size - 1
            )
            return
        if head.root != root:
            self._diverge(size)
            return
        self._required.signed(size, root)
        self._accept(size, text, seconds)

    def _accept(self, size: int, text: str, seconds: int) -> None:
        if self._suspects:
            text_ = f"the stored tile is not that of entry {self._suspects[0]}, which is as it was signed"
            self._findings.add(Word.REWRITTEN, text_, self._suspects[0])
            self._suspects.clear()
        self.signed = size
        self._history.signed(size)
        if 0 <= seconds * 1000 < self._time_ms - 999 - CLOCK_SLACK_MS:
            self._findings.add(Word.CLOCK, f"the checkpoint of size {size} is dated before its last entry", size - 1)
        kinds = {line.encode() for line in text.split("\n") if line.startswith(f"— {self._vkey.name} ")}
        prefixes = {line.split(b" ")[2][:5] for line in kinds}  # the key id in Base64
        if not prefixes >= self._line_kinds:
            self._findings.add(
                Word.DOWNGRADE, f"the checkpoint of size {size} lacks a signature that earlier ones had", size - 1
            )
        self._line_kinds = prefixes

    def _diverge(self, size: int) -> None:
        """The entries below `size` are not those that were signed: say which, as exactly as can be known."""
        if self._diverged or self._shifted:
            return
        self._diverged = True
        known = [entry for entry in self._suspects or self._blamed if entry < size]
        if self._break == size - 1 and not known:
            known = [size - 2]
        if known:
            more = f" (and {len(known) - 1} more)" if len(known) > 1 else ""
            text = f"entry {known[0]} is not what was signed at size {size}{more}"
            self._findings.add(Word.REWRITTEN, text, known[0])
            self._suspects.clear()
        else:
            self._unnamed = size  # the entry behind it may still say that the last one was changed

    def _name(self, *, last: bool) -> None:
        """Tell of a divergence whose entry the chain did not name before."""
        size, self._unnamed = self._unnamed, 0
        if last:
            text = f"entry {size - 1} is not what was signed at size {size}; others from {self.signed} on may not be"
            self._findings.add(Word.REWRITTEN, text, size - 1)
        else:
            text = f"one or more of the entries {self.signed} to {size - 1} are not what was signed at size {size}"
            self._findings.add(Word.REWRITTEN, text, self.signed)

    # -- the end ----------------------------------------------------------------------------------------

    def _end(self) -> None:
        entries = self._edge.size
        if not entries:
            self._findings.add(Word.TRUNCATED, "the log has no entries at all")
        if self._unnamed:
            self._name(last=False)
        if self._suspects:
            text = f"entry {self._suspects[0]} is not the one in the stored tile"
            self._findings.add(Word.REWRITTEN, text, self._suspects[0])
        if self._note is not None and self._note[0] > entries:
            text = f"a checkpoint over {self._note[0]} entries is kept here, but there are only {entries}"
            self._findings.add(Word.TRUNCATED, text, entries)
        self._retained.finish()
        open_end = self._source.live or self._source.kind == "bundle"
        self._history.finish(entries, self.signed, live=open_end)
        for anchor in self._anchors:
            self._check_anchor(anchor, entries)
        for word, text in self._required.findings(self._anchors, self._roots):
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
        elif self._roots.get(anchor.size) == anchor.root:
            self._proven.append(anchor.name)
        elif self.signed >= anchor.size:
            text = f"the {anchor.name} and this log were signed by one key over different entries (size {anchor.size})"
            add(Word.FORK, text, anchor.index)
        elif not self._diverged:
            text = f"the entries below {anchor.size} are not those that the {anchor.name} proves"
            add(Word.REWRITTEN, text, anchor.index)

    def report(self, elapsed_ms: int) -> VerifyReport:
        entries = self._edge.size
        counts = (entries, self.signed, entries - self.signed)
        anchors, not_checked = self._required.lists(self._anchors)
        anchors, not_checked = [*anchors, *self._retained.checked()], (*not_checked, *self._retained.not_checked())
        more = self._retained.counts()
        line = first_line(self._findings.words(), counts, anchors, not_checked, live=self._source.live, more=more)
        return VerifyReport(
            line=line,
            entries=entries,
            signed=self.signed,
            unsigned_tail=entries - self.signed,
            root=self._edge.root().hex(),
            findings=self._findings.all(),
            anchors=tuple(anchors),
            not_checked=not_checked,
            elapsed_ms=elapsed_ms,
        )
