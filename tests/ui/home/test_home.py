"""The overview looks again by itself; nobody's place on it may be lost by that."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import samples
from PySide6.QtWidgets import QPushButton

from ui.home.page import HomePage
from ui.shell.window import Window
from ui.widgets.tile import Tile


@pytest.fixture
def home(qtbot, show: Callable) -> tuple[Window, HomePage]:
    """The page as it is after its first look: a ceremony is under way and has the keyboard's focus."""
    page = HomePage(samples.greeting())
    window = show(page)
    window.show_places(shown=True)
    qtbot.waitUntil(lambda: isinstance(window.focusWidget(), QPushButton))
    page.set_ceremonies(samples.summaries())
    page.set_device(samples.DEVICE_STATE)
    qtbot.waitUntil(lambda: isinstance(window.focusWidget(), Tile))
    return window, page


def test_it_keeps_the_focus_when_nothing_changed(qtbot, home: tuple[Window, HomePage]) -> None:
    window, page = home
    held = window.focusWidget()
    page.set_ceremonies(samples.summaries())
    page.set_device(samples.DEVICE_STATE)
    qtbot.wait(50)
    assert window.focusWidget() is held


def test_a_step_further_the_focus_is_on_the_page_still(qtbot, home: tuple[Window, HomePage]) -> None:
    window, page = home
    page.set_ceremonies([msgspec.structs.replace(one, position=one.position + 1) for one in samples.summaries()])
    qtbot.waitUntil(lambda: isinstance(window.focusWidget(), Tile))
    assert page.isAncestorOf(window.focusWidget())


def test_who_is_elsewhere_is_left_there(qtbot, home: tuple[Window, HomePage]) -> None:
    window, page = home
    elsewhere = next(b for b in window.findChildren(QPushButton) if b.isVisible() and not page.isAncestorOf(b))
    elsewhere.setFocus()
    page.set_ceremonies([])
    qtbot.wait(50)
    assert window.focusWidget() is elsewhere


def test_who_can_only_look_begins_at_the_module(qtbot, show) -> None:
    page = HomePage(samples.greeting("k.goedel", device_unlocked=False))
    window = show(page)
    assert window.focusWidget().accessibleName() == "Unlock the module…"
    page.set_device(msgspec.structs.replace(samples.DEVICE_STATE, unlocked=False))
    qtbot.waitUntil(lambda: getattr(window.focusWidget(), "text", str)() == "&Unlock the module…")
    page.set_device(samples.DEVICE_STATE)
    qtbot.wait(50)
    assert page.first is None, "nothing is left here to press"
