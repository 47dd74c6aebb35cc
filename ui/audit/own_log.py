"""The module's own log held against this one: asked of the module, or from a file that its maker's tool wrote."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from hsm_console.client import alerts
from hsm_console.client.session import Session
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.alerts import DeviceLogPast, DeviceLogReport, DeviceLogStanding
from hsm_console.domain.messages.audit import Finding
from hsm_console.domain.people import Role
from ui import texts
from ui.audit.rooms import OWN_LOG, Rooms
from ui.calls import Calls, Lane
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, pairs, row
from ui.widgets.busy import BusyButton
from ui.widgets.file_field import FileField

MAY_COMPARE = frozenset({Role.ADMINISTRATOR, Role.AUDITOR})
_PATTERN = "Logs of a device (*.csv *.json *.jsonl)"
_MOST = 12
_NAMES = 190


class OwnLogPage(Page):
    room_asked = Signal(str)
    record_asked = Signal(int)

    def __init__(self, session: Session, calls: Calls) -> None:
        lead = tr("Some modules write down themselves what they did. Held against this log, that shows what was done "
                  "with the module without asking here.")  # fmt: skip
        super().__init__(tr("The module's own log"), lead, width=1000)
        self._session, self._lane = session, Lane(calls)
        self.destroyed.connect(self._lane.forget)
        self.rooms = Rooms(OWN_LOG)
        self.rooms.asked.connect(self.room_asked)
        self.body.insertWidget(0, self.rooms)
        self._result = QVBoxLayout()
        self.add(self._result)
        self.may = bool(MAY_COMPARE & set(session.greeting.roles))
        self._asking_card()
        self._file_card()
        self._past = self._past_card()
        self.again = button(tr("&Look anew"))
        self.again.clicked.connect(self.look)
        self.aside(self.again)
        self.first = self.ask if self.may else self.again

    def _asking_card(self) -> None:
        frame, box = card()
        box.addWidget(label(tr("Ask the module"), "heading"))
        self._state = label(tr("Asking the gateway."), "hint")
        box.addWidget(self._state)
        self.ask = BusyButton(tr("&Compare with the module now"), "act")
        self.ask.pressed.connect(partial(self._compare, self.ask, partial(alerts.compare_device_log, self._session)))
        self.ask.setVisible(self.may)
        box.addLayout(row(self.ask))
        self.add(frame)

    def _file_card(self) -> None:
        frame, box = card()
        box.addWidget(label(tr("Compare a file"), "heading"))
        said = tr("For a module whose log only its maker's tool can read. Give everything since the file before.")
        box.addWidget(label(said, "hint"))
        hint = tr("CSV or JSON with index, operation and, where known, key_id, time_ms and result.")
        self.file = FileField(tr("The &file that the tool wrote"), hint=hint, pattern=_PATTERN)
        self.bring = BusyButton(tr("Compare the f&ile"), "")
        self.bring.pressed.connect(self._bring)
        box.addWidget(self.file)
        box.addLayout(row(self.bring))
        frame.setVisible(self.may)
        self.add(frame)
        if not self.may:
            self.add(label(tr("An administrator or an auditor compares; you may read what was found."), "hint"))

    def _past_card(self) -> QVBoxLayout:
        frame, box = card()
        box.addWidget(label(tr("What was found before"), "heading"))
        inner = QVBoxLayout()
        inner.setSpacing(engine().px(10))
        box.addLayout(inner)
        self.add(frame)
        return inner

    # -- looking ---------------------------------------------------------------------------------------------

    def look(self) -> None:
        self.problem.clear()
        self._lane.call(partial(alerts.device_log, self._session), self.show_standing, self._failed)

    def show_standing(self, found: DeviceLogStanding) -> None:
        self._state.setText(_standing(found))
        able = found.offered and found.unlocked
        if self.may:
            self.first = self.ask if able else self.file
        with self.focus_kept(*(() if able else (self.ask.button,))):
            self.ask.set_allowed(able)
        clear(self._past)
        if not found.past:
            self._past.addWidget(label(tr("Nothing was compared yet."), "hint"))
        for one in found.past:
            self._past.addWidget(self._before(one))

    def _before(self, one: DeviceLogPast) -> QWidget:
        good = not one.findings
        who = one.by or tr("the gateway by itself")
        source = tr("a file") if one.source == "file" else tr("the module")
        said = tr("Nothing differed") if good else _differ(len(one.findings))
        holder = QWidget()
        box = QVBoxLayout(holder)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(2))
        icon, colour = ("check", "good") if good else ("alert", "bad")
        box.addLayout(marked(icon, colour, label(f"{said}  ·  {texts.moment(one.time_ms)}", "label")))
        about = tr("{source}, serial {serial}, its records {a} to {b}, compared by {who}", source=source,
                   serial=one.serial, a=f"{one.first:,}", b=f"{one.last:,}", who=who)  # fmt: skip
        there = button(tr("Record {n}", n=one.entry), "link", name=tr("Show record {n}", n=one.entry))
        there.clicked.connect(lambda: self.record_asked.emit(one.entry))
        line = row(label(about, "small"), there, stretch_last=True)
        line.setStretch(0, 1)
        box.addLayout(line)
        return holder

    # -- comparing -------------------------------------------------------------------------------------------

    def show_report(self, found: DeviceLogReport) -> None:
        clear(self._result)
        made = self._told(found)
        self._result.addWidget(made)
        made.setFocus()
        self.reveal(made)

    def _told(self, found: DeviceLogReport) -> QWidget:
        good = not found.findings
        frame, box = card("done" if good else "problem", spacing=10)
        frame.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        heading, icon, colour = _verdict(found)
        frame.setAccessibleName(heading)
        box.addLayout(marked(icon, colour, label(heading, "heading", selectable=True), size=24))
        box.addWidget(pairs(_facts(found), first_width=_NAMES))
        for one in found.findings[:_MOST]:
            said = one.text[:1].upper() + one.text[1:]
            box.addLayout(marked("cross", "bad", label(said, "label", selectable=True)))
        if len(found.findings) > _MOST:
            more = tr("and {n} more; all of them stand in the record", n=len(found.findings) - _MOST)
            box.addWidget(label(more, "hint"))
        for heading_, text in _meaning(found.findings):
            box.addWidget(pairs([(heading_, text)], first_width=_NAMES))
        if found.entry >= 0:
            there = button(tr("Show record {n}, where this stands", n=found.entry))
            there.clicked.connect(lambda: self.record_asked.emit(found.entry))
            box.addLayout(row(there))
        return frame

    def _bring(self) -> None:
        path = self.file.require()
        if path is not None:
            self._compare(self.bring, partial(alerts.compare_device_log_file, self._session, path))

    def _compare(self, pressed: BusyButton, work: Callable[[], DeviceLogReport]) -> None:
        def done(found: DeviceLogReport) -> None:
            pressed.stop()
            self.show_report(found)
            self.look()

        def refused(problem: Problem) -> None:
            pressed.stop()
            self.tell(problem)

        self.problem.clear()
        clear(self._result)
        pressed.start()
        self._lane.call(work, done, refused)

    def _failed(self, problem: Problem) -> None:
        self._state.setText(tr("The gateway did not tell."))
        self.tell(problem)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()


def _standing(found: DeviceLogStanding) -> str:
    if not found.offered:
        return tr("This module does not tell its own log, or the console's driver cannot read it. Compare a file.")
    if not found.unlocked:
        return tr("The module is locked. It is compared by itself when it is unlocked, every hour, and at the end.")
    return tr("Module {serial} is unlocked. It is also compared by itself every hour and at the end.",
              serial=found.serial)  # fmt: skip


def _differ(number: int) -> str:
    return tr("One thing differed") if number == 1 else tr("{n} things differed", n=number)


def _verdict(found: DeviceLogReport) -> tuple[str, str, str]:
    """Heading, icon, colour."""
    if found.beginning:
        return tr("The first look: from here on it is compared"), "check", "good"
    if not found.findings:
        return tr("Nothing differs"), "check", "good"
    return _differ(len(found.findings)), "alert", "bad"


def _facts(found: DeviceLogReport) -> list[tuple[str, str]]:
    source = tr("a file") if found.source == "file" else tr("the module itself")
    facts = [(tr("Compared"), tr("{source}, serial {serial}", source=source, serial=found.serial))]
    if found.beginning:
        said = tr("{n}; nothing was compared before, so that these are taken as the beginning", n=f"{found.records:,}")
        facts.append((tr("The module's records"), said))
        return facts
    strange = sum(one.word == "SHADOW-OP" for one in found.findings)
    own = max(0, found.records - found.matched - strange)
    said = tr("{n}: {m} match a record of this log, {k} are the console's own work", n=f"{found.records:,}",
              m=f"{found.matched:,}", k=f"{own:,}")  # fmt: skip
    facts.append((tr("The module's records"), said))
    return facts


def _meaning(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """What each kind of finding may mean and what to do, once for each kind."""
    known = {
        "SHADOW-OP": (
            tr("The module did it"),
            tr("Somebody used the module without asking here. Lock it, hold no ceremony, and find out who has the "
               "PIN and was near it at that time."),
        ),
        "PHANTOM-OP": (
            tr("The module denies it"),
            tr("This log says that the module did it, and the module's own log does not. Its log was cleared or "
               "the module was exchanged: compare its serial number and its seals."),
        ),
        "DEVICE-CHANGED": (
            tr("Records are missing"),
            tr("The module's log does not go on where it stopped. Was it cleared by its own tool, or is this a file "
               "that begins later? Give everything since the last comparison."),
        ),
    }  # fmt: skip
    return [known[word] for word in dict.fromkeys(one.word for one in findings) if word in known]
