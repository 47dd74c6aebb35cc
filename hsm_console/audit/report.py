"""Reports for assessors: a standard's clauses, and the entries of one period that answer them (AUDIT 8, CEREMONY 6).

The log is verified first. The population is what the newest checkpoint covers; its size, root and signed note stand in
the report, so that an assessor can prove that nothing was left out. The same log, period and key give the same bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from hsm_console.audit import ocsf, siem, tiles
from hsm_console.audit.checkpoint import Vkey, parse_note, verify_note
from hsm_console.audit.receipt import proof_text
from hsm_console.audit.report_checks import FOLDS, Fold, Item
from hsm_console.audit.report_period import Period, refused
from hsm_console.audit.report_standard import Control, Origin, Standard
from hsm_console.audit.retention import pruned_leaves
from hsm_console.audit.source import Source, open_source
from hsm_console.audit.tree import leaf_hash
from hsm_console.audit.verify import Verifier
from hsm_console.domain.errors import InputError, VerificationFailed
from hsm_console.domain.events import LogCreated, PolicyInForce
from hsm_console.domain.messages.audit import Finding, VerifyReport

_FIRST_SAMPLES, _LAST_SAMPLES, _FAULTS = 2, 1, 3
_TOLD_EVERY = 1024
DISCLAIMER = (
    "This report is evidence for an assessor. It is not a certification and not an opinion. Clause numbers only find "
    "the place and the titles are our own short words: the originals must be consulted. It speaks only of what this "
    "log records, and whether that satisfies a clause is for the assessor to say."
)


State = Literal["answered", "gap", "not applicable", "unproven"]
"""unproven: there are entries that would answer it, but the log does not verify."""
STATES: tuple[State, ...] = ("answered", "gap", "not applicable", "unproven")


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that answers a control, or contradicts it (why)."""

    seq: int
    time: str
    who: str
    summary: str
    why: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One control. events: entries of the period that answer it; faults: how many contradict it."""

    control: Control
    state: State
    events: int
    samples: tuple[Sample, ...]
    faults: int
    contradictions: tuple[Sample, ...]
    why: str = ""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Which log. key_id: of the verifier key that was brought."""

    origin: str
    chain_uid: str
    key_id: str
    created: str
    software: str
    environment: str
    production: bool
    simulated: bool


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The verifier's result. trusted_key: the caller brought the key; it is not the one in the log's folder."""

    verified: bool
    line: str
    findings: tuple[Finding, ...]
    trusted_key: bool


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """What was searched. covered, root: of the newest checkpoint that verifies (the signed note, line by line); size:
    of the entries searched, the same number unless the log does not verify.

    proof: C2SP tlog-proof of the checkpoint's newest entry, line by line. unsigned: newer entries, left out.
    unreadable: entries that are in no form to be read.
    """

    proven: bool
    size: int
    covered: int
    root: str
    in_period: int
    first: int
    last: int
    unsigned: int
    unreadable: int
    signed_at: str
    checkpoint: tuple[str, ...]
    proof: tuple[str, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. The bytes of `encode` are the JSON form; their SHA-256 is printed on paper."""

    format: int = 1
    standard: str
    title: str
    scope: str
    disclaimer: str = DISCLAIMER
    sources: tuple[Origin, ...] = ()
    verification: Verification
    log: Identity
    period_from: str
    period_to: str
    asked_from: str
    asked_to: str
    summary: dict[str, int]
    population: Population
    answers: tuple[Answer, ...]


