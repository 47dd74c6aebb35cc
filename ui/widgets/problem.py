"""A failure told in four things. It stays until it is answered."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import clear, label, marked, pairs
from ui.widgets.fold import technical


class ProblemPanel(QFrame):
    """What happened, what state the key is in, what to do, whom to call; technical facts in a fold."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("look", "problem")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._box = QVBoxLayout(self)
        edge = engine().px(18)
        self._box.setContentsMargins(edge, edge, edge, edge)
        self._box.setSpacing(engine().px(10))
        self.problem: Problem | None = None
        self.hide()

    def tell(self, problem: Problem, *, extra: tuple[tuple[str, str], ...] = ()) -> None:
        """extra: further lines below the four, for example the workstation's clock."""
        clear(self._box)
        self.problem = problem
        self._box.addLayout(marked("alert", "bad", label(problem.what, "heading", selectable=True), size=24))
        self._box.addWidget(_four(problem, extra))
        facts = "\n".join([f"code: {problem.code}", *(f"{name}: {value}" for name, value in problem.details.items())])
        self._box.addWidget(technical(facts))
        self.setAccessibleName(tr("Problem: {what}", what=problem.what))
        self.setAccessibleDescription(problem.in_words())
        self.show()

    def clear(self) -> None:
        self.problem = None
        clear(self._box)
        self.hide()


def _four(problem: Problem, extra: tuple[tuple[str, str], ...]) -> QWidget:
    return pairs(
        [
            (tr("State of the key"), problem.key_state),
            (tr("What to do"), problem.todo),
            (tr("Whom to call"), problem.contact),
            *extra,
        ],
        first_width=150,
    )


def notice(text: str, *, look: str = "notice", icon: str = "alert", colour: str = "warn") -> QFrame:
    """One or two sentences that people should see: a warning, or that something is done."""
    frame = QFrame()
    frame.setProperty("look", look)
    box = QVBoxLayout(frame)
    edge = engine().px(14)
    box.setContentsMargins(edge, edge, edge, edge)
    box.addLayout(marked(icon, colour, label(text, selectable=True)))
    return frame
