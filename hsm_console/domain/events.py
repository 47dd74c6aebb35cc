"""Events: what the log records. Each struct is one kind, tagged `kind`, with a schema version `v`.

The audit room writes an event as one OCSF object (class, activity, actor, device, status) whose extension
object `hsm_console` carries these bytes; folds (ceremonies, keys, people) read them back from there. Rules
for every event: no floats, integers < 2^53, text in NFC without control characters; hex is lower case; large
binary values are base64 text. An event, once released, is never changed: a new meaning is a new kind or `v`.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from hsm_console.domain.keys import Algorithm, DeviceInfo, Grade, KeyAttributes, Usage
from hsm_console.domain.people import Actor, Role


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Root of all events."""

    v: int = 1


# -- the log's own life ------------------------------------------------------------------------------


class FoundingKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key made at the founding. purpose: `authority`, `log`; spki: base64 DER."""

    purpose: str
    object_id: str
    label: str
    algorithm: Algorithm
    spki: str
    attributes: KeyAttributes


class LogCreated(Event, frozen=True, kw_only=True, tag="log-created"):
    """Entry 0. founding: canonical JSON of the founding statement whose SHA-256 the first object ids derive from."""

    origin: str
    chain_uid: str
    software: str
    software_version: str
    software_sha256: str
    founding: str
    keys: tuple[FoundingKey, ...]
    device: DeviceInfo


class PolicyInForce(Event, frozen=True, kw_only=True, tag="policy-in-force"):
    """Entry 1, and again at each change. policy_sha256: digest of the environment file's bytes."""

    environment: str
    production: bool
    policy_sha256: str
    settings: dict[str, str] = {}


class GatewayStarted(Event, frozen=True, kw_only=True, tag="gateway-started"):
    """previous_end: how the run before ended; `unclean` declares a crash (verifier: no finding)."""

    run_uid: str
    software_version: str
    previous_end: Literal["none", "clean", "unclean"]
    listen: str
    open_intents: int = 0


class GatewayStopped(Event, frozen=True, kw_only=True, tag="gateway-stopped"):
    """The clean end of a run. Its absence is UNCLEAN."""

    run_uid: str
    reason: str


class LogViewed(Event, frozen=True, kw_only=True, tag="log-viewed"):
    """Somebody looked at entries. One record per look (a page or a filter), not per row."""

    first: int
    last: int
    filter: str = ""


class LogVerified(Event, frozen=True, kw_only=True, tag="log-verified"):
    """Somebody ran the verification; result: the verifier's first line."""

    result: str
    size: int
    findings: tuple[str, ...] = ()


class LogExported(Event, frozen=True, kw_only=True, tag="log-exported"):
    what: str
    size: int
    root: str
    sha256: str = ""


class ReceiptIssued(Event, frozen=True, kw_only=True, tag="receipt-issued"):
    """A receipt for entry `index` was made under the checkpoint of `size`. medium: png, pdf, tlog-proof or screen."""

    index: int
    size: int
    medium: str
    ceremony_id: str = ""


class TimeChangeDeclared(Event, frozen=True, kw_only=True, tag="time-change-declared"):
    """A person says that the workstation's clock is being set, or was. Excuses one step of about that size.

    shift_ms: how far it is moved; positive: ahead. source: the time source it was compared with.
    """

    shift_ms: int
    source: str
    why: str


class AlertRaised(Event, frozen=True, kw_only=True, tag="alert-raised"):
    """A detection rule matched. first, last: the entries it saw; rules_sha256: digest of the rule file."""

    rule: str
    title: str
    level: Literal["low", "medium", "high", "critical"]
    first: int
    last: int
    text: str = ""
    rules_sha256: str = ""


# -- access ------------------------------------------------------------------------------------------


class LoggedOn(Event, frozen=True, kw_only=True, tag="logged-on"):
    roles: tuple[Role, ...]
    certificate_serial: str
    step_up: bool = False


class LogOnRefused(Event, frozen=True, kw_only=True, tag="log-on-refused"):
    """reason: code of `gateway/refusals` (for example `certificate-expired`, `not-on-roster`)."""

    reason: str
    text: str
    verify_code: int = 0
    certificate_sha256: str = ""
    claimed_uid: str = ""


class LoggedOff(Event, frozen=True, kw_only=True, tag="logged-off"):
    reason: str  # `asked`, `connection-lost`, `gateway-stopping`, `revoked`


