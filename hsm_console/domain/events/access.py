"""Events of people and devices at the door: log-on, refusals, unlocking, enrolment, revocation."""

from __future__ import annotations

from hsm_console.domain.events.base import Event
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.people import Role


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
