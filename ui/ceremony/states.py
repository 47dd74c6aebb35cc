"""Pages for what is not an ordinary step: the module at work, interrupted, paused, stopping, ended."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QProgressBar

from hsm_console.domain.messages.ceremony import (
    Abandon,
    CeremonyView,
    DeviationAnswer,
    Pause,
    Resume,
)
from ui import texts
from ui.ceremony.step_page import commit_warning
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, pairs
from ui.widgets.busy import BusyButton
from ui.widgets.field import line
from ui.widgets.fingerprint import Fingerprint
from ui.widgets.problem import notice
from ui.widgets.tile import Tile


class WorkingPage(Page):
    """An intent is in the log and the module is at it. Nothing can be pressed; it says so."""

    def __init__(self, view: CeremonyView) -> None:
        super().__init__(
            tr("The module is at work"),
            tr("This cannot be interrupted. It was announced in the log before it began; the page goes on by itself."),
        )
        bar = QProgressBar()
        bar.setRange(0, 0)
        bar.setTextVisible(False)
        bar.setAccessibleName(tr("Working"))
        self.add(bar)
        self.add(label(view.title, "hint"))


class BlockedPage(Page):
    """Something did not end as it should. What exists is said; ways forward are offered, none is taken for people."""

    deviation_asked = Signal()
    stop_asked = Signal()

    def __init__(self, view: CeremonyView) -> None:
        super().__init__(tr("The step cannot go on as it is"), tr("Nothing is tried again by itself."))
        if view.problem is not None:
            self.problem.tell(view.problem)
        record = button(tr("&Record a deviation"), "act")
        record.clicked.connect(self.deviation_asked)
        stop = button(tr("&Stop or end…"))
        stop.clicked.connect(self.stop_asked)
        self.add(notice(tr("Stopping here is safe: the log holds everything, and the ceremony resumes at this step.")))
        self.aside(stop)
        self.act(record)
        self.first = stop


class AnswerPage(Page):
    """A page of its own for one answer that is possible at every step."""

    answered = Signal(object)
    left = Signal()

    def __init__(self, view: CeremonyView, title: str, lead: str, act: str, *, look: str = "act") -> None:
        super().__init__(title, lead)
        self.view = view
        self.main = BusyButton(act, look)
        self.main.pressed.connect(self.give)
        self.back = button(tr("&Back to the step"))
        self.back.clicked.connect(self.left)
        self.build()
        self.aside(self.back)
        self.act(self.main)

    def build(self) -> None:
        """The fields of this answer."""

    def give(self) -> None:
        raise NotImplementedError


class PausePage(AnswerPage):
    """A break, with the reason and, by the reason, who stays."""

    def __init__(self, view: CeremonyView) -> None:
        lead = tr("Stopping is safe at any step. Everything so far is in the log; you resume exactly here.")
        super().__init__(view, tr("Take a break"), lead, tr("&Pause the ceremony"))

    def build(self) -> None:
        self.why = line(tr("&Why, and who stays in the room"))
        self.add(self.why)
        self.first = self.why.control

    def give(self) -> None:
        if _filled(self.why):
            step = self.view.current
            self.answered.emit(Pause(step=step, revision=self.view.revision, why=self.why.text().strip()))


class DeviationPage(AnswerPage):
    """Expected, happened, decided: without blame. The custodians decide on it with their certificates."""

    def __init__(self, view: CeremonyView) -> None:
        lead = tr("Something went otherwise than written. That happens; it is recorded, without blame, in the minutes.")
        super().__init__(view, tr("Record a deviation"), lead, tr("&Record the deviation"))

    def build(self) -> None:
        self.expected = line(tr("What was &expected"))
        self.happened = line(tr("What &happened"))
        self.decided = line(tr("What you &decide to do"), hint=tr("The custodians sign for or against this."))
        for field in (self.expected, self.happened, self.decided):
            self.add(field)
        self.first = self.expected.control

    def give(self) -> None:
        if all([_filled(self.expected), _filled(self.happened), _filled(self.decided)]):
            self.answered.emit(
                DeviationAnswer(
                    step=self.view.current,
                    revision=self.view.revision,
                    expected=self.expected.text().strip(),
                    happened=self.happened.text().strip(),
                    decided=self.decided.text().strip(),
                )
            )


class AbandonPage(AnswerPage):
    """The end before the end: cannot be taken back, and says what exists now."""

    def __init__(self, view: CeremonyView) -> None:
        super().__init__(view, tr("End this ceremony"), "", tr("&End the ceremony"), look="commit")

    def build(self) -> None:
        exists = (
            tr("The key “{label}” exists in the module and stays there.", label=self.view.key.label)
            if self.view.key
            else tr("No key has been made.")
        )
        self.add(commit_warning(tr("An ended ceremony cannot be resumed. {exists}", exists=exists)))
        self.why = line(tr("&Why it ends"))
        self.add(self.why)
        self.first = self.back

    def give(self) -> None:
        if _filled(self.why):
            step = self.view.current
            self.answered.emit(Abandon(step=step, revision=self.view.revision, why=self.why.text().strip()))


class StopPage(Page):
    """The ways to stop, side by side."""

    pause_asked = Signal()
    deviation_asked = Signal()
    abandon_asked = Signal()
    left = Signal()

    def __init__(self, view: CeremonyView) -> None:
        super().__init__(
            tr("Stop or deviate"), tr("Anybody may stop, and nobody has to give a reason. Nothing is lost by it.")
        )
        tiles = (
            (tr("Take a break"), tr("Pause here; resume at this very step."), "clock", self.pause_asked),
            (tr("Record a deviation"), tr("Something went otherwise than written."), "pen", self.deviation_asked),
            (tr("End the ceremony"), tr("It cannot be resumed; what exists is said."), "off", self.abandon_asked),
        )
        for title, below, icon, signal in tiles:
            tile = Tile(title, below, icon=icon)
            tile.clicked.connect(signal)
            self.add(tile)
        self.back = button(tr("&Back to the step"))
        self.back.clicked.connect(self.left)
        self.aside(self.back)
        self.first = self.back
        self.view = view


class PausedPage(Page):
    answered = Signal(object)

    def __init__(self, view: CeremonyView) -> None:
        super().__init__(
            tr("The ceremony is paused"),
            tr("Everything so far is in the log. When all are back, the administrator resumes at the same step."),
        )
        self.view = view
        self.main = BusyButton(tr("&Resume the ceremony"))
        self.main.pressed.connect(lambda: self.answered.emit(Resume(step=view.current, revision=view.revision)))
        self.act(self.main)
        self.first = self.main.button


class EndPage(Page):
    """It ends with a receipt: what, who, when, fingerprint, log head, where the records are, what is next."""

    home_asked = Signal()
    minutes_asked = Signal()

    def __init__(self, view: CeremonyView, records: str) -> None:
        """records: the folder where the evidence lies, or an empty text when it is on another machine."""
        complete = view.status == "completed"
        lead = (
            tr("All steps are done, and everybody has signed.")
            if complete
            else tr("It was ended before its last step. The minutes say why, and what exists now.")
        )
        super().__init__(tr("The ceremony is complete") if complete else tr("The ceremony was ended"), lead)
        frame, box = card()
        box.addWidget(pairs(_facts(view, records)))
        self.add(frame)
        if view.key is not None:
            self.add(Fingerprint(view.key.fingerprint, view.key.words))
            self.add(label(f"{view.key.grade_meaning} {view.key.does_not_prove}", "hint"))
        self.add(notice(_next(complete=complete), look="done" if complete else "notice", icon="right", colour="ink"))
        minutes = button(tr("&Open the minutes"))
        minutes.clicked.connect(self.minutes_asked)
        home = button(tr("&Go to the overview"), "act")
        home.clicked.connect(self.home_asked)
        self.act(minutes, home)
        self.first = minutes


def _facts(view: CeremonyView, records: str) -> list[tuple[str, str]]:
    people = "\n".join(f"{s.name} ({texts.role(s.role)})" for s in view.seats)
    last = max((s.done_ms for s in view.steps), default=view.opened_ms) or view.opened_ms
    facts = [
        (tr("What"), f"{view.title}, {view.id}"),
        (tr("Where"), view.environment + (tr(" (simulation)") if view.simulated else "")),
        (tr("Who"), people or view.opened_by),
        (tr("When"), f"{texts.moment(view.opened_ms)}\n{texts.moment(last)}"),
        (tr("Log head"), tr("{n} entries, {root}", n=view.log_size, root=texts.grouped(view.log_root[:32]))),
    ]
    dissent = [f"{a.name}: {a.because}" for a in view.sign_offs if a.decision.value == "decline"]
    if dissent:
        facts.append((tr("Did not agree"), "\n".join(dissent)))
    if view.deviations:
        facts.append((tr("Deviations"), "\n".join(view.deviations)))
    if records:
        facts.append((tr("Records"), records))
    return facts


def _next(*, complete: bool) -> str:
    if complete:
        return tr("Next: print the minutes, give each receipt to its holder, and lock the module.")
    return tr("Next: read the minutes together. A new ceremony can be opened at any time.")


def _filled(field: object) -> bool:
    from ui.widgets.field import FormField

    if not isinstance(field, FormField):
        raise TypeError("a field was expected")
    field.clear_error()
    if field.text().strip():
        return True
    field.show_error(tr("Fill this in; it stands in the minutes."))
    field.setFocus()
    return False
