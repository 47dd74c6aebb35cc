"""Each event in one plain sentence, and in more sentences: for people who are not engineers (UX 4)."""

# ruff: noqa: ARG001, ARG005 (every sentence takes event and name; many need only one of them)

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from hsm_console.audit.disclosure import HIDDEN, MARK, hide
from hsm_console.domain import events as e
from hsm_console.domain.keys import Custody
from hsm_console.domain.people import Actor

GATEWAY = "The workstation"
_DOING = {
    e.Operation.GENERATE: "generate the key",
    e.Operation.SIGN: "sign with the key",
    e.Operation.CERTIFY: "issue a certificate with the key",
    e.Operation.DESTROY: "destroy the key",
    e.Operation.RECORD_HEAD: "store the log's head in the token",
    e.Operation.VERIFY: "verify a signature with the key",
    e.Operation.ENCRYPT: "encrypt with the key",
    e.Operation.DECRYPT: "decrypt with the key",
    e.Operation.DERIVE: "agree on a secret with the key",
    e.Operation.RANDOM: "draw random octets from the token",
    e.Operation.WRAP: "take out of the token, encrypted under a wrapping key, the key",
    e.Operation.UNWRAP: "bring into the token the key",
    e.Operation.AGREE: "let two devices agree on the wrapping key",
    e.Operation.REPLICATE: "copy to another device the key",
}
_DONE = {
    e.Operation.GENERATE: "generated the key",
    e.Operation.SIGN: "signed with the key",
    e.Operation.CERTIFY: "issued a certificate with the key",
    e.Operation.DESTROY: "destroyed the key",
    e.Operation.RECORD_HEAD: "stored the log's head in the token",
    e.Operation.VERIFY: "verified a signature with the key",
    e.Operation.ENCRYPT: "encrypted with the key",
    e.Operation.DECRYPT: "decrypted with the key",
    e.Operation.DERIVE: "agreed on a secret with the key",
    e.Operation.RANDOM: "gave random octets",
    e.Operation.WRAP: "gave out, encrypted under a wrapping key, the key",
    e.Operation.UNWRAP: "took in the key",
    e.Operation.AGREE: "and {other} agreed on the wrapping key",
    e.Operation.REPLICATE: "took in, from {other} and under a wrapping key of both, the key",
}
_FOUND = {
    "not-done": "nothing had been made",
    "partial": "only half of the key pair exists",
    "foreign": "an object is there that nobody asked for",
    "stopped": "the batch was ended before its last key",
}
_ENDS = {
    "none": "for the first time",
    "clean": "after an orderly end of the run before",
    "unclean": "after the run before had ended without a proper stop",
}


_ENDED = {
    "done": "was carried out",
    "failed": "failed",
    "stopped": "was stopped on the way",
    "interrupted": "was interrupted",
    "withdrawn": "was withdrawn",
}


_UNSPOKEN = {
    "kind",
    "v",
    "note",
    "wrapped",
    "script",
    "statement",
    "cms",
    "founding",
    "spki",
    "certificate",
    "signature",
}


def summary(event: e.Event, actor: Actor | None) -> str:
    """One sentence, ending with a full stop."""
    sentence = _SENTENCES.get(type(event))
    who = actor.name if actor else GATEWAY
    text = sentence(event, who) if sentence else f"{who} recorded “{event.__struct_config__.tag}”."
    return text.replace("\n", " ")


def said(event: e.Event, actor: Actor | None) -> str:
    """The same for everybody: `(sealed)` in the place of what is under seal, the short name for a sealed name."""
    return hide(summary(event, named(actor)))


def named(actor: Actor | None) -> Actor | None:
    """With the short name in the place of a name that is under seal, so that sentences stay readable."""
    if actor is None or not actor.name.startswith((MARK, HIDDEN)):
        return actor
    return msgspec.structs.replace(actor, name=actor.uid)


