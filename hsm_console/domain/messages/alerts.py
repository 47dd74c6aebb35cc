"""Alerts, rules and the comparison with the device's own log, on the wire."""

from __future__ import annotations

from typing import Literal

import msgspec

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.audit import Finding

Level = Literal["low", "medium", "high", "critical"]


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. seq: its own entry; first, last: the entries that caused it; text: plain words, why it was raised.

    subject: uid of the person whose act it was, empty when it was nobody's; she may not acknowledge it herself.
    acknowledged_ms 0: nobody has looked at it yet.
    """

    seq: int
    time_ms: int
    rule: str
    title: str
    level: Level
    text: str
    todo: str
    first: int
    last: int
    subject: str = ""
    acknowledged_by: str = ""
    acknowledged_ms: int = 0
    acknowledged_note: str = ""


class AlertPage(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/alerts?before=&limit=&open=1, newest first; with `after` and `wait_ms` it waits for an alert whose
    entry is higher than `after`. open_count: alerts nobody acknowledged yet; newest: entry of the newest, -1: none.
    """

    rows: tuple[AlertView, ...]
    open_count: int
    newest: int = -1
    more: bool = False


class Acknowledge(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/alerts/{seq}/acknowledgement. note: what it was, for those who read it later."""

    note: str


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule in force. kind: `match`, or the correlation's type; meaning: what it watches for, in plain words;
    false_alarms: what else it may have been.

    fired: its alerts so far; last_ms, last_seq: the newest of them; own: the house's, not one that ships; fault: on
    which entry it failed in this run, empty: on none.
    """

    id: str
    title: str
    level: Level
    kind: str
    meaning: str
    todo: str
    sha256: str
    false_alarms: tuple[str, ...] = ()
    fired: int = 0
    last_ms: int = 0
    last_seq: int = -1
    own: bool = False
    fault: str = ""


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/alerts/rules. evaluated: entries that the rules have judged so far, of `size`.

    refused: files that could not be used; they watch nothing. begun_at: entries that this run knew without reading them
    again.
    """

    sha256: str
    rules: tuple[RuleView, ...]
    evaluated: int
    size: int
    refused: tuple[Problem, ...] = ()
    begun_at: int = 0


class UsualHours(msgspec.Struct, frozen=True, kw_only=True):
    """The hours of a day, first to last, over midnight too, that hold nine tenths of the times; times 0: none yet."""

    first: int
    last: int
    times: int


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """What is usual for one key or person. name: empty when the log knows none.

    days, minutes: of history, and in which it was active; peak: the most in one minute; rate_known, hours_known: the
    history is long enough for the rules that ship to speak.
    """

    uid: str
    name: str
    days: int
    minutes: int
    peak: int
    working: UsualHours
    weekend: UsualHours
    rate_known: bool
    hours_known: bool


class UsualView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/alerts/usual. Who was seen last stands first. evaluated: entries that were learned from, of `size`."""

    keys: tuple[Usual, ...]
    people: tuple[Usual, ...]
    evaluated: int
    size: int


class CompareDeviceLog(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/device/log-comparison. data: a file that the vendor's tool wrote (CSV, JSON); empty: ask the device."""

    name: str = ""
    data: bytes = b""


class DeviceLogPast(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison that stands in the log. entry: where; first, last: the device's own numbers; by: who asked, empty
    when the gateway did it by itself."""

    entry: int
    time_ms: int
    source: str
    serial: str
    first: int
    last: int
    matched: int
    by: str
    findings: tuple[Finding, ...]


class DeviceLogStanding(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/device/log-comparison. offered: as far as is known the device tells its own log; past: newest first."""

    offered: bool
    unlocked: bool
    serial: str
    past: tuple[DeviceLogPast, ...]


class DeviceLogReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison found. entry: where it is recorded, -1 when it was made offline.

    beginning: nothing was compared before from there, so that what the device told is the beginning and was not judged.
    """

    source: str
    serial: str
    records: int
    matched: int
    findings: tuple[Finding, ...]
    entry: int = -1
    beginning: bool = False
