"""Progress that is true: a percentage only where the work has been counted, time spent otherwise."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QProgressBar, QVBoxLayout

from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import label


class ProgressCard(QFrame):
    """done of total, in words and as a bar; total 0: nobody knows how much it is."""

    def __init__(self, title: str, stoppable: str = "") -> None:
        super().__init__()
        self.setProperty("look", "card")
        box = QVBoxLayout(self)
        edge = engine().px(20)
        box.setContentsMargins(edge, edge, edge, edge)
        box.setSpacing(engine().px(12))
        self._said = label("", "label")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setAccessibleName(title)
        box.addWidget(label(title, "heading"))
        box.addWidget(self._bar)
        box.addWidget(self._said)
        if stoppable:
            box.addWidget(label(stoppable, "hint"))

    def tell(self, done: int, total: int) -> None:
        if total <= 0:
            self._bar.setRange(0, 0)
            self._said.setText(tr("At work; it is not known how much is left."))
            return
        self._bar.setRange(0, total)
        self._bar.setValue(done)
        self._said.setText(tr("{done} of {total} done, {percent} %", done=done, total=total,
                              percent=done * 100 // total))  # fmt: skip
        self._bar.setAccessibleDescription(self._said.text())
