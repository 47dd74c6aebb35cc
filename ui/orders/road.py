"""The road of the orders: the list, one order, and the people who step up to decide."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer

from hsm_console.client import devices, keys, orders, work
from hsm_console.domain.errors import PolicyRefusal, Problem
from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.keys import Usage
from hsm_console.domain.messages.ceremony import KeyView, Statement
from hsm_console.domain.messages.devices import FleetView
from hsm_console.domain.messages.orders import OrderKindView, OrderState, OrderView
from hsm_console.domain.messages.work import DESTROY_KEY, GENERATE_KEYS, UNWRAP_KEY, WRAP_KEY
from hsm_console.domain.secret import Secret
from ui import saving
from ui.ceremony.step_up import StatementPage, StepUpPage
from ui.desk import Desk
from ui.keys.words import called, file_name
from ui.orders import words
from ui.orders.asking import AskPage, Choices
from ui.orders.check import CheckPage
from ui.orders.order import OrderPage
from ui.orders.page import OrdersPage
from ui.road import Road
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import checked

if TYPE_CHECKING:
    from hsm_console.client.session import Session

LOOK_MS = 700
ELSEWHERE = (GENERATE_KEYS, DESTROY_KEY, WRAP_KEY, UNWRAP_KEY)  # they begin on the pages of the keys
CHOSEN = ("decision", "because")  # what the person chooses with the buttons; all else is what she has read


class OrderRoad(Road):
    def __init__(self, window: Window, desk: Desk, about: object = None) -> None:
        """about: the id of an order to show at once."""
        super().__init__(window, desk)
        self._busy = False
        self._kinds: list[OrderKindView] = []
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._follow)
        self.listed()
        if isinstance(about, str):
            self._show(about)

    def leave(self) -> None:
        super().leave()
        self._timer.stop()

    def look(self) -> None:
        page = self._window.page
        if isinstance(page, OrdersPage):
            self._look_list(page)
        elif isinstance(page, OrderPage) and not self._busy:
            self._lane.call(partial(orders.show, self._session, page.id), page.show_order, lambda _problem: None)

    # -- the list --------------------------------------------------------------------------------------------

    def listed(self) -> None:
        self._timer.stop()
        page = OrdersPage()
        page.opened.connect(self._show)
        page.refresh_asked.connect(partial(self._look_list, page))
        page.ask_asked.connect(self._ask)
        self._window.show_page(page)
        self._look_list(page)

        def kinds(found: list[OrderKindView]) -> None:
            self._kinds = [kind for kind in found if kind.may_open and kind.action not in ELSEWHERE]
            page.offer(bool(self._kinds))

        self._lane.call(partial(orders.kinds, self._session), kinds, lambda _problem: None)

    def _look_list(self, page: OrdersPage) -> None:
        self._lane.call(partial(orders.listed, self._session), page.show_orders, page.refuse)

    # -- asking ----------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        """A form for each kind; where keys or modules are meant, they are chosen from those that are there."""
        session = self._session

        def both() -> tuple[list[KeyView], FleetView]:
            return keys.listed(session), devices.listed(session)

        def came(found: tuple[list[KeyView], FleetView]) -> None:
            choices = _choices(*found)
            fitting = [kind for kind in self._kinds if choices["device"] or "device" not in kind.parameters]
            form = AskPage(fitting, choices)
            form.left.connect(self._window.back)
            labels = {key.object_id: key.label for key in found[0]}
            form.filled.connect(lambda action, filled: self._check(labels, action, checked(dict, filled)))
            self._window.show_over(form)

        self._lane.call(both, came, self._window.page.tell)

    def _check(self, labels: dict[str, str], action: str, values: dict[str, str]) -> None:
        kind = next(k for k in self._kinds if k.action == action)
        then = tr("The custodians are asked.") if kind.needs_quorum else tr("It can be carried out at once.")
        page = CheckPage(kind.title, words.values(values, labels), then, ask=tr("&Ask for it"))
        page.left.connect(self._window.back)
        page.change_asked.connect(self._window.back)

        def opened(order: OrderView) -> None:
            self._show(order.id)

        page.confirmed.connect(
            lambda: self._lane.call(partial(orders.open_order, self._session, action, values), opened, page.refuse)
        )
        self._window.show_over(page)

    # -- one order -------------------------------------------------------------------------------------------

    def _show(self, order_id: str) -> None:
        session = self._session

        def both() -> tuple[OrderView, dict[str, str]]:
            return orders.show(session, order_id), {key.object_id: key.label for key in keys.listed(session)}

        self._lane.call(both, lambda found: self._page(*found), self._window.page.tell)

    def _page(self, order: OrderView, labels: dict[str, str]) -> None:
        page = OrderPage(order, labels)
        page.left.connect(self.listed)
        page.decide_asked.connect(partial(self._decide, page))
        page.run_asked.connect(lambda: self._act(page, partial(orders.run, self._session, page.id)))
        page.stop_asked.connect(lambda: self._act(page, partial(orders.stop, self._session, page.id)))
        page.withdraw_asked.connect(lambda: self._act(page, partial(orders.withdraw, self._session, page.id)))
        page.receipt_asked.connect(self._receipt)
        page.keys_asked.connect(lambda: self.go_asked.emit("keys", None))
        page.wrapped_asked.connect(partial(self._take_wrapped, page))
        self._window.show_page(page)
        self._timer.start()

    def _follow(self) -> None:
        """While it runs, ask how far it is; the log does not grow with each percent."""
        page = self._window.page
        if isinstance(page, OrderPage) and page.order.state is OrderState.RUNNING:
            self.look()

    def _act(self, page: OrderPage, work_: partial[OrderView]) -> None:
        self._lane.call(work_, page.show_order, page.refuse)

    def _take_wrapped(self, page: OrderPage, sha256: str) -> None:
        name = file_name(f"wrapped-{sha256[:12]}", "kwp")

        def chosen(path: Path) -> None:
            session = self._session
            self._lane.call(lambda: saving.write(path, work.wrapped(session, sha256)), page.saved, page.tell)

        saving.choose(page, tr("Save the wrapped key"), name, chosen)

    # -- deciding --------------------------------------------------------------------------------------------

    def _decide(self, page: OrderPage, own: bool) -> None:
        """Whoever decides proves herself anew, reads, signs, and leaves; also she who is logged in."""
        here = self._session.greeting.person
        seat = Seat(role=page.order.role, uid=here.uid if own else "", name=here.name if own else "")
        up = StepUpPage((seat,), tr("For: {why}", why=page.order.title), self._desk.credentials)
        if not own:
            up.first = up.credential  # who steps up says first who she is
        up.left.connect(self._window.back_to_bottom)

        def proved(path: object, secret: object) -> None:
            log_in = partial(self._desk.log_in, checked(Path, path), checked(Secret, secret), None, step_up=True)
            self._lane.call(log_in, came, refused)

        def came(session: Session) -> None:
            read = partial(orders.statement, session, page.id, Decision.APPROVE)
            self._lane.call(read, partial(self._statement, page, session), partial(not_asked, session))

        def not_asked(session: Session, problem: Problem) -> None:
            self._desk.leave(session)
            refused(problem)

        def refused(problem: Problem) -> None:
            up.main.stop()
            up.tell(problem)
            up.passphrase.setFocus()

        up.proved.connect(proved)
        self._window.show_over(up)

    def _statement(self, page: OrderPage, session: Session, read: Statement) -> None:
        over = StatementPage(session.greeting.person.name, read, sign_off=False, reasoned=True)

        def left() -> None:
            self._desk.leave(session)
            self._window.back_to_bottom()

        over.left.connect(left)
        over.decided.connect(lambda yes, because: self._sign(page, session, read, yes, because))
        self._window.show_over(over)

    def _sign(self, page: OrderPage, session: Session, read: Statement, yes: bool, because: str) -> None:
        self._busy = True
        decision = Decision.APPROVE if yes else Decision.DECLINE
        acting = self._session

        def signed() -> OrderView:
            try:
                final = orders.statement(session, page.id, decision, because)
                check_same(read, final)
                orders.decide(session, page.id, decision, because, canonical=final.canonical)
            finally:
                self._desk.log_off(session)
            return orders.show(acting, page.id)

        def done(order: OrderView) -> None:
            self._busy = False
            self._window.back_to_bottom()
            page.problem.clear()
            page.show_order(order)

        def refused(problem: Problem) -> None:
            self._busy = False
            self._window.back_to_bottom()
            page.refuse(problem)

        self._lane.call(signed, done, refused)


def _choices(found: list[KeyView], fleet: FleetView) -> Choices:
    """What is chosen and not typed, by the names that kinds of order give their parameters."""
    members = [(row.name, row.name) for row in fleet.devices if not row.primary]
    own = tr("the workspace's own module")
    active = [key for key in found if key.state == "active" and not key.purpose]
    held = [(called(key), key.object_id) for key in active]
    whole = [(tr("every key that may leave and is missing there"), "all")]
    wrapping = [(tr("the newest that both hold"), "")]
    wrapping += [(key.label, key.object_id) for key in active if Usage.WRAP in key.attributes.usages]
    every = [*members, (own, "primary")] if members else []
    other, giving = [(own, ""), *members], [(tr("whichever holds it"), ""), (own, "primary"), *members]
    return {"device": every, "with": other, "from": giving, "key": whole + held, "under": wrapping}


def check_same(read: Statement, final: Statement) -> None:
    """What is signed is what was read, but for the decision itself. Raises PolicyRefusal `statement-moved`."""

    def fixed(statement: Statement) -> dict[str, object]:
        return {name: value for name, value in json.loads(statement.canonical).items() if name not in CHOSEN}

    if fixed(read) != fixed(final):
        raise PolicyRefusal(
            Problem(
                code="statement-moved",
                what="The statement changed while you read it. Nothing was signed.",
                todo="Step up again and read it as it is now.",
            )
        )
