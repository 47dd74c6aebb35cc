"""What can be done now, for the person who is here."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QPushButton, QVBoxLayout, QWidget

from hsm_console.domain.messages.ceremony import CeremonySummary
from hsm_console.domain.messages.orders import OrderView
from hsm_console.domain.messages.session import DeviceState, Greeting
from hsm_console.domain.people import Role
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, row
from ui.widgets.problem import ProblemPanel
from ui.widgets.tile import Tile


class HomePage(Page):
    unlock_asked = Signal()
    ceremony_asked = Signal(str)  # id of an open or past ceremony
    new_asked = Signal()
    order_asked = Signal(str)  # id of an order that waits for this person

    def __init__(self, greeting: Greeting) -> None:
        held, day = texts.roles(greeting.roles).lower(), texts.day(greeting.certificate_not_after_ms)
        lead = tr("You act as {roles}. Your certificate is valid until {day}.", roles=held, day=day)
        super().__init__(tr("Good day, {name}", name=greeting.person.name), lead, eyebrow=greeting.workspace.name)
        self._greeting = greeting
        for found in greeting.notices:
            panel = ProblemPanel()
            panel.tell(found)
            self.add(panel)
        self._device = QVBoxLayout()
        self._orders = QVBoxLayout()
        self._now = QVBoxLayout()
        for part in (self._device, self._orders, self._now):
            part.setSpacing(engine().px(12))
            self.add(part)
        self._state: DeviceState | None = None
        self._unlock: QPushButton | None = None
        self.set_device(DeviceState(unlocked=greeting.device_unlocked))
        self._waiting: list[OrderView] = []
        self._ceremonies: list[CeremonySummary] | None = None
        self.set_ceremonies([])

    def set_device(self, state: DeviceState) -> None:
        if state == self._state:
            return
        self._state = state
        before = self._unlock
        with self.focus_kept():
            clear(self._device)
            self._show_device(state)
            if self.first is before:
                self.first = self._unlock

    def set_orders(self, orders: list[OrderView]) -> None:
        """Those that this person can decide or carry out now; the others stand on the page of the orders."""
        waiting = [order for order in orders if order.may_decide or order.may_run]
        if waiting == self._waiting:
            return
        self._waiting = waiting
        with self.focus_kept():
            clear(self._orders)
            self._show_orders(waiting)

    def set_ceremonies(self, ceremonies: list[CeremonySummary]) -> None:
        if ceremonies == self._ceremonies:
            return
        self._ceremonies = ceremonies
        with self.focus_kept():
            clear(self._now)
            self._show_ceremonies(ceremonies)

    def _show_device(self, state: DeviceState) -> None:
        frame, box = card()
        icon, token = ("unlock", "good") if state.unlocked else ("lock", "warn")
        said = tr("The module is unlocked") if state.unlocked else tr("The module is locked")
        words = QWidget()
        inner = QVBoxLayout(words)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addWidget(label(said, "label"))
        text = _device_text(state)
        inner.addWidget(label(text, "hint"))
        line = marked(icon, token, words, size=24)
        self._unlock = None
        if not state.unlocked:
            self._unlock = button(tr("&Unlock the module…"), "act")
            self._unlock.clicked.connect(self.unlock_asked)
            line.addWidget(self._unlock, 0, Qt.AlignmentFlag.AlignVCenter)
        box.addLayout(line)
        self._device.addWidget(frame)

    def _show_orders(self, orders: list[OrderView]) -> None:
        if orders:
            self._orders.addWidget(label(tr("Orders that wait for you"), "heading"))
        for order in orders:
            said = tr("asked for {when} by {who}", when=texts.moment(order.opened_ms), who=order.opened_name)
            tile = Tile(order.summary or order.title, said, icon="pen")
            tile.clicked.connect(lambda _checked=False, which=order.id: self.order_asked.emit(which))
            self._orders.addWidget(tile)

    def _show_ceremonies(self, ceremonies: list[CeremonySummary]) -> None:
        running = [c for c in ceremonies if c.status in ("open", "paused")]
        ended = [c for c in ceremonies if c.status not in ("open", "paused")]
        self._now.addWidget(label(tr("Ceremonies under way"), "heading"))
        if not running:
            self._now.addWidget(label(tr("None. Nothing waits for anybody."), "hint"))
        for summary in running:
            self._now.addWidget(self._tile(summary))
        if Role.ADMINISTRATOR in self._greeting.roles:
            new = button(tr("Open a &new ceremony…"), "" if running else "act")
            new.clicked.connect(self.new_asked)
            self._now.addLayout(row(new))
            self.first = new
        else:
            self._now.addWidget(label(tr("The administrator opens a new ceremony."), "hint"))
            self.first = self._unlock
        if running:
            first = self._now.itemAt(1)
            self.first = first.widget() if first is not None else None
        if ended:
            self._now.addWidget(label(tr("Past ceremonies"), "heading"))
            for summary in ended[:8]:
                self._now.addWidget(self._tile(summary))

    def _tile(self, summary: CeremonySummary) -> QFrame | QWidget:
        where = {
            "open": tr("Step {n} of {m}: {title}", n=summary.position, m=summary.of, title=summary.current_title),
            "paused": tr(
                "Paused at step {n} of {m}: {title}", n=summary.position, m=summary.of, title=summary.current_title
            ),
            "completed": tr("Completed"),
            "abandoned": tr("Ended before its last step"),
        }.get(summary.status, summary.status)
        opened = tr("opened {when} by {who}", when=texts.moment(summary.opened_ms), who=summary.opened_by)
        tile = Tile(summary.title, f"{where}  ·  {opened}", icon="ceremony")
        tile.clicked.connect(lambda _checked=False, which=summary.id: self.ceremony_asked.emit(which))
        return tile


def _device_text(state: DeviceState) -> str:
    if state.problem is not None:
        return f"{state.problem.what} {state.problem.todo}"
    if state.busy_with:
        return tr("It is at work: {what}", what=state.busy_with)
    if state.device is not None:
        kind = f"{state.device.vendor} {state.device.model}"
        return tr("“{label}”, {kind}, serial {serial}", label=state.device.label, kind=kind, serial=state.device.serial)
    if state.unlocked:
        return tr("Keys can be made and used.")
    return tr("Until it is unlocked, the log is chained but not signed, and no key can be used.")
