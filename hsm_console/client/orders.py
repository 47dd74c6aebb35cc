"""Orders: ask, look, decide, carry out. Every function raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from hsm_console.client.session import Session
from hsm_console.domain.events import Decision
from hsm_console.domain.messages.ceremony import Statement
from hsm_console.domain.messages.orders import DecideOrder, OpenOrder, OrderKindView, OrderView


def kinds(session: Session) -> list[OrderKindView]:
    return session.call("GET", "/v1/order-kinds", None, list[OrderKindView])


def listed(session: Session) -> list[OrderView]:
    """All orders of the workspace, newest first."""
    return session.call("GET", "/v1/orders", None, list[OrderView])


def show(session: Session, order_id: str) -> OrderView:
    return session.call("GET", _path(order_id), None, OrderView)


def open_order(session: Session, action: str, parameters: dict[str, str]) -> OrderView:
    return session.call("POST", "/v1/orders", OpenOrder(action=action, parameters=parameters), OrderView)


def statement(session: Session, order_id: str, decision: Decision, because: str = "") -> Statement:
    """What this person would sign about it now."""
    query = urlencode({"decision": decision.value} | ({"because": because} if because else {}))
    return session.call("GET", f"{_path(order_id)}/statement?{query}", None, Statement)


def decide(session: Session, order_id: str, decision: Decision, because: str = "", *, canonical: str = "") -> OrderView:
    """Sign the statement with the person's own key and send it. canonical: the statement that she has read."""
    text = canonical or statement(session, order_id, decision, because).canonical
    given = DecideOrder(decision=decision, statement=text, cms=session.sign_statement(text), because=because)
    return session.call("POST", f"{_path(order_id)}/decision", given, OrderView)


def run(session: Session, order_id: str) -> OrderView:
    """Set it going in the background; `show` tells how far it is."""
    return session.call("POST", f"{_path(order_id)}/run", None, OrderView)


def stop(session: Session, order_id: str) -> OrderView:
    return session.call("POST", f"{_path(order_id)}/stop", None, OrderView)


def withdraw(session: Session, order_id: str) -> OrderView:
    return session.call("DELETE", _path(order_id), None, OrderView)


def _path(order_id: str) -> str:
    return f"/v1/orders/{quote(order_id, safe='')}"
