"""What the module holds, plainly: name, kind, fingerprint, what was read back, and what all that does not prove."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QFrame, QVBoxLayout, QWidget

from hsm_console.domain.messages.ceremony import KeyView
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, pairs, row, rule
from ui.widgets.busy import BusyButton
from ui.widgets.fingerprint import Fingerprint
from ui.widgets.fold import Fold, technical
from ui.widgets.problem import notice

_SPOKEN_WORDS = 4


class KeysPage(Page):
    refresh_asked = Signal()
    ceremonies_asked = Signal()
    save_asked = Signal(str, object)  # text of the file, Path

    def __init__(self) -> None:
        super().__init__(
            tr("Keys"), tr("Keys that ceremonies of this workspace have made. Private keys stay in the module.")
        )
        self._box = QVBoxLayout()
        self._box.setSpacing(engine().px(18))
        self.add(self._box)
        self._box.addWidget(label(tr("Asking the gateway."), "hint"))
        self.refresh = BusyButton(tr("Look &again"), "")
        self.refresh.pressed.connect(self._look_again)
        self.aside(self.refresh)
        self.first = self.refresh

    def show_keys(self, keys: list[KeyView]) -> None:
        self.refresh.stop()
        self.problem.clear()
        clear(self._box)
        if not keys:
            self._box.addWidget(self._nothing())
        for key in keys:
            self._box.addWidget(self._card(key))

    def saved(self, path: Path) -> None:
        done = notice(tr("Saved: {path}", path=path), look="done", icon="check", colour="good")
        self._box.insertWidget(0, done)
        self.area.ensureVisible(0, 0)

    def _nothing(self) -> QFrame:
        frame, box = card()
        box.addLayout(marked("key", "accent", label(tr("No key yet"), "heading"), size=24))
        text = tr("A key is made in a ceremony: the administrator opens one, the custodians approve what it is for, "
                  "the module makes the key before witnesses, and it appears here.")  # fmt: skip
        box.addWidget(label(text))
        there = button(tr("Go to the &ceremonies"))
        there.clicked.connect(self.ceremonies_asked)
        box.addLayout(row(there))
        return frame

    def _card(self, key: KeyView) -> QFrame:
        frame, box = card()
        frame.setAccessibleName(tr("Key {label}", label=key.label))
        box.addLayout(marked("key", "accent", label(key.label, "heading"), size=24))
        if key.state != "active":
            box.addWidget(notice(_state(key.state), look="problem", colour="bad"))
        box.addWidget(pairs(_facts(key)))
        box.addWidget(rule())
        box.addWidget(label(tr("Grade {grade} of evidence", grade=key.grade.value), "label"))
        box.addWidget(label(key.grade_meaning))
        box.addLayout(marked("alert", "warn", label(key.does_not_prove)))
        box.addWidget(rule())
        if key.fingerprint:
            box.addWidget(Fold(tr("Fingerprint of {label}", label=key.label), Fingerprint(key.fingerprint, key.words)))
        box.addWidget(Fold(tr("What was read back from the module"), _attributes(key)))
        box.addWidget(technical(_details(key), lines=12))
        box.addLayout(self._saves(key))
        return frame

    def _saves(self, key: KeyView) -> QVBoxLayout:
        made = []
        for text, pem, ending in (
            (tr("Save the public key…"), key.spki_pem, "pem"),
            (tr("Save the certificate…"), key.certificate_pem, "crt"),
        ):
            if pem:
                save = button(text, name=f"{text.rstrip('…')}: {key.label}")
                name = f"{key.label}.{ending}"
                save.clicked.connect(lambda _checked=False, pem=pem, name=name: self._choose(pem, name))
                made.append(save)
        column = QVBoxLayout()
        column.addLayout(row(*made))
        return column

    def _choose(self, text: str, name: str) -> None:
        dialog = QFileDialog(self, tr("Save a copy"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.selectFile(name)
        dialog.fileSelected.connect(lambda chosen: self.save_asked.emit(text, Path(chosen)))
        dialog.open()

    def _look_again(self) -> None:
        self.refresh.start()
        self.refresh_asked.emit()


def _facts(key: KeyView) -> list[tuple[str, str]]:
    items = [
        (tr("Kind"), texts.algorithm(key.algorithm)),
        (tr("Made"), texts.moment(key.created_ms) if key.created_ms else tr("not known")),
        (tr("State"), _state(key.state)),
    ]
    if key.ceremony_id:
        items.append((tr("Ceremony"), key.ceremony_id))
    if key.fingerprint:
        begins = " ".join(key.words[:_SPOKEN_WORDS])
        items.append((tr("Fingerprint begins"), f"{texts.grouped(key.fingerprint[:16])}\n{begins}"))
    items.append((tr("Certificate"), tr("issued") if key.certificate_pem else tr("none was issued")))
    return items


def _state(state: str) -> str:
    return {
        "active": tr("in use"),
        "unclear": tr("Unclear what exists in the module: do not use this key."),
        "destroyed": tr("Destroyed; only its record is left."),
    }.get(state, state)


def _attributes(key: KeyView) -> QWidget:
    holder = QWidget()
    box = QVBoxLayout(holder)
    box.setContentsMargins(engine().px(8), 0, 0, engine().px(8))
    box.setSpacing(engine().px(8))
    for sentence, good in texts.attributes(key.attributes):
        if good is None:
            line = marked("ring", "ink-soft", label(tr("{fact}: the module does not tell", fact=sentence)))
        elif good:
            line = marked("check", "good", label(sentence))
        else:
            line = marked("cross", "bad", label(tr("NOT so: {fact}", fact=sentence)))
        box.addLayout(line)
    return holder


def _details(key: KeyView) -> str:
    return "\n".join(part for part in (f"CKA_ID {key.object_id}", key.spki_pem, key.certificate_pem) if part)