class ActionRefused(Event, frozen=True, kw_only=True, tag="action-refused"):
    """An authenticated person asked for what policy refuses."""

    action: str
    code: str
    text: str
    ceremony_id: str = ""


class DeviceUnlocked(Event, frozen=True, kw_only=True, tag="device-unlocked"):
    device: DeviceInfo


class DeviceUnlockRefused(Event, frozen=True, kw_only=True, tag="device-unlock-refused"):
    """reason: problem code (`pin-incorrect`, `pin-locked`, `token-missing`, `wrong-token`, …)."""

    reason: str
    text: str
    ckr: str = ""


class DeviceDown(Event, frozen=True, kw_only=True, tag="device-down"):
    reason: str
    text: str


# -- people ------------------------------------------------------------------------------------------


class PersonEnrolled(Event, frozen=True, kw_only=True, tag="person-enrolled"):
    """certificate: base64 DER, so that the log alone verifies the person's approvals."""

    uid: str
    name: str
    roles: tuple[Role, ...]
    spki_sha256: str
    certificate_sha256: str
    serial: str
    certificate: str = ""


class PersonRevoked(Event, frozen=True, kw_only=True, tag="person-revoked"):
    uid: str
    serial: str
    spki_sha256: str
    reason: str


class RosterIssued(Event, frozen=True, kw_only=True, tag="roster-issued"):
    version: int
    sha256: str


class CrlIssued(Event, frozen=True, kw_only=True, tag="crl-issued"):
    number: int
    sha256: str
    next_update_ms: int
    revoked: tuple[str, ...] = ()


# -- operations on the HSM: an intent, then exactly one ending -----------------------------------------


class Operation(enum.StrEnum):
    GENERATE = "generate"
    SIGN = "sign"
    CERTIFY = "certify"
    DESTROY = "destroy"
    RECORD_HEAD = "record-head"


class OperationIntended(Event, frozen=True, kw_only=True, tag="operation-intended"):
    """Durable before the HSM is called. For GENERATE the object's CKA_ID derives from this entry's SHA-256.

    key_id: hex CKA_ID of an existing key the operation uses; input_sha256: digest of what is signed.
    """

    operation: Operation
    algorithm: Algorithm | None = None
    label: str = ""
    usages: tuple[Usage, ...] = ()
    key_id: str = ""
    mechanism: str = ""
    input_sha256: str = ""
    input_name: str = ""
    ceremony_id: str = ""
    step: str = ""
    attempt: int = 1
    count: int = 1


class OperationSucceeded(Event, frozen=True, kw_only=True, tag="operation-succeeded"):
    """intent: sequence number of the intent. spki, signature, certificate: base64. recovered: found after a crash."""

    intent: int
    operation: Operation
    key_id: str
    label: str = ""
    algorithm: Algorithm | None = None
    spki: str = ""
    fingerprint: str = ""
    attributes: KeyAttributes | None = None
    grade: Grade | None = None
    signature: str = ""
    certificate: str = ""
    output_sha256: str = ""
    ceremony_id: str = ""
    step: str = ""
    recovered: bool = False


class OperationFailed(Event, frozen=True, kw_only=True, tag="operation-failed"):
    """The module answered with an error; nothing was made (checked by looking for the object id)."""

    intent: int
    operation: Operation
    code: str
    text: str
    ckr: str = ""
    ceremony_id: str = ""
    step: str = ""


class OperationInterrupted(Event, frozen=True, kw_only=True, tag="operation-interrupted"):
    """After a crash or a killed worker: what was found of an open intent. Ends the intent.

    found: `not-done`, `partial` (half a pair), `foreign` (id present, but not what was asked for).
    """

    intent: int
    operation: Operation
    found: Literal["not-done", "partial", "foreign"]
    text: str
    ceremony_id: str = ""
    step: str = ""


