"""Keys that leave or come in: each is an order with a page that says what will be different afterwards."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QPushButton

from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import Algorithm, Usage
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import KeyOffer
from ui import texts
from ui.keys import words
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label
from ui.widgets.field import FormField, choice, line
from ui.widgets.file_field import FileField


class WrapPage(Page):
    """Out of the module, encrypted under another key of it."""

    filled = Signal(object)  # dict[str, str]
    left = Signal()

    def __init__(self, key: KeyView, wrapping: list[KeyView]) -> None:
        lead = tr("A copy leaves the module, encrypted under another key of it. Who has both can use it.")
        super().__init__(tr("Take “{label}” out, wrapped", label=key.label), lead, eyebrow=tr("Key"))
        self._key = key
        frame, box = card(margins=26, spacing=20)
        self.under = choice(tr("&Under which key?"), _choices(wrapping))
        if wrapping:
            box.addWidget(self.under)
        else:
            box.addWidget(label(tr("There is no key that may wrap others. Make one first: “wrap other keys”.")))
        self.add(frame)
        back = _ways(self, self.left.emit, self._go, usable=bool(wrapping))
        self.first = self.under.control if wrapping else back

    def _go(self) -> None:
        under = _data(self.under)
        if isinstance(under, KeyView):
            self.filled.emit({"key": self._key.object_id, "under": under.object_id})


class UnwrapPage(Page):
    """Into the module: a file that holds a wrapped key, and the key that opens it there."""

    filled = Signal(object, object)  # dict[str, str] without the file's contents, Path of the file
    left = Signal()

    def __init__(self, wrapping: list[KeyView], offers: list[KeyOffer]) -> None:
        lead = tr("The module opens the file with a key it holds; what is inside becomes a key of this workspace.")
        super().__init__(tr("Bring a wrapped key in"), lead)
        frame, box = card(margins=26, spacing=20)
        self.file = FileField(tr("&File with the wrapped key"))
        self.under = choice(tr("&Under which key is it wrapped?"), _choices(wrapping))
        kinds = list(dict.fromkeys(offer.algorithm for offer in offers)) or list(Algorithm)[:-1]
        self.kind = choice(tr("&Kind of key inside"), [(texts.algorithm(a.value), a) for a in kinds])
        self.name = line(tr("Its &name from now on"))
        self.purpose = choice(tr("What is it f&or?"), [(words.usage(u), u) for u in Usage])
        if wrapping:
            for part in (self.file, self.under, self.kind, self.name, self.purpose):
                box.addWidget(part)
        else:
            box.addWidget(label(tr("There is no key that may wrap others, so nothing can be opened here.")))
        self.add(frame)
        back = _ways(self, self.left.emit, self._go, usable=bool(wrapping))
        self.first = self.file if wrapping else back

    def _go(self) -> None:
        self.name.clear_error()
        path = self.file.require()
        under, kind, purpose = _data(self.under), _data(self.kind), _data(self.purpose)
        if path is None or not isinstance(under, KeyView):
            return
        if not self.name.text().strip():
            self.name.show_error(tr("Give it a name."))
            self.name.setFocus()
            return
        values = {"under": under.object_id, "algorithm": Algorithm(str(kind)).value, "label": self.name.text().strip(),
                  "usages": Usage(str(purpose)).value}  # fmt: skip
        self.filled.emit(values, path)

    def refuse_file(self, problem: Problem) -> None:
        self.file.refuse(f"{problem.what} {problem.todo}")


def _ways(page: Page, back: Callable[[], object], go: Callable[[], object], *, usable: bool) -> QPushButton:
    """Back and forth; returns the way back."""
    out = button(tr("&Back"))
    out.clicked.connect(lambda _checked=False: back())
    page.aside(out)
    check = button(tr("&Check it"), "act")
    check.setEnabled(usable)
    check.clicked.connect(lambda _checked=False: go())
    page.act(check)
    return out


def _choices(keys: list[KeyView]) -> list[tuple[str, object]]:
    return [(words.called(key), key) for key in keys]


def _data(field: FormField) -> object:
    return field.control.currentData() if isinstance(field.control, QComboBox) else None
