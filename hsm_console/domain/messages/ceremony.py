"""Ceremonies on the wire: what a page shows (views) and what a person answers."""

from __future__ import annotations

import enum

import msgspec

from hsm_console.domain.errors import Problem
from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.keys import Custody, Grade, KeyAttributes
from hsm_console.domain.people import Role


class StepKind(enum.StrEnum):
    """One page in ui/ceremony and one entry in the engine each (CEREMONY 4)."""

    READ_ALOUD = "read-aloud"
    PRESENCE = "presence"
    TIME_SOURCE = "time-source"
    SOFTWARE_HASH = "software-hash"
    PREFLIGHT = "preflight"
    QUORUM = "quorum"
    GENERATE = "generate"
    READ_BACK = "read-back"
    COMPARE = "compare"
    CERTIFY = "certify"
    SIGN_DOCUMENT = "sign-document"
    RECEIPT = "receipt"
    SIGN_OFF = "sign-off"


class StepStatus(enum.StrEnum):
    DONE = "done"
    CURRENT = "current"
    WORKING = "working"  # an intent is open: the HSM is at it
    DECIDE = "decide"  # interrupted or failed: the quorum must decide about another attempt
    WAITING = "waiting"
    SKIPPED = "skipped"


class ScriptSummary(msgspec.Struct, frozen=True, kw_only=True):
    """sha256: hex; words: the same digest as PGP words; parameters: name → permitted values (first = default)."""

    id: str
    version: str
    title: str
    purpose: str
    sha256: str
    words: str
    minutes: int
    roles: dict[str, int]
    quorum: str  # "2 of 3 custodians"
    parameters: dict[str, tuple[str, ...]]
    questions: dict[str, str] = {}  # parameter → what is asked for; a parameter with no values is free text
    examples: dict[str, str] = {}  # parameter of free text → one example
    patterns: dict[str, str] = {}  # parameter of free text → the regular expression that the whole text matches


