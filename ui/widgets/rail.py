"""The whole road of a ceremony: phases and steps, where we are, who acts next, minutes left."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QVBoxLayout, QWidget

from hsm_console.domain.messages.ceremony import CeremonyView, StepStatus, StepView
from ui import texts
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import clear, label, marked

WIDTH = 300
_MARKS = {
    StepStatus.DONE: ("check", "rail-ink"),
    StepStatus.CURRENT: ("dot", "rail-mark"),
    StepStatus.WORKING: ("dot", "rail-mark"),
    StepStatus.DECIDE: ("alert", "rail-mark"),
    StepStatus.WAITING: ("ring", "rail-soft"),
    StepStatus.SKIPPED: ("cross", "rail-soft"),
}
_HERE = (StepStatus.CURRENT, StepStatus.WORKING, StepStatus.DECIDE)


class Rail(QFrame):
    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("rail")
        self.setFixedWidth(engine().px(WIDTH))
        self._top = QVBoxLayout()
        self._road = QWidget()
        self._road.setObjectName("road")
        self._list = QVBoxLayout(self._road)
        self._list.setContentsMargins(0, 0, 0, engine().px(12))
        self._list.setSpacing(0)
        self._scroll = QScrollArea()
        self._scroll.setWidget(self._road)
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        box.addLayout(self._top)
        box.addWidget(self._scroll, 1)

    def show_view(self, view: CeremonyView) -> None:
        clear(self._top)
        clear(self._list)
        self._top.addWidget(self._now(view))
        here: QWidget | None = None
        for phase in view.phases:
            title = label(phase, "phase")
            title.setContentsMargins(engine().px(24), engine().px(14), engine().px(12), engine().px(4))
            self._list.addWidget(title)
            for step in (s for s in view.steps if s.phase == phase):
                line = self._line(step)
                self._list.addWidget(line)
                here = line if step.status in _HERE else here
        self._list.addStretch(1)
        self.setAccessibleName(self.spoken(view))
        if here is not None:
            shown = here  # after the layout has run
            QTimer.singleShot(0, self, lambda: self._scroll.ensureWidgetVisible(shown, 0, engine().px(120)))

    @staticmethod
    def spoken(view: CeremonyView) -> str:
        """Where we are, in one sentence."""
        if not view.current:
            return tr("{title}: {status}", title=view.title, status=view.status)
        return tr(
            "Step {n} of {m}, {left} left", n=view.position, m=len(view.steps), left=texts.minutes(view.minutes_left)
        )

    def _now(self, view: CeremonyView) -> QWidget:
        frame = QFrame()
        frame.setProperty("look", "plain")
        box = QVBoxLayout(frame)
        edge = engine().px(24)
        box.setContentsMargins(edge, engine().px(22), engine().px(16), engine().px(10))
        box.setSpacing(engine().px(4))
        box.addWidget(label(view.title, "label"))
        if view.current:
            box.addWidget(label(tr("Step {n} of {m}", n=view.position, m=len(view.steps)), "figure"))
            box.addWidget(label(tr("{left} left", left=texts.minutes(view.minutes_left)), "hint"))
            box.addWidget(label(tr("Next: {who}", who=next_names(view)), "current"))
        else:
            box.addWidget(label(_ended(view.status), "figure"))
        return frame

    def _line(self, step: StepView) -> QWidget:
        here = step.status in _HERE
        frame = QFrame()
        frame.setProperty("look", "here" if here else "there")
        box = QVBoxLayout(frame)
        box.setContentsMargins(engine().px(20), engine().px(6), engine().px(12), engine().px(6))
        box.setSpacing(0)
        look = "current" if here else "waiting" if step.status is StepStatus.WAITING else "plain"
        text: QLabel = label(step.title, look)
        icon, token = _MARKS[step.status]
        box.addLayout(marked(icon, token, text, size=16))
        frame.setAccessibleName(f"{step.title}: {step_status(step.status)}")
        return frame


def next_names(view: CeremonyView) -> str:
    """Who may act now: names, or the role before names are known."""
    seats = view.next_actors
    if not seats:
        return tr("nobody; the module is at work")
    named = [s.name or tr("the {role}", role=texts.role(s.role).lower()) for s in seats]
    return texts.names(list(dict.fromkeys(named)))


def step_status(status: StepStatus) -> str:
    return {
        StepStatus.DONE: tr("done"),
        StepStatus.CURRENT: tr("this is where we are"),
        StepStatus.WORKING: tr("the module is at work"),
        StepStatus.DECIDE: tr("waits for a decision"),
        StepStatus.WAITING: tr("still to come"),
        StepStatus.SKIPPED: tr("left out"),
    }[status]


def _ended(status: str) -> str:
    return {"completed": tr("Completed"), "abandoned": tr("Abandoned"), "paused": tr("Paused")}.get(status, status)
