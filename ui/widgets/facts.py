"""Names and values that change while one looks at them: texts are renewed in place, so that nothing jumps."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from ui.theme.engine import engine
from ui.widgets.basics import clear, label, row


class Facts(QWidget):
    def __init__(self, *, first_width: int = 220) -> None:
        super().__init__()
        self._width = first_width
        self._values: dict[str, QLabel] = {}
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(engine().px(8))

    def tell(self, items: list[tuple[str, str]]) -> None:
        """Names are all different. While they stay the same, only values are renewed."""
        if list(self._values) != [name for name, _value in items]:
            self._build([name for name, _value in items])
        for name, value in items:
            if self._values[name].text() != value:
                self._values[name].setText(value)

    def _build(self, names: list[str]) -> None:
        clear(self._box)
        self._values = {}
        for name in names:
            left = label(name, "hint")
            left.setFixedWidth(engine().px(self._width))
            left.setAlignment(Qt.AlignmentFlag.AlignTop)
            right = self._values[name] = label("", selectable=True)
            line = row(left, right, stretch_last=True)
            line.setStretch(1, 1)
            self._box.addLayout(line)
