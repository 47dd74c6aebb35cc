"""Small makers of labels, cards and buttons: one spelling of spacing and roles for every page."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QBoxLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLayout,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ui.theme import icons
from ui.theme.engine import engine

SPACE = 12
LINE = 20  # height of a line of the usual text
B = TypeVar("B", bound=QBoxLayout)


def label(text: str, look: str = "", *, selectable: bool = False) -> QLabel:
    """A wrapping label. look: a role of the style sheet (title, heading, lead, hint, error, mono, spoken, …)."""
    made = QLabel(text)
    made.setTextFormat(Qt.TextFormat.PlainText)  # names and labels come from outside: never markup
    made.setWordWrap(True)
    if look:
        made.setProperty("look", look)
    if selectable:
        made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    return made


def button(text: str, look: str = "", *, name: str = "") -> QPushButton:
    """A button whose text says the act. look: act, commit, link, tile, plain, or flush: a link at the edge of a text.

    name: accessible name if other.
    """
    made = QPushButton(text)
    if look:
        made.setProperty("look", look)
    made.setAccessibleName(name or text.replace("&", ""))
    made.setAutoDefault(False)
    made.setDefault(False)
    return made


def card(look: str = "card", *, margins: int = 20, spacing: int = SPACE) -> tuple[QFrame, QVBoxLayout]:
    frame = QFrame()
    frame.setProperty("look", look)
    layout = QVBoxLayout(frame)
    edge = engine().px(margins)
    layout.setContentsMargins(edge, edge - 2, edge, edge - 2)
    layout.setSpacing(engine().px(spacing))
    return frame, layout


def column(*widgets: QWidget | QLayout, spacing: int = SPACE) -> QVBoxLayout:
    return _box(QVBoxLayout(), widgets, spacing)


def row(*widgets: QWidget | QLayout, spacing: int = SPACE, stretch_last: bool = False) -> QHBoxLayout:
    box = QHBoxLayout()
    _box(box, widgets, spacing)
    if not stretch_last:
        box.addStretch(1)
    return box


def _box(box: B, parts: tuple[QWidget | QLayout, ...], spacing: int) -> B:
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(engine().px(spacing))
    for part in parts:
        if isinstance(part, QLayout):
            box.addLayout(part)
        else:
            box.addWidget(part)
    return box


def rule() -> QFrame:
    line = QFrame()
    line.setProperty("look", "rule")
    line.setFixedHeight(1)
    return line


def picture(name: str, token: str, size: int = 20) -> QLabel:
    """An icon as a label. It says nothing on its own: text always stands beside it."""
    made = QLabel()
    edge = engine().px(size)
    made.setPixmap(icons.pixmap(name, engine().theme[token], edge, 2.0))
    made.setFixedSize(edge, edge)
    return made


def marked(icon: str, token: str, text: QWidget, *, size: int = 20) -> QHBoxLayout:
    """An icon with text beside it, in the middle of the first line."""
    box = QHBoxLayout()
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(engine().px(10))
    sign, lower = picture(icon, token, size), engine().px(max(LINE - size, 0)) // 2
    sign.setContentsMargins(0, lower, 0, 0)
    sign.setFixedHeight(sign.height() + lower)
    box.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
    box.addWidget(text, 1)
    return box


def pairs(items: list[tuple[str, str]], *, first_width: int = 220) -> QWidget:
    """Names and values in two columns, as a form prints them. Values can be selected."""
    holder = QWidget()
    box = QVBoxLayout(holder)
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(engine().px(8))
    for name, value in items:
        left = label(name, "hint")
        left.setFixedWidth(engine().px(first_width))
        left.setAlignment(Qt.AlignmentFlag.AlignTop)
        right = label(value, selectable=True)
        line = row(left, right, stretch_last=True)
        line.setStretch(1, 1)
        box.addLayout(line)
    return holder


def clear(layout: QLayout) -> None:
    """Remove and delete everything in a layout."""
    while (item := layout.takeAt(0)) is not None:
        if (widget := item.widget()) is not None:
            widget.hide()
            widget.setParent(None)
            widget.deleteLater()
        elif (inner := item.layout()) is not None:
            clear(inner)
            inner.deleteLater()


def restyle(widget: QWidget) -> None:
    """Ask the style sheet again after a property changed."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)
