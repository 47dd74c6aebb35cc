"""Orders on the screen: what waits for whom, progress, stop, go on, and the deciding itself."""

from __future__ import annotations

import json
import threading

import places
import pytest
import samples as s
import work_pages as w
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QProgressBar, QPushButton
from standins import emitted, refusing, words

from hsm_console.domain.errors import PolicyRefusal, Problem
from hsm_console.domain.events import Decision
from hsm_console.domain.messages.ceremony import Statement
from hsm_console.domain.messages.devices import FleetView
from hsm_console.domain.messages.orders import OpenOrder, OrderState
from ui.ceremony.step_up import StatementPage, StepUpPage
from ui.home.page import HomePage
from ui.orders.asking import AskPage
from ui.orders.check import CheckPage
from ui.orders.order import OrderPage
from ui.orders.page import OrdersPage
from ui.orders.road import OrderRoad, check_same
from ui.widgets.typed_word import TypedWord

NOT_HERE = Problem(code="role-refused", what="Kurt Gödel is not here as custodian.", todo="Only a custodian decides.")


def statement(order=None, decision="approve", **more) -> Statement:
    order = order or w.order()
    body = {"order": order.id, "summary": order.summary, "decision": decision, "because": "", "nonce": "00"} | more
    return Statement(canonical=json.dumps(body), lines=(("What", order.summary), ("Decision", decision)))


# -- the list --------------------------------------------------------------------------------------------------


def test_what_waits_for_me_stands_first(qtbot, show):
    page = OrdersPage()
    show(page)
    page.show_orders(w.orders())
    said = words(page)
    assert said.index("They wait for you") < said.index("Under way") < said.index("Ended")
    assert "1 of 2 needed approvals" in said
    assert "being carried out, 212 of 1000" in said
    opened = emitted(page.opened)
    page.first.click()
    assert opened == [w.order().id]


def test_the_same_orders_again_move_nothing(qtbot, show):
    page = OrdersPage()
    show(page)
    page.show_orders(w.orders())
    qtbot.waitUntil(page.first.hasFocus)
    tiles = page.findChildren(QPushButton)
    page.refresh.button.setFocus()
    page.show_orders(w.orders())
    assert page.window().focusWidget() is page.refresh.button
    assert page.findChildren(QPushButton) == tiles


def test_no_order_says_where_one_begins(show):
    page = OrdersPage()
    show(page)
    page.show_orders([])
    assert "An order begins where the act is" in words(page)


def test_the_overview_names_what_waits_for_this_person(show):
    page = HomePage(s.greeting())
    show(page)
    page.set_orders(w.orders())
    assert words(page).count("Make 5 keys") == 2, "one to decide, one to go on with"
    asked = emitted(page.order_asked)
    next(b for b in page.findChildren(QPushButton) if "Make 5 keys" in b.accessibleName()).click()
    assert asked == [w.order().id]


# -- one order -------------------------------------------------------------------------------------------------


@pytest.fixture
def one(show):
    def made(*args, **named):
        page = OrderPage(w.order(*args, **named))
        show(page)
        return page

    return made


def shown_acts(page) -> set[str]:
    names = ("own", "other", "run", "halt", "withdraw")
    return {name for name in names if getattr(page, name).isVisible()}


@pytest.mark.parametrize(
    ("state", "may", "acts", "said"),
    [
        (OrderState.OPEN, {"may_decide": True}, {"own", "other"}, "It waits for your decision."),
        (OrderState.OPEN, {"may_withdraw": True}, {"other", "withdraw"}, "Nothing has been done yet."),
        (OrderState.READY, {"may_run": True}, {"run"}, "Approved; it waits to be carried out."),
        (OrderState.READY, {}, set(), "Charlotte Babbage or an administrator carries it out."),
        (OrderState.RUNNING, {"may_stop": True}, {"halt"}, "nothing is made twice"),
        (OrderState.STOPPED, {"may_run": True}, {"run"}, "Stopped on request; it can go on."),
        (OrderState.INTERRUPTED, {"may_run": True}, {"run"}, "Interrupted; it can go on."),
        (OrderState.WITHDRAWN, {}, set(), "Withdrawn."),
        (OrderState.DECLINED, {}, set(), "Declined."),
    ],
)
def test_each_state_offers_its_acts(one, state, may, acts, said):
    page = one(state, **may)
    assert shown_acts(page) == acts
    assert said in words(page)


