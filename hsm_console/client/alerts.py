"""Alerts of the gateway's detection. Every function raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from hsm_console.client.brought import brought
from hsm_console.client.session import Session
from hsm_console.domain.messages.alerts import (
    Acknowledge,
    AlertPage,
    AlertView,
    CompareDeviceLog,
    DeviceLogReport,
    DeviceLogStanding,
    RulesView,
    UsualView,
)


def listed(session: Session, *, before: int = -1, limit: int = 100, only_open: bool = False) -> AlertPage:
    """Newest first. before: entries below this number only (-1: from the newest)."""
    query: dict[str, str | int] = {"limit": limit}
    if before >= 0:
        query["before"] = before
    if only_open:
        query["open"] = 1
    return session.call("GET", f"/v1/alerts?{urlencode(query)}", None, AlertPage)


def wait(session: Session, after: int, wait_ms: int = 20_000) -> AlertPage:
    """Alerts whose entry is higher than `after`, as soon as there is one; an empty page when the time is over."""
    query = urlencode({"after": after, "wait_ms": wait_ms})
    return session.call("GET", f"/v1/alerts?{query}", None, AlertPage)


def show(session: Session, seq: int) -> AlertView:
    return session.call("GET", f"/v1/alerts/{seq}", None, AlertView)


def acknowledge(session: Session, seq: int, note: str) -> AlertView:
    """Say that the alert was looked at, and what it was. Refused for the person whose act it tells of."""
    return session.call("POST", f"/v1/alerts/{seq}/acknowledgement", Acknowledge(note=note), AlertView)


def rules(session: Session) -> RulesView:
    return session.call("GET", "/v1/alerts/rules", None, RulesView)


def usual(session: Session) -> UsualView:
    """What is usual for each key and each person, as the rules learned it."""
    return session.call("GET", "/v1/alerts/usual", None, UsualView)


def device_log(session: Session) -> DeviceLogStanding:
    """Whether the device tells its own log, and the newest comparisons."""
    return session.call("GET", "/v1/device/log-comparison", None, DeviceLogStanding)


def compare_device_log_file(session: Session, path: Path) -> DeviceLogReport:
    """Hold a file of the maker's tool against this log. Raises EnvironmentFault `file-unreadable`."""
    return compare_device_log(session, path.name, brought(path))


def compare_device_log(session: Session, name: str = "", data: bytes = b"") -> DeviceLogReport:
    """Hold the device's own log against this one. data: the vendor's exported file; empty: the device is asked."""
    return session.call("POST", "/v1/device/log-comparison", CompareDeviceLog(name=name, data=data), DeviceLogReport)
