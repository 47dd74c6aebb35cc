"""Events of threat detection: rules in force, heartbeats, alerts acknowledged, the device's own log held to ours."""

from __future__ import annotations

from typing import Literal

from hsm_console.domain.events.base import Event


class RulesLoaded(Event, frozen=True, kw_only=True, tag="rules-loaded"):
    """The rules that watch the log from here on; said at each start. added, changed, removed: against those before.

    rules: id → hex SHA-256 of the rule's file; sha256: digest over all of them; since: the first entry that they judge.
    """

    sha256: str
    rules: dict[str, str]
    since: int
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Heartbeat(Event, frozen=True, kw_only=True, tag="heartbeat"):
    """The gateway is alive. evaluated: entries that the rules have judged; next_s: when the next one is due.

    state_sha256: of the file that holds what detection learned from the first `state_at` entries; empty: none is kept.
    """

    run_uid: str
    evaluated: int
    next_s: int
    state_at: int = 0
    state_sha256: str = ""


class AlertAcknowledged(Event, frozen=True, kw_only=True, tag="alert-acknowledged"):
    """Somebody read an alert and says what it was. alert: its entry."""

    alert: int
    rule: str
    note: str = ""


class KeysReadBack(Event, frozen=True, kw_only=True, tag="keys-read-back"):
    """The keys in the unlocked token were held against those that the log knows, and the answer is another than before.

    known: how many the log holds there. changed: `label (id): what it was, what it is`; missing, foreign: `label (id)`.
    """

    serial: str
    known: int
    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


class DeviceLogCompared(Event, frozen=True, kw_only=True, tag="device-log-compared"):
    """The device's own log was held against this one. findings: `SHADOW-OP: …`, `PHANTOM-OP: …`, `DEVICE-CHANGED: …`.

    source: read from the device, or a file that the vendor's tool wrote; sha256: of its records; first, last: the
    device's own numbers; until: the entries of this log that were held against it. heads: how many signatures of
    each log key (hex id) the device has told of until now, those before the first comparison included.
    """

    source: Literal["device", "file"]
    serial: str
    sha256: str
    first: int
    last: int
    until: int
    matched: int
    findings: tuple[str, ...] = ()
    heads: dict[str, int] = {}