# -- ceremonies ----------------------------------------------------------------------------------------


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One person in one role of one ceremony."""

    role: Role
    uid: str
    name: str


class CeremonyOpened(Event, frozen=True, kw_only=True, tag="ceremony-opened"):
    """script: the script's whole text, so that the log alone can replay it, with each line end as
    U+240A (entries hold no control characters); script_sha256 over the UTF-8 bytes of the file with its line ends."""

    ceremony_id: str
    script_id: str
    script_version: str
    script_sha256: str
    script: str
    title: str
    simulated: bool
    parameters: dict[str, str]
    predecessor: str = ""


class StepDone(Event, frozen=True, kw_only=True, tag="step-done"):
    """A step that needs no HSM was answered. facts: what was said or recorded, as printed in the minutes."""

    ceremony_id: str
    step: str
    step_kind: str
    phase: str
    facts: dict[str, str] = {}
    seats: tuple[Seat, ...] = ()


class StepMissed(Event, frozen=True, kw_only=True, tag="step-missed"):
    """An answer that did not pass (wrong word, different hash): recorded, the step stays open."""

    ceremony_id: str
    step: str
    step_kind: str
    facts: dict[str, str] = {}


class ChallengeSet(Event, frozen=True, kw_only=True, tag="challenge-set"):
    """Positions (from 1) of the words that the named person must type from the printed sheet."""

    ceremony_id: str
    step: str
    positions: tuple[int, ...]


class Decision(enum.StrEnum):
    APPROVE = "approve"
    DECLINE = "decline"


class ApprovalGiven(Event, frozen=True, kw_only=True, tag="approval-given"):
    """statement: canonical JSON (RFC 8785) text; cms: base64 DER, detached, over exactly those bytes."""

    ceremony_id: str
    step: str
    attempt: int
    role: Role
    decision: Decision
    statement: str
    cms: str
    because: str = ""


class QuorumReached(Event, frozen=True, kw_only=True, tag="quorum-reached"):
    ceremony_id: str
    step: str
    attempt: int
    needed: int
    of: int
    by: tuple[str, ...]


class QuorumDeclined(Event, frozen=True, kw_only=True, tag="quorum-declined"):
    """So many declined that the quorum cannot be reached any more."""

    ceremony_id: str
    step: str
    attempt: int
    by: tuple[str, ...]


class RetryNeeded(Event, frozen=True, kw_only=True, tag="retry-needed"):
    """After an interrupted or failed operation: the quorum must decide anew before `attempt` may begin."""

    ceremony_id: str
    step: str
    attempt: int
    why: str


class DeviationRecorded(Event, frozen=True, kw_only=True, tag="deviation-recorded"):
    ceremony_id: str
    step: str
    expected: str
    happened: str
    decided: str


class SignedOff(Event, frozen=True, kw_only=True, tag="signed-off"):
    """agrees: the script was followed. A dissent carries its reason and does not block the others."""

    ceremony_id: str
    step: str
    role: Role
    agrees: bool
    statement: str
    cms: str
    because: str = ""


class CeremonyPaused(Event, frozen=True, kw_only=True, tag="ceremony-paused"):
    ceremony_id: str
    why: str


class CeremonyResumed(Event, frozen=True, kw_only=True, tag="ceremony-resumed"):
    ceremony_id: str


class MinutesWritten(Event, frozen=True, kw_only=True, tag="minutes-written"):
    """digest of the canonical minutes (JSON); the PDF prints the same digest."""

    ceremony_id: str
    minutes_sha256: str


class CeremonyClosed(Event, frozen=True, kw_only=True, tag="ceremony-closed"):
    """outcome: `completed`, `abandoned` (with what exists now said in `text`)."""

    ceremony_id: str
    outcome: Literal["completed", "abandoned"]
    text: str = ""


AnyEvent = (
    LogCreated | PolicyInForce | GatewayStarted | GatewayStopped | LogViewed | LogVerified | LogExported
    | ReceiptIssued | TimeChangeDeclared | AlertRaised | LoggedOn | LogOnRefused | LoggedOff | ActionRefused
    | DeviceUnlocked | DeviceUnlockRefused | DeviceDown | PersonEnrolled | PersonRevoked | RosterIssued | CrlIssued
    | OperationIntended | OperationSucceeded | OperationFailed | OperationInterrupted | CeremonyOpened
    | StepDone | StepMissed | ChallengeSet | ApprovalGiven | QuorumReached | QuorumDeclined | RetryNeeded
    | DeviationRecorded | SignedOff | CeremonyPaused | CeremonyResumed | MinutesWritten | CeremonyClosed
)  # fmt: skip


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way into the log. actor None: the gateway itself acts.

    correlation: uid that ties intent, approvals and outcome; empty: the entry's own uid.
    critical: a checkpoint is signed as soon as the entry is durable (AUDIT 4).
    """

    event: AnyEvent
    actor: Actor | None = None
    correlation: str = ""
    src: str = ""
    critical: bool = False


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the log holds it. fingerprint: hex SHA-256 of the entry's bytes."""

    seq: int
    uid: str
    correlation: str
    time_ms: int
    actor: Actor | None
    event: AnyEvent
    fingerprint: str
