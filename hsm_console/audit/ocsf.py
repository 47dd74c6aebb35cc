"""An event as one OCSF 1.9 object in canonical bytes, and back (AUDIT 2).

The extension object `hsm_console.event` holds the domain event itself; everything else is derived from it, from
the actor and from the surroundings, so that any OCSF reader understands the entry. Text with line breaks (a
ceremony script) is written as {"lines": [...]}, because the profile of canonical bytes has no control characters.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import msgspec

from hsm_console import __version__
from hsm_console.audit import canonical, kinds, words
from hsm_console.audit import ocsf_objects as objects
from hsm_console.audit.disclosure import MARK
from hsm_console.domain.clock import Instant
from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed
from hsm_console.domain.events import AnyEvent, Draft, Event, PersonEnrolled, PersonRevoked, Recorded
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.people import Actor, Role

OCSF_VERSION = "1.9.0"
_SHA256 = 3  # OCSF fingerprint.algorithm_id
_PRODUCT = canonical.part({"name": "HSM Console", "vendor_name": "HSM Console", "version": __version__})
_PROFILES = canonical.part(["host", "record_integrity"])
_SERVICE = {"name": "hsm-console gateway"}
_NOBODY = canonical.part({"app_name": "hsm-console gateway"})
_CATEGORY = {1: "System Activity", 2: "Findings", 3: "Identity & Access Management", 6: "Application Activity"}
_CLASS = {
    kinds.EVENT_LOG: "Event Log Activity",
    kinds.FINDING: "Detection Finding",
    kinds.AUTHENTICATION: "Authentication",
    kinds.SESSION: "Authorize Session",
    kinds.ENTITY: "Entity Management",
    kinds.USER: "User Management",
    kinds.API: "API Activity",
}
_SEVERITY = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says beyond its event: which log, which token, which ceremony script (digest, where known), and
    the digests of the values that were sealed."""

    chain_uid: str
    device: DeviceInfo | None = None
    script_sha256: str = ""
    sealed: dict[str, Any] = {}


