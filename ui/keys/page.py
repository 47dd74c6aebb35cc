"""The inventory: every key that the log knows, found by its name, its fingerprint or where it was agreed on."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import GENERATE_KEYS, UNWRAP_KEY
from ui import texts
from ui.keys import words
from ui.keys.inventory import KeyModel, KeyTable, Wanted
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, label, marked, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import FormField, choice, line
from ui.widgets.problem import notice

WIDTH = 1180


class KeysPage(Page):
    refresh_asked = Signal()
    ceremonies_asked = Signal()
    opened = Signal(object)  # KeyView: the person wants its page
    make_asked = Signal()
    bring_asked = Signal()  # a wrapped key shall come in

    def __init__(self, *, news: str = "") -> None:
        lead = tr("Every key that this workspace has made or taken in. Private keys stay in the module.")
        super().__init__(tr("Keys"), lead, width=WIDTH)
        if news:
            self.add(notice(news, look="done", icon="check", colour="good"))
        self._keys: list[KeyView] = []
        self._waiting = label(tr("Asking the gateway."), "hint")
        self.add(self._waiting)
        self._none = self._nothing()
        self.add(self._none)
        self.model = KeyModel()
        self.table = KeyTable(self.model)
        self.table.opened.connect(self.opened)
        self._found = QWidget()
        box = QVBoxLayout(self._found)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(12))
        box.addLayout(self._filters())
        self._count = label("", "hint")
        box.addWidget(self._count)
        box.addWidget(self.table)
        self.add(self._found)
        self._acts()
        self._none.hide()
        self._found.hide()
        self.first = self.refresh

    def show_keys(self, keys: list[KeyView]) -> None:
        self.refresh.stop()
        self.problem.clear()
        self._keys = sorted(keys, key=lambda key: bool(key.purpose))  # the console's own ones last
        self._waiting.hide()
        self._none.setVisible(all(key.purpose for key in keys))
        self._found.setVisible(bool(keys))
        self._fill(self.kind, [(texts.algorithm(a), a) for a in sorted({k.algorithm for k in keys})])
        self._fill(self.state, [(words.state(s), s) for s in sorted({k.state for k in keys})])
        origins = {words.origin_tag(k): words.origin(k) for k in keys}
        self._fill(self.origin, [(name, tag) for tag, name in sorted(origins.items())])
        self._narrow()
        if keys:
            with self.focus_kept(*((self.refresh.button,) if self.first is self.refresh else ())):
                self.first = self.search.control

    def refuse(self, problem: Problem) -> None:
        self.refresh.stop()
        self._waiting.hide()
        self.tell(problem)

    def _nothing(self) -> QFrame:
        frame, box = card()
        box.addLayout(marked("key", "accent", label(tr("No key yet"), "heading"), size=24))
        text = tr("A key is made in a ceremony: the administrator opens one, the custodians approve what it is for, "
                  "the module makes the key before witnesses, and it appears here. Keys for everyday work are made "
                  "by an order that custodians approve.")  # fmt: skip
        box.addWidget(label(text))
        there = button(tr("Go to the &ceremonies"))
        there.clicked.connect(self.ceremonies_asked)
        box.addLayout(row(there))
        return frame

    def _filters(self) -> QHBoxLayout:
        hint = tr("name, fingerprint or its words")
        self.search = line(tr("&Search"), placeholder=hint)
        self.kind = choice(tr("&Kind"), [(tr("every kind"), "")])
        self.state = choice(tr("S&tate"), [(tr("every state"), "")])
        self.origin = choice(tr("Agreed &on in"), [(tr("everywhere"), "")])
        box = QHBoxLayout()
        box.setSpacing(engine().px(12))
        for field, share in ((self.search, 4), (self.kind, 3), (self.state, 2), (self.origin, 4)):
            box.addWidget(field, share)
        if isinstance(self.search.control, QLineEdit):
            self.search.control.setClearButtonEnabled(True)
            self.search.control.textChanged.connect(lambda _text: self._narrow())
        for field in (self.kind, self.state, self.origin):
            combo = _combo(field)
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(12)
            combo.currentIndexChanged.connect(lambda _index: self._narrow())
        return box

    def offer(self, may: frozenset[str]) -> None:
        """may: orders that this person may ask for; the gateway checks it again."""
        self.bring.setVisible(UNWRAP_KEY in may)
        self.make.setVisible(GENERATE_KEYS in may)

    def _acts(self) -> None:
        self.refresh = BusyButton(tr("Look &again"), "")
        self.refresh.pressed.connect(self._look_again)
        self.bring = button(tr("&Bring a wrapped key in…"))
        self.bring.clicked.connect(self.bring_asked)
        self.make = button(tr("&Make keys…"), "act")
        self.make.clicked.connect(self.make_asked)
        self.aside(self.refresh)
        self.act(self.bring, self.make)

    @staticmethod
    def _fill(field: FormField, items: list[tuple[str, str]]) -> None:
        """The choices of a filter; what was chosen stays chosen while it exists."""
        combo = _combo(field)
        chosen = combo.currentData()
        combo.blockSignals(True)
        while combo.count() > 1:
            combo.removeItem(1)
        for text, value in items:
            combo.addItem(text, value)
        combo.setCurrentIndex(max(combo.findData(chosen), 0))
        combo.blockSignals(False)

    def _narrow(self) -> None:
        wanted = Wanted(
            text=self.search.text(),
            algorithm=str(_combo(self.kind).currentData()),
            state=str(_combo(self.state).currentData()),
            ceremony=str(_combo(self.origin).currentData()),
        )
        found = [key for key in self._keys if wanted.fits(key)]
        self.model.tell(found)
        if wanted == Wanted():
            self._count.setText(_counted(found))
        elif not found:
            self._count.setText(tr("No key fits. Take a word or a filter away."))
        else:
            self._count.setText(tr("{n} of {m} keys fit", n=len(found), m=len(self._keys)))

    def _look_again(self) -> None:
        self.refresh.start()
        self.refresh_asked.emit()


def _counted(keys: list[KeyView]) -> str:
    own = sum(bool(key.purpose) for key in keys)
    said = tr("One key") if len(keys) - own == 1 else tr("{n} keys", n=len(keys) - own)
    return said + (tr(", and {n} that the console itself needs", n=own) if own else "")


def _combo(field: FormField) -> QComboBox:
    if not isinstance(field.control, QComboBox):
        raise TypeError("a choice was expected")
    return field.control