def test_a_stopped_order_goes_on(one):
    assert "Go on" in one(OrderState.STOPPED, may_run=True).run.button.text().replace("&", "")


def test_progress_moves_neither_focus_nor_page(one):
    page = one(OrderState.RUNNING, done=1, total=5, may_stop=True)
    bar = page.findChild(QProgressBar)
    page.halt.setFocus()
    page.show_order(w.order(OrderState.RUNNING, done=3, total=5, may_stop=True))
    assert page.findChild(QProgressBar) is bar
    assert bar.value() == 3
    assert "3 of 5 done, 60 %" in words(page)
    assert page.window().focusWidget() is page.halt.button


def test_unknown_amount_is_not_a_percentage(one):
    page = one(OrderState.RUNNING)
    assert page.progress.findChild(QProgressBar).maximum() == 0
    assert "%" not in words(page.progress)


def test_an_irreversible_order_needs_the_word_once_more(qtbot, one):
    page = one(OrderState.READY, may_run=True, irreversible=True)
    asked = emitted(page.run_asked)
    assert not page.run.button.isEnabled()
    assert page.window().focusWidget() is not page.run.button
    word = page.findChild(TypedWord).control
    qtbot.keyClicks(word, "carry out")
    qtbot.keyClick(word, Qt.Key.Key_Return)
    assert asked == []
    page.run.button.click()
    assert asked == [()]


def test_a_failure_tells_its_four_things(one):
    said = words(one(OrderState.FAILED, problem=w.FULL))
    for text in (w.FULL.what, w.FULL.key_state, w.FULL.todo):
        assert text in said


def test_a_result_is_offered_with_its_receipt(one):
    page = one(OrderState.DONE, result={"made": "5", "entry": "77"})
    asked = emitted(page.receipt_asked)
    next(b for b in page.findChildren(QPushButton) if "Receipt" in b.text()).click()
    assert asked == [77]


# -- the road --------------------------------------------------------------------------------------------------


@pytest.fixture
def road(qtbot, window, desk, gateway):
    order = w.order(votes=(w.vote("a.turing"),))
    path = f"/v1/orders/{order.id}"
    gateway.answers |= {
        "GET /v1/orders": [order],
        f"GET {path}": order,
        "GET /v1/keys": w.several(),
        f"GET {path}/statement": statement(order),
    }
    made = OrderRoad(window, desk, order.id)
    qtbot.waitUntil(lambda: isinstance(window.page, OrderPage))
    yield made
    made.leave()


def test_an_order_that_is_not_there_is_said_on_the_list(qtbot, window, desk, gateway):
    gateway.answers |= {"GET /v1/orders": w.orders(), "GET /v1/orders/gone": refusing(places.MISSING)}
    road = OrderRoad(window, desk, "gone")
    qtbot.waitUntil(lambda: window.page.problem.problem == places.MISSING)
    assert isinstance(window.page, OrdersPage)
    qtbot.waitUntil(lambda: "They wait for you" in words(window.page))
    road.leave()


def step_up(qtbot, window, uid="g.hopper") -> StatementPage:
    window.page.decide_asked.emit(False)
    page = window.page
    assert isinstance(page, StepUpPage)
    page.credential.suggest(uid)
    page.passphrase.set_text("harbour violin copper meadow")
    page.main.button.click()
    qtbot.waitUntil(lambda: window.page is not page or page.problem.problem is not None)
    return window.page


