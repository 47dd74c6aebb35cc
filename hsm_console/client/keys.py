"""The inventory of keys. Raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from hsm_console.client.session import Session
from hsm_console.domain.messages.ceremony import KeyView


def listed(session: Session) -> list[KeyView]:
    return session.call("GET", "/v1/keys", None, list[KeyView])