def explain(recorded: e.Recorded) -> tuple[str, ...]:
    """What happened, when, who did it, and each fact of the event, as lines to read."""
    recorded = msgspec.structs.replace(recorded, actor=named(recorded.actor))
    when = datetime.fromtimestamp(recorded.time_ms / 1000, UTC)
    lines = [
        summary(recorded.event, recorded.actor),
        f"When: {when:%Y-%m-%d %H:%M:%S}.{recorded.time_ms % 1000:03d} UTC by this workstation's clock.",
    ]
    if recorded.actor:
        roles = ", ".join(role.value for role in recorded.actor.roles)
        lines.append(f"Who: {recorded.actor.name} ({recorded.actor.uid}), acting as {roles}.")
        lines.append(f"Known by the certificate with the SHA-256 {recorded.actor.certificate_sha256}.")
    else:
        lines.append(f"Who: {GATEWAY.lower()} itself, with nobody asking.")
    lines.extend(_facts(recorded.event))
    return tuple(hide(line) for line in lines)


def _facts(event: e.Event) -> list[str]:
    plain = msgspec.to_builtins(event)
    lines: list[str] = []
    for name, value in plain.items():
        if name in _UNSPOKEN:
            continue
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            lines.extend(f"{key}: {item}" for key, item in value.items())
        elif isinstance(value, str | int) and value != "":
            lines.append(f"{name.replace('_', ' ')}: {'yes' if value is True else value}")
        elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            lines.append(f"{name.replace('_', ' ')}: {', '.join(value)}")
    return lines


def _key(event: Any) -> str:
    return f"“{event.label}”" if event.label else "named in the entry"


def _intended(event: e.OperationIntended, who: str) -> str:
    again = f" (attempt {event.attempt})" if event.attempt > 1 else ""
    if event.operation is e.Operation.RECORD_HEAD:
        return f"{who} is about to store the log's head in the token."
    if event.operation is e.Operation.RANDOM:
        return f"{who} is about to {_DOING[event.operation]}."
    if event.count > 1:
        return f"{who} is about to generate {event.count} keys {_key(event)}{again}."
    return f"{who} is about to {_DOING[event.operation]} {_key(event)}{again}."


def _succeeded(event: e.OperationSucceeded, who: str) -> str:
    found = ", found after an interruption" if event.recovered else ""
    if event.operation is e.Operation.RECORD_HEAD:
        return "The token stored the log's head."
    if event.operation is e.Operation.RANDOM:
        return "The token gave random octets, which were mixed with those of the operating system."
    if event.operation is e.Operation.VERIFY:
        return f"A signature was verified with the key {_key(event)}: it holds."
    if event.custody is Custody.SOFTWARE_WRAPPED and event.operation is e.Operation.GENERATE:
        return f"The driver generated the software key {_key(event)}, stored wrapped under a key of the token{found}."
    if event.custody is Custody.SOFTWARE_WRAPPED:
        return f"A software key, unwrapped for this one use, {_DONE[event.operation]} {_key(event)}."
    where = f"device “{event.device}”" if event.device not in ("", "primary") else "token"
    other = f"“{event.source}”" if event.source else "the workspace's token"
    return f"The {where} {_DONE[event.operation].format(other=other)} {_key(event)}{found}."


def _approval(event: e.ApprovalGiven, who: str) -> str:
    because = f", because: {event.because}" if event.because else ""
    verb = "approved" if event.decision is e.Decision.APPROVE else "declined"
    return f"{who} {verb} step “{event.step}” as {event.role.value}{because}."


def _signed_off(event: e.SignedOff, who: str) -> str:
    if event.agrees:
        return f"{who} signed off as {event.role.value}: the script was followed."
    return f"{who} does not agree that the script was followed, because: {event.because or 'no reason was given'}."


def _device(event: e.DeviceUnlocked, who: str) -> str:
    kind = "simulated token" if event.device.simulated else "token"
    return f"{who} unlocked the {kind} “{event.device.label}” (serial {event.device.serial})."


def _rules(event: e.RulesLoaded) -> str:
    parts = (("new", event.added), ("changed", event.changed), ("gone", event.removed))
    said = [f"{word}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}" for word, names in parts if names]
    return f" ({'; '.join(said)})" if said else ""


def _closed(event: e.CeremonyClosed, who: str) -> str:
    text = f": {event.text.rstrip('.')}" if event.text else ""
    return f"The ceremony was {event.outcome}{text}."


def _roles(roles: tuple[Any, ...]) -> str:
    return ", ".join(role.value for role in roles)


def _order_decided(event: e.OrderDecided, who: str) -> str:
    verb = "approved" if event.decision is e.Decision.APPROVE else "declined"
    because = f", because: {event.because.rstrip('.')}" if event.because else ""
    return f"{who} {verb} the order “{event.order_id}”{because}."


