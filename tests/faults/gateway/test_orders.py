"""Orders: who may ask, who may decide, what a run leaves behind when it stops, fails or is cut off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hsm_console.client import orders
from hsm_console.client.session import Session
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.events import Decision
from hsm_console.domain.messages.orders import DecideOrder, OrderState, OrderView
from hsm_console.gateway.ordering import Job, OrderKind, OrderStopped

Helpers = dict[str, Callable[..., Any]]


class Act:
    """A kind of order whose runs the test steers."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.runs = 0
        self.fault: Exception | None = None

    def run(self, job: Job) -> dict[str, str]:
        self.runs += 1
        job.progress(1, 3)
        while not self.go.wait(0.01):
            if job.stopped():
                raise OrderStopped("One of three was made.", {"made": "1"})
        if self.fault is not None:
            raise self.fault
        return {"made": "3"}

    def kind(self, **changes: Any) -> OrderKind:
        how: dict[str, Any] = {
            "action": "paint",
            "title": "Paint the shed",
            "parameters": {"colour": "which colour"},
            "check": lambda _parameters, _session: None,
            "summary": lambda parameters: f"Paint the shed {parameters['colour']}.",
            "run": self.run,
        }
        return OrderKind(**(how | changes))


@pytest.fixture
def act(spied: Any) -> Act:
    found = Act()
    spied[0].orders.register(found.kind())
    return found


def until(session: Session, order: OrderView, state: OrderState) -> OrderView:
    end = time.monotonic() + 10
    while order.state is not state:
        assert time.monotonic() < end, order
        time.sleep(0.01)
        order = orders.show(session, order.id)
    return order


def approved(house: Any, ada: Session) -> OrderView:
    order = orders.open_order(ada, "paint", {"colour": "green"})
    return orders.decide(house.be("claude"), order.id, Decision.APPROVE)


def test_an_order_is_asked_for_approved_and_carried_out(spied: Any, act: Act) -> None:
    gateway, _, house = spied
    ada = house.admin()
    order = orders.open_order(ada, "paint", {"colour": "green"})
    assert (order.state, order.needed, order.summary) == (OrderState.OPEN, 1, "Paint the shed green.")
    assert not order.may_run
    claude = house.be("claude")
    assert orders.show(claude, order.id).may_decide
    order = orders.decide(claude, order.id, Decision.APPROVE)
    assert order.state is OrderState.READY
    act.go.set()
    order = until(ada, orders.run(ada, order.id), OrderState.DONE)
    assert order.result == {"made": "3"}
    kinds = [gateway.core.log.read(seq).event.__struct_config__.tag for seq in range(order.entry, order.entry + 9)
             if seq < gateway.core.log.size]  # fmt: skip
    assert [kind for kind in kinds if kind.startswith("order-")] == [
        "order-opened", "order-decided", "order-ready", "order-started", "order-ended",
    ]  # fmt: skip


def test_nobody_decides_about_what_she_asked_for(spied: Any, act: Act, helpers: Helpers) -> None:
    _, _, house = spied
    both = house.be("both")
    order = orders.open_order(both, "paint", {"colour": "green"})
    assert not order.may_decide
    refusal = helpers["refusal"](lambda: orders.decide(both, order.id, Decision.APPROVE))
    assert refusal == "self-approval"
    assert orders.show(both, order.id).votes == ()


def test_a_custodian_decides_once_and_others_never(spied: Any, act: Act, helpers: Helpers) -> None:
    _, _, house = spied
    ada, alan = house.admin(), house.be("alan")
    order = orders.open_order(ada, "paint", {"colour": "green"})
    assert helpers["refusal"](lambda: orders.decide(alan, order.id, Decision.APPROVE)) == "role-refused"
    claude = house.be("claude")
    orders.decide(claude, order.id, Decision.DECLINE, "not that colour")
    assert helpers["refusal"](lambda: orders.decide(claude, order.id, Decision.APPROVE)) == "voted-already"
    assert orders.show(ada, order.id).votes[0].because == "not that colour"


def test_declined_by_so_many_that_it_cannot_pass(spied: Any, act: Act, helpers: Helpers) -> None:
    _, _, house = spied
    ada = house.admin()
    order = orders.open_order(ada, "paint", {"colour": "green"})
    for uid in ("claude", "grace", "whit", "both"):
        assert orders.show(ada, order.id).state is OrderState.OPEN
        orders.decide(house.be(uid), order.id, Decision.DECLINE, "no")
    assert orders.show(ada, order.id).state is OrderState.DECLINED
    assert helpers["refusal"](lambda: orders.run(ada, order.id)) == "order-not-ready"


