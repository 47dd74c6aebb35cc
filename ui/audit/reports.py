"""Reports for assessors and copies of the log: chosen here, made by the gateway, saved where somebody wants them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QHideEvent, QShowEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from hsm_console.client import reporting
from hsm_console.client.session import Session
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.reporting import JobView, MadeFile, ReportingView, StandardView
from ui import texts
from ui.audit.jobs import JobCard
from ui.audit.rooms import REPORTS, Rooms
from ui.calls import Calls, Lane
from ui.saving import choose
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice, line

LOOK_MS = 500


class ReportsPage(Page):
    room_asked = Signal(str)
    record_asked = Signal(int)
    opened = Signal(object)  # JobView of a report to read

    def __init__(self, session: Session, calls: Calls) -> None:
        super().__init__(
            tr("Reports and copies"),
            tr("Made by the gateway from the log, up to its newest signed head. Making and taking out are recorded."),
            width=1120,
        )
        self._session, self._lane = session, Lane(calls)
        self.destroyed.connect(self._lane.forget)
        self._standards: dict[str, StandardView] = {}
        self._asking = False
        self.cards: dict[str, JobCard] = {}
        self.rooms = Rooms(REPORTS)
        self.rooms.asked.connect(self.room_asked)
        self.body.insertWidget(0, self.rooms)
        beside = QHBoxLayout()
        beside.setSpacing(engine().px(18))
        beside.addWidget(self._report_card(), 1)
        beside.addWidget(self._copy_card(), 1)
        self.add(beside)
        self.add(label(tr("Made since the gateway started"), "heading"))
        self._jobs = QVBoxLayout()
        self._jobs.setSpacing(engine().px(14))
        self._jobs.addWidget(label(tr("Asking the gateway."), "hint"))
        self.add(self._jobs)
        self.again = button(tr("&Look anew"))
        self.again.clicked.connect(self.look)
        self.aside(self.again)
        self.first = self.standard.control
        self._clock = QTimer(self)
        self._clock.setInterval(LOOK_MS)
        self._clock.timeout.connect(self._look_quietly)

    # -- what is offered -------------------------------------------------------------------------------------

    def _report_card(self) -> QWidget:
        frame, box = card(spacing=14)
        box.addWidget(label(tr("A report for an assessor"), "heading"))
        self.standard = choice(tr("&Standard"), [])
        self._scope = label("", "hint")
        self.start = line(tr("&From day"), placeholder=tr("year-month-day"))
        self.end = line(tr("&To day"), placeholder=tr("year-month-day"))
        days = row(self.start, self.end, stretch_last=True)
        days.setStretch(0, 1)
        days.setStretch(1, 1)
        self._span = label(tr("Days in UTC, both included. Leave them empty for the whole log."), "hint")
        self.make_report = BusyButton(tr("Make the &report"))
        self.make_report.pressed.connect(self._ask_report)
        box.addWidget(self.standard)
        box.addWidget(self._scope)
        box.addLayout(days)
        box.addWidget(self._span)
        box.addStretch(1)
        box.addLayout(row(self.make_report))
        combo = self.standard.control
        if isinstance(combo, QComboBox):
            combo.currentIndexChanged.connect(self._standard_chosen)
            _narrow(combo)
        return frame

    def _copy_card(self) -> QWidget:
        frame, box = card(spacing=14)
        box.addWidget(label(tr("A copy of the log"), "heading"))
        self.form = choice(tr("F&orm"), [(title, form) for form, (title, _) in _forms().items()])
        self._about = label("", "hint")
        self.make_copy = BusyButton(tr("Make the &copy"))
        self.make_copy.pressed.connect(self._ask_copy)
        box.addWidget(self.form)
        box.addWidget(self._about)
        box.addStretch(1)
        box.addLayout(row(self.make_copy))
        combo = self.form.control
        if isinstance(combo, QComboBox):
            combo.currentIndexChanged.connect(self._form_chosen)
            _narrow(combo)
        self._form_chosen()
        return frame

    def _standard_chosen(self, _index: int = 0) -> None:
        found = self._standards.get(_data(self.standard.control))
        self._scope.setText(found.scope if found is not None else "")

    def _form_chosen(self, _index: int = 0) -> None:
        self._about.setText(_forms()[_data(self.form.control)][1])

    # -- what was made ---------------------------------------------------------------------------------------

    def look(self) -> None:
        self.problem.clear()
        self._look_quietly()

    def show_all(self, found: ReportingView) -> None:
        self._asking = False
        if not self._standards:
            self._offer(found)
        working = any(job.state in ("waiting", "running") for job in found.jobs)
        if working and self.isVisible():
            self._clock.start()
        else:
            self._clock.stop()
        ids = [job.id for job in found.jobs]
        if ids != list(self.cards) or not ids:
            self._renew(found.jobs)
        for job in found.jobs:
            self.cards[job.id].show_job(job)

    def _offer(self, found: ReportingView) -> None:
        self._standards = {one.id: one for one in found.standards}
        combo = self.standard.control
        if isinstance(combo, QComboBox):
            for one in found.standards:
                combo.addItem(one.title, one.id)
        first, last = texts.day(found.first_ms), texts.day(found.last_ms)
        self._span.setText(
            tr("Days in UTC, both included. Empty: the whole log, {first} to {last}.", first=first, last=last)
        )
        self._standard_chosen()

    def _renew(self, jobs: tuple[JobView, ...]) -> None:
        clear(self._jobs)
        self.cards = {}
        if not jobs:
            self._jobs.addWidget(label(tr("Nothing yet."), "hint"))
        for job in jobs:
            made = JobCard(job)
            made.stop_asked.connect(partial(self._stop, job.id))
            made.open_asked.connect(self.opened)
            made.record_asked.connect(self.record_asked)
            made.save_asked.connect(partial(self._save, job.id))
            self.cards[job.id] = made
            self._jobs.addWidget(made)

    def _look_quietly(self) -> None:
        if self._asking:
            return
        self._asking = True
        self._lane.call(partial(reporting.listed, self._session), self.show_all, self._failed)

    def _failed(self, problem: Problem) -> None:
        self._asking = False
        self._clock.stop()
        if not self.cards:
            clear(self._jobs)
        self.tell(problem)

    # -- acts ------------------------------------------------------------------------------------------------

    def _ask_report(self) -> None:
        self.make_report.start()
        work = partial(
            reporting.report,
            self._session,
            _data(self.standard.control),
            self.start.text().strip(),
            self.end.text().strip(),
        )
        self._lane.call(work, self._begun, self._refused)

    def _ask_copy(self) -> None:
        self.make_copy.start()
        form = next(form for form in reporting.FORMS if form == _data(self.form.control))
        self._lane.call(partial(reporting.export, self._session, form), self._begun, self._refused)

    def _begun(self, _job: JobView) -> None:
        self.make_report.stop()
        self.make_copy.stop()
        self.look()

    def _refused(self, problem: Problem) -> None:
        self.make_report.stop()
        self.make_copy.stop()
        self.tell(problem)

    def _stop(self, id_: str) -> None:
        self._lane.call(partial(reporting.stop, self._session, id_), lambda _job: self.look(), self.tell)

    def _save(self, id_: str, file: object) -> None:
        if isinstance(file, MadeFile):
            choose(self, tr("Save a copy"), file.name, partial(self.save_to, id_, file))

    def save_to(self, id_: str, file: MadeFile, path: Path) -> None:
        made = self.cards[id_]
        guard = tr("A file is being saved.")
        work = partial(reporting.save, self._session, id_, file, path)
        self._lane.call(work, made.saved, made.refuse, guard=guard)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.look()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._clock.stop()


def _forms() -> dict[str, tuple[str, str]]:
    """Form → its name and what it is good for."""
    copy = tr("For searching elsewhere. A copy proves nothing by itself; its last line says how to prove it.")
    tables = tr(
        "For questions in SQL and a search for words. A copy proves nothing by itself; its table “export” says how."
    )
    proof = tr("Every record with all signed heads: a stranger can verify it with one page of Python and openssl.")
    return {
        "bundle-zip": (tr("With proof, as ZIP"), proof),
        "bundle-tar": (tr("With proof, as tar"), proof),
        "csv": (tr("Table (CSV)"), copy),
        "sqlite": (tr("Tables for SQL (SQLite)"), tables),
        "rfc5424": (tr("Syslog (RFC 5424)"), copy),
        "cef": (tr("Common Event Format (CEF)"), copy),
    }


def _data(combo: QWidget) -> str:
    return str(combo.currentData() or "") if isinstance(combo, QComboBox) else ""


def _narrow(combo: QComboBox) -> None:
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(20)
