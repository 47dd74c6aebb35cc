"""Orders: acts outside a script that still need a quorum; their state is a fold over the log (invariants 3 and 11).

Whoever asks for an act cannot approve it. Each approver signs a canonical statement (RFC 8785) with her own key.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Any

import msgspec
import rfc8785

from hsm_console.ceremony.texts import clean
from hsm_console.domain import events as ev
from hsm_console.domain.errors import NOTHING_DONE, ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.events import Decision, Draft, Recorded
from hsm_console.domain.messages.ceremony import Statement
from hsm_console.domain.messages.orders import DecideOrder, OrderState, OrderVote
from hsm_console.domain.people import Actor, Role

STATEMENT_TYPE = "hsm-console/order"
OPEN_STATES = (OrderState.OPEN, OrderState.READY, OrderState.RUNNING, OrderState.STOPPED, OrderState.INTERRUPTED)
RUNNABLE = (OrderState.READY, OrderState.STOPPED, OrderState.INTERRUPTED)


class Vote(OrderVote, frozen=True, kw_only=True):
    certificate_sha256: str


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One order as the log tells it. correlation: ties all its entries; runs: how often it was set going."""

    id: str
    action: str
    summary: str
    parameters: dict[str, str]
    role: Role
    needed: int
    of: int
    opened_by: str
    opened_name: str
    opened_ms: int
    seq: int
    revision: int
    correlation: str
    state: OrderState = OrderState.OPEN
    votes: tuple[Vote, ...] = ()
    runs: int = 0
    result: dict[str, str] = {}
    text: str = ""
    code: str = ""


def order_of(event: Any) -> str:
    """The order that an event belongs to; empty when it belongs to none."""
    return str(getattr(event, "order_id", ""))


def apply(order: Order | None, recorded: Recorded) -> Order | None:
    """Fold one entry in."""
    event = recorded.event
    if isinstance(event, ev.OrderOpened):
        return _opened(event, recorded)
    if order is None:
        return None
    change: dict[str, Any] = {"revision": recorded.seq}
    match event:
        case ev.OrderDecided():
            change["votes"] = (*order.votes, _vote(event, recorded))
        case ev.OrderReady():
            change["state"] = OrderState.READY
        case ev.OrderDeclined():
            change["state"] = OrderState.DECLINED
        case ev.OrderStarted():
            change |= {"state": OrderState.RUNNING, "runs": event.run, "text": "", "code": ""}
        case ev.OrderEnded():
            change |= {"state": OrderState(event.outcome), "text": event.text, "code": event.code}
            change["result"] = order.result | event.result
    return msgspec.structs.replace(order, **change)


def _opened(event: ev.OrderOpened, recorded: Recorded) -> Order:
    actor = recorded.actor
    return Order(
        id=event.order_id,
        action=event.action,
        summary=event.summary,
        parameters=event.parameters,
        role=event.role,
        needed=event.needed,
        of=event.of,
        opened_by=actor.uid if actor else "",
        opened_name=actor.name if actor else "",
        opened_ms=recorded.time_ms,
        seq=recorded.seq,
        revision=recorded.seq,
        correlation=recorded.correlation,
    )


def _vote(event: ev.OrderDecided, recorded: Recorded) -> Vote:
    actor = recorded.actor
    return Vote(
        uid=actor.uid if actor else "",
        name=actor.name if actor else "",
        certificate_sha256=actor.certificate_sha256 if actor else "",
        decision=event.decision,
        time_ms=recorded.time_ms,
        entry=recorded.seq,
        because=event.because,
    )


def statement(
    order: Order, actor: Actor, decision: str, *, nonce: str, gateway_sha256: str, simulated: bool, because: str = ""
) -> Statement:
    """What this person would sign now. Raises PolicyRefusal when she may not decide, InputError for a bad decision."""
    because = clean(because, "The reason", empty=decision != Decision.DECLINE)
    if decision not in (Decision.APPROVE, Decision.DECLINE):
        raise InputError(
            Problem(
                code="decision-unknown",
                what=f"“{decision[:40]}” is no decision.",
                todo="Approve or decline.",
                exit_code=ExitCode.USAGE,
            )
        )
    check_voter(order, actor)
    body: dict[str, Any] = {
        "type": STATEMENT_TYPE,
        "version": 1,
        "order": order.id,
        "action": order.action,
        "summary": order.summary,
        "parameters": order.parameters,
        "asked_by": order.opened_by,
        "decision": decision,
        "because": because,
        "person": actor.uid,
        "role": order.role.value,
        "log_size": order.seq + 1,
        "simulated": simulated,
        "nonce": nonce,
        "gateway_sha256": gateway_sha256,
    }
    lines = [("What", order.summary), ("Decision", decision), ("Person", actor.name), ("Asked by", order.opened_name)]
    lines += [(name.replace("_", " ").capitalize(), text) for name, text in order.parameters.items()]
    lines += [("Reason", because)] if because else []
    return Statement(canonical=rfc8785.dumps(body).decode(), lines=tuple(lines))


