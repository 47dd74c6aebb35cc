"""Look at everything before anybody commits time: green and red lines, with what to do beside each red one."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QVBoxLayout

from hsm_console.domain.messages.ceremony import CeremonyView, CheckItem, RunChecks
from ui.ceremony.step_page import StepPage
from ui.texts import tr
from ui.widgets.basics import card, clear, column, label, marked


class PreflightPage(StepPage):
    def build(self) -> None:
        self._holder, self._box = card()
        self.add(self._holder)
        self._show()

    def give(self) -> None:
        self.answered.emit(RunChecks(step=self.step.id, revision=self.view.revision))

    def refresh(self, view: CeremonyView) -> None:
        super().refresh(view)
        self._show()

    def _show(self) -> None:
        clear(self._box)
        if not self.view.preflight:
            self._box.addWidget(label(tr("Nothing has been looked at yet. Looking changes nothing."), "hint"))
            return
        self.main.set_text(tr("&Look again"))
        fill(self._box, self.view.preflight)


def fill(box: QVBoxLayout, items: tuple[CheckItem, ...]) -> None:
    """One line for each finding; red first, because that is where something has to be done."""
    red = [item for item in items if item.problem is not None]
    look, said = ("bad", tr("{n} of {m} are not ready", n=len(red), m=len(items))) if red else (
        "good", tr("All {m} are ready", m=len(items)))  # fmt: skip
    box.addWidget(label(said, look))
    for item in (*red, *(i for i in items if i.problem is None)):
        box.addWidget(_line(item))


def _line(item: CheckItem) -> QFrame:
    frame = QFrame()
    outer = QVBoxLayout(frame)
    outer.setContentsMargins(0, 0, 0, 0)
    words = column(spacing=2)
    ok = item.problem is None
    words.addWidget(label(_capital(item.name), "label"))
    words.addWidget(label(item.found))
    if item.problem is not None:
        words.addWidget(label(tr("What to do: {todo}", todo=item.problem.todo), "bad"))
    holder = QFrame()
    holder.setLayout(words)
    outer.addLayout(marked("check" if ok else "cross", "good" if ok else "bad", holder))
    frame.setAccessibleName(f"{item.name}: {tr('ready') if ok else tr('not ready')}. {item.found}")
    return frame


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
