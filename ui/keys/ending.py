"""A key that ends: an order with a page that says what will be different afterwards, and where a copy lives on."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QVBoxLayout

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.devices import DeviceRow
from ui import texts
from ui.ceremony.step_page import commit_warning
from ui.devices import fleet_words
from ui.keys import words
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, label, marked, pairs
from ui.widgets.busy import BusyButton
from ui.widgets.fingerprint import Fingerprint
from ui.widgets.problem import notice
from ui.widgets.typed_word import TypedWord


class DestroyPage(Page):
    """The safe choice has the focus, Enter does nothing, a word is typed, and other people still have to agree."""

    asked = Signal(object)  # tuple[str, ...]: names of the modules whose copies are left
    left = Signal()

    def __init__(self, key: KeyView, further: tuple[DeviceRow, ...] = ()) -> None:
        """further: the modules beside the first, where copies may lie."""
        super().__init__(tr("Destroy “{label}”", label=key.label), eyebrow=tr("Key"))
        sentence = tr("Nobody will ever again sign or decrypt with “{label}”, and what was encrypted for it stays "
                      "unreadable; there is no copy unless it was wrapped and taken out.", label=key.label)  # fmt: skip
        self.add(commit_warning(sentence))
        frame, box = card()
        box.addWidget(pairs(words.facts(key)))
        self.add(frame)
        if key.fingerprint:
            self.add(Fingerprint(key.fingerprint, key.words))
        self.copies: dict[str, QCheckBox] = {}
        if further:
            self._further(further)
        text = tr("This page destroys nothing yet: it asks. Custodians approve first, then somebody carries it out and "
                  "types the word once more.")  # fmt: skip
        self.add(marked("people", "accent", label(text)))
        self.word = TypedWord(tr("destroy"))
        self.add(self.word)
        self._kept = notice(tr("Nothing has been asked. The key stays as it is."))
        self._kept.hide()
        self.add(self._kept)
        self._bar()
        self.first = self.safe

    @property
    def left_in(self) -> tuple[str, ...]:
        return tuple(name for name, tick in self.copies.items() if tick.isChecked())

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _further(self, rows: tuple[DeviceRow, ...]) -> None:
        """It goes everywhere unless somebody says for one module that it does not."""
        frame, box = card()
        box.addWidget(label(tr("Copies in other modules"), "heading"))
        box.addWidget(label(tr("It is destroyed in every module that holds it. Mark one only to leave what is there; "
                               "the custodians read that in what they sign."), "hint"))  # fmt: skip
        for row in rows:
            name = fleet_words.title(row)
            tick = QCheckBox(tr("Leave what is in “{name}”", name=name.replace("&", "&&")))
            tick.setAccessibleName(tr("Leave what is in “{name}”", name=name))
            line = QVBoxLayout()
            line.setSpacing(engine().px(2))
            line.addWidget(tick)
            if not row.unlocked:
                said = tr("It is locked. Unlock it first, or leave it: nobody can see whether a copy lies there.")
                line.addLayout(marked("lock", "warn", label(said, "hint"), size=18))
                tick.setAccessibleDescription(said)
            box.addLayout(line)
            self.copies[row.name] = tick
            tick.toggled.connect(self._tell_left)
        self._lives_on = label("", "warn")
        self._lives_on.hide()
        box.addWidget(self._lives_on)
        self.add(frame)

    def _tell_left(self) -> None:
        names = texts.names([f"“{name}”" for name in self.left_in])
        self._lives_on.setText(tr("If a copy lies in {names}, it lives on there. This console refuses to use it, but "
                                  "whoever has that module's PIN can.", names=names))  # fmt: skip
        self._lives_on.setVisible(bool(self.left_in))

    def _bar(self) -> None:
        self.safe = button(tr("&Keep the key"))
        self.safe.clicked.connect(self._keep)
        self.main = BusyButton(tr("&Ask for its destruction"), "commit")
        self.main.set_allowed(False)
        self.main.pressed.connect(self._go)
        self.word.matched.connect(self.main.set_allowed)
        self.back = button(tr("&Back to the key"))
        self.back.clicked.connect(self.left)
        self.aside(self.back)
        self.act(self.safe, self.main)

    def _keep(self) -> None:
        self.word.set_text("")
        self._kept.show()

    def _go(self) -> None:
        if self.word.is_right:
            self.main.start()
            self.asked.emit(self.left_in)
