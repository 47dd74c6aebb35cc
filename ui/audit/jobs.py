"""One report or copy that the gateway makes: how far it is, what came of it, its files."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QProgressBar, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.reporting import JobView, MadeFile
from ui import texts
from ui.texts import tr
from ui.widgets.basics import button, card, clear, label, marked, pairs, row
from ui.widgets.fold import technical
from ui.widgets.problem import ProblemPanel, notice

_NAMES = 150
_MB = 1024 * 1024


class JobCard(QWidget):
    stop_asked = Signal()
    open_asked = Signal(object)  # JobView
    record_asked = Signal(int)
    save_asked = Signal(object)  # MadeFile

    def __init__(self, job: JobView) -> None:
        super().__init__()
        self._shown: JobView | None = None
        frame, self._box = card(margins=18, spacing=10)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self._bar = QProgressBar()
        self._said = label("", "hint")
        self._done = QVBoxLayout()
        self.show_job(job)

    @property
    def job(self) -> JobView | None:
        return self._shown

    def show_job(self, job: JobView) -> None:
        before, self._shown = self._shown, job
        if before == job:
            return
        if before is not None and before.state == job.state == "running":
            self._progress(job)
            return
        clear(self._box)
        self.setAccessibleName(f"{job.title}, {_state(job)}")
        self._box.addWidget(label(_by(job), "eyebrow"))
        self._box.addLayout(marked(*_mark(job), label(job.title, "label", selectable=True)))
        if job.state in ("waiting", "running"):
            self._working(job)
        elif job.problem is not None:
            panel = ProblemPanel()
            panel.tell(job.problem)
            self._box.addWidget(panel)
        elif job.state == "stopped":
            self._box.addWidget(label(tr("Stopped; nothing was kept."), "hint"))
        else:
            self._ready(job)

    def saved(self, path: Path) -> None:
        text = tr("Saved: {path}", path=path)
        self._done.addWidget(notice(text, look="done", icon="check", colour="good"))

    def refuse(self, problem: Problem) -> None:
        panel = ProblemPanel()
        panel.tell(problem)
        self._done.addWidget(panel)
        panel.setFocus()

    def _working(self, job: JobView) -> None:
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(tr("Progress: {what}", what=job.title))
        self._said = label("", "hint")
        stop = button(tr("Stop it"), name=tr("Stop making: {what}", what=job.title))
        stop.clicked.connect(self.stop_asked)
        self._box.addWidget(self._bar)
        self._box.addWidget(self._said)
        self._box.addLayout(row(stop))
        self._progress(job)

    def _progress(self, job: JobView) -> None:
        self._bar.setRange(0, job.of)
        self._bar.setValue(job.done)
        self._said.setText(_stage(job))
        self._bar.setAccessibleDescription(self._said.text())

    def _ready(self, job: JobView) -> None:
        report = job.report
        if report is not None:
            gaps = report.summary.get("gap", 0)
            if not report.verified:
                self._box.addWidget(_line("alert", "bad", tr("The log does not verify; the report says so.")))
            elif gaps:
                said = tr("One clause has a gap.") if gaps == 1 else tr("{n} clauses have a gap.", n=gaps)
                self._box.addWidget(_line("alert", "bad", said))
            else:
                self._box.addWidget(_line("check", "good", tr("No clause has a gap.")))
        covered = tr("{n} records under a signed head", n=f"{job.size:,}")
        if job.unsigned:
            covered = tr("{covered}; {n} newer ones left out", covered=covered, n=job.unsigned)
        self._box.addWidget(
            pairs([(tr("Holds"), covered), (tr("Recorded as"), tr("record {n}", n=job.entry))], first_width=_NAMES)
        )
        for file in job.files:
            self._box.addLayout(self._file(file))
        if job.receipt is not None:
            said = tr("There is no receipt for it: {why} The proof inside the file does not need one.",
                      why=job.receipt.what)  # fmt: skip
            self._box.addWidget(_line("alert", "warn", said))
        links = []
        if report is not None:
            read = button(tr("Read the report"), "act", name=tr("Read the report: {what}", what=job.title))
            read.clicked.connect(lambda: self.open_asked.emit(job))
            links.append(read)
        there = button(tr("Show record {n}", n=job.entry), "link")
        there.clicked.connect(lambda: self.record_asked.emit(job.entry))
        self._box.addLayout(row(*links, there))
        self._done = QVBoxLayout()
        self._box.addLayout(self._done)
        digests = "\n".join(f"{file.name}\n{file.sha256}" for file in job.files)
        exact = tr("Root of the signed head\n{root}\n\nSHA-256 of the files\n{files}", root=job.root, files=digests)
        self._box.addWidget(technical(exact, lines=10))

    def _file(self, file: MadeFile) -> QVBoxLayout:
        name = tr("Save {file}…", file=file.name)
        save = button(tr("Save…"), name=name)
        save.clicked.connect(lambda: self.save_asked.emit(file))
        told = label(tr("{file}, {size}", file=file.name, size=_size(file.size)), selectable=True)
        line = row(save, told, stretch_last=True)
        line.setStretch(1, 1)
        holder = QVBoxLayout()
        holder.addLayout(line)
        return holder


def _line(icon: str, colour: str, text: str) -> QWidget:
    holder = QWidget()
    box = QVBoxLayout(holder)
    box.setContentsMargins(0, 0, 0, 0)
    box.addLayout(marked(icon, colour, label(text, {"bad": "bad", "good": "good"}.get(colour, ""))))
    return holder


def _by(job: JobView) -> str:
    kind = tr("Report") if job.kind == "report" else tr("Copy")
    return tr("{kind}, asked for by {who}, {when}", kind=kind, who=job.asked_by, when=texts.clock(job.asked_ms))


def _mark(job: JobView) -> tuple[str, str]:
    marks = {"done": ("check", "good"), "failed": ("alert", "bad"), "stopped": ("cross", "ink-soft")}
    return marks.get(job.state, ("clock", "ink-soft"))


def _state(job: JobView) -> str:
    return {
        "waiting": tr("waiting"),
        "running": tr("being made"),
        "done": tr("ready"),
        "failed": tr("could not be made"),
        "stopped": tr("stopped"),
    }[job.state]


def _stage(job: JobView) -> str:
    if job.state == "waiting":
        return tr("Waiting for the one before it.")
    stage = {
        "verify": tr("The whole log is verified."),
        "search": tr("Records are held against the clauses."),
        "draw": tr("The pages are drawn."),
        "write": tr("Records are written."),
        "pack": tr("The files are packed."),
    }.get(job.stage, tr("It begins."))
    if job.of:
        return tr("{stage} {n} of {m}.", stage=stage, n=f"{job.done:,}", m=f"{job.of:,}")
    return stage


def _size(octets: int) -> str:
    if octets >= _MB:
        return tr("{n} MB", n=f"{octets / _MB:.1f}")
    return tr("{n} kB", n=max(1, octets // 1024))
