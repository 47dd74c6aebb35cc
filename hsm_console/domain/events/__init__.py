"""Events: what the log records. Each struct is one kind, tagged `kind`, with a schema version `v`.

The audit room writes an event as one OCSF object (class, activity, actor, device, status) whose extension
object `hsm_console` carries these bytes; folds (ceremonies, keys, people) read them back from there. Rules
for every event: no floats, integers < 2^53, text in NFC without control characters; hex is lower case; large
binary values are base64 text. An event, once released, is never changed: a new meaning is a new kind or `v`.
"""

from __future__ import annotations

import msgspec

from hsm_console.domain.events.access import (
    ActionRefused,
    CrlIssued,
    DeviceDown,
    DeviceUnlocked,
    DeviceUnlockRefused,
    LoggedOff,
    LoggedOn,
    LogOnRefused,
    PersonEnrolled,
    PersonRevoked,
    RosterIssued,
)
from hsm_console.domain.events.anchors import HeadCosigned, LogChecked, RootKeyMade, RootSigned
from hsm_console.domain.events.base import Event
from hsm_console.domain.events.ceremony import (
    ApprovalGiven,
    CeremonyClosed,
    CeremonyOpened,
    CeremonyPaused,
    CeremonyResumed,
    ChallengeSet,
    Decision,
    DeviationRecorded,
    MinutesWritten,
    QuorumDeclined,
    QuorumReached,
    RetryNeeded,
    Seat,
    SignedOff,
    StepDone,
    StepMissed,
)
from hsm_console.domain.events.detection import (
    AlertAcknowledged,
    DeviceLogCompared,
    Heartbeat,
    KeysReadBack,
    RulesLoaded,
)
from hsm_console.domain.events.fleet import (
    FleetCompared,
    MemberAdded,
    MemberChanged,
    MemberRemoved,
    MemberUnlocked,
)
from hsm_console.domain.events.log import (
    AlertRaised,
    FoundingKey,
    GatewayStarted,
    GatewayStopped,
    LogCreated,
    LogExported,
    LogVerified,
    LogViewed,
    PolicyInForce,
    ReceiptIssued,
    TimeChangeDeclared,
)
from hsm_console.domain.events.operations import (
    Operation,
    OperationFailed,
    OperationIntended,
    OperationInterrupted,
    OperationSucceeded,
)
from hsm_console.domain.events.orders import (
    OrderDecided,
    OrderDeclined,
    OrderEnded,
    OrderOpened,
    OrderReady,
    OrderStarted,
)
from hsm_console.domain.events.retention import (
    DataKeyMade,
    DisclosuresErased,
    Erased,
    LogPruned,
    LogRotated,
    SealKeyInForce,
    SegmentFile,
)
from hsm_console.domain.people import Actor

__all__ = [
    "ActionRefused",
    "AlertAcknowledged",
    "AlertRaised",
    "AnyEvent",
    "ApprovalGiven",
    "CeremonyClosed",
    "CeremonyOpened",
    "CeremonyPaused",
    "CeremonyResumed",
    "ChallengeSet",
    "CrlIssued",
    "DataKeyMade",
    "Decision",
    "DeviationRecorded",
    "DeviceDown",
    "DeviceLogCompared",
    "DeviceUnlockRefused",
    "DeviceUnlocked",
    "DisclosuresErased",
    "Draft",
    "Erased",
    "Event",
    "FleetCompared",
    "FoundingKey",
    "GatewayStarted",
    "GatewayStopped",
    "HeadCosigned",
    "Heartbeat",
    "KeysReadBack",
    "LogChecked",
    "LogCreated",
    "LogExported",
    "LogOnRefused",
    "LogPruned",
    "LogRotated",
    "LogVerified",
    "LogViewed",
    "LoggedOff",
    "LoggedOn",
    "MemberAdded",
    "MemberChanged",
    "MemberRemoved",
    "MemberUnlocked",
    "MinutesWritten",
    "Operation",
    "OperationFailed",
    "OperationIntended",
    "OperationInterrupted",
    "OperationSucceeded",
    "OrderDecided",
    "OrderDeclined",
    "OrderEnded",
    "OrderOpened",
    "OrderReady",
    "OrderStarted",
    "PersonEnrolled",
    "PersonRevoked",
    "PolicyInForce",
    "QuorumDeclined",
    "QuorumReached",
    "ReceiptIssued",
    "Recorded",
    "RetryNeeded",
    "RootKeyMade",
    "RootSigned",
    "RosterIssued",
    "RulesLoaded",
    "SealKeyInForce",
    "Seat",
    "SegmentFile",
    "SignedOff",
    "StepDone",
    "StepMissed",
    "TimeChangeDeclared",
]

AnyEvent = (
    LogCreated | PolicyInForce | GatewayStarted | GatewayStopped | LogViewed | LogVerified | LogExported
    | ReceiptIssued | TimeChangeDeclared | AlertRaised | LoggedOn | LogOnRefused | LoggedOff | ActionRefused
    | DeviceUnlocked | DeviceUnlockRefused | DeviceDown | PersonEnrolled | PersonRevoked | RosterIssued | CrlIssued
    | OperationIntended | OperationSucceeded | OperationFailed | OperationInterrupted | CeremonyOpened
    | StepDone | StepMissed | ChallengeSet | ApprovalGiven | QuorumReached | QuorumDeclined | RetryNeeded
    | DeviationRecorded | SignedOff | CeremonyPaused | CeremonyResumed | MinutesWritten | CeremonyClosed
    | OrderOpened | OrderDecided | OrderReady | OrderDeclined | OrderStarted | OrderEnded
    | SealKeyInForce | DataKeyMade | DisclosuresErased | LogRotated | LogPruned
    | HeadCosigned | RootKeyMade | RootSigned | LogChecked
    | RulesLoaded | Heartbeat | AlertAcknowledged | DeviceLogCompared | KeysReadBack
    | MemberAdded | MemberRemoved | MemberUnlocked | MemberChanged | FleetCompared
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
