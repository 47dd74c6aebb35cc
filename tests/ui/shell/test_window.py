"""The header: places as tabs, one of them marked, and room for them when everything is large."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt

from ui.keys.inventory import MADE, NAME, KeyModel, KeyTable
from ui.shell.page import Page
from ui.shell.window import PLACES, Window
from ui.theme.tokens import SCALES
from ui.widgets.basics import button, card
from ui.widgets.fold import Fold

SCREEN = {100: 1280, 125: 1366, 150: 1600, 175: 1920, 200: 1920}  # a usual screen's width in pixels


def test_each_place_has_a_tab_and_a_shortcut(qtbot, window):
    for n, place in enumerate(PLACES, 1):
        with qtbot.waitSignal(window.place_asked) as asked:
            qtbot.keyClick(window, Qt.Key(Qt.Key.Key_0 + n), Qt.KeyboardModifier.ControlModifier)
        assert asked.args == [place]


def test_where_one_is_is_said_to_eyes_and_readers(window):
    window.show_place("keys")
    marked = [name for name, tab in window._places.items() if tab.property("here") == "true"]
    assert marked == ["keys"]
    assert window._places["keys"].accessibleDescription() == "You are here."
    window.show_place("")
    assert not [name for name, tab in window._places.items() if tab.property("here") == "true"]


@pytest.mark.parametrize("scale", SCALES)
def test_the_header_fits_a_usual_screen_at_every_size(qtbot, theme, scale):
    theme.zoom(scale)
    try:
        window = Window(lambda: ())
        qtbot.addWidget(window)
        window.show_places(shown=True)
        window.show()
        assert window.header.minimumSizeHint().width() <= SCREEN[scale]
    finally:
        theme.zoom(100)


@pytest.mark.parametrize("scale", [100, 200])
@pytest.mark.parametrize("lines", [1, 60])
def test_the_acts_stand_below_the_edges_of_what_is_above(qtbot, theme, scale, lines):
    """Also when a scroll bar takes room from the page, or gives it back."""
    theme.zoom(scale)
    try:
        window, page = Window(lambda: ()), Page("A title")
        qtbot.addWidget(window)
        frames = [card()[0] for _ in range(lines)]
        for frame in frames:
            page.add(frame)
        back, go = button("Back"), button("Go", "act")
        page.aside(back)
        page.act(go)
        window.resize(1366, 768)
        window.show_page(page)
        window.show()
        qtbot.waitExposed(window)
        for height in (768, 700, 768):
            window.resize(1366, height)
            qtbot.waitUntil(lambda: page.area.verticalScrollBar().isVisible() is (lines > 1))
            qtbot.waitUntil(lambda: _left(back) == _left(frames[0]))
            qtbot.waitUntil(lambda: _left(go) + go.width() == _left(frames[0]) + frames[0].width())
    finally:
        theme.zoom(100)


def _left(widget):
    return widget.mapToGlobal(QPoint(0, 0)).x()


@pytest.mark.parametrize("above", [1, 30])
def test_a_page_begins_with_its_heading_when_its_first_control_is_in_sight(qtbot, theme, above):
    """The focus alone would scroll until the whole of a table is seen, and cut off what stands on top."""
    window, page = Window(lambda: ()), Page("A title")
    qtbot.addWidget(window)
    for _ in range(above):
        page.add(card()[0])
    table = KeyTable(KeyModel())
    table.setMinimumHeight(700)
    page.add(table)
    page.first = table
    window.resize(1366, 768)
    window.show_page(page)
    window.show()
    qtbot.waitExposed(window)
    qtbot.wait(50)
    bar = page.area.verticalScrollBar()
    assert window.focusWidget() is table
    assert bar.isVisible()
    assert (bar.value() == 0) is (above == 1)


@pytest.mark.parametrize("scale", [100, 150, 200])
def test_the_arrow_of_a_fold_grows_with_its_text(qtbot, theme, scale):
    theme.zoom(scale)
    try:
        fold = Fold("Technical details", button("x"))
        qtbot.addWidget(fold)
        fold.show()
        assert fold.handle.iconSize().height() == 16 * scale // 100
    finally:
        theme.zoom(100)


def test_nobody_logged_in_sees_no_places(window):
    window.show_places(shown=False)
    assert not [tab for tab in window._places.values() if tab.isVisible()]


@pytest.mark.parametrize("width", [700, 1180, 1900])
def test_a_table_shows_all_of_its_columns(qtbot, theme, width):
    table = KeyTable(KeyModel())
    qtbot.addWidget(table)
    table.resize(width, 300)
    table.show()
    widths = [table.columnWidth(column) for column in range(table.model().columnCount())]
    assert abs(sum(widths) - table.viewport().width()) <= len(widths)
    assert widths[NAME] >= max(widths) * 0.6, "the name is not what is given up"
    assert widths[MADE] >= 100, "nor a date"
