"""Alerts: what was noticed, why, what to do, which records show it; and the answer of whoever looked at it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from hsm_console.client import alerts
from hsm_console.client.session import Session
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.alerts import AlertPage, AlertView
from hsm_console.domain.people import Role
from ui import texts
from ui.audit.rooms import ALERTS, Rooms
from ui.calls import Calls, Lane
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, pairs, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice, line
from ui.widgets.problem import ProblemPanel, notice

LOOK_MS = 3000
PAGE = 50
_NAMES = 130
MAY_ANSWER = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})


class AlertCard(QWidget):
    """One alert. The form of its answer opens below it; the note is kept when the gateway refuses."""

    answered = Signal(int, str)  # entry, note
    record_asked = Signal(int)

    def __init__(self, alert: AlertView, *, may_answer: bool) -> None:
        super().__init__()
        self.alert = alert
        open_ = not alert.acknowledged_ms
        grave = alert.level in ("high", "critical")
        frame, box = card("problem" if open_ and grave else "notice" if open_ else "card", margins=18, spacing=8)
        frame.setAccessibleName(tr("Alert {n}: {title}", n=alert.seq, title=alert.title))
        icon, colour = ("alert", "bad" if grave else "warn") if open_ else ("check", "good")
        state = tr("open, nobody has answered it") if open_ else tr("answered")
        level = tr("{level}, {state}", level=level_word(alert.level), state=state)
        box.addWidget(label(level, "eyebrow"))
        box.addLayout(marked(icon, colour, label(alert.title, "heading", selectable=True)))
        box.addWidget(label(alert.text, selectable=True))
        facts = [(tr("What to do"), alert.todo), (tr("Noticed"), texts.moment(alert.time_ms))]
        if not open_:
            when = texts.moment(alert.acknowledged_ms)
            facts.append((tr("Answered"), tr("{who}, {when}", who=alert.acknowledged_by, when=when)))
            facts.append((tr("Answer"), alert.acknowledged_note))
        box.addWidget(pairs(facts, first_width=_NAMES))
        links = [self._link(n) for n in dict.fromkeys((alert.first, alert.last, alert.seq)) if n >= 0]
        box.addLayout(row(*links, spacing=4))
        self.problem = ProblemPanel()
        self.note = line(tr("What it was"), hint=tr("One sentence; it stands in the log under your name."))
        self.send = BusyButton(tr("Answer this alert"), "act")
        self.send.pressed.connect(self._send)
        if open_ and may_answer:
            self._form(box)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)

    def refuse(self, problem: Problem) -> None:
        self.send.stop()
        self.problem.tell(problem)
        self.problem.setFocus()

    def _form(self, box: QVBoxLayout) -> None:
        box.addWidget(self.problem)
        box.addWidget(self.note)
        box.addLayout(row(self.send))
        self.send.button.setAccessibleName(tr("Answer alert {n}", n=self.alert.seq))
        if isinstance(self.note.control, QLineEdit):
            self.note.control.setMaxLength(500)

    def _link(self, seq: int) -> QWidget:
        text = tr("Its own record, {n}", n=seq) if seq == self.alert.seq else tr("Record {n}", n=seq)
        made = button(text, "link", name=tr("Show record {n} of alert {m}", n=seq, m=self.alert.seq))
        made.clicked.connect(lambda: self.record_asked.emit(seq))
        return made

    def _send(self) -> None:
        self.note.clear_error()
        if not self.note.text().strip():
            self.note.show_error(tr("Say what it was, also when it was nothing."))
            self.note.setFocus()
            return
        self.send.start()
        self.answered.emit(self.alert.seq, self.note.text().strip())


class AlertsPage(Page):
    room_asked = Signal(str)
    record_asked = Signal(int)

    def __init__(self, session: Session, calls: Calls) -> None:
        super().__init__(
            tr("Alerts"),
            tr("The gateway watches the log as it grows. An alert is a record of the log before it is shown here."),
            width=1000,
        )
        self._session, self._lane = session, Lane(calls)
        self.destroyed.connect(self._lane.forget)
        self._may_answer = bool(MAY_ANSWER & set(session.greeting.roles))
        self._newest, self._asking = -2, False
        self.cards: dict[int, AlertCard] = {}
        self.rooms = Rooms(ALERTS)
        self.rooms.asked.connect(self.room_asked)
        self.body.insertWidget(0, self.rooms)
        shown: list[tuple[str, object]] = [(tr("Those that nobody has answered"), True), (tr("All of them"), False)]
        self.which = choice(tr("&Show"), shown)
        if isinstance(self.which.control, QComboBox):
            self.which.control.activated.connect(lambda _index: self.look())
        self.add(self.which)
        if not self._may_answer:
            self.add(label(tr("An administrator or an auditor answers alerts; you may read them."), "hint"))
        self._box = QVBoxLayout()
        self._box.setSpacing(engine().px(14))
        self.add(self._box)
        self._box.addWidget(label(tr("Asking the gateway."), "hint"))
        self.again = button(tr("&Look anew"))
        self.again.clicked.connect(self.look)
        self.aside(self.again)
        self.first = self.which.control
        self._clock = QTimer(self)
        self._clock.setInterval(LOOK_MS)
        self._clock.timeout.connect(self._look_quietly)

    def look(self) -> None:
        self.problem.clear()
        self._clock.start()
        self._newest = -2
        self._look_quietly()

    def show_alerts(self, page: AlertPage) -> None:
        """Drawn anew only when something changed: a note that is being typed stays."""
        self._asking = False
        self.rooms.show_open(page.open_count)
        self._clock.start()
        state = hash((page.newest, page.open_count, len(page.rows)))
        if state == self._newest:
            return
        self._newest = state
        typed = {seq: found.note.text() for seq, found in self.cards.items() if found.note.text()}
        self.cards = {}
        clear(self._box)
        if not page.rows:
            self._box.addWidget(self._nothing())
        for alert in page.rows:
            made = AlertCard(alert, may_answer=self._may_answer)
            made.note.set_text(typed.get(alert.seq, ""))
            made.answered.connect(self._answer)
            made.record_asked.connect(self.record_asked)
            self.cards[alert.seq] = made
            self._box.addWidget(made)
        if page.more:
            self._box.addWidget(label(tr("Older ones stand in the log: filter its records by “Alert”."), "hint"))

    def _nothing(self) -> QWidget:
        if self._only_open:
            return notice(tr("No alert is open."), look="done", icon="check", colour="good")
        return label(tr("Nothing has been noticed since this log began."), "hint")

    @property
    def _only_open(self) -> bool:
        combo = self.which.control
        return bool(combo.currentData()) if isinstance(combo, QComboBox) else True

    def _look_quietly(self) -> None:
        if self._asking:
            return
        self._asking = True
        work = partial(alerts.listed, self._session, limit=PAGE, only_open=self._only_open)
        self._lane.call(work, self.show_alerts, self._failed)

    def _failed(self, problem: Problem) -> None:
        """Said once; the page asks again when the person looks anew."""
        self._asking = False
        self._clock.stop()
        if not self.cards:
            clear(self._box)
        self.tell(problem)

    def _answer(self, seq: int, note: str) -> None:
        made = self.cards[seq]

        def done(_alert: AlertView) -> None:
            made.note.set_text("")
            self.look()

        self._lane.call(partial(alerts.acknowledge, self._session, seq, note), done, made.refuse)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._clock.stop()


def level_word(level: str) -> str:
    return {
        "low": tr("Low"),
        "medium": tr("Medium"),
        "high": tr("High"),
        "critical": tr("Critical"),
    }.get(level, level)
