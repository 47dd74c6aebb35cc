"""The state of one ceremony: plain values, serialisable, and nothing that the log does not say (invariant 3).

`fold.apply` makes it from events; everything else in this room reads it. `revision` is the log sequence of the
last event folded in; `floor` that of the last event that changed what people decide on. An answer given at a
revision in between is still good, so that two custodians may sign at the same time.
"""

from __future__ import annotations

import msgspec

from hsm_console.ceremony.script import Script, Step, parse
from hsm_console.domain.events import Decision, Operation, Seat
from hsm_console.domain.keys import Algorithm, Grade, KeyAttributes, Usage
from hsm_console.domain.people import Role

OPEN, PAUSED, COMPLETED, ABANDONED, UNREADABLE = "open", "paused", "completed", "abandoned", "unreadable"


class _Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Root of the parts of a state. seq: the log entry that says it; time_ms: when that entry was written."""

    seq: int
    time_ms: int


class Done(_Part, frozen=True, kw_only=True):
    """A step that is done. uid and name: who did it; empty where the gateway closed it."""

    uid: str = ""
    name: str = ""
    facts: dict[str, str] = {}


class Miss(_Part, frozen=True, kw_only=True):
    """An answer that did not pass; the step stayed open."""

    step: str
    uid: str
    name: str
    facts: dict[str, str] = {}


class Vote(_Part, frozen=True, kw_only=True):
    """One signed decision of one person. subject: a step's id or `deviation-n`."""

    subject: str
    attempt: int
    uid: str
    name: str
    role: Role
    decision: Decision
    statement: str
    cms: str
    certificate_sha256: str
    because: str = ""


class Verdict(_Part, frozen=True, kw_only=True):
    """What a quorum said about a subject."""

    subject: str
    attempt: int
    reached: bool
    by: tuple[str, ...] = ()


class SignOff(_Part, frozen=True, kw_only=True):
    uid: str
    name: str
    role: Role
    agrees: bool
    statement: str
    cms: str
    certificate_sha256: str
    because: str = ""


class Intent(_Part, frozen=True, kw_only=True):
    """An operation that was announced and has not ended. fingerprint: the entry's, the key's CKA_ID derives from it."""

    fingerprint: str
    operation: Operation
    step: str
    attempt: int
    uid: str = ""
    name: str = ""
    algorithm: Algorithm | None = None
    label: str = ""
    usages: tuple[Usage, ...] = ()
    key_id: str = ""
    mechanism: str = ""
    input_sha256: str = ""
    input_name: str = ""


class Ending(_Part, frozen=True, kw_only=True):
    """How an intent ended: code is `succeeded`, `recovered`, the device's code, or what was found after a crash."""

    intent: Intent
    code: str
    text: str = ""
    output_sha256: str = ""


class KeyRecord(_Part, frozen=True, kw_only=True):
    """The key that this ceremony made. spki: base64 DER; fingerprint: hex SHA-256 of it."""

    object_id: str
    label: str
    algorithm: Algorithm
    spki: str
    fingerprint: str
    attributes: KeyAttributes
    grade: Grade
    usages: tuple[Usage, ...] = ()
    recovered: bool = False


class Document(_Part, frozen=True, kw_only=True):
    """A document signed with the new key. signature: base64."""

    name: str
    sha256: str
    mechanism: str
    signature: str


class Deviation(_Part, frozen=True, kw_only=True):
    """verdict: `pending` until the quorum has decided, then `accepted` or `declined`; `noted` before a quorum sat."""

    id: str
    step: str
    uid: str
    name: str
    expected: str
    happened: str
    decided: str
    verdict: str = "pending"


class Retry(_Part, frozen=True, kw_only=True):
    """The quorum must decide whether `attempt` of `step` may begin."""

    step: str
    attempt: int
    why: str


class Trouble(_Part, frozen=True, kw_only=True):
    """What the page must tell now. code: see `problems`; why: one sentence."""

    step: str
    code: str
    why: str


class Receipt(_Part, frozen=True, kw_only=True):
    index: int
    size: int
    medium: str


class Pause(_Part, frozen=True, kw_only=True):
    """until_ms 0: still paused."""

    uid: str
    name: str
    why: str
    until_ms: int = 0


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ceremony. script: the text whose digest was approved; challenge: word positions asked for, from 1."""

    id: str
    revision: int
    floor: int
    opened_seq: int
    opened_ms: int
    opened_by: str
    opened_name: str
    correlation: str
    script: str
    script_id: str
    script_version: str
    script_sha256: str
    title: str
    simulated: bool
    parameters: dict[str, str]
    predecessor: str = ""
    needed: int = 0
    quorum_role: Role = Role.CUSTODIAN
    status: str = OPEN
    seats: tuple[Seat, ...] = ()
    done: dict[str, Done] = {}
    misses: tuple[Miss, ...] = ()
    attempts: dict[str, int] = {}
    votes: tuple[Vote, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    challenge: tuple[int, ...] = ()
    intent: Intent | None = None
    endings: tuple[Ending, ...] = ()
    key: KeyRecord | None = None
    request: str = ""
    certificate: str = ""
    documents: tuple[Document, ...] = ()
    deviations: tuple[Deviation, ...] = ()
    retry: Retry | None = None
    blocked: str = ""
    trouble: Trouble | None = None
    sign_offs: tuple[SignOff, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    pauses: tuple[Pause, ...] = ()
    minutes_sha256: str = ""
    closed_ms: int = 0
    closing: str = ""


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(State)


def encode(state: State) -> bytes:
    """The state as JSON; the same bytes for the same state."""
    return _ENCODER.encode(state)


def decode(data: bytes) -> State:
    return _DECODER.decode(data)


def script_of(state: State) -> Script:
    """The script this ceremony follows, from the text in the log."""
    return parse(state.script)


def current(state: State) -> Step | None:
    """The first step that is not done; None when all are, or when the ceremony is closed."""
    if state.status in (COMPLETED, ABANDONED, UNREADABLE):
        return None
    return next((step for step in script_of(state).steps if step.id not in state.done), None)


def attempt_of(state: State, subject: str) -> int:
    """The number of the attempt that is on now, from 1."""
    return state.attempts.get(subject, 1)


def seated(state: State, role: Role) -> tuple[Seat, ...]:
    return tuple(seat for seat in state.seats if seat.role == role)


def seats_of(state: State, uid: str) -> tuple[Seat, ...]:
    return tuple(seat for seat in state.seats if seat.uid == uid)


def pending_deviation(state: State) -> Deviation | None:
    """The deviation that the quorum has not yet decided about."""
    return next((d for d in state.deviations if d.verdict == "pending"), None)


def past_commit(state: State) -> bool:
    """Whether anything was begun that cannot be undone: from then on, giving up leaves something behind."""
    if state.status == UNREADABLE:
        return False
    committed = {step.id for step in script_of(state).steps if step.commit}
    return any(e.intent.step in committed for e in state.endings) or state.key is not None