def answer_statement(gateway, order, decided: list):
    path = f"/v1/orders/{order.id}"
    current = [statement(order)]
    gateway.answers[f"GET {path}/statement"] = lambda _body: current[0]

    def decide(body):
        decided.append(body)
        return order

    gateway.answers[f"POST {path}/decision"] = decide
    return current


@pytest.mark.parametrize("yes", [True, False])
def test_a_custodian_steps_up_decides_and_leaves(qtbot, road, window, desk, gateway, yes):
    decided: list = []
    order = window.page.order
    answer_statement(gateway, order, decided)
    over = step_up(qtbot, window)
    assert isinstance(over, StatementPage)
    assert over.title == "Grace Hopper, this is what you sign"
    gateway.answers[f"GET /v1/orders/{order.id}"] = w.order(OrderState.READY if yes else OrderState.DECLINED)
    if not yes:
        over.no.button.click()
        assert decided == [], "to decline needs a reason"
        over.because.set_text("Five is too many.")
    (over.yes if yes else over.no).button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, OrderPage) and window.page.order.state is not OrderState.OPEN)
    assert decided[0].decision is (Decision.APPROVE if yes else Decision.DECLINE)
    assert decided[0].because == ("" if yes else "Five is too many.")
    assert desk.steps == ["g.hopper"]
    assert [session.greeting.person.uid for session in desk.left] == ["g.hopper"]
    assert len(desk.book) == 1, "who was here stays logged in"


def test_leaving_without_an_answer_is_no_answer(qtbot, road, window, desk, gateway):
    decided: list = []
    answer_statement(gateway, window.page.order, decided)
    over = step_up(qtbot, window)
    over.back.click()
    assert isinstance(window.page, OrderPage)
    assert decided == []
    assert len(desk.left) == 1, "she is logged off"


def test_a_wrong_passphrase_stays_on_the_page(qtbot, road, window, desk):
    desk.step_problem = places.DENIED
    page = step_up(qtbot, window)
    assert isinstance(page, StepUpPage)
    assert page.problem.problem == places.DENIED
    assert not page.main.working


def test_somebody_who_may_not_decide_is_told_and_logged_off(qtbot, road, window, desk, gateway):
    gateway.answers[f"GET /v1/orders/{window.page.order.id}/statement"] = refusing(NOT_HERE)
    page = step_up(qtbot, window, "k.goedel")
    assert page.problem.problem == NOT_HERE
    assert len(desk.left) == 1


def test_a_statement_that_moved_meanwhile_is_not_signed(qtbot, road, window, gateway):
    decided: list = []
    order = window.page.order
    current = answer_statement(gateway, order, decided)
    over = step_up(qtbot, window)
    current[0] = statement(order, summary="Make 500 keys.")
    over.yes.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, OrderPage) and window.page.problem.problem is not None)
    assert window.page.problem.problem.code == "statement-moved"
    assert decided == []


def test_only_decision_and_reason_may_differ_from_what_was_read():
    order = w.order()
    check_same(statement(order), statement(order, "decline", because="No."))
    with pytest.raises(PolicyRefusal):
        check_same(statement(order), statement(order, nonce="01"))


def test_carrying_out_follows_the_progress_and_can_be_stopped(qtbot, road, window, gateway):
    order = window.page.order
    path = f"/v1/orders/{order.id}"
    window.page.show_order(w.order(OrderState.READY, may_run=True))
    running = w.order(OrderState.RUNNING, done=1, total=5, may_stop=True)
    gateway.answers[f"POST {path}/run"] = running
    gateway.answers[f"GET {path}"] = w.order(OrderState.RUNNING, done=4, total=5, may_stop=True)
    window.page.run.button.click()
    qtbot.waitUntil(lambda: "4 of 5 done" in words(window.page), timeout=5000)
    gateway.answers[f"POST {path}/stop"] = w.order(OrderState.STOPPED, may_run=True)
    gateway.answers[f"GET {path}"] = w.order(OrderState.STOPPED, may_run=True)
    window.page.halt.button.click()
    qtbot.waitUntil(window.page.run.isVisible)
    assert "stopped on request" in words(window.page).lower()