def may_decide(order: Order, actor: Actor) -> bool:
    """Whether this person's decision is asked for now."""
    try:
        check_voter(order, actor)
    except PolicyRefusal:
        return False
    return True


def check_voter(order: Order, actor: Actor) -> None:
    """Distinct persons, distinct certificates, not the one who asks (invariant 11). Raises PolicyRefusal."""
    if order.state is not OrderState.OPEN:
        raise refused("order-not-open", f"There is nothing to decide: the order is {order.state.value}.",
                      "Look at the order as it is now.")  # fmt: skip
    if actor.uid == order.opened_by:
        raise refused("self-approval", f"{actor.name} asked for this and cannot approve it.",
                      f"Another {order.role.value} decides.")  # fmt: skip
    if order.role not in actor.roles:
        raise refused("role-refused", f"{actor.name} is not here as {order.role.value}.",
                      f"Only a {order.role.value} decides about it.")  # fmt: skip
    for vote in order.votes:
        if vote.uid == actor.uid:
            raise refused("voted-already", f"{actor.name} has decided already ({vote.decision.value}).",
                          f"Another {order.role.value} decides.")  # fmt: skip
        if vote.certificate_sha256 == actor.certificate_sha256:
            raise refused("certificate-used-twice", f"{vote.name} has decided with this same certificate.",
                          "Each member of the quorum uses a certificate of their own.")  # fmt: skip


def decided(order: Order, given: DecideOrder, actor: Actor, want: Statement) -> tuple[tuple[Draft, ...], bytes]:
    """The entries of one decision, and the CMS that the caller has to verify over the statement before it appends.

    want: what `statement` says now. Raises PolicyRefusal `statement-stale`, InputError `cms-unreadable`.
    """
    if not hmac.compare_digest(want.canonical.encode(), given.statement.encode("utf-8", "surrogatepass")):
        raise refused("statement-stale", "The signed statement is not the one that is asked for now.",
                      "Read the statement as it is now and sign again.")  # fmt: skip
    try:
        cms = base64.b64decode(given.cms, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(
            Problem(
                code="cms-unreadable",
                what="The signature is not base64.",
                todo="Sign the statement again.",
                exit_code=ExitCode.USAGE,
            )
        ) from None
    event = ev.OrderDecided(
        order_id=order.id,
        decision=given.decision,
        statement=given.statement,
        cms=given.cms,
        because=clean(given.because, "The reason", empty=True),
    )
    drafts = [Draft(event=event, actor=actor, correlation=order.correlation)]
    verdict = _verdict(order, given.decision, actor)
    if verdict is not None:
        drafts.append(Draft(event=verdict, correlation=order.correlation, critical=True))
    return tuple(drafts), cms


def _verdict(order: Order, decision: Decision, actor: Actor) -> ev.OrderReady | ev.OrderDeclined | None:
    approvals = [vote.uid for vote in order.votes if vote.decision is Decision.APPROVE]
    declines = [vote.uid for vote in order.votes if vote.decision is Decision.DECLINE]
    (approvals if decision is Decision.APPROVE else declines).append(actor.uid)
    if len(approvals) >= order.needed:
        return ev.OrderReady(order_id=order.id, by=tuple(approvals))
    if order.of - len(declines) < order.needed:
        return ev.OrderDeclined(order_id=order.id, by=tuple(declines))
    return None


def refused(code: str, what: str, todo: str) -> PolicyRefusal:
    """A refusal ready to raise; nothing was done."""
    return PolicyRefusal(Problem(code=code, what=what, key_state=NOTHING_DONE, todo=todo, exit_code=ExitCode.POLICY))
