"""People of the workspace. Every function raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from urllib.parse import quote

from hsm_console.client.session import Session
from hsm_console.domain.messages.people import Enrol, PersonView, Revoke


def listed(session: Session) -> list[PersonView]:
    return session.call("GET", "/v1/people", None, list[PersonView])


def enrol(session: Session, wanted: Enrol) -> PersonView:
    return session.call("POST", "/v1/people", wanted, PersonView)


def revoke(session: Session, uid: str, reason: str) -> PersonView:
    """reason: CRLReason of RFC 5280 5.3.1, for example `keyCompromise`. Ends the person's sessions."""
    return session.call("POST", f"/v1/people/{quote(uid, safe='')}/revoke", Revoke(reason=reason), PersonView)