def test_a_run_that_is_refused_says_why_and_can_be_tried_again(qtbot, road, window, gateway):
    page = window.page
    page.show_order(w.order(OrderState.READY, may_run=True))
    gateway.answers[f"POST /v1/orders/{page.order.id}/run"] = refusing(places.MISSING)
    page.run.button.click()
    qtbot.waitUntil(lambda: page.problem.problem == places.MISSING)
    assert not page.run.working


def test_while_a_decision_is_being_signed_nothing_is_asked_over_it(qtbot, road, window, gateway):
    going = threading.Event()
    order = window.page.order
    answer_statement(gateway, order, [])
    over = step_up(qtbot, window)
    gateway.answers[f"POST /v1/orders/{order.id}/decision"] = lambda _body: (going.wait(5), order)[1]
    over.yes.button.click()
    asked = len(gateway.asked)
    road.look()
    qtbot.wait(50)
    assert over.yes.working
    assert not [a for a in gateway.asked[asked:] if a == f"GET /v1/orders/{order.id}"]
    going.set()
    qtbot.waitUntil(lambda: isinstance(window.page, OrderPage))


# -- asking ----------------------------------------------------------------------------------------------------


def test_each_kind_has_its_own_fields_and_says_who_must_agree(show):
    page = AskPage(w.kinds(), w.CHOICES)
    show(page)
    assert list(page.fields) == ["key", "device", "under"]
    assert "Custodians have to agree." in words(page)
    page.kind.control.setCurrentIndex(1)
    assert list(page.fields) == ["recipient"]
    assert "It needs no approval of others." in words(page)
    page.kind.control.setCurrentIndex(2)
    assert "It cannot be undone once it is carried out." in words(page)


def test_what_is_missing_is_said_and_what_may_be_empty_is_left_out(show):
    page = AskPage(w.kinds(), w.CHOICES)
    show(page)
    filled = emitted(page.filled)
    titles = {name: field.control.accessibleName() for name, field in page.fields.items()}
    assert titles == {"key": "Key", "device": "Module", "under": "Wrapping key (optional)"}
    page.check.click()
    assert filled == [("replicate-key", {"key": "all", "device": "zurich-2"})]
    page.kind.control.setCurrentIndex(2)
    page.check.click()
    assert page.fields["below"].error == "Fill this in."
    assert page.window().focusWidget() is page.fields["below"].control
    page.fields["below"].set_text("5000")
    page.check.click()
    assert filled[1] == ("prune-log", {"below": "5000"})


def test_an_order_of_another_kind_is_opened_after_the_check(qtbot, window, desk, gateway):
    opened: list = []
    made = w.order(action="rotate-log", title="Write complete segments of the log for the auditor")
    gateway.answers |= {
        "GET /v1/orders": [],
        "GET /v1/order-kinds": w.kinds(),
        "GET /v1/keys": w.several(),
        "GET /v1/devices": FleetView(devices=()),
        "POST /v1/orders": lambda body: (opened.append(body), made)[1],
        f"GET /v1/orders/{made.id}": made,
    }
    road = OrderRoad(window, desk)
    qtbot.waitUntil(window.page.ask.isVisible)
    window.page.ask.click()
    qtbot.waitUntil(lambda: isinstance(window.page, AskPage))
    page = window.page
    assert "replicate-key" not in [page.kind.control.itemData(n) for n in range(page.kind.control.count())], "no module"
    page.fields["recipient"].set_text("age1auditor")
    page.check.click()
    assert isinstance(window.page, CheckPage)
    assert "age1auditor" in words(window.page)
    window.page.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, OrderPage))
    assert opened == [OpenOrder(action="rotate-log", parameters={"recipient": "age1auditor"})]
    road.leave()
