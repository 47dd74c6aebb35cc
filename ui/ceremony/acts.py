"""Steps at which the module acts: generate, certify, read back. What cannot be undone has its own page."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from hsm_console.domain.messages.ceremony import CeremonyView, Perform, StepKind
from ui import texts
from ui.ceremony.step_page import StepPage, commit_warning
from ui.texts import tr
from ui.widgets.basics import button, card, label, marked, pairs
from ui.widgets.problem import notice
from ui.widgets.typed_word import TypedWord

GUARD = "The module is at work on something that cannot be interrupted."


class CommitPage(StepPage):
    """An irreversible act: consequence, values, a typed word. The safe choice has the focus; Enter does nothing."""

    def build(self) -> None:
        self.add(commit_warning(consequence(self.view)))
        self.add(_values(self.view))
        self.word = TypedWord(self.step.confirm or tr("go on").split()[0])
        self.word.matched.connect(self.main.set_allowed)
        self.safe = button(tr("&Do nothing yet"))
        self.safe.clicked.connect(self._wait)
        self._waiting = notice(tr("Nothing has been done. The ceremony stays at this step for as long as you need."))
        self._waiting.hide()
        if self.step.confirm:
            self.add(self.word)
            self.main.set_allowed(False)
        self.add(self._waiting)
        self.main.button.setProperty("look", "commit")
        self.first = self.safe

    def give(self) -> None:
        if self.step.confirm and not self.word.is_right:
            return
        confirmed = self.word.text().strip() if self.step.confirm else ""
        self.answered.emit(Perform(step=self.step.id, revision=self.view.revision, confirmed=confirmed))

    def _place_act(self) -> None:
        self.act(self.safe, self.main)

    def _wait(self) -> None:
        self.word.set_text("")
        self._waiting.show()


class ReadBackPage(StepPage):
    """What the module says of the key, in words. Asking changes nothing."""

    def build(self) -> None:
        key = self.view.key
        frame, box = card()
        box.addWidget(label(tr("What will be asked"), "label"))
        if key is not None:
            for sentence, _value in texts.attributes(key.attributes):
                box.addLayout(marked("ring", "ink-soft", label(sentence), size=16))
            box.addWidget(label(tr("Grade of this evidence: {grade}", grade=key.grade.value), "label"))
            box.addWidget(label(f"{key.grade_meaning} {key.does_not_prove}"))
        self.add(frame)

    def give(self) -> None:
        self.answered.emit(Perform(step=self.step.id, revision=self.view.revision))


def consequence(view: CeremonyView) -> str:
    """What will be different afterwards, in one sentence."""
    step = next(s for s in view.steps if s.id == view.current)
    if step.kind is StepKind.GENERATE:
        return tr(
            "The module will make the key “{label}”. From then on it exists; only another ceremony removes it.",
            label=view.parameters.get("label", ""),
        )
    if step.kind is StepKind.CERTIFY:
        return tr("The authority will sign a certificate for this key. It stays valid until it ends or is revoked.")
    return tr("What the module does now stays done.")


def _values(view: CeremonyView) -> QWidget:
    items = [(tr("Name of the key"), view.parameters.get("label", ""))]
    if "algorithm" in view.parameters:
        items.append((tr("Kind of key"), texts.algorithm(view.parameters["algorithm"])))
    items.append((tr("Environment"), view.environment + (tr(" (simulation)") if view.simulated else "")))
    quorum = view.quorum
    if quorum is not None:
        names = texts.names([a.name for a in quorum.approvals if a.decision.value == "approve"])
        items.append((tr("Approved by"), names))
    return pairs(items)
