"""Proof that somebody compared: words typed from the printed sheet, at positions chosen by chance."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from hsm_console.domain.messages.ceremony import WordsAnswer
from ui.ceremony.step_page import StepPage
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, label
from ui.widgets.field import FormField

COLUMNS = 2


class ComparePage(StepPage):
    """The words themselves are not on this page: they would be copied from the screen."""

    def build(self) -> None:
        frame, box = card()
        box.addWidget(label(tr("Type these words from the printed sheet"), "label"))
        holder = QWidget()
        grid = QGridLayout(holder)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(engine().px(24))
        grid.setVerticalSpacing(engine().px(12))
        self.words: dict[int, FormField] = {}
        for n, position in enumerate(self.view.challenge):
            edit = QLineEdit()
            edit.setProperty("look", "word")
            field = FormField(tr("Word number {n}", n=position), edit)
            self.words[position] = field
            grid.addWidget(field, n // COLUMNS, n % COLUMNS)
        box.addWidget(holder)
        self.add(frame)
        self.differ = button(tr("They &differ"))
        self.differ.clicked.connect(self._say_differ)
        if self.words:
            self.first = next(iter(self.words.values())).control

    def give(self) -> None:
        missing = [field for field in self.words.values() if not field.text().strip()]
        for field in self.words.values():
            field.clear_error()
        for field in missing:
            field.show_error(tr("Type the word from the sheet."))
        if missing:
            missing[0].setFocus()
            return
        words = {str(position): field.text().strip() for position, field in self.words.items()}
        self.answered.emit(WordsAnswer(step=self.step.id, revision=self.view.revision, words=words))

    def _place_act(self) -> None:
        self.differ.setMinimumWidth(self.main.button.sizeHint().width())
        self.act(self.differ, self.main)

    def _say_differ(self) -> None:
        self.answered.emit(WordsAnswer(step=self.step.id, revision=self.view.revision, differ=True))
