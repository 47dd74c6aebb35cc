"""Asking for what has no page of its own: one form for every kind of order, made from what the gateway tells."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QVBoxLayout

from hsm_console.domain.messages.orders import OrderKindView
from ui.orders import words
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label
from ui.widgets.field import FormField, choice, line

Choices = dict[str, list[tuple[str, str]]]


class AskPage(Page):
    """Which kind, then its fields. Nothing is asked for before it was checked on the next page."""

    filled = Signal(str, object)  # action, dict[str, str]
    left = Signal()

    def __init__(self, kinds: list[OrderKindView], choices: Choices) -> None:
        """choices: parameter → texts and values to choose from; parameters without are typed."""
        lead = tr("Nothing is done by this. You check everything on the next page.")
        super().__init__(tr("Ask for something"), lead, eyebrow=tr("Orders"))
        self._kinds, self._choices = {kind.action: kind for kind in kinds}, choices
        frame, box = card(margins=26, spacing=20)
        self.kind = choice(tr("&What?"), [(kind.title, kind.action) for kind in kinds])
        box.addWidget(self.kind)
        self._who = label("", "hint")
        box.addWidget(self._who)
        self._box = QVBoxLayout()
        self._box.setSpacing(engine().px(20))
        box.addLayout(self._box)
        self.add(frame)
        self.fields: dict[str, FormField] = {}
        back = button(tr("&Back"))
        back.clicked.connect(self.left)
        self.check = button(tr("&Check it"), "act")
        self.check.clicked.connect(self._go)
        self.aside(back)
        self.act(self.check)
        self.first = self.kind.control
        if isinstance(self.kind.control, QComboBox):
            self.kind.control.currentIndexChanged.connect(lambda _index: self._build())
        self._build()

    @property
    def chosen(self) -> OrderKindView | None:
        combo = self.kind.control
        return self._kinds.get(str(combo.currentData())) if isinstance(combo, QComboBox) else None

    def _build(self) -> None:
        """The fields of the chosen kind."""
        clear(self._box)
        self.fields = {}
        kind = self.chosen
        if kind is None:
            return
        said = [tr("Custodians have to agree.") if kind.needs_quorum else tr("It needs no approval of others.")]
        if kind.irreversible:
            said.append(tr("It cannot be undone once it is carried out."))
        self._who.setText(" ".join(said))
        for name, meaning in kind.parameters.items():
            title, given = words.name(name), self._choices.get(name)
            if name in kind.optional:
                title = tr("{what} (optional)", what=title)
            # what is to be typed there is told only where it is typed: who chooses sees names, not ids
            made = choice(title, [(text, value) for text, value in given]) if given else line(title, hint=meaning)
            self.fields[name] = made
            self._box.addWidget(made)

    def _go(self) -> None:
        kind = self.chosen
        if kind is None:
            return
        values = {name: _value(field) for name, field in self.fields.items()}
        for name, field in self.fields.items():
            field.clear_error()
            if not values[name] and name not in kind.optional:
                field.show_error(tr("Fill this in."))
                field.setFocus()
                return
        self.filled.emit(kind.action, {name: value for name, value in values.items() if value})


def _value(field: FormField) -> str:
    if isinstance(field.control, QComboBox):
        return str(field.control.currentData())
    return field.text().strip()
