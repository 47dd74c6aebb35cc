"""The verifier: reads everything once, trusts only the key it was given, names what it checked and what not.

`verify_workspace` needs no running gateway and never writes. A second verifier that shares no code with this one
is docs/verify.py; both run over every golden log and every attack.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import msgspec

from hsm_console.audit import canonical, tiles
from hsm_console.audit.anchors import Anchor, TokenHead, decode_head
from hsm_console.audit.anchors_required import KINDS, Required
from hsm_console.audit.blame import Blame
from hsm_console.audit.bundle import Bundle
from hsm_console.audit.canonical import MAX_BYTES
from hsm_console.audit.checkpoint import Vkey
from hsm_console.audit.findings import Findings, Word, first_line
from hsm_console.audit.history import History
from hsm_console.audit.in_clear import KINDS as SEALING_KINDS
from hsm_console.audit.in_clear import InClear
from hsm_console.audit.lean import Extension, Lean, decoder
from hsm_console.audit.retained import FOLDER, Retained
from hsm_console.audit.retained import KINDS as RETAINED_KINDS
from hsm_console.audit.source import Source, open_source
from hsm_console.audit.vouched import Vouched
from hsm_console.domain.errors import InputError
from hsm_console.domain.messages.audit import Finding, VerifyReport

Progress = Callable[[int, int], None]
_PROGRESS_EVERY = 4096
_FORMS = 1024  # unsigned entries whose form is looked at
_LEAF = sha256(b"\x00")  # copied for each leaf hash (RFC 6962 2.1): the body itself is not copied
_SPECIAL = KINDS | RETAINED_KINDS | SEALING_KINDS
_TILE = tiles.WIDTH - 1
_decode = decoder.decode


def verify_workspace(  # noqa: PLR0913 - each is one thing to hold the log against
    path: Path,
    vkey: Vkey,
    receipts: Sequence[Anchor] = (),
    token_head: bytes | None = None,
    progress: Progress | None = None,
    *,
    refused: Sequence[Finding] = (),
    disclosures: Sequence[tuple[int, str]] = (),
    segments: Path | None = None,
    jobs: int = 0,
) -> VerifyReport:
    """Verify a workspace folder, an audit.db or an exported bundle against the key the caller brings.

    receipts: anchors from receipts that were verified on their own (`receipt.anchor`). token_head: value of the
    token's data object. progress(done, of) may raise to stop.
    refused: receipts that did not verify on their own. disclosures: (entry, disclosure) that somebody was told.
    segments: folder of segment files, by default the one beside the log. jobs: processes to read a long log with at
    once, at most 2; 0: two where there are two processors. Raises EnvironmentFault log-missing, log-damaged.
    """
    begun = time.monotonic()
    anchors = list(receipts)
    if token_head is not None:
        anchors.append(_token_anchor(decode_head(token_head)))
    with open_source(path) as source:
        beside = (path if path.is_dir() else path.parent) / FOLDER
        folder = segments or (beside if beside.is_dir() or source.kind == "database" else None)
        verifier = None
        if jobs != 1 and not refused:
            from hsm_console.audit import halves

            verifier = halves.verify(path, source, vkey, anchors, list(disclosures), folder, progress, jobs)
        if verifier is None:
            verifier = Verifier(source, vkey, anchors, progress, disclosures, folder)
            for item in refused:
                verifier.note(item)
            verifier.read()
        verifier.end()
        if isinstance(source, Bundle):
            verifier.unfinished(source)
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
        self._progress = progress
        self.findings = Findings()
        self.history = History(self.findings)
        self.retained = Retained(source, self.findings, segments, disclosures)
        self.in_clear = InClear(self.findings)
        self.required = Required()
        self.blame = Blame(self.findings)
        self.vouched = Vouched(vkey, source.checkpoints(), anchors, self.findings, self.blame, self.required)
        self._watched = frozenset(self.vouched.indexed) | frozenset(self.retained.told)
        self.edge = tiles.Edge()
        self.chain_uid: str | None = None
        self.previous = ""
        self._expected = 0
        self._unsigned = 0
        self._unread = -1

    @property
    def signed(self) -> int:
        """How many entries a valid checkpoint covers."""
        return self.vouched.signed

    def note(self, finding: Finding) -> None:
        """A finding that was made before the log was opened."""
        self.findings.add(Word(finding.word), finding.text, finding.entry)

    def stand_at(self, edge: tiles.Edge, previous: str, chain_uid: str) -> None:
        """Go on from here as if the entries of this edge had been read."""
        self.edge, self.previous, self.chain_uid = edge, previous, chain_uid or None
        self._expected = edge.size

    def read(self) -> None:
        """Every entry of the source. What the log is as a whole is judged by `end`.

        In one loop, without a call for what is nearly always so: a call for each entry would cost a tenth of all.
        """
        total = self._source.count() if self._progress else 0
        self._at_size()  # a checkpoint over no entries, or fewer, is one that nobody signed
        edge, vouched, watched, blame, step = self.edge, self.vouched, self._watched, self.blame, self.history.step
        in_clear = self.in_clear
        for seq, length, body in self._source.entries():
            bridged = False
            if seq != self._expected or not body or len(body) > MAX_BYTES:
                bridged, body = self._odd(seq, length, body)  # noqa: PLW2901
            self._expected = seq + 1
            leaf = _LEAF.copy()
            leaf.update(body)
            edge.size += 1  # as `Edge.push`
            edge.levels[0].append(leaf.digest())
            if seq in watched or not edge.size & _TILE:
                self._tree(seq, leaf.digest(), edge.rolled())
            previous, self.previous = self.previous, sha256(body).hexdigest()
            try:
                lean = _decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._unreadable(seq, body)
            else:
                link, extension = lean.attestation.prev_event, lean.hsm_console
                if link is None or link.fingerprint.value != previous or blame.uneasy:
                    self._link(seq, link.fingerprint.value if link else "", previous, bridged=bridged)
                if lean.metadata.sequence != seq or lean.attestation.chain_uid != self.chain_uid:
                    self._belongs(seq, lean)
                if extension.sd or extension.event.kind in _SPECIAL or seq in watched:
                    self._special(seq, extension, body)
                if in_clear.watching:
                    in_clear.step(seq, lean, body)
                step(seq, lean, extension)
            if edge.size == vouched.next_stop or vouched.next_stop < 0:
                self._stop(seq, body)
            if self._progress and not seq % _PROGRESS_EVERY:
                self._progress(seq, total)

    # -- one entry --------------------------------------------------------------------------------------

    def _unreadable(self, seq: int, body: bytes) -> None:
        self._unread = seq
        if body:
            self.findings.add(Word.REWRITTEN, f"entry {seq} is not in the form of an entry", seq)

    def _stop(self, seq: int, body: bytes) -> None:
        """Somebody signed or anchored so many entries; or nobody signed this one."""
        if self.vouched.next_stop >= 0:
            self._at_size()
        elif self._unread != seq:
            self._form(seq, body)

    def _form(self, seq: int, body: bytes) -> None:
        """An entry that nobody signed yet: whoever can write the file may have put it there. One that JSON readers
        read in two ways (a key twice, another order, hidden characters) must be told before it is signed."""
        self._unsigned += 1
        if self._unsigned > _FORMS:
            return  # so long a tail is a finding anyway, and this takes its time
        try:
            canonical.check(body)
        except InputError as fault:
            why = fault.problem.what.partition(": ")[2].rstrip(".")
            self.findings.add(Word.REWRITTEN, f"entry {seq} is not in canonical form: {why}", seq)

    def _odd(self, seq: int, length: int, body: bytes | None) -> tuple[bool, bytes]:
        """Another number than was expected, or no body. (Whether pruned entries lie before it, the body.)"""
        bridged = seq > self._expected and self._bridge(seq)
        if seq != self._expected and not bridged:
            self.blame.gap(self._expected, seq)
        if body is not None and len(body) > MAX_BYTES:
            length, body = len(body), None
        if not body:
            text = f"entry {seq} is {length} bytes of something that this log never writes"
            self.findings.add(Word.REWRITTEN, text, seq)
        return bridged, body or b""

    def _link(self, seq: int, named: str, previous: str, *, bridged: bool) -> None:
        """The predecessor that an entry names is not the one that stands here, or others before it were not."""
        if bridged and named:
            self.retained.continues(named)
            previous = named
        if named != previous or self.blame.uneasy or not seq:
            self.blame.link(seq, named, previous, self.signed)

    def _special(self, seq: int, extension: Extension, body: bytes) -> None:
        kind = extension.event.kind
        if extension.sd or kind in RETAINED_KINDS or seq in self.retained.told:
            self.retained.step(seq, extension.sd, extension.sealed, body)
        if kind in KINDS:
            self.required.see(seq, body)
        if kind in SEALING_KINDS:
            self.in_clear.see(seq, kind, body)

    def _bridge(self, seq: int) -> bool:
        """Pass over entries whose hashes are here and whose bodies may have been pruned."""
        leaves = self.retained.bridge(self._expected, seq)
        if leaves is None:
            return False
        self.history.pass_over()
        self.in_clear.pass_over()
        for at, leaf in enumerate(leaves, self._expected):
            self._tree(at, leaf, self.edge.push(leaf))
            if self.edge.size == self.vouched.next_stop:
                self._at_size()
        return True

    def _tree(self, seq: int, leaf: bytes, full: Sequence[tuple[int, int, bytes]]) -> None:
        """Tiles that became full are held against the stored ones, an entry against the receipts that are about it."""
        if seq in self.vouched.indexed:
            self.vouched.leaf(seq, leaf)
        for level, n, data in full:
            stored = self._source.tile(level, n)
            if stored != data:
                self.blame.tile(level, n, data, stored)

    def _at_size(self) -> None:
        """Somebody signed or anchored a root of so many entries."""
        before = self.signed
        self.vouched.at_size(self.edge, self.history.time_ms)
        if self.signed != before:
            self.history.signed(self.signed)

    def _belongs(self, seq: int, lean: Lean) -> None:
        if lean.metadata.sequence != seq:
            self.findings.add(Word.GAP, f"the entry at {seq} was written as entry {lean.metadata.sequence}", seq)
        event = lean.hsm_console.event
        if seq == 0:
            self.chain_uid = lean.attestation.chain_uid
            if event.kind != "log-created":
                self.findings.add(Word.INCOMPLETE, "entry 0 does not say what this log is", 0)
            elif event.origin != self._vkey.name:
                text = f"this is the log “{event.origin}”; the key is for “{self._vkey.name}”"
                self.findings.add(Word.FOREIGN, text, 0)
        else:
            self.chain_uid = self.chain_uid or lean.attestation.chain_uid
        if lean.attestation.chain_uid != self.chain_uid:
            self.findings.add(Word.FOREIGN, f"entry {seq} belongs to another log", seq)

    # -- the end ----------------------------------------------------------------------------------------

    def end(self) -> None:
        entries = self.edge.size
        if not entries:
            self.findings.add(Word.TRUNCATED, "the log has no entries at all")
        if self._progress:
            self._progress(entries, entries)
        self.blame.finish(self.signed)
        self.retained.finish()
        open_end = self._source.live or self._source.kind == "bundle"
        self.in_clear.finish(self.retained.pruned, live=open_end)
        self.history.finish(entries, self.signed, live=open_end)
        self.vouched.finish(entries)

    def unfinished(self, bundle: Bundle) -> None:
        """The tiles at the right edge of a bundle: other readers of tlog-tiles take their hashes from there."""
        size = self.edge.size
        for level, hashes in enumerate(self.edge.levels if not self.findings.all() else ()):
            stored = bundle.unfinished(level, size >> tiles.HEIGHT * (level + 1))
            if hashes and stored != b"".join(hashes):
                word, what = (Word.REWRITTEN, "was altered") if stored else (Word.INCOMPLETE, "is missing")
                self.findings.add(word, f"the unfinished tile of level {level} {what}")

    def report(self, elapsed_ms: int) -> VerifyReport:
        entries = self.edge.size
        counts = (entries, self.signed, entries - self.signed)
        anchors, not_checked = self.required.lists(self.vouched.anchors)
        anchors, not_checked = [*anchors, *self.retained.checked()], (*not_checked, *self.retained.not_checked())
        more = self.retained.counts()
        line = first_line(self.findings.words(), counts, anchors, not_checked, live=self._source.live, more=more)
        return VerifyReport(
            line=line,
            entries=entries,
            signed=self.signed,
            unsigned_tail=entries - self.signed,
            root=self.edge.root().hex(),
            findings=self.findings.all(),
            anchors=tuple(anchors),
            not_checked=not_checked,
            elapsed_ms=elapsed_ms,
        )
