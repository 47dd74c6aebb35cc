"""The order of Tab is the order of reading: walked from the layouts, not from when a widget was made."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLayout, QRadioButton, QScrollArea, QWidget


def reading_order(widget: QWidget) -> Iterator[QWidget]:
    """Every widget that Tab can reach, top to bottom and left to right."""
    if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.focusProxy() is None and not _by_arrows(widget):
        yield widget
    if isinstance(widget, QScrollArea):
        if (inside := widget.widget()) is not None:
            yield from reading_order(inside)
        return
    layout = widget.layout()
    if layout is not None:
        yield from _of_layout(layout)


def _by_arrows(widget: QWidget) -> bool:
    """Of a group of radio buttons Tab reaches the chosen one; the arrow keys go on from there."""
    group = widget.group() if isinstance(widget, QRadioButton) else None
    return group is not None and group.checkedButton() not in (None, widget)


def _of_layout(layout: QLayout) -> Iterator[QWidget]:
    for index in range(layout.count()):
        item = layout.itemAt(index)
        if item is None:
            continue
        if (widget := item.widget()) is not None:
            yield from reading_order(widget)
        elif (inner := item.layout()) is not None:
            yield from _of_layout(inner)


def neighbour(root: QWidget, current: QWidget | None, *, forward: bool) -> QWidget | None:
    """Where Tab leads from `current`; the first or last when the focus is nowhere. None when nothing can be reached."""
    order = [w for w in reading_order(root) if w.isVisible() and w.isEnabled()]
    if not order:
        return None
    if current not in order:
        return order[0] if forward else order[-1]
    return order[(order.index(current) + (1 if forward else -1)) % len(order)]
