"""The verification of the whole log: how far it is, and what it found. Never a bare OK."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.audit import Finding, VerifyProgress, VerifyReport
from ui import texts
from ui.audit.kinds import meaning
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, pairs, row
from ui.widgets.fold import technical
from ui.widgets.problem import ProblemPanel

_NAMES = 150


class VerificationPanel(QWidget):
    entry_asked = Signal(int)  # a finding's entry
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("Verification"))
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(14))
        box.addWidget(label(tr("Verification"), "eyebrow"))
        self.heading = label("", "heading", selectable=True)
        self._said = label("", "hint")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(tr("Progress of the verification"))
        self.stop = button(tr("Stop the verification"))
        self.stop.clicked.connect(self._stop)
        self.stop.hide()
        self._result = QVBoxLayout()
        self._result.setSpacing(engine().px(14))
        for part in (self.heading, self._said, self._bar):
            box.addWidget(part)
        box.addLayout(row(self.stop))
        box.addLayout(self._result)
        box.addStretch(1)

    def show_progress(self, progress: VerifyProgress) -> None:
        """While it runs: real numbers, and that it need not be waited for."""
        clear(self._result)
        self.heading.setText(tr("Every record is read again"))
        self._bar.setRange(0, max(progress.of, 1))
        self._bar.setValue(progress.done)
        self._bar.show()
        self.stop.setVisible(True)
        self.stop.setEnabled(True)
        done = tr("{n} of {m} records.", n=f"{progress.done:,}", m=f"{progress.of:,}")
        stay = tr("You may go on reading or leave; the result is recorded in the log and shown here.")
        self._say(f"{done} {stay}")
        self._bar.setAccessibleDescription(done)

    def show_stopped(self) -> None:
        """Stopping is a real answer with a visible result."""
        self._end()
        self.heading.setText(tr("The verification was stopped"))
        self._say(tr("It says nothing about the log, and nothing is recorded of it."))

    def show_problem(self, problem: Problem) -> None:
        self._end()
        self.heading.setText(tr("The verification has no result"))
        self._say("")
        panel = ProblemPanel()
        panel.tell(problem)
        self._result.addWidget(panel)

    def show_report(self, report: VerifyReport) -> None:
        self._end()
        self.heading.setText(_heading(report))
        self._say(_in_words(report))
        for finding in report.findings:
            self._result.addWidget(self._finding(finding))
        frame, box = card(margins=16)
        box.addWidget(
            pairs(
                [
                    (tr("Compared with"), ", ".join(report.anchors) or tr("nothing outside this workspace")),
                    (tr("Not checked"), ", ".join(report.not_checked) or tr("nothing that this verifier knows of")),
                    (tr("It took"), tr("{n} seconds", n=f"{report.elapsed_ms / 1000:.1f}")),
                ],
                first_width=_NAMES,
            )
        )
        self._result.addWidget(frame)
        exact = f"{report.line}\n\nroot\n{texts.grouped(report.root, 8)}"
        self._result.addWidget(technical(exact, tr("The verifier's own line"), lines=8))

    def _stop(self) -> None:
        self.stop.setEnabled(False)
        self.stop_asked.emit()

    def _end(self) -> None:
        clear(self._result)
        self._bar.hide()
        self.stop.hide()

    def _say(self, text: str) -> None:
        self._said.setText(text)
        self._said.setVisible(bool(text))

    def _finding(self, finding: Finding) -> QWidget:
        frame, box = card("problem", margins=14, spacing=6)
        box.addLayout(marked("alert", "bad", label(finding.word, "label", selectable=True)))
        for text in (meaning(finding.word), finding.text):
            if text:
                box.addWidget(label(text, selectable=True))
        if finding.entry >= 0:
            name = tr("Go to record {n}", n=finding.entry)
            there = button(name, name=f"{name}: {finding.word}")
            there.clicked.connect(lambda: self.entry_asked.emit(finding.entry))
            box.addLayout(row(there))
        return frame


def _heading(report: VerifyReport) -> str:
    if not report.findings:
        return tr("Nothing contradicts the log, as far as it was checked")
    if len(report.findings) == 1:
        return tr("One thing is wrong")
    return tr("{n} things are wrong", n=len(report.findings))


def _in_words(report: VerifyReport) -> str:
    read = tr("{n} records were read.", n=f"{report.entries:,}")
    if not report.unsigned_tail:
        return f"{read} {tr('A signed head covers all of them.')}"
    signed = tr("Signed heads cover {n} of them; the newest {m} are chained, but not yet signed.",
                n=f"{report.signed:,}", m=f"{report.unsigned_tail:,}")  # fmt: skip
    return f"{read} {signed}"
