"""The HSM behind the gateway, and the gateway's health. Every function raises ConsoleError with its Problem."""

from __future__ import annotations

from hsm_console.client.session import Session
from hsm_console.domain.messages.session import DeviceState, Health, Unlock
from hsm_console.domain.secret import Secret


def state(session: Session) -> DeviceState:
    return session.call("GET", "/v1/device", None, DeviceState)


def unlock(session: Session, pin: Secret) -> DeviceState:
    """One try at the token's PIN, never repeated by anybody. Raises as the device does: `pin-incorrect`, …"""
    return session.call("POST", "/v1/device/unlock", Unlock(pin=pin.reveal()), DeviceState)


def lock(session: Session) -> DeviceState:
    return session.call("POST", "/v1/device/lock", None, DeviceState)


def health(session: Session) -> Health:
    return session.call("GET", "/v1/health", None, Health)


def openapi(session: Session) -> bytes:
    """The OpenAPI document of this gateway, JSON."""
    return session.raw("GET", "/v1/openapi.json")
