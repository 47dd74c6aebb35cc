"""Events of orders: what is done outside a ceremony and still needs more than one person (invariant 11)."""

from __future__ import annotations

from typing import Literal

from hsm_console.domain.events.base import Event
from hsm_console.domain.events.ceremony import Decision
from hsm_console.domain.people import Role


class OrderOpened(Event, frozen=True, kw_only=True, tag="order-opened"):
    """Somebody asks for an act. summary: the sentence that the approvers sign; needed 0: no quorum is asked for."""

    order_id: str
    action: str
    summary: str
    parameters: dict[str, str]
    role: Role
    needed: int
    of: int


class OrderDecided(Event, frozen=True, kw_only=True, tag="order-decided"):
    """statement: canonical JSON (RFC 8785) text; cms: base64 DER, detached, over exactly those bytes."""

    order_id: str
    decision: Decision
    statement: str
    cms: str
    because: str = ""


class OrderReady(Event, frozen=True, kw_only=True, tag="order-ready"):
    """The quorum stands behind it; it may be carried out."""

    order_id: str
    by: tuple[str, ...] = ()


class OrderDeclined(Event, frozen=True, kw_only=True, tag="order-declined"):
    """So many declined that the quorum cannot be reached any more."""

    order_id: str
    by: tuple[str, ...]


class OrderStarted(Event, frozen=True, kw_only=True, tag="order-started"):
    """Somebody set it going. run: 1, and more after a stop or an interruption."""

    order_id: str
    run: int


class OrderEnded(Event, frozen=True, kw_only=True, tag="order-ended"):
    """How a run ended, or the order itself. result: what came of it, in short facts."""

    order_id: str
    outcome: Literal["done", "failed", "stopped", "interrupted", "withdrawn"]
    text: str = ""
    code: str = ""
    result: dict[str, str] = {}