class OpenCeremony(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/ceremonies. sha256 must be the script's digest as the opener saw it. parameters: algorithm, label, …"""

    script_id: str
    sha256: str
    parameters: dict[str, str]


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    kind: StepKind
    phase: str
    title: str
    say: str
    expect: str
    actor: Role
    button: str  # the act in words: "Generate the key"
    commit: bool
    minutes: int
    status: StepStatus
    clauses: tuple[str, ...] = ()
    facts: dict[str, str] = {}
    done_by: str = ""
    done_ms: int = 0
    asks: dict[str, str] = {}  # facts to type at this step: name (key of the answer's facts) → the question
    evidence: str = ""
    confirm: str = ""  # the word to type before an act that cannot be undone (`Perform.confirmed`)


class ApprovalView(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    name: str
    role: Role
    decision: Decision
    time_ms: int
    because: str = ""


class QuorumView(msgspec.Struct, frozen=True, kw_only=True):
    """of: seated custodians; approvals: of this attempt."""

    needed: int
    of: int
    attempt: int
    approvals: tuple[ApprovalView, ...]


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """fingerprint: hex SHA-256 of the SPKI; words: PGP words of the fingerprint (32 words).

    purpose: what the console itself needs the key for; empty for keys of people.
    """

    object_id: str
    label: str
    algorithm: str
    fingerprint: str
    words: tuple[str, ...]
    spki_pem: str
    attributes: KeyAttributes
    grade: Grade
    grade_meaning: str
    does_not_prove: str
    ceremony_id: str = ""
    created_ms: int = 0
    certificate_pem: str = ""
    state: str = "active"
    custody: Custody = Custody.DEVICE
    purpose: str = ""


class CheckItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the preflight. problem None: green."""

    name: str
    found: str
    problem: Problem | None = None


class ReceiptView(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt for the entry `index`. png: QR as PNG, base64; text: what stands below it."""

    index: int
    size: int
    title: str
    qr_text: str
    png: str
    text: str
    files: tuple[str, ...] = ()


class CeremonyView(msgspec.Struct, frozen=True, kw_only=True):
    """All that a page needs. `revision` is the log sequence of the last event folded in: an answer names it."""

    id: str
    revision: int
    script_id: str
    script_version: str
    script_sha256: str
    script_words: str
    title: str
    purpose: str
    environment: str
    simulated: bool
    status: str  # open, paused, completed, abandoned
    opened_ms: int
    opened_by: str
    parameters: dict[str, str]
    seats: tuple[Seat, ...]
    phases: tuple[str, ...]
    steps: tuple[StepView, ...]
    current: str  # step id, empty when closed
    position: int
    minutes_left: int
    next_actors: tuple[Seat, ...]  # who may answer the current step
    quorum: QuorumView | None = None
    challenge: tuple[int, ...] = ()  # word positions from 1
    preflight: tuple[CheckItem, ...] = ()
    key: KeyView | None = None
    sign_offs: tuple[ApprovalView, ...] = ()
    receipts: tuple[ReceiptView, ...] = ()
    deviations: tuple[str, ...] = ()
    deciding: str = ""  # what the quorum decides now: `authorise`, `retry`, `deviation`; empty: nothing
    sign_off_due: tuple[Seat, ...] = ()
    approved: tuple[str, ...] = ()  # what the quorum's statement covers, one sentence each
    problem: Problem | None = None
    log_size: int = 0
    log_root: str = ""


class CeremonySummary(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    status: str
    simulated: bool
    opened_ms: int
    opened_by: str
    current_title: str = ""
    position: int = 0
    of: int = 0


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/ceremonies/{id}/statement?decision=… : what this person would sign now.

    canonical: the exact UTF-8 text to sign; lines: the same in words for people, label → value.
    """

    canonical: str
    lines: tuple[tuple[str, str], ...]


# -- answers: one struct per kind of step, tag `kind` ---------------------------------------------------


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """step and revision say what the person saw when she answered; a stale answer is refused, nothing lost."""

    step: str
    revision: int


class Confirmed(Answer, frozen=True, kw_only=True, tag="confirmed"):
    """read-aloud, read-back, software-hash, receipt: 'I have done what the sentence says.' facts: typed values."""

    facts: dict[str, str] = {}


class PresenceAnswer(Answer, frozen=True, kw_only=True, tag="presence"):
    seats: tuple[Seat, ...]
    place: str = ""


class TimeSourceAnswer(Answer, frozen=True, kw_only=True, tag="time-source"):
    source: str
    zone: str
    reads_ms: int


class RunChecks(Answer, frozen=True, kw_only=True, tag="run-checks"):
    """preflight: look at everything now."""


class Perform(Answer, frozen=True, kw_only=True, tag="perform"):
    """generate, certify, read-back: do it in the HSM. confirmed: the typed word on an irreversible page."""

    confirmed: str = ""


class Approve(Answer, frozen=True, kw_only=True, tag="approve"):
    """quorum: decision + the statement's exact text + its CMS signature (base64 DER, detached)."""

    decision: Decision
    statement: str
    cms: str
    because: str = ""


class WordsAnswer(Answer, frozen=True, kw_only=True, tag="words"):
    """compare: position (as text) → the word typed. differ: 'They differ'."""

    words: dict[str, str] = {}
    differ: bool = False


class DocumentAnswer(Answer, frozen=True, kw_only=True, tag="document"):
    """sign-document: content is base64, at most 16 MiB before encoding."""

    name: str
    content: str


class ScannedReceipt(Answer, frozen=True, kw_only=True, tag="scanned-receipt"):
    """receipt: the text that a scanner read back from paper or screen; empty when none is at hand."""

    text: str = ""


class SignOffAnswer(Answer, frozen=True, kw_only=True, tag="sign-off"):
    agrees: bool
    statement: str
    cms: str
    because: str = ""


class DeviationAnswer(Answer, frozen=True, kw_only=True, tag="deviation"):
    expected: str
    happened: str
    decided: str


class Pause(Answer, frozen=True, kw_only=True, tag="pause"):
    why: str


class Resume(Answer, frozen=True, kw_only=True, tag="resume"):
    pass


class Abandon(Answer, frozen=True, kw_only=True, tag="abandon"):
    why: str


AnyAnswer = (
    Confirmed | PresenceAnswer | TimeSourceAnswer | RunChecks | Perform | Approve | WordsAnswer
    | DocumentAnswer | ScannedReceipt | SignOffAnswer | DeviationAnswer | Pause | Resume | Abandon
)  # fmt: skip
