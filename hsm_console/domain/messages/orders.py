"""Orders on the wire: what is asked for, who decided how, how far it is."""

from __future__ import annotations

import enum

import msgspec

from hsm_console.domain.errors import Problem
from hsm_console.domain.events import Decision
from hsm_console.domain.people import Role


class OrderState(enum.StrEnum):
    """STOPPED and INTERRUPTED orders may be run again: what is there already is not made twice."""

    OPEN = "open"
    READY = "ready"
    RUNNING = "running"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    DONE = "done"
    FAILED = "failed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/orders. action: `generate-keys`, `prune-log`, …; GET /v1/order-kinds lists them."""

    action: str
    parameters: dict[str, str]


class OrderKindView(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/order-kinds. parameters: name → what is to be given there; optional: names of those that may stay away;
    may_open: this person may ask for it.
    """

    action: str
    title: str
    parameters: dict[str, str]
    needs_quorum: bool
    irreversible: bool
    may_open: bool
    optional: tuple[str, ...] = ()


class OrderVote(msgspec.Struct, frozen=True, kw_only=True):
    """entry: where in the log the signed statement stands."""

    uid: str
    name: str
    decision: Decision
    time_ms: int
    entry: int
    because: str = ""


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """One order. entry: its first entry in the log; done, total: progress of the run, 0 of 0 when none is known."""

    id: str
    action: str
    title: str
    summary: str
    parameters: dict[str, str]
    state: OrderState
    role: Role
    needed: int
    of: int
    votes: tuple[OrderVote, ...]
    opened_by: str
    opened_name: str
    opened_ms: int
    entry: int
    irreversible: bool = False
    done: int = 0
    total: int = 0
    result: dict[str, str] = {}
    problem: Problem | None = None
    may_decide: bool = False
    may_run: bool = False
    may_stop: bool = False
    may_withdraw: bool = False


class DecideOrder(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/orders/{id}/decision. statement: exactly as GET …/statement gave it; cms: base64 DER over it."""

    decision: Decision
    statement: str
    cms: str
    because: str = ""
