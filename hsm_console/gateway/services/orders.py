"""Orders over the wire: ask, decide, carry out in the background, stop, go on (invariants 1, 3 and 11).

A service that offers an act registers an `OrderKind`. What a run does on the HSM announces itself with intents of its
own, tied to the order by its correlation; here stand only who asked, who agreed, and how it ended.
"""

from __future__ import annotations

import secrets
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from hsm_console.ceremony import orders as od
from hsm_console.ceremony.orders import Order
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, PolicyRefusal, Problem, VerificationFailed
from hsm_console.domain.events import Draft
from hsm_console.domain.ids import uuid7
from hsm_console.domain.messages import orders as msg
from hsm_console.domain.messages.ceremony import Statement
from hsm_console.domain.messages.orders import OrderState
from hsm_console.domain.people import Role
from hsm_console.gateway import order_rows
from hsm_console.gateway.app import Call, Route, not_found, refused
from hsm_console.gateway.core import Core, placed
from hsm_console.gateway.ordering import Job, OrderKind, OrderStopped
from hsm_console.gateway.sessions import Session
from hsm_console.pki import cms
from hsm_console.policy.roles import Action

WORKERS = 2
EXPECTED = {"statement-stale", "order-not-open", "order-not-ready"}
"""Refusals that are no misconduct: the page was old."""


