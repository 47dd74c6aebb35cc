"""Orders: what waits for me, what is under way, what has ended."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.orders import OrderState, OrderView
from ui import texts
from ui.orders import words
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked
from ui.widgets.busy import BusyButton
from ui.widgets.problem import notice
from ui.widgets.tile import Tile

KEPT = 12
ICONS = {
    OrderState.DONE: "check",
    OrderState.FAILED: "alert",
    OrderState.DECLINED: "cross",
    OrderState.WITHDRAWN: "cross",
    OrderState.RUNNING: "clock",
}


def mine(order: OrderView) -> bool:
    """Whether this person can do something about it now."""
    return order.may_decide or order.may_run


class OrdersPage(Page):
    opened = Signal(str)  # id of an order
    refresh_asked = Signal()
    ask_asked = Signal()

    def __init__(self, *, news: str = "") -> None:
        lead = tr("What several people must agree on, outside a ceremony: keys that are made, destroyed, taken out.")
        super().__init__(tr("Orders"), lead)
        if news:
            self.add(notice(news, look="done", icon="check", colour="good"))
        self._box = QVBoxLayout()
        self._box.setSpacing(engine().px(12))
        self.add(self._box)
        self._box.addWidget(label(tr("Asking the gateway."), "hint"))
        self.refresh = BusyButton(tr("Look &again"), "")
        self.refresh.pressed.connect(self._look_again)
        self.ask = button(tr("Ask for &something…"))
        self.ask.clicked.connect(self.ask_asked)
        self.ask.hide()
        self.aside(self.refresh)
        self.act(self.ask)
        self.first: QWidget | None = self.refresh
        self._shown: list[OrderView] | None = None
        self._refused = False

    def offer(self, may_ask: bool) -> None:
        """may_ask: there are kinds of order that this person may open here; the gateway checks it again."""
        self.ask.setVisible(may_ask)

    def show_orders(self, orders: list[OrderView]) -> None:
        self.refresh.stop()
        if self._refused:  # what else was told on this page stays
            self._refused = False
            self.problem.clear()
        if orders == self._shown:
            return  # nobody's focus is moved for nothing
        new = self._shown is None
        self._shown = orders
        with self.focus_kept(*((self.refresh.button,) if new else ())):
            self._fill(orders)

    def _fill(self, orders: list[OrderView]) -> None:
        clear(self._box)
        self.first = self.refresh
        waiting = [o for o in orders if mine(o)]
        others = [o for o in orders if not mine(o) and o.state not in words.ENDED]
        ended = [o for o in orders if not mine(o) and o.state in words.ENDED]
        self._group(tr("They wait for you"), waiting, tr("Nothing waits for you."))
        if others:
            self._group(tr("Under way"), others, "")
        if ended:
            self._group(tr("Ended"), ended[:KEPT], "")
        if not orders:
            self._nothing()

    def refuse(self, problem: Problem) -> None:
        """They could not be listed."""
        self._refused = True
        self.refresh.stop()
        self.tell(problem)

    def _group(self, title: str, orders: list[OrderView], none: str) -> None:
        self._box.addWidget(label(title, "heading"))
        if not orders:
            self._box.addWidget(label(none, "hint"))
        for order in orders:
            when = tr("asked for {when} by {who}", when=texts.moment(order.opened_ms), who=order.opened_name)
            said = f"{words.state(order)}  ·  {when}"
            tile = Tile(order.summary or order.title, said, icon=ICONS.get(order.state, "pen"))
            tile.clicked.connect(lambda _checked=False, which=order.id: self.opened.emit(which))
            self._box.addWidget(tile)
            if self.first is self.refresh:
                self.first = tile

    def _nothing(self) -> None:
        frame, box = card()
        box.addLayout(marked("people", "accent", label(tr("No order yet"), "heading"), size=24))
        text = tr("An order begins where the act is, as “Make keys…” or “Destroy…” on the pages of the keys, or here. "
                  "Custodians approve or decline it, and then it is carried out.")  # fmt: skip
        box.addWidget(label(text))
        self._box.addWidget(frame)

    def _look_again(self) -> None:
        self.refresh.start()
        self.refresh_asked.emit()
