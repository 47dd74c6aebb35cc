"""What watches the log: the rules in force, how often each fired, and what is usual for every key and person."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QModelIndex, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QLabel, QVBoxLayout, QWidget

from hsm_console.client import alerts
from hsm_console.client.session import Session
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.alerts import RulesView, RuleView, Usual, UsualView
from ui import texts
from ui.audit import rules_tables as tables
from ui.audit import rules_words as words
from ui.audit.alerts import level_word
from ui.audit.rooms import RULES, Rooms
from ui.calls import Calls, Lane
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, pairs, row
from ui.widgets.beside import Beside
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice
from ui.widgets.fold import technical
from ui.widgets.problem import ProblemPanel, notice
from ui.widgets.tables import ROW, Rows

WIDTH = 1180
THE_RULES, KEYS, PEOPLE = "rules", "keys", "people"
_SHOWN_ROWS = 9
_NAMES, _CHOICE, _SIDE, _LEAST = 108, 380, 396, 660


class RulesPage(Page):
    room_asked = Signal(str)
    record_asked = Signal(int)

    def __init__(self, session: Session, calls: Calls) -> None:
        lead = tr("Each new record of the log is held to these rules at once; what one finds is an alert.")
        super().__init__(tr("What is watched for"), lead, width=WIDTH)
        self._session, self._lane = session, Lane(calls)
        self.destroyed.connect(self._lane.forget)
        self._rules: list[RuleView] = []
        self._usual: list[Usual] = []
        self.rooms = Rooms(RULES)
        self.rooms.asked.connect(self.room_asked)
        self.body.insertWidget(0, self.rooms)
        shown: list[tuple[str, object]] = [
            (tr("The rules"), THE_RULES),
            (tr("What is usual for each key"), KEYS),
            (tr("What is usual for each person"), PEOPLE),
        ]
        self.which = choice(tr("&Show"), shown)
        if isinstance(self.which.control, QComboBox):
            self.which.control.activated.connect(lambda _index: self._turn())
        self.which.setMaximumWidth(engine().px(_CHOICE))
        self.add(self.which)
        self._said = QVBoxLayout()
        self._said.setSpacing(engine().px(10))
        self.add(self._said)
        self._said.addWidget(label(tr("Asking the gateway."), "hint"))
        self.model = tables.Lines()
        self.table = self._new_table()
        self._one = QVBoxLayout()
        self.add(self._middle())
        self.again = BusyButton(tr("&Look anew"), "")
        self.again.pressed.connect(self.look)
        self.aside(self.again)
        self.first = self.which.control

    def _new_table(self) -> Rows:
        about = tr("Up and Down move; the chosen one is told in full beside it.")
        made = Rows(tables.RULE_WIDTHS, 1, name=tr("Rules that watch the log"), about=about)
        made.setModel(self.model)
        made.selectionModel().currentRowChanged.connect(lambda now, _before: self._tell_one(now))
        made.hide()
        return made

    def _middle(self) -> Beside:
        """The table, and the chosen row in full: beside it, or below it where there is no room."""
        side = QWidget()
        outer = QVBoxLayout(side)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addLayout(self._one)
        outer.addStretch(1)
        return Beside(self.table, side, least=_LEAST, width=_SIDE, height=ROW * (_SHOWN_ROWS + 1))

    # -- looking ---------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> str:
        """What is shown: THE_RULES, KEYS or PEOPLE."""
        combo = self.which.control
        return str(combo.currentData()) if isinstance(combo, QComboBox) else THE_RULES

    def turn(self, what: str) -> None:
        """Show one of them, as if it had been chosen."""
        combo = self.which.control
        if isinstance(combo, QComboBox):
            combo.setCurrentIndex(combo.findData(what))
        self._turn()

    def look(self) -> None:
        self.problem.clear()
        self.again.start()
        if self.chosen == THE_RULES:
            self._lane.call(partial(alerts.rules, self._session), self.show_rules, self._failed)
        else:
            self._lane.call(partial(alerts.usual, self._session), self.show_usual, self._failed)

    def show_rules(self, found: RulesView) -> None:
        """The gravest first. Ignored when something else was chosen meanwhile."""
        if self.chosen != THE_RULES:
            return
        self._fresh()
        said, good = words.standing(found)
        look, icon, colour = ("done", "check", "good") if good else ("notice", "alert", "warn")
        self._said.addWidget(notice(said, look=look, icon=icon, colour=colour))
        for problem in found.refused:
            panel = ProblemPanel()
            panel.tell(problem)
            self._said.addWidget(panel)
        self._rules = sorted(found.rules, key=words.gravity)
        lines = [tables.rule_line(rule) for rule in self._rules]
        self._fill(tables.RULE_WIDTHS, 1, tr("Rules that watch the log"), tables.rule_titles(), lines)
        if not self._rules:
            self._said.addWidget(label(tr("No rule is on: nothing is watched for."), "error"))

    def show_usual(self, found: UsualView) -> None:
        if self.chosen == THE_RULES:
            return
        self._fresh()
        key = self.chosen == KEYS
        self._usual = list(found.keys if key else found.people)
        self._said.addWidget(self._about(found, key=key))
        if not self._usual:
            nothing = (
                tr("No key was used yet. What is usual is learned from use, record by record.")
                if key
                else tr("Nobody did anything yet that could be called usual.")
            )
            self._said.addWidget(notice(nothing, look="card", icon="clock", colour="accent"))
        name = tr("What is usual for each key") if key else tr("What is usual for each person")
        lines = [tables.usual_line(one) for one in self._usual]
        self._fill(tables.USUAL_WIDTHS, 0, name, tables.usual_titles(), lines)

    # -- drawing ---------------------------------------------------------------------------------------------

    @staticmethod
    def _about(found: UsualView, *, key: bool) -> QLabel:
        learned = tr("Learned from {n} records of the log; nobody sets it.", n=f"{found.evaluated:,}")
        meant = (
            tr("The hours are those in which nine of ten uses lie, by this workstation's clock.")
            if key
            else tr("The hours are those in which nine of ten log-ins lie, by this workstation's clock.")
        )
        return label(f"{learned} {meant}", "hint")

    def _fresh(self) -> None:
        self.again.stop()
        clear(self._said)
        clear(self._one)

    def _fill(
        self, widths: tuple[int, ...], widest: int, name: str, titles: tuple[str, ...], lines: list[tables.Line]
    ) -> None:
        self.table.setAccessibleName(name)
        self.model.tell(titles, lines)
        self.table.share(widths, widest)
        self.table.setVisible(bool(lines))
        if lines:
            self.table.selectRow(0)

    def _turn(self) -> None:
        self.model.tell((), [])
        self.table.hide()
        clear(self._one)
        clear(self._said)
        self._said.addWidget(label(tr("Asking the gateway."), "hint"))
        self.look()

    def _tell_one(self, index: QModelIndex) -> None:
        clear(self._one)
        if not index.isValid():
            return
        if self.chosen == THE_RULES:
            self._tell_rule(self._rules[index.row()])
        else:
            self._tell_usual(self._usual[index.row()])

    def _tell_rule(self, rule: RuleView) -> None:
        frame, box = card()
        frame.setAccessibleName(tr("Rule: {title}", title=rule.title))
        box.addWidget(label(level_word(rule.level), "eyebrow"))
        box.addWidget(label(rule.title, "heading", selectable=True))
        facts = [(tr("It looks for"), rule.meaning), (tr("What to do then"), rule.todo)]
        facts += [(tr("It may also be"), text) for text in rule.false_alarms[:1]]
        facts += [("", text) for text in rule.false_alarms[1:]]
        fired = words.fired(rule)
        facts.append((tr("It fired"), f"{fired}, {tr('last')} {words.last(rule)}" if rule.fired else fired))
        facts.append((tr("Where it is from"), words.origin(rule)))
        if rule.fault:
            facts.append((tr("It failed"), tr("{why}. What it looks for may have been missed there.", why=rule.fault)))
        box.addWidget(pairs(facts, first_width=_NAMES))
        if rule.last_seq >= 0:
            text = tr("Its newest alert, record {n}", n=rule.last_seq)
            there = button(text, "link")
            there.clicked.connect(lambda: self.record_asked.emit(rule.last_seq))
            box.addLayout(row(there))
        box.addWidget(technical(f"name: {rule.id}\nkind: {rule.kind}\nSHA-256 of its file:\n{rule.sha256}", lines=6))
        self._one.addWidget(frame)

    def _tell_usual(self, one: Usual) -> None:
        key = self.chosen == KEYS
        frame, box = card()
        frame.setAccessibleName(words.name(one))
        box.addWidget(label(words.name(one), "heading", selectable=True))
        facts = words.told(one, key=key)
        facts.append((tr("Its id") if key else tr("Short name"), texts.grouped(one.uid) if key else one.uid))
        box.addWidget(pairs(facts, first_width=_NAMES))
        self._one.addWidget(frame)

    def _failed(self, problem: Problem) -> None:
        self.again.stop()
        clear(self._said)
        self.tell(problem)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()
