"""What came of an order: the keys it made, a wrapped key to take along, the record that proves it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from hsm_console.domain.messages.orders import OrderState, OrderView
from hsm_console.domain.messages.work import GENERATE_KEYS, WRAP_KEY
from ui.orders import words
from ui.texts import tr
from ui.widgets.basics import button, card, label, pairs, row

_LISTED = 40


class Result(QWidget):
    receipt_asked = Signal(int)
    keys_asked = Signal()
    wrapped_asked = Signal(str)

    def __init__(self, order: OrderView, labels: dict[str, str]) -> None:
        """labels: id of a key → its name."""
        super().__init__()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        frame, box = card()
        box.addWidget(label(tr("What came of it"), "heading"))
        box.addWidget(pairs(_facts(order, labels)))
        ways = self._ways(order)
        self.first = ways[0] if ways else None
        if ways:
            box.addLayout(row(*ways))
        outer.addWidget(frame)

    def _ways(self, order: OrderView) -> list[QPushButton]:
        """What can be done with it now."""
        made: list[QPushButton] = []
        if order.action == GENERATE_KEYS:
            keys = button(tr("&Look at the keys"), "act")
            keys.clicked.connect(self.keys_asked)
            made.append(keys)
        sha256 = order.result.get("sha256", "")
        if order.action == WRAP_KEY and sha256:
            save = button(tr("Save the &wrapped key…"), "act")
            save.clicked.connect(lambda _checked=False: self.wrapped_asked.emit(sha256))
            made.append(save)
        if order.state is OrderState.DONE:
            told = order.result.get("entry", "")
            entry = int(told) if told.isdecimal() else order.entry  # of what was done, or of the order itself
            receipt = button(tr("&Receipt of record {n}…", n=entry))
            receipt.clicked.connect(lambda _checked=False: self.receipt_asked.emit(entry))
            made.append(receipt)
        return made


def _facts(order: OrderView, labels: dict[str, str]) -> list[tuple[str, str]]:
    """A list of many values is shown one below the other, and cut where a page would not hold it."""
    found = []
    for name in words.results(order.result):
        text = order.result[name]
        whole = words.value(name, text, labels)
        parts = [part.strip() for part in text.split(",")] if "," in text else [whole]
        shown = "\n".join(parts[:_LISTED])
        if len(parts) > _LISTED:
            shown += "\n" + tr("and {n} more", n=len(parts) - _LISTED)
        found.append((words.name(name), shown))
    return found
