"""What the module answered, on a page of its own before the road goes on."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QVBoxLayout

from hsm_console.domain.keys import Grade
from hsm_console.domain.messages.ceremony import CeremonyView, KeyView, StepKind, StepView
from ui import texts
from ui.ceremony import preflight
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, marked, pairs
from ui.widgets.fingerprint import Fingerprint

SHOWN = (StepKind.PREFLIGHT, StepKind.GENERATE, StepKind.READ_BACK, StepKind.CERTIFY, StepKind.SIGN_DOCUMENT)


class ResultPage(Page):
    """One step that is done. `Continue` changes nothing; it only turns the page."""

    turned = Signal()

    def __init__(self, view: CeremonyView, step: StepView) -> None:
        super().__init__(_title(step), step.expect, eyebrow=tr("{phase}  ·  done", phase=step.phase))
        self.add(
            marked(
                "check",
                "good",
                label(
                    tr("{title}, by {who}, {time}", title=step.title, who=step.done_by, time=texts.moment(step.done_ms))
                ),
            )
        )
        for part in _content(view, step):
            self.add(part)
        go = button(tr("&Continue"), "act")
        go.clicked.connect(self.turned)
        self.act(go)
        self.first = go


def _title(step: StepView) -> str:
    return {
        StepKind.PREFLIGHT: tr("Everything is ready"),
        StepKind.GENERATE: tr("The key exists"),
        StepKind.READ_BACK: tr("What the module says of the key"),
        StepKind.CERTIFY: tr("The certificate is issued"),
        StepKind.SIGN_DOCUMENT: tr("The document is signed"),
    }.get(step.kind, step.title)


def _content(view: CeremonyView, step: StepView) -> list[QFrame]:
    frame, box = card()
    if step.kind is StepKind.PREFLIGHT:
        preflight.fill(box, view.preflight)
        return [frame]
    if step.kind is StepKind.READ_BACK and view.key is not None:
        _read_back(box, view.key)
        return [frame]
    if step.kind is StepKind.GENERATE and view.key is not None:
        key = view.key
        box.addWidget(pairs([(tr("Name"), key.label), (tr("Kind"), texts.algorithm(key.algorithm))]))
        return [frame, Fingerprint(key.fingerprint, key.words)]
    box.addWidget(pairs([(name[:1].upper() + name[1:], value) for name, value in step.facts.items()]))
    return [frame]


def _read_back(box: QVBoxLayout, key: KeyView) -> None:
    for sentence, value in texts.attributes(key.attributes):
        icon, token = {True: ("check", "good"), False: ("cross", "bad"), None: ("ring", "ink-soft")}[value]
        said = sentence if value is not None else tr("{sentence}: the token does not tell", sentence=sentence)
        box.addLayout(marked(icon, token, label(said), size=18))
    box.addWidget(label(tr("Grade of this evidence: {grade}", grade=key.grade.value), "heading"))
    look = "warn" if key.grade is Grade.D else ""
    box.addWidget(label(key.grade_meaning, look))
    box.addWidget(label(key.does_not_prove, look))