def encode(report: Report) -> bytes:
    """The JSON form, UTF-8, the same bytes for the same report."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def build(
    path: Path,
    vkey: Vkey,
    standard: Standard,
    period: Period,
    *,
    trusted_key: bool = True,
    progress: Callable[[int, int], None] | None = None,
    searching: Callable[[int, int], None] | None = None,
) -> Report:
    """Verify the log at `path` and answer the standard's controls.

    A log that does not verify, or that nobody signed, is reported, not raised. Raises InputError period-empty (of a log
    that does verify); EnvironmentFault log-missing, log-damaged.
    """
    with open_source(path) as source:
        verifier = Verifier(source, vkey, (), progress)
        verifier.read()
        verifier.end()
        checked = verifier.report(0)
        note = _note(source, vkey, checked.signed)
        search = _Search(standard, period, verified=not checked.findings, told=searching)
        search.run(source, checked.signed if not checked.findings else checked.entries, checked.signed)
    if not checked.findings and not search.in_period:
        raise _empty(period, search)
    return _report(standard, period, search, checked, vkey, note, trusted_key=trusted_key)


def _note(source: Source, vkey: Vkey, size: int) -> tuple[str, int]:
    """The note that the verifier accepted last, and when it was signed (Unix seconds); empty where there is none."""
    found = ("", 0)
    for at, text in source.checkpoints():
        if at != size:
            continue
        try:
            found = (text, verify_note(text, vkey)[1])
        except VerificationFailed:
            continue  # the verifier has told of it
    return found


class _Tally:
    """One control while the log passes by."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.folds: list[Fold] = [FOLDS[name]() for name in control.checks if name != "verified"]
        self.events = self.faults = 0
        self.first: list[Sample] = []
        self.last: deque[Sample] = deque(maxlen=_LAST_SAMPLES)
        self.against: list[Sample] = []

    def look(self, item: Item, *, inside: bool) -> None:
        for fold in self.folds:
            fold.look(item)
        if not inside or not _selects(self.control, item):
            return
        self.events += 1
        if len(self.first) < _FIRST_SAMPLES:
            self.first.append(_sample(item))
        else:
            self.last.append(_sample(item))
        for fold in self.folds:
            why = fold.hold(item)
            if why:
                self._against(_sample(item, why))

    def _against(self, sample: Sample) -> None:
        self.faults += 1
        if len(self.against) < _FAULTS:
            self.against.append(sample)

    def answer(self, *, verified: bool) -> Answer:
        control = self.control
        for fold in self.folds:
            for seq, why in fold.finish():
                self._against(Sample(seq=seq, time="", who="", summary="", why=why))
        whys = []
        if "verified" in control.checks and not verified:
            whys.append("the log does not verify")
        if self.faults:
            whys.append("entries contradict it")
        if not self.events and control.required == "always":
            whys.append("the period has no such entry")
        state: State = "gap" if whys else "answered" if verified else "unproven"
        if not self.events and not whys:
            state = "not applicable"
        return Answer(
            control=control,
            state=state,
            events=self.events,
            samples=(*self.first, *self.last),
            faults=self.faults,
            contradictions=tuple(self.against),
            why="; ".join(whys),
        )


def _selects(control: Control, item: Item) -> bool:
    if control.kinds and item.row.kind not in control.kinds:
        return False
    operation = getattr(item.recorded.event, "operation", None)
    if control.operations and operation is not None and operation.value not in control.operations:
        return False
    actor = item.recorded.actor
    return not control.roles or (actor is not None and any(role.value in control.roles for role in actor.roles))


def _sample(item: Item, why: str = "") -> Sample:
    actor = item.recorded.actor
    who = f"{ocsf.name_of(item.recorded)} ({actor.uid})" if actor else "the workstation"
    return Sample(seq=item.recorded.seq, time=item.row.time, who=who, summary=ocsf.summary(item.recorded), why=why)