def _order_ended(event: e.OrderEnded, who: str) -> str:
    text = f": {event.text.rstrip('.')}" if event.text else ""
    return f"The order “{event.order_id}” {_ENDED[event.outcome]}{text}."


def _by(uids: tuple[str, ...]) -> str:
    return f" ({', '.join(uids)})" if uids else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_SENTENCES: dict[type[e.Event], Callable[[Any, str], str]] = {
    e.LogCreated: lambda v, w: f"The log “{v.origin}” was created with {v.software} {v.software_version}.",
    e.PolicyInForce: lambda v, w: (
        f"The rules of the environment “{v.environment}” are in force"
        f" ({'production' if v.production else 'not production'})."
    ),
    e.GatewayStarted: lambda v, w: f"The gateway was started {_ENDS[v.previous_end]}.",
    e.GatewayStopped: lambda v, w: f"The gateway was stopped in order ({v.reason}).",
    e.LogViewed: lambda v, w: f"{w} looked at entries {v.first} to {v.last} of the log.",
    e.LogVerified: lambda v, w: f"{w} verified the log: {v.result.rstrip('.')}.",
    e.LogExported: lambda v, w: f"{w} exported {v.what} at {_count(v.size, 'entry').replace('entrys', 'entries')}.",
    e.ReceiptIssued: lambda v, w: f"{w} issued a receipt for entry {v.index} ({v.medium}).",
    e.TimeChangeDeclared: lambda v, w: (
        f"{w} declared that the clock is moved by {v.shift_ms / 1000:+.0f} seconds, compared with {v.source}."
    ),
    e.HeadCosigned: lambda v, w: f"{w} brought the cosignature of {v.witness} over {v.size} entries.",
    e.RootKeyMade: lambda v, w: (
        f"{w} made the key for root sheets{', in software, wrapped by the token' if v.software else ' in the token'}."
    ),
    e.RootSigned: lambda v, w: f"{w} signed the root of {v.day} for a printed sheet ({v.size} entries).",
    e.LogChecked: lambda v, w: f"{w} checked entries {v.first} to {v.last}: {v.result.rstrip('.')}.",
    e.AlertRaised: lambda v, w: f"Alert ({v.level}): {v.title.rstrip('.')}.",
    e.LoggedOn: lambda v, w: f"{w} logged on as {_roles(v.roles)}{' to approve' if v.step_up else ''}.",
    e.LogOnRefused: lambda v, w: (
        f"A log-on{f' as “{v.claimed_uid}”' if v.claimed_uid else ''} was refused: {v.text.rstrip('.')}."
    ),
    e.LoggedOff: lambda v, w: f"{w} logged off ({v.reason}).",
    e.ActionRefused: lambda v, w: f"{w} was refused “{v.action}”: {v.text.rstrip('.')}.",
    e.DeviceUnlocked: _device,
    e.DeviceUnlockRefused: lambda v, w: f"{w} could not unlock the token: {v.text.rstrip('.')}.",
    e.DeviceDown: lambda v, w: f"The token is not usable any more: {v.text.rstrip('.')}.",
    e.PersonEnrolled: lambda v, w: f"{w} enrolled {v.name} ({v.uid}) as {_roles(v.roles)}.",
    e.PersonRevoked: lambda v, w: f"{w} revoked the certificate of {v.uid} ({v.reason}).",
    e.RosterIssued: lambda v, w: f"Version {v.version} of the roster was signed.",
    e.CrlIssued: lambda v, w: f"Revocation list number {v.number} was issued with {_count(len(v.revoked), 'name')}.",
    e.OperationIntended: _intended,
    e.OperationSucceeded: _succeeded,
    e.OperationFailed: lambda v, w: f"The token could not {_DOING[v.operation]}: {v.text.rstrip('.')}.",
    e.OperationInterrupted: lambda v, w: (
        f"An interrupted attempt to {_DOING[v.operation]} was examined: {_FOUND[v.found]}."
    ),
    e.CeremonyOpened: lambda v, w: f"{w} opened the ceremony “{v.title}”{' as a rehearsal' if v.simulated else ''}.",
    e.StepDone: lambda v, w: f"{w} completed step “{v.step}”.",
    e.StepMissed: lambda v, w: f"The answer of {w} at step “{v.step}” did not pass.",
    e.ChallengeSet: lambda v, w: f"The words to compare at step “{v.step}” were chosen.",
    e.ApprovalGiven: _approval,
    e.QuorumReached: lambda v, w: (
        f"The quorum for step “{v.step}” was reached: {v.needed} of {v.of} ({', '.join(v.by)})."
    ),
    e.QuorumDeclined: lambda v, w: (
        f"The quorum for step “{v.step}” can no longer be reached (declined: {', '.join(v.by)})."
    ),
    e.RetryNeeded: lambda v, w: (
        f"The quorum must decide about attempt {v.attempt} of step “{v.step}”: {v.why.rstrip('.')}."
    ),
    e.DeviationRecorded: lambda v, w: f"{w} recorded a deviation at step “{v.step}”: {v.happened.rstrip('.')}.",
    e.SignedOff: _signed_off,
    e.CeremonyPaused: lambda v, w: f"{w} paused the ceremony: {v.why.rstrip('.')}.",
    e.CeremonyResumed: lambda v, w: f"{w} resumed the ceremony.",
    e.MinutesWritten: lambda v, w: "The minutes were written.",
    e.CeremonyClosed: _closed,
    e.OrderOpened: lambda v, w: f"{w} asks for this: {v.summary.rstrip('.')}.",
    e.OrderDecided: _order_decided,
    e.OrderReady: lambda v, w: f"The order “{v.order_id}” may be carried out{_by(v.by)}.",
    e.OrderDeclined: lambda v, w: f"The order “{v.order_id}” was declined{_by(v.by)}.",
    e.OrderStarted: lambda v, w: f"{w} set the order “{v.order_id}” going{' again' if v.run > 1 else ''}.",
    e.OrderEnded: _order_ended,
    e.SealKeyInForce: lambda v, w: "From now on values are sealed for a key in the token.",
    e.DataKeyMade: lambda v, w: f"A new key seals values from here on{' (' + v.why + ')' if v.why else ''}.",
    e.DisclosuresErased: lambda v, w: (
        f"{w} erased {_count(len(v.erased), 'sealed value')} by the order “{v.order_id}”."
    ),
    e.LogRotated: lambda v, w: f"{w} wrote entries {v.first} to {v.last} into segment {v.segment}, for the auditor.",
    e.LogPruned: lambda v, w: (
        f"{w} removed the entries {v.first} to {v.below - 1} by the order “{v.order_id}”; their hashes stay."
    ),
    e.RulesLoaded: lambda v, w: f"{_count(len(v.rules), 'rule')} watch the log from here on{_rules(v)}.",
    e.Heartbeat: lambda v, w: f"{w} is alive; its rules have judged {v.evaluated} entries.",
    e.AlertAcknowledged: lambda v, w: f"{w} looked at alert {v.alert}{': ' if v.note else ''}{v.note.rstrip('.')}.",
    e.DeviceLogCompared: lambda v, w: (
        f"The log of the HSM itself was held against this one: {_count(v.matched, 'operation')} agree, "
        f"{_count(len(v.findings), 'finding')}."
    ),
    e.KeysReadBack: lambda v, w: (
        f"The keys in the token were held against the log: {_count(v.known, 'key')}, {len(v.changed)} changed, "
        f"{len(v.missing)} missing, {len(v.foreign)} foreign."
    ),
    e.MemberAdded: lambda v, w: f"{w} added the device “{v.name}” (serial {v.serial}).",
    e.MemberRemoved: lambda v, w: f"{w} took the device “{v.name}” (serial {v.serial}) off the list.",
    e.MemberUnlocked: lambda v, w: f"{w} unlocked the device “{v.name}” (serial {v.serial}).",
    e.MemberChanged: lambda v, w: (
        f"The device “{v.name}” is {v.state} (was {v.was}){': ' if v.text else ''}{v.text.rstrip('.')}."
    ),
    e.FleetCompared: lambda v, w: (
        f"The keys of {_count(len(v.members), 'device')} were held side by side: {_count(v.keys, 'key')}, "
        f"{len(v.missing)} missing, {len(v.different)} different, {len(v.foreign)} foreign."
    ),
}
SENTENCES = frozenset(_SENTENCES)