def encode(draft: Draft, seq: int, previous: str, instant: Instant, uid: str, around: Surroundings) -> bytes:
    """The entry's bytes. previous: hex SHA-256 of the entry before, empty for entry 0.

    Raises InputError `canon-refused` when the event carries what the profile refuses.
    """
    event, row = draft.event, kinds.kind_of(draft.event)
    attestation: dict[str, Any] = {"chain_uid": around.chain_uid}
    if previous:
        attestation["prev_event"] = {"fingerprint": _fingerprint(previous)}
    code = kinds.status_code(event)
    status_id, status_caption = kinds.ocsf_status(event, row)
    value: dict[str, Any] = {
        "activity_id": row.activity_id,
        "activity_name": row.activity,
        "attestation": attestation,
        "category_name": _CATEGORY[row.class_uid // 1000],
        "category_uid": row.class_uid // 1000,
        "class_name": _CLASS[row.class_uid],
        "class_uid": row.class_uid,
        "device": objects.device(around.device, instant.boot_id),
        "hsm_console": {
            "boottime_ms": instant.boottime_ms,
            "critical": draft.critical,
            "event": _event(event),
            "simulated": around.device is not None and around.device.simulated,
            **around.sealed,
        },
        "message": words.said(event, draft.actor),
        "metadata": {
            "correlation_uid": draft.correlation or uid,
            "product": _PRODUCT,
            "profiles": _PROFILES,
            "sequence": seq,
            "uid": uid,
            "version": OCSF_VERSION,
        },
        "severity": _SEVERITY[row.severity_id],
        "severity_id": row.severity_id,
        "src_endpoint": {"name": draft.src or "gateway"},
        "status": status_caption,
        "status_id": status_id,
        "time": instant.time_ms,
        "type_uid": row.class_uid * 100 + row.activity_id,
    }
    if code:
        value["status_code"] = code
    _add_actor(value, draft.actor)
    _add_objects(value, draft, around)
    return canonical.encode(value)


def _fingerprint(value: str) -> dict[str, Any]:
    return {"algorithm": "SHA-256", "algorithm_id": _SHA256, "value": value}


def _add_actor(value: dict[str, Any], actor: Actor | None) -> None:
    if actor is None:
        value["actor"] = _NOBODY
    else:
        sealed = actor.name.startswith(MARK)  # with a salt of its own: it never comes again
        value["actor"], value["certificate"] = (_person.__wrapped__ if sealed else _person)(actor)


@functools.lru_cache(maxsize=256)
def _person(actor: Actor) -> tuple[msgspec.Raw, msgspec.Raw]:
    """Who acts, and by which certificate: the same few people in entry after entry."""
    groups = [{"name": role.value} for role in actor.roles]
    user = {"groups": groups, "name": actor.name, "uid": actor.uid}
    return (
        canonical.part({"session": {"uid": actor.session_uid}, "user": user}),
        canonical.part({"fingerprints": [_fingerprint(actor.certificate_sha256)]}),
    )


def _add_objects(value: dict[str, Any], draft: Draft, around: Surroundings) -> None:
    event, kind = draft.event, value["class_uid"]
    if kind == kinds.API:
        value["api"] = {"operation": str(event.__struct_config__.tag)}
    elif kind == kinds.EVENT_LOG:
        value["log_name"] = around.chain_uid
    elif kind == kinds.ENTITY:
        value["entity"] = {"name": str(event.__struct_config__.tag)}
    elif kind == kinds.AUTHENTICATION:
        _add_log_on(value, draft)
    elif kind == kinds.FINDING:
        value["finding_info"] = _finding(event, value["metadata"]["sequence"])
    if isinstance(event, PersonEnrolled):
        value["user"] = {"name": event.name, "uid": event.uid}
    elif isinstance(event, PersonRevoked):
        value["user"] = {"uid": event.uid}
    ceremony_id = getattr(event, "ceremony_id", "")
    if ceremony_id:
        value["ceremony"] = _ceremony(event, around, ceremony_id)
    resources = objects.resources(event, around.device)
    if resources:
        value["resources"] = resources


def _add_log_on(value: dict[str, Any], draft: Draft) -> None:
    """Who was let in or not, and into what. One whom nobody knows is named as he named himself."""
    actor = draft.actor
    value["service"] = _SERVICE
    if actor is None:
        value["user"] = {"uid": str(getattr(draft.event, "claimed_uid", "")) or "unknown"}
    else:
        value["user"] = {"name": actor.name, "uid": actor.uid}
        value["session"] = {"uid": actor.session_uid}


def _finding(event: Any, seq: int) -> dict[str, Any]:
    """An alert is known by its entry, also in the entry that acknowledges it."""
    analytic = {"name": event.rule, "type": "Rule", "type_id": 1}
    number = getattr(event, "alert", seq)
    return {"analytic": analytic, "title": getattr(event, "title", event.rule), "uid": f"alert/{number}"}


def _ceremony(event: Any, around: Surroundings, ceremony_id: str) -> dict[str, str]:
    digest = getattr(event, "script_sha256", "") or around.script_sha256
    fields = {
        "id": ceremony_id,
        "kind": getattr(event, "step_kind", ""),
        "phase": getattr(event, "phase", ""),
        "script_sha256": digest,
        "step": getattr(event, "step", ""),
    }
    return {name: text for name, text in fields.items() if text}


# -- the domain event inside: line breaks out, line breaks in ---------------------------------------------


def _event(event: Event) -> Any:
    part = canonical.struct_part(event)
    return part if part is not None else _split(msgspec.to_builtins(event))


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return {"lines": value.split("\n")} if "\n" in value else value
    if isinstance(value, dict):
        return {name: _split(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_split(item) for item in value]
    return value


def _join(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get("lines"), list):
            return "\n".join(value["lines"])
        return {name: _join(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_join(item) for item in value]
    return value


# -- reading ------------------------------------------------------------------------------------------------


class _Group(msgspec.Struct):
    name: Role


class _User(msgspec.Struct):
    uid: str
    name: str
    groups: list[_Group]


class _Session(msgspec.Struct):
    uid: str


class _Actor(msgspec.Struct):
    user: _User | None = None
    session: _Session | None = None


class _Print(msgspec.Struct):
    value: str


class _Certificate(msgspec.Struct):
    fingerprints: list[_Print]


class _Previous(msgspec.Struct):
    fingerprint: _Print


class _Attestation(msgspec.Struct):
    chain_uid: str
    prev_event: _Previous | None = None


class _Metadata(msgspec.Struct):
    uid: str
    sequence: int
    correlation_uid: str


class _Extension(msgspec.Struct):
    event: msgspec.Raw
    boottime_ms: int = 0
    critical: bool = False
    simulated: bool = False


class _Device(msgspec.Struct):
    boot_uid: str = ""


class Envelope(msgspec.Struct):
    """The parts of an entry that reading and verifying need; unknown members are passed over."""

    metadata: _Metadata
    time: int
    attestation: _Attestation
    hsm_console: _Extension
    device: _Device
    message: str = ""
    status: str = ""
    actor: _Actor = msgspec.field(default_factory=_Actor)
    certificate: _Certificate | None = None

    @property
    def previous(self) -> str:
        """Hex SHA-256 of the entry before; empty in entry 0."""
        return self.attestation.prev_event.fingerprint.value if self.attestation.prev_event else ""


_envelopes = msgspec.json.Decoder(Envelope)
_events: msgspec.json.Decoder[Any] = msgspec.json.Decoder(AnyEvent)


def open_envelope(body: bytes) -> Envelope:
    """Parse an entry without its event. Raises VerificationFailed `entry-unreadable`."""
    try:
        return _envelopes.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise unreadable(str(fault)) from fault


def decode(body: bytes) -> Recorded:
    """An entry's bytes as the domain's `Recorded`. Raises VerificationFailed `entry-unreadable`."""
    envelope = open_envelope(body)
    return Recorded(
        seq=envelope.metadata.sequence,
        uid=envelope.metadata.uid,
        correlation=envelope.metadata.correlation_uid,
        time_ms=envelope.time,
        actor=_actor(envelope),
        event=decode_event(bytes(envelope.hsm_console.event)),
        fingerprint=hashlib.sha256(body).hexdigest(),
    )


def decode_event(raw: bytes) -> Any:
    """The domain event from its JSON inside an entry. Raises VerificationFailed `entry-unreadable`."""
    try:
        if b'{"lines":[' in raw:
            return msgspec.convert(_join(msgspec.json.decode(raw)), AnyEvent)
        return _events.decode(raw)
    except (msgspec.DecodeError, RecursionError) as fault:
        raise unreadable(str(fault)) from fault


def _actor(envelope: Envelope) -> Actor | None:
    user, session, certificate = envelope.actor.user, envelope.actor.session, envelope.certificate
    if user is None:
        return None
    if session is None or certificate is None or not certificate.fingerprints:
        raise unreadable("a person without session or certificate")
    roles = tuple(group.name for group in user.groups)
    return Actor(
        uid=user.uid,
        name=user.name,
        roles=roles,
        session_uid=session.uid,
        certificate_sha256=certificate.fingerprints[0].value,
    )


def summary(recorded: Recorded) -> str:
    """What happened, in one sentence; `(sealed)` in the place of what is under seal."""
    return words.said(recorded.event, recorded.actor)


def explain(recorded: Recorded) -> tuple[str, ...]:
    """What happened, when, who did it and each fact, as lines to read."""
    return words.explain(recorded)


def name_of(recorded: Recorded) -> str:
    """Whoever did it: the name, or the short name while the name is under seal; empty for the gateway itself."""
    actor = words.named(recorded.actor)
    return actor.name if actor else ""


def status(recorded: Recorded) -> str:
    """success, failure or other."""
    return kinds.status_of(recorded.event)


def unreadable(why: str) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="entry-unreadable",
            what=f"An entry of the log cannot be read: {why}.",
            todo="Run the verification; it names the entry. Do not change the file.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