class _Search:
    """One pass over the entries: the controls, the log's identity, and the proof of the newest signed entry."""

    def __init__(
        self,
        standard: Standard,
        period: Period,
        *,
        verified: bool,
        told: Callable[[int, int], None] | None = None,
    ) -> None:
        self._period = period
        self._told = told
        self._verified = verified
        self._tallies = [_Tally(control) for control in standard.controls]
        self._edge = tiles.Edge()
        self.created: tuple[LogCreated, str] | None = None
        self.policy: PolicyInForce | None = None
        self.simulated = False
        self.in_period = self.unreadable = 0
        self.first = self.last = -1
        self.span: list[int] = []
        self.newest: tuple[int, bytes, tuple[bytes, ...]] | None = None

    def run(self, source: Source, stop: int, signed: int) -> None:
        for number, _, body in source.entries():
            if number >= stop:
                return
            if number > self._edge.size:
                for leaf in pruned_leaves(source, self._edge.size, number):
                    self._edge.push(leaf)
            if self._told is not None and number % _TOLD_EVERY == 0:
                self._told(number, stop)
            data = body or b""
            if number == signed - 1:
                # the last leaf's siblings are the perfect subtrees to its left, the nearest first (RFC 6962 2.1.1)
                self.newest = (number, data, tuple(self._edge.peaks())[::-1])
            self._edge.push(leaf_hash(data))
            self._entry(data)

    def _entry(self, body: bytes) -> None:
        try:
            item = Item(ocsf.decode(body), siem.row(body))
        except VerificationFailed:
            self.unreadable += 1
            return
        self._know(item, body)
        time_ms = item.recorded.time_ms
        self.span = [self.span[0] if self.span else time_ms, time_ms]
        if self._period.after(time_ms):
            return
        inside = self._period.holds(time_ms)
        if inside:
            self.in_period += 1
            self.first = item.recorded.seq if self.first < 0 else self.first
            self.last = item.recorded.seq
        for tally in self._tallies:
            tally.look(item, inside=inside)

    def _know(self, item: Item, body: bytes) -> None:
        event = item.recorded.event
        if isinstance(event, LogCreated) and self.created is None:
            self.created = (event, item.row.time)
        elif isinstance(event, PolicyInForce):
            self.policy = event
        # the bytes are canonical, so this cannot stand inside a text
        self.simulated = self.simulated or b'"simulated":true' in body

    def answers(self) -> tuple[Answer, ...]:
        return tuple(tally.answer(verified=self._verified) for tally in self._tallies)


def _report(
    standard: Standard,
    period: Period,
    search: _Search,
    checked: VerifyReport,
    vkey: Vkey,
    note: tuple[str, int],
    *,
    trusted_key: bool,
) -> Report:
    answers = search.answers()
    states = [answer.state for answer in answers]
    return Report(
        standard=standard.id,
        title=standard.title,
        scope=standard.scope,
        sources=standard.sources,
        verification=Verification(
            verified=not checked.findings, line=checked.line, findings=checked.findings, trusted_key=trusted_key
        ),
        log=_identity(search, vkey),
        period_from=str(period.start or _day(search.span, 0)),
        period_to=str(period.end or _day(search.span, -1)),
        asked_from=str(period.start or ""),
        asked_to=str(period.end or ""),
        summary={state: states.count(state) for state in STATES},
        population=_population(search, checked, note),
        answers=answers,
    )


def _population(search: _Search, checked: VerifyReport, note: tuple[str, int]) -> Population:
    text, seconds = note
    proof = proof_text(*search.newest, text).rstrip("\n").split("\n") if search.newest and text else []
    proven = not checked.findings
    return Population(
        proven=proven,
        size=checked.signed if proven else checked.entries,
        covered=checked.signed if text else 0,
        root=parse_note(text).checkpoint.root.hex() if text else "",
        in_period=search.in_period,
        first=search.first,
        last=search.last,
        unsigned=checked.unsigned_tail,
        unreadable=search.unreadable,
        signed_at=siem.timestamp(seconds * 1000) if text else "",
        checkpoint=tuple(text.rstrip("\n").split("\n")) if text else (),
        proof=tuple(proof),
    )


def _identity(search: _Search, vkey: Vkey) -> Identity:
    event, when = search.created or (None, "")
    policy = search.policy
    return Identity(
        origin=event.origin if event else "",
        chain_uid=event.chain_uid if event else "",
        key_id=vkey.key_id.hex(),
        created=when,
        software=f"{event.software} {event.software_version}" if event else "",
        environment=policy.environment if policy else "",
        production=policy.production if policy else False,
        simulated=search.simulated,
    )


def _day(span: list[int], at: int) -> str:
    return siem.timestamp(span[at])[:10] if span else ""


def _empty(period: Period, search: _Search) -> InputError:
    asked = f"from {period.start or 'the beginning'} to {period.end or 'the end'}"
    return refused(
        "period-empty",
        f"The log has no signed entry {asked}.",
        f"Its entries are of {_day(search.span, 0)} to {_day(search.span, -1)} (UTC).",
    )
