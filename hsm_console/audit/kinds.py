"""How each kind of event stands in OCSF 1.9: class, activity, severity, outcome (AUDIT 2).

One row per event. A test holds this table and `hsm_console.domain.events.AnyEvent` together.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hsm_console.domain import events as e

EVENT_LOG, FINDING = 1008, 2004
AUTHENTICATION, SESSION, ENTITY, USER, API = 3002, 3003, 3004, 3007, 6003
INFORMATIONAL, LOW, MEDIUM, HIGH, CRITICAL = 1, 2, 3, 4, 5
OTHER = 99

# Captions of the activities of each class in OCSF 1.9; 99 is "Other" with our own name.
ACTIVITY = {
    EVENT_LOG: {2: "Delete", 3: "Export", 4: "Archive", 5: "Rotate", 6: "Start", 7: "Stop", 8: "Restart"},
    FINDING: {1: "Create", 2: "Update"},
    AUTHENTICATION: {1: "Logon", 2: "Logoff"},
    SESSION: {1: "Assign Privileges"},
    ENTITY: {1: "Create", 2: "Read", 3: "Update", 4: "Delete"},
    USER: {1: "Create", 5: "Disable", 14: "Assign Privileges"},
    API: {1: "Create", 2: "Read", 3: "Update", 4: "Delete"},
}
STATUS_ID = {"success": (1, "Success"), "failure": (2, "Failure"), "other": (99, "Other")}
_FINDING_STATUS = {e.AlertRaised: (1, "New"), e.AlertAcknowledged: (2, "In Progress")}


class Kind(msgspec.Struct, frozen=True):
    """One row: status is success, failure or other."""

    class_uid: int
    activity_id: int
    severity_id: int = INFORMATIONAL
    status: str = "success"
    activity_name: str = ""

    @property
    def activity(self) -> str:
        return self.activity_name or ACTIVITY[self.class_uid][self.activity_id]


KINDS: dict[type[e.Event], Kind] = {
    e.LogCreated: Kind(EVENT_LOG, OTHER, HIGH, activity_name="Create"),
    e.PolicyInForce: Kind(ENTITY, 3, HIGH),
    e.GatewayStarted: Kind(EVENT_LOG, 6, LOW),
    e.GatewayStopped: Kind(EVENT_LOG, 7, LOW),
    e.LogViewed: Kind(EVENT_LOG, OTHER, activity_name="View"),
    e.LogVerified: Kind(EVENT_LOG, OTHER, activity_name="Verify"),
    e.LogExported: Kind(EVENT_LOG, 3, LOW),
    e.ReceiptIssued: Kind(EVENT_LOG, 3),
    e.TimeChangeDeclared: Kind(ENTITY, 3, MEDIUM),
    e.HeadCosigned: Kind(EVENT_LOG, OTHER, LOW, activity_name="Cosign"),
    e.RootKeyMade: Kind(API, 1, HIGH),
    e.RootSigned: Kind(EVENT_LOG, OTHER, LOW, activity_name="Sign"),
    e.LogChecked: Kind(EVENT_LOG, OTHER, activity_name="Verify"),
    e.AlertRaised: Kind(FINDING, 1, MEDIUM, "other"),
    e.LoggedOn: Kind(AUTHENTICATION, 1),
    e.LogOnRefused: Kind(AUTHENTICATION, 1, MEDIUM, "failure"),
    e.LoggedOff: Kind(AUTHENTICATION, 2),
    e.ActionRefused: Kind(API, OTHER, MEDIUM, "failure", "Refuse"),
    e.DeviceUnlocked: Kind(AUTHENTICATION, 1, HIGH),
    e.DeviceUnlockRefused: Kind(AUTHENTICATION, 1, HIGH, "failure"),
    e.DeviceDown: Kind(API, OTHER, HIGH, "failure", "Lose"),
    e.PersonEnrolled: Kind(USER, 1, MEDIUM),
    e.PersonRevoked: Kind(USER, 5, HIGH),
    e.RosterIssued: Kind(ENTITY, 3, MEDIUM),
    e.CrlIssued: Kind(ENTITY, 3, MEDIUM),
    e.OperationIntended: Kind(API, OTHER, LOW, "other", "Intend"),
    e.OperationSucceeded: Kind(API, OTHER, LOW, activity_name="Perform"),
    e.OperationFailed: Kind(API, OTHER, MEDIUM, "failure", "Perform"),
    e.OperationInterrupted: Kind(API, OTHER, HIGH, "failure", "Perform"),
    e.CeremonyOpened: Kind(API, 1, LOW),
    e.StepDone: Kind(API, 3),
    e.StepMissed: Kind(API, 3, MEDIUM, "failure"),
    e.ChallengeSet: Kind(API, 3, status="other"),
    e.ApprovalGiven: Kind(API, 3, LOW),
    e.QuorumReached: Kind(API, 3, LOW),
    e.QuorumDeclined: Kind(API, 3, MEDIUM, "failure"),
    e.RetryNeeded: Kind(API, 3, MEDIUM, "other"),
    e.DeviationRecorded: Kind(API, 3, MEDIUM, "other"),
    e.SignedOff: Kind(API, 3, LOW),
    e.CeremonyPaused: Kind(API, 3, LOW, "other"),
    e.CeremonyResumed: Kind(API, 3, LOW),
    e.MinutesWritten: Kind(API, 1),
    e.CeremonyClosed: Kind(API, 3, LOW),
    e.OrderOpened: Kind(API, 1, LOW),
    e.OrderDecided: Kind(API, 3, LOW),
    e.OrderReady: Kind(API, 3, LOW),
    e.OrderDeclined: Kind(API, 3, MEDIUM, "failure"),
    e.OrderStarted: Kind(API, 3, LOW),
    e.OrderEnded: Kind(API, 3, LOW),
    e.SealKeyInForce: Kind(EVENT_LOG, OTHER, MEDIUM, activity_name="Change key"),
    e.DataKeyMade: Kind(EVENT_LOG, OTHER, activity_name="Change key"),
    e.DisclosuresErased: Kind(EVENT_LOG, 2, HIGH),
    e.LogRotated: Kind(EVENT_LOG, 5, LOW),
    e.LogPruned: Kind(EVENT_LOG, 2, HIGH),
    e.RulesLoaded: Kind(ENTITY, 3, MEDIUM),
    e.Heartbeat: Kind(EVENT_LOG, OTHER, activity_name="Heartbeat"),
    e.AlertAcknowledged: Kind(FINDING, 2),
    e.MemberAdded: Kind(ENTITY, 1, HIGH),
    e.MemberRemoved: Kind(ENTITY, 4, HIGH),
    e.MemberUnlocked: Kind(AUTHENTICATION, 1, HIGH),
    e.MemberChanged: Kind(API, OTHER, MEDIUM, "other", "Change state"),
    e.FleetCompared: Kind(API, OTHER, LOW, activity_name="Compare"),
    e.DeviceLogCompared: Kind(EVENT_LOG, OTHER, LOW, activity_name="Compare"),
    e.KeysReadBack: Kind(API, 2, LOW),
}
_UNLISTED = Kind(API, OTHER, status="other", activity_name="Record")
_LEVELS = {"low": LOW, "medium": MEDIUM, "high": HIGH, "critical": CRITICAL}
_OPERATIONS = {
    e.Operation.GENERATE: 1,
    e.Operation.UNWRAP: 1,
    e.Operation.DESTROY: 4,
    e.Operation.RECORD_HEAD: 3,
    e.Operation.VERIFY: 2,
    e.Operation.WRAP: 2,
    e.Operation.AGREE: 1,
    e.Operation.REPLICATE: 1,
}

# Those that the cases of `_sharpened` name: most events are none of them, and each append asks.
_SHARPENED = frozenset(
    {
        e.LogChecked,
        e.AlertRaised,
        e.DeviceLogCompared,
        e.KeysReadBack,
        e.MemberChanged,
        e.OperationSucceeded,
        e.OperationFailed,
        e.ApprovalGiven,
        e.OrderDecided,
        e.OrderEnded,
        e.SignedOff,
        e.CeremonyClosed,
        e.GatewayStarted,
    }
)


def kind_of(event: e.Event) -> Kind:
    """The row of this event, sharpened by what the event itself says (a decline, a dissent, an alert's level)."""
    row = KINDS.get(type(event), _UNLISTED)
    return _sharpened(event, row) if type(event) in _SHARPENED else row


def _sharpened(event: e.Event, row: Kind) -> Kind:
    match event:
        case e.LogChecked() if event.findings:
            return msgspec.structs.replace(row, status="failure", severity_id=HIGH)
        case e.AlertRaised():
            return msgspec.structs.replace(row, severity_id=_LEVELS[event.level])
        case e.DeviceLogCompared() | e.KeysReadBack() if _found(event):
            return msgspec.structs.replace(row, status="failure", severity_id=HIGH)
        case e.MemberChanged() if event.state in ("down", "latched"):
            return msgspec.structs.replace(row, status="failure", severity_id=HIGH)
        case e.OperationSucceeded() | e.OperationFailed() if event.operation in _OPERATIONS:
            return Kind(row.class_uid, _OPERATIONS[event.operation], row.severity_id, row.status)
        case e.ApprovalGiven() if event.decision is e.Decision.DECLINE:
            return msgspec.structs.replace(row, status="other", severity_id=MEDIUM)
        case e.OrderDecided() if event.decision is e.Decision.DECLINE:
            return msgspec.structs.replace(row, status="other", severity_id=MEDIUM)
        case e.OrderEnded() if event.outcome != "done":
            bad = event.outcome in ("failed", "interrupted")
            return msgspec.structs.replace(row, status="failure" if bad else "other", severity_id=MEDIUM)
        case e.SignedOff() if not event.agrees:
            return msgspec.structs.replace(row, status="other", severity_id=MEDIUM)
        case e.CeremonyClosed() if event.outcome == "abandoned":
            return msgspec.structs.replace(row, status="other", severity_id=MEDIUM)
        case e.GatewayStarted() if event.previous_end == "unclean":
            return msgspec.structs.replace(row, severity_id=MEDIUM)
    return row


def ocsf_status(event: e.Event, row: Kind) -> tuple[int, str]:
    """status_id and its caption. A finding has no outcome: it is new, or somebody looks after it."""
    return _FINDING_STATUS.get(type(event)) or STATUS_ID[row.status]


def _found(event: e.DeviceLogCompared | e.KeysReadBack) -> bool:
    if isinstance(event, e.DeviceLogCompared):
        return bool(event.findings)
    return bool(event.changed or event.missing or event.foreign)


def status_of(event: e.Event) -> str:
    """success, failure or other."""
    return kind_of(event).status


def status_code(event: Any) -> str:
    """The CKR name or the problem code, where the event carries one."""
    return str(getattr(event, "ckr", "") or getattr(event, "code", "") or getattr(event, "reason", ""))