def test_a_signature_over_another_statement_does_not_count(spied: Any, act: Act, helpers: Helpers) -> None:
    _, _, house = spied
    ada, claude = house.admin(), house.be("claude")
    green = orders.open_order(ada, "paint", {"colour": "green"})
    red = orders.open_order(ada, "paint", {"colour": "red"})
    text = orders.statement(claude, green.id, Decision.APPROVE).canonical
    helpers_code = helpers["refusal"](lambda: orders.decide(claude, red.id, Decision.APPROVE, canonical=text))
    assert helpers_code == "statement-stale"
    mine = orders.statement(claude, red.id, Decision.APPROVE).canonical
    grace = house.be("grace")
    forged = DecideOrder(decision=Decision.APPROVE, statement=mine, cms=grace.sign_statement(mine))
    path = f"/v1/orders/{red.id}/decision"
    assert helpers["refusal"](lambda: claude.call("POST", path, forged, OrderView))
    assert orders.show(ada, red.id).state is OrderState.OPEN


def test_only_those_whom_the_kind_names_may_ask_and_all_is_given(spied: Any, act: Act, helpers: Helpers) -> None:
    _, _, house = spied
    ada, claude = house.admin(), house.be("claude")
    assert helpers["refusal"](lambda: orders.open_order(claude, "paint", {"colour": "green"})) == "role-refused"
    assert helpers["refusal"](lambda: orders.open_order(ada, "paint", {})) == "order-parameters"
    assert helpers["refusal"](lambda: orders.open_order(ada, "paint", {"colour": "a", "x": "b"})) == "order-parameters"
    assert helpers["refusal"](lambda: orders.open_order(ada, "burn", {})) == "order-unknown"


def test_a_run_is_stopped_and_goes_on_without_a_new_quorum(spied: Any, act: Act) -> None:
    _, _, house = spied
    ada = house.admin()
    order = orders.run(ada, approved(house, ada).id)
    assert order.may_stop
    orders.stop(ada, order.id)
    order = until(ada, order, OrderState.STOPPED)
    assert order.result == {"made": "1"}
    assert order.may_run
    act.go.set()
    order = until(ada, orders.run(ada, order.id), OrderState.DONE)
    assert (order.result, act.runs) == ({"made": "3"}, 2)


def test_two_who_run_it_at_once_run_it_once(spied: Any, act: Act, helpers: Helpers) -> None:
    _, _, house = spied
    ada = house.admin()
    order = approved(house, ada)
    orders.run(ada, order.id)
    assert helpers["refusal"](lambda: orders.run(house.be("ada"), order.id)) == "order-not-ready"
    act.go.set()
    until(ada, orders.show(ada, order.id), OrderState.DONE)
    assert act.runs == 1


def test_a_run_that_fails_tells_the_four_things(spied: Any, act: Act) -> None:
    _, _, house = spied
    ada = house.admin()
    act.fault = EnvironmentFault(Problem(code="shed-missing", what="There is no shed.", todo="Build one."))
    act.go.set()
    order = until(ada, orders.run(ada, approved(house, ada).id), OrderState.FAILED)
    assert order.problem is not None
    assert (order.problem.code, order.problem.what) == ("shed-missing", "There is no shed.")


def test_what_the_end_of_the_gateway_cut_off_is_said(spied: Any, act: Act) -> None:
    gateway, _, house = spied
    ada = house.admin()
    order = orders.run(ada, approved(house, ada).id)
    gateway.orders.settle()  # as the next start does
    order = orders.show(ada, order.id)
    assert order.state is OrderState.INTERRUPTED
    assert order.may_run
    act.go.set()


def test_an_order_is_withdrawn_by_whoever_asked(spied: Any, act: Act, helpers: Helpers) -> None:
    _, _, house = spied
    ada = house.admin()
    order = orders.open_order(ada, "paint", {"colour": "green"})
    assert helpers["refusal"](lambda: orders.withdraw(house.be("both"), order.id)) == "order-not-ready"
    assert orders.withdraw(ada, order.id).state is OrderState.WITHDRAWN
    assert helpers["refusal"](lambda: orders.decide(house.be("claude"), order.id, Decision.APPROVE)) == "order-not-open"
