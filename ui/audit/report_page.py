"""What a report says, clause by clause: gaps first, with a word and a mark, never by colour alone."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from hsm_console.domain.messages.reporting import ControlView, JobView, ReportView
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, label, marked, pairs
from ui.widgets.fold import Fold
from ui.widgets.problem import notice

ORDER = ("gap", "unproven", "answered", "not applicable")


def state_word(state: str) -> str:
    return {
        "gap": tr("GAP"),
        "unproven": tr("Not proven"),
        "answered": tr("Answered"),
        "not applicable": tr("Does not apply"),
    }.get(state, state)


def state_mark(state: str) -> tuple[str, str]:
    """Icon and colour."""
    marks = {"gap": ("alert", "bad"), "unproven": ("alert", "warn"), "answered": ("check", "good")}
    return marks.get(state, ("ring", "ink-soft"))


class ReportPage(Page):
    left = Signal()

    def __init__(self, job: JobView, report: ReportView) -> None:
        period = tr("{first} to {last} (UTC)", first=report.period_from, last=report.period_to)
        super().__init__(report.title, period, eyebrow=tr("Report"), width=960)
        self._verdict(report)
        self.add(_figures(report))
        facts = [
            (tr("Records searched"), tr("{n}, of which {m} are of the period", n=job.size, m=report.in_period)),
            (tr("Signed head"), texts.grouped(job.root, 8)),
            (tr("Recorded as"), tr("record {n}", n=job.entry)),
        ]
        self.add(pairs(facts, first_width=160))
        ordered = sorted(report.controls, key=lambda c: ORDER.index(c.state) if c.state in ORDER else len(ORDER))
        for control in ordered:
            self.add(_control(control))
        self.add(label(report.disclaimer, "hint"))
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        self.aside(self.back)
        self.first = self.back

    def _verdict(self, report: ReportView) -> None:
        if not report.verified:
            said = tr("The log does not verify: none of these answers may be relied upon. {line}", line=report.line)
            self.add(notice(said, look="problem", icon="alert", colour="bad"))
            return
        gaps = report.summary.get("gap", 0)
        if gaps:
            said = tr("One clause has a gap.") if gaps == 1 else tr("{n} clauses have a gap.", n=gaps)
            self.add(notice(said, look="problem", icon="alert", colour="bad"))
        else:
            self.add(notice(tr("No clause has a gap."), look="done", icon="check", colour="good"))


def _figures(report: ReportView) -> QWidget:
    holder = QWidget()
    box = QHBoxLayout(holder)
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(engine().px(12))
    for state in ORDER:
        frame, inner = card(margins=14, spacing=2)
        inner.addWidget(label(str(report.summary.get(state, 0)), "figure"))
        inner.addLayout(marked(*state_mark(state), label(state_word(state), "hint"), size=16))
        box.addWidget(frame, 1)
    return holder


def _control(control: ControlView) -> QWidget:
    gap = control.state == "gap"
    frame, box = card("problem" if gap else "card", margins=16, spacing=6)
    icon, colour = state_mark(control.state)
    heading = tr("{word}: {id} {title}", word=state_word(control.state), id=control.id, title=control.title)
    box.addLayout(marked(icon, colour, label(heading, "label", selectable=True)))
    frame.setAccessibleName(heading)
    if control.why:
        box.addWidget(label(tr("Why: {why}.", why=control.why)))
    counted = tr("One record.") if control.events == 1 else tr("{n} records.", n=f"{control.events:,}")
    box.addWidget(label(f"{control.answer} {counted}", "hint"))
    for line in control.faults:
        box.addLayout(marked("alert", "bad", label(tr("Record {line}", line=line), selectable=True), size=16))
    if control.samples:
        holder = QWidget()
        inner = QVBoxLayout(holder)
        inner.setContentsMargins(0, 0, 0, 0)
        for line in control.samples:
            inner.addWidget(label(tr("Record {line}", line=line), "small", selectable=True))
        fold = Fold(tr("Examples"), holder)
        box.addWidget(fold)
    return frame