class Orders:
    """Handlers of the routes under /v1/orders."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._kinds: dict[str, OrderKind] = {}
        self._jobs: dict[str, Job] = {}
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="order")

    def register(self, kind: OrderKind) -> None:
        """At composition, once for each act."""
        if kind.action in self._kinds:
            raise ValueError(f"two kinds of order are called {kind.action}")
        self._kinds[kind.action] = kind

    def routes(self) -> tuple[Route, ...]:
        """What this service answers to."""
        one = "/v1/orders/{id}"
        read, act = Action.READ_ORDERS, Action.TAKE_PART_IN_ORDERS
        return (
            Route("GET", "/v1/order-kinds", self.kinds, list[msg.OrderKindView], action=read),
            Route("GET", "/v1/orders", self.listed, list[msg.OrderView], action=read),
            Route("POST", "/v1/orders", self.open, msg.OrderView, body=msg.OpenOrder, action=act),
            Route("GET", one, self.show, msg.OrderView, action=read),
            Route("DELETE", one, self.withdraw, msg.OrderView, action=act),
            Route("GET", f"{one}/statement", self.statement, Statement, action=act, query=("decision", "because")),
            Route("POST", f"{one}/decision", self.decide, msg.OrderView, body=msg.DecideOrder, action=act),
            Route("POST", f"{one}/run", self.run, msg.OrderView, action=act),
            Route("POST", f"{one}/stop", self.stop, msg.OrderView, action=act),
        )

    # -- looking ------------------------------------------------------------------------------------------

    def kinds(self, call: Call) -> list[msg.OrderKindView]:
        """What can be ordered here"""
        roles = call.session.actor.roles
        return [
            msg.OrderKindView(
                action=kind.action,
                title=kind.title,
                parameters=kind.parameters,
                needs_quorum=kind.needs_quorum,
                irreversible=kind.irreversible,
                may_open=bool(set(roles) & set(kind.openers)),
                optional=kind.optional,
            )
            for kind in self._kinds.values()
        ]

    def listed(self, call: Call) -> list[msg.OrderView]:
        """All orders, newest first"""
        with self._core.reading() as conn:
            found = order_rows.orders(conn)
        return [self._view(self._core.shown(order), call.session) for order in found]

    def show(self, call: Call) -> msg.OrderView:
        """One order"""
        return self._view(self._order(call.params["id"]), call.session)

    def statement(self, call: Call) -> Statement:
        """What this person would sign about the order now"""
        order = self._order(call.params["id"])
        return self._statement(order, call.session, call.query.get("decision", ""), call.query.get("because", ""))

    def _statement(self, order: Order, session: Session, decision: str, because: str) -> Statement:
        return od.statement(
            order,
            session.actor,
            decision,
            nonce=session.nonce,
            gateway_sha256=self._core.contexts.certificate_sha256,
            simulated=self._core.file.token.simulated,
            because=because,
        )

    def _order(self, order_id: str) -> Order:
        with self._core.reading() as conn:
            order = order_rows.order(conn, order_id)
        if order is None:
            raise not_found(f"There is no order “{order_id[:80]}”.")
        return self._core.shown(order)

    def _view(self, order: Order, session: Session) -> msg.OrderView:
        kind, job, actor = self._kinds.get(order.action), self._jobs.get(order.id), session.actor
        mine = kind is not None and bool(set(actor.roles) & set(kind.openers))
        closed = order.state not in od.OPEN_STATES
        return msg.OrderView(
            id=order.id,
            action=order.action,
            title=kind.title if kind else order.action,
            summary=order.summary,
            parameters=order.parameters,
            state=order.state,
            role=order.role,
            needed=order.needed,
            of=order.of,
            votes=order.votes,
            opened_by=order.opened_by,
            opened_name=order.opened_name,
            opened_ms=order.opened_ms,
            entry=order.seq,
            irreversible=kind.irreversible if kind else False,
            done=job.done if job else 0,
            total=job.total if job else 0,
            result=order.result,
            problem=_trouble(order),
            may_decide=od.may_decide(order, actor),
            may_run=mine and order.state in od.RUNNABLE,
            may_stop=order.state is OrderState.RUNNING and (mine or order.role in actor.roles),
            may_withdraw=not closed and order.state is not OrderState.RUNNING and actor.uid == order.opened_by,
        )

    # -- acting -------------------------------------------------------------------------------------------

    def open(self, call: Call) -> msg.OrderView:
        """Ask for an act"""
        wanted: msg.OpenOrder = call.body
        session, core = call.session, self._core
        kind = self._kind(wanted.action)
        order_id = f"{kind.action}-{secrets.token_hex(4)}"
        try:
            if not set(session.actor.roles) & set(kind.openers):
                raise _not_opener(session, kind)
            _check_names(kind, wanted.parameters)
            kind.check(wanted.parameters, session)
            kind.check_new(wanted.parameters, session)
            needed, of = self._quorum(kind, session)
        except PolicyRefusal as refusal:
            core.note_refusal(session, f"order {kind.action}", refusal)
            raise
        event = ev.OrderOpened(
            order_id=order_id,
            action=kind.action,
            summary=kind.summary(wanted.parameters),
            parameters=dict(sorted(wanted.parameters.items())),
            role=Role.CUSTODIAN,
            needed=needed,
            of=of,
        )
        correlation = uuid7()
        drafts = [Draft(event=event, actor=session.actor, correlation=correlation)]
        if not needed:
            drafts.append(Draft(event=ev.OrderReady(order_id=order_id), correlation=correlation))
        core.append(session, drafts)
        return self._view(self._order(order_id), session)

    def _kind(self, action: str) -> OrderKind:
        kind = self._kinds.get(action)
        if kind is None:
            raise refused("order-unknown", f"“{action[:60]}” cannot be ordered here.")
        return kind

    def _quorum(self, kind: OrderKind, session: Session) -> tuple[int, int]:
        """(needed, of): those on the roster who may decide. Raises PolicyRefusal when they are too few."""
        if not kind.needs_quorum:
            return 0, 0
        needed = self._core.environment.quorum.needed
        entries = self._core.rosters.current.entries
        able = {e.person.uid for e in entries if Role.CUSTODIAN in e.roles and not e.revoked} - {session.person.uid}
        if len(able) < needed:
            raise od.refused(
                "order-quorum-unreachable",
                f"{needed} custodians must agree, and only {len(able)} other than {session.person.name} are enrolled.",
                "Enrol custodians first, or let somebody else ask.",
            )
        return needed, len(able)

    def decide(self, call: Call) -> msg.OrderView:
        """Approve or decline, with a signature"""
        given: msg.DecideOrder = call.body
        session, core, order_id = call.session, self._core, call.params["id"]
        with self._locks[order_id]:
            order = self._order(order_id)
            try:
                want = self._statement(order, session, given.decision.value, given.because)
                drafts, der = od.decided(order, given, session.actor, want)
                cms.verify_detached(session.certificate, given.statement.encode(), der)
            except (PolicyRefusal, VerificationFailed) as refusal:
                if refusal.problem.code not in EXPECTED:
                    core.note_refusal(session, f"decide order {order.action}", refusal)
                raise
            core.append(session, drafts)
        return self._view(self._order(order_id), session)

    def withdraw(self, call: Call) -> msg.OrderView:
        """Take one's own order back before it is carried out"""
        session, order_id = call.session, call.params["id"]
        with self._locks[order_id]:
            order = self._order(order_id)
            if not self._view(order, session).may_withdraw:
                raise od.refused(
                    "order-not-ready",
                    f"{session.person.name} cannot withdraw this order: it is {order.state.value}.",
                    "Whoever asked for it can withdraw it while it does not run.",
                )
            event = ev.OrderEnded(order_id=order_id, outcome="withdrawn")
            self._core.append(session, [Draft(event=event, actor=session.actor, correlation=order.correlation)])
        return self._view(self._order(order_id), session)

    def run(self, call: Call) -> msg.OrderView:
        """Carry it out in the background; the view tells how far it is"""
        session, order_id = call.session, call.params["id"]
        with self._locks[order_id]:
            order = self._order(order_id)
            kind = self._kind(order.action)
            if not set(session.actor.roles) & set(kind.openers):
                refusal = _not_opener(session, kind)
                self._core.note_refusal(session, f"run order {kind.action}", refusal)
                raise refusal
            if order.state not in od.RUNNABLE:
                raise od.refused(
                    "order-not-ready",
                    f"The order cannot be carried out: it is {order.state.value}.",
                    "Wait for the quorum, or look at how it ended.",
                )
            kind.check(order.parameters, session)
            event = ev.OrderStarted(order_id=order_id, run=order.runs + 1)
            self._core.append(session, [Draft(event=event, actor=session.actor, correlation=order.correlation)])
            job = self._jobs[order_id] = Job(self._order(order_id), session)
            self._pool.submit(self._carry_out, kind, job)
        return self._view(self._order(order_id), session)

    def stop(self, call: Call) -> msg.OrderView:
        """Ask a run to end after what it is at"""
        order = self._order(call.params["id"])
        view, job = self._view(order, call.session), self._jobs.get(order.id)
        if not view.may_stop or job is None:
            raise od.refused("order-not-ready", f"There is nothing to stop: the order is {order.state.value}.",
                             "Look at the order as it is now.")  # fmt: skip
        job.stop()
        return view

    # -- the background side --------------------------------------------------------------------------------

    def _carry_out(self, kind: OrderKind, job: Job) -> None:
        order_id = job.order.id
        try:
            event = ev.OrderEnded(order_id=order_id, outcome="done", result=kind.run(job))
        except OrderStopped as stop:
            event = ev.OrderEnded(order_id=order_id, outcome="stopped", text=str(stop), result=stop.result)
        except ConsoleError as error:
            self._core.device.failed(error)
            event = _failed(order_id, error.problem)
        except Exception as error:  # noqa: BLE001 - a thread's end: the order gets a Problem, the file gets the trace
            event = _failed(order_id, self._core.incidents.bug(error, f"order {kind.action}").problem)
        try:
            self._end(job, event)
        except ConsoleError as error:
            self._core.incidents.note(f"order {order_id}: its end could not be recorded", error)

    def _end(self, job: Job, event: ev.OrderEnded) -> None:
        draft = Draft(event=event, actor=job.session.actor, correlation=job.correlation, critical=True)
        self._core.log.append([placed(draft, job.session)])
        self._jobs.pop(job.order.id, None)

    def settle(self) -> None:
        """At the start: runs that the end of the gateway cut off. Nothing is carried on by itself."""
        with self._core.reading() as conn:
            running = [order for order in order_rows.orders(conn) if order.state is OrderState.RUNNING]
        for order in running:
            event = ev.OrderEnded(
                order_id=order.id, outcome="interrupted", text="The gateway ended while it was being carried out."
            )
            self._core.log.append([Draft(event=event, correlation=order.correlation)])

    def close(self) -> None:
        """Ask all runs to stop, and wait for what they are at."""
        for job in tuple(self._jobs.values()):
            job.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _check_names(kind: OrderKind, parameters: dict[str, str]) -> None:
    strangers = parameters.keys() - kind.parameters.keys()
    missing = kind.parameters.keys() - set(kind.optional) - parameters.keys()
    if strangers or missing:
        told = [f"“{name}” is not known" for name in sorted(strangers)]
        told += [f"“{name}” is missing" for name in sorted(missing)]
        raise refused("order-parameters", f"The order “{kind.action}” is not complete: {', '.join(told)}.")


def _not_opener(session: Session, kind: OrderKind) -> PolicyRefusal:
    roles = " or ".join(role.value for role in kind.openers)
    return od.refused(
        "role-refused",
        f"{session.person.name} may not ask for this: {kind.title.lower()}.",
        f"Ask somebody who is logged in as {roles}.",
    )


def _failed(order_id: str, problem: Problem) -> ev.OrderEnded:
    return ev.OrderEnded(order_id=order_id, outcome="failed", text=problem.what, code=problem.code)


def _trouble(order: Order) -> Problem | None:
    if order.state is not OrderState.FAILED:
        return None
    return Problem(
        code=order.code or "order-failed",
        what=order.text,
        key_state="What was done before is in the log and in the list of keys.",
        todo="Correct its cause, then ask for what is missing in a new order.",
        details={"order": order.id},
    )
