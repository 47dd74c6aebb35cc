"""Alerts, rules and the comparison with the device's own log, on the wire."""

from __future__ import annotations

from typing import Literal

import msgspec

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
    false_alarms: what else it may have been."""

    id: str
    title: str
    level: Level
    kind: str
    meaning: str
    todo: str
    sha256: str
    false_alarms: tuple[str, ...] = ()


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/alerts/rules. evaluated: entries that the rules have judged so far, of `size`."""

    sha256: str
    rules: tuple[RuleView, ...]
    evaluated: int
    size: int


class CompareDeviceLog(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/device/log-comparison. data: a file that the vendor's tool wrote (CSV, JSON); empty: ask the device."""

    name: str = ""
    data: bytes = b""


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
