"""What the pages of all steps share: the sentence to read aloud, what is expected, the act, ways to stop."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import CeremonyView, StepView
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, marked
from ui.widgets.busy import BusyButton
from ui.widgets.problem import notice


def step_of(view: CeremonyView) -> StepView:
    """The current step. Raises LookupError when the ceremony is over."""
    return next(step for step in view.steps if step.id == view.current)


def spoken(text: str) -> QFrame:
    """A sentence in the script's own voice: large, with serifs."""
    frame, box = card("spoken", margins=20)
    box.addLayout(marked("speak", "accent", label(tr("Read aloud, slowly"), "eyebrow")))
    box.addWidget(label(text, "voice", selectable=True))
    return frame


class StepPage(Page):
    """A page takes a view and emits an answer. It knows nothing of sessions, calls or the gateway."""

    answered = Signal(object)  # AnyAnswer: what the person says to this step
    stop_asked = Signal()  # the person wants the ways to stop: break, deviation, end

    def __init__(self, view: CeremonyView) -> None:
        self.view = view
        self.step = step_of(view)
        where = tr("Step {n} of {m}", n=view.position, m=len(view.steps))
        super().__init__(self.step.title, eyebrow=f"{self.step.phase}  ·  {where}")
        self.inputs_kept = False
        self.add(spoken(self.step.say))
        self.add(marked("check", "good", label(tr("Expected: {what}", what=self.step.expect))))
        self.stop_button = button(tr("&Stop or deviate…"))
        self.stop_button.clicked.connect(self.stop_asked)
        self.main = BusyButton(self.step.button)
        self.main.pressed.connect(self._pressed)
        self.build()
        self.aside(self.stop_button)
        self._place_act()
        if self.first is None:
            self.first = self.main.button
        if view.problem is not None:
            self.problem.tell(view.problem)

    def build(self) -> None:
        """The step's own controls, between the expectation and the act."""

    def give(self) -> None:
        """The act was pressed: check what was typed, then emit `answered`."""
        raise NotImplementedError

    def refresh(self, view: CeremonyView) -> None:
        """The same step moved on (another person answered, or a miss was recorded). Inputs stay."""
        self.view = view
        self.step = step_of(view)
        if view.problem is not None:
            self.problem.tell(view.problem)

    def set_busy(self, busy: bool) -> None:
        if busy:
            self.main.start()
        else:
            self.main.stop()

    def refuse(self, problem: Problem) -> None:
        """The gateway said no. Nothing typed is lost."""
        self.set_busy(False)
        self.tell(problem)

    def _place_act(self) -> None:
        self.act(self.main)

    def _pressed(self) -> None:
        self.give()


def commit_warning(sentence: str) -> QFrame:
    """The consequence of an act that cannot be undone, in one sentence, marked by more than colour."""
    frame, box = card("commit", margins=22)
    box.addLayout(marked("alert", "commit", label(tr("This cannot be undone"), "heading"), size=24))
    box.addWidget(label(sentence))
    return frame


def last_done(step: StepView) -> QFrame:
    """One line about the step before: what is behind us."""
    text = tr("{title}: done by {who} at {time}.", title=step.title, who=step.done_by, time=texts.clock(step.done_ms))
    return notice(text, look="done", icon="check", colour="good")
