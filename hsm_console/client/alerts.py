"""Alerts of the gateway's detection. Every function raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from urllib.parse import urlencode

from hsm_console.client.session import Session
from hsm_console.domain.messages.alerts import (
    Acknowledge,
    AlertPage,
    AlertView,
    CompareDeviceLog,
    DeviceLogReport,
    RulesView,
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


def compare_device_log(session: Session, name: str = "", data: bytes = b"") -> DeviceLogReport:
    """Hold the device's own log against this one. data: the vendor's exported file; empty: the device is asked."""
    return session.call("POST", "/v1/device/log-comparison", CompareDeviceLog(name=name, data=data), DeviceLogReport)
