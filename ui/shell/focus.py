"""The order of Tab is the order of reading: walked from the layouts, not from when a widget was made."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLayout, QScrollArea, QWidget


def reading_order(widget: QWidget) -> Iterator[QWidget]:
    """Every widget that Tab can reach, top to bottom and left to right."""
    if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.focusProxy() is None:
        yield widget
    if isinstance(widget, QScrollArea):
        if (inside := widget.widget()) is not None:
            yield from reading_order(inside)
        return
    layout = widget.layout()
    if layout is not None:
        yield from _of_layout(layout)


def _of_layout(layout: QLayout) -> Iterator[QWidget]:
    for index in range(layout.count()):
        item = layout.itemAt(index)
        if item is None:
            continue
        if (widget := item.widget()) is not None:
            yield from reading_order(widget)
        elif (inner := item.layout()) is not None:
            yield from _of_layout(inner)


def set_order(root: QWidget) -> None:
    """Chain the tab order of everything below `root`."""
    widgets = list(reading_order(root))
    for one, following in itertools.pairwise(widgets):
        QWidget.setTabOrder(one, following)
