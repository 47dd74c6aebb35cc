"""The devices of a workspace, one row each. Every function raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from urllib.parse import quote

from hsm_console.client.session import Session
from hsm_console.domain.messages.devices import AddDevice, DeviceRow, FleetView
from hsm_console.domain.messages.session import Unlock
from hsm_console.domain.secret import Secret


def listed(session: Session) -> FleetView:
    """Every device as the gateway knows it now; asks no device."""
    return session.call("GET", "/v1/devices", None, FleetView)


def compare(session: Session) -> FleetView:
    """Read the keys of every unlocked device and hold them side by side; what was found is recorded."""
    return session.call("POST", "/v1/devices/comparison", None, FleetView)


def add(session: Session, device: AddDevice) -> DeviceRow:
    return session.call("POST", "/v1/devices", device, DeviceRow)


def remove(session: Session, name: str) -> FleetView:
    """Take a device off the list. Its keys stay in it, untouched."""
    return session.call("DELETE", _path(name), None, FleetView)


def probe(session: Session, name: str) -> DeviceRow:
    """Ask the device now; a latched one is given another chance by that."""
    return session.call("POST", _path(name, "/probe"), None, DeviceRow)


def unlock(session: Session, name: str, pin: Secret) -> DeviceRow:
    """One try at this device's own PIN, never repeated by anybody."""
    return session.call("POST", _path(name, "/unlock"), Unlock(pin=pin.reveal()), DeviceRow)


def lock(session: Session, name: str) -> DeviceRow:
    return session.call("POST", _path(name, "/lock"), None, DeviceRow)


def _path(name: str, tail: str = "") -> str:
    return f"/v1/devices/{quote(name, safe='')}{tail}"
