"""What the module holds, plainly: name, kind, fingerprint, grade of the evidence."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QVBoxLayout

from hsm_console.domain.messages.ceremony import KeyView
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import card, clear, label, marked, pairs
from ui.widgets.fingerprint import Fingerprint
from ui.widgets.fold import Fold, technical


class KeysPage(Page):
    def __init__(self) -> None:
        super().__init__(
            tr("Keys"), tr("Keys that ceremonies of this workspace have made. Private keys stay in the module.")
        )
        self._box = QVBoxLayout()
        self._box.setSpacing(18)
        self.add(self._box)
        self._box.addWidget(label(tr("Asking the gateway."), "hint"))

    def show_keys(self, keys: list[KeyView]) -> None:
        clear(self._box)
        if not keys:
            self._box.addWidget(label(tr("No key yet. The first one comes from a ceremony."), "hint"))
        for key in keys:
            self._box.addWidget(_card(key))


def _card(key: KeyView) -> QFrame:
    frame, box = card()
    box.addLayout(marked("key", "accent", label(key.label, "heading"), size=24))
    made = texts.moment(key.created_ms) if key.created_ms else tr("not known")
    state = {"active": tr("in use"), "unclear": tr("unclear: do not use it")}.get(key.state, key.state)
    items = [(tr("Kind"), texts.algorithm(key.algorithm)), (tr("Made"), made), (tr("State"), state)]
    items.append((tr("Evidence"), tr("Grade {grade}. {meaning}", grade=key.grade.value, meaning=key.grade_meaning)))
    if key.ceremony_id:
        items.append((tr("Ceremony"), key.ceremony_id))
    box.addWidget(pairs(items))
    if key.fingerprint:
        box.addWidget(Fold(tr("Fingerprint of {label}", label=key.label), Fingerprint(key.fingerprint, key.words)))
    details = "\n".join(part for part in (f"CKA_ID {key.object_id}", key.spki_pem, key.certificate_pem) if part)
    box.addWidget(technical(details, lines=9))
    return frame
