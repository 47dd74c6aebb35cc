"""One order: what is asked in words, who decided how, how far it is, what came of it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.events import Decision
from hsm_console.domain.messages.orders import OrderState, OrderView, OrderVote
from hsm_console.domain.people import Role
from ui import texts
from ui.ceremony.step_page import commit_warning
from ui.orders import words
from ui.orders.result import Result
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, pairs
from ui.widgets.busy import BusyButton
from ui.widgets.fold import technical
from ui.widgets.person import PersonChip
from ui.widgets.problem import ProblemPanel, notice
from ui.widgets.progress import ProgressCard
from ui.widgets.typed_word import TypedWord


class OrderPage(Page):
    left = Signal()
    decide_asked = Signal(bool)  # True: the person who is here; False: somebody steps up
    run_asked = Signal()
    stop_asked = Signal()
    withdraw_asked = Signal()
    receipt_asked = Signal(int)
    keys_asked = Signal()
    wrapped_asked = Signal(str)  # SHA-256 of a wrapped key that was left in the workspace

    def __init__(self, order: OrderView, labels: dict[str, str] | None = None) -> None:
        """labels: id of a key → its name, for values that name keys."""
        lead = tr("Asked for by {who}, {when}", who=order.opened_name, when=texts.moment(order.opened_ms))
        super().__init__(order.title, lead, eyebrow=tr("Order"))
        self._labels = labels or {}
        self.order = order
        self._news = QVBoxLayout()
        self.add(self._news)
        self._box = QVBoxLayout()
        self._box.setSpacing(engine().px(18))
        self.add(self._box)
        self.progress: ProgressCard | None = None
        self._buttons()
        self._fill()

    @property
    def id(self) -> str:
        return self.order.id

    def show_order(self, order: OrderView) -> None:
        """As it is now. While only the progress moved, nothing else does."""
        before, self.order = self.order, order
        for working in (self.run, self.halt, self.withdraw):
            working.stop()
        if self.progress is not None and order.state is before.state is OrderState.RUNNING:
            self.progress.tell(order.done, order.total)
            return
        if order != before:
            with self.focus_kept():
                self._fill()

    def refuse(self, problem: Problem) -> None:
        for working in (self.run, self.halt, self.withdraw):
            working.stop()
        self.tell(problem)

    def saved(self, path: object) -> None:
        self._news.addWidget(notice(tr("Saved: {path}", path=path), look="done", icon="check", colour="good"))
        self.area.ensureVisible(0, 0)

    # -- parts -----------------------------------------------------------------------------------------------

    def _buttons(self) -> None:
        self.back = button(tr("&Back to the orders"))
        self.back.clicked.connect(self.left)
        self.withdraw = BusyButton(tr("&Withdraw it"), "")
        self.withdraw.pressed.connect(lambda: self._ask(self.withdraw))
        self.halt = BusyButton(tr("&Stop it"), "")
        self.halt.pressed.connect(lambda: self._ask(self.halt))
        self.run = BusyButton(tr("&Carry it out"))
        self.run.pressed.connect(lambda: self._ask(self.run))
        self.other = button(tr("A {role} s&teps up…", role=texts.role(self.order.role).lower()))
        self.other.clicked.connect(lambda _checked=False: self.decide_asked.emit(False))
        self.own = button(tr("&Decide…"), "act")
        self.own.clicked.connect(lambda _checked=False: self.decide_asked.emit(True))
        self.aside(self.back)
        self.act(self.withdraw, self.halt, self.run, self.other, self.own)

    def _ask(self, pressed: BusyButton) -> None:
        pressed.start()
        {self.withdraw: self.withdraw_asked, self.halt: self.stop_asked, self.run: self.run_asked}[pressed].emit()

    def _fill(self) -> None:
        clear(self._box)
        self.progress = None
        order = self.order
        self.first = self.back
        if order.problem is not None:
            panel = ProblemPanel()
            panel.tell(order.problem)
            self._box.addWidget(panel)
        else:
            self._state()
        if order.result:
            self._result()
        self._asked()
        self._votes()
        if order.irreversible and order.may_run:
            self._commit()
        details = [f"order {order.id}", f"action {order.action}", f"entry {order.entry}"]
        details += [f"{n}: {v}" for n, v in order.parameters.items()]
        self._box.addWidget(technical("\n".join(details)))
        self._offer()

    def _state(self) -> None:
        order = self.order
        if order.state is OrderState.RUNNING:
            safe = tr("It can be stopped at any time and goes on later; nothing is made twice.")
            self.progress = ProgressCard(tr("It is being carried out"), safe if order.may_stop else "")
            self.progress.tell(order.done, order.total)
            self._box.addWidget(self.progress)
            return
        look, icon, colour = {
            OrderState.OPEN: ("notice", "people", "warn"),
            OrderState.READY: ("done", "check", "good"),
            OrderState.DONE: ("done", "check", "good"),
            OrderState.FAILED: ("problem", "alert", "bad"),
            OrderState.DECLINED: ("problem", "cross", "bad"),
        }.get(order.state, ("notice", "alert", "warn"))
        self._box.addWidget(notice(_sentence(order), look=look, icon=icon, colour=colour))

    def _asked(self) -> None:
        frame, box = card()
        box.addWidget(label(tr("What is asked for"), "label"))
        box.addWidget(label(self.order.summary, "heading", selectable=True))
        box.addWidget(pairs(words.values(self.order.parameters, self._labels)))
        self._box.addWidget(frame)

    def _votes(self) -> None:
        order = self.order
        frame, box = card()
        yes = sum(vote.decision is Decision.APPROVE for vote in order.votes)
        box.addWidget(label(tr("{yes} of {needed} needed approvals", yes=yes, needed=order.needed), "heading"))
        for vote in order.votes:
            box.addLayout(_voted(vote, order.role))
        if not order.votes:
            box.addWidget(label(tr("Nobody has decided yet."), "hint"))
        if order.state is OrderState.OPEN:
            role = texts.role(order.role).lower()
            said = tr("{of} people may decide, each as {role}; who asked for it may not.", of=order.of, role=role)
            box.addWidget(label(said, "hint"))
            text = tr("To decline is a proper answer. It is recorded like an approval.")
            box.addWidget(label(text, "hint"))
        self._box.addWidget(frame)

    def _commit(self) -> None:
        """Approved or not: whoever carries out what cannot be undone types the word."""
        self._box.addWidget(commit_warning(self.order.summary))
        word = TypedWord(tr("carry out"))
        word.matched.connect(self.run.set_allowed)
        self._box.addWidget(word)

    def _result(self) -> None:
        found = Result(self.order, self._labels)
        found.receipt_asked.connect(self.receipt_asked)
        found.keys_asked.connect(self.keys_asked)
        found.wrapped_asked.connect(self.wrapped_asked)
        self._box.addWidget(found)
        self.first = found.first or self.first

    def _offer(self) -> None:
        order = self.order
        opened = order.state is OrderState.OPEN
        self.other.setVisible(opened)
        self.own.setVisible(opened and order.may_decide)
        if opened:
            self.first = self.own if order.may_decide else self.other
        self.withdraw.setVisible(order.may_withdraw)
        self.halt.setVisible(order.may_stop)
        self.run.setVisible(order.may_run)
        self.run.set_text(tr("&Go on") if order.state in words.HALTED else tr("&Carry it out"))
        self.run.button.setProperty("look", "commit" if order.irreversible else "act")
        self.run.set_allowed(not order.irreversible)
        if order.may_run and not order.irreversible:
            self.first = self.run
        elif order.may_stop:
            self.first = self.halt


def _sentence(order: OrderView) -> str:
    if order.state is OrderState.OPEN and order.may_decide:
        return tr("It waits for your decision.")
    if order.state is OrderState.OPEN:
        if order.needed == 1:
            return tr("It waits until one person has approved it. Nothing has been done yet.")
        return tr("It waits until {n} people have approved it. Nothing has been done yet.", n=order.needed)
    if order.state is OrderState.READY and not order.may_run:
        return tr("It is approved. {who} or an administrator carries it out.", who=order.opened_name)
    said = words.state(order)
    return said[:1].upper() + said[1:] + "."


def _voted(vote: OrderVote, role: Role) -> QVBoxLayout:
    yes = vote.decision is Decision.APPROVE
    verb = tr("approved") if yes else tr("declined")
    note = f"{verb}, {texts.moment(vote.time_ms)}" + (f": {vote.because}" if vote.because else "")
    box = QVBoxLayout()
    chip: QWidget = PersonChip(vote.name, role, note=note)
    box.addLayout(marked("check" if yes else "cross", "good" if yes else "bad", chip))
    return box
