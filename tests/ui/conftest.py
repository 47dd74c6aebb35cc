"""One application, one theme engine, isolated settings, for every test of the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from places import Gateway
from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QApplication
from standins import Desk

from ui.calls import Calls
from ui.constants import make_immortal
from ui.shell.page import Page
from ui.shell.window import Window
from ui.theme.engine import ThemeEngine


@pytest.fixture(scope="session", autouse=True)
def _settings_are_nobodys() -> None:
    QStandardPaths.setTestModeEnabled(True)


@pytest.fixture(scope="session", autouse=True)
def _constants_outlive_all_signals() -> None:
    make_immortal()


@pytest.fixture
def theme(qapp: QApplication) -> ThemeEngine:
    found = qapp.findChild(ThemeEngine)
    made = found if found is not None else ThemeEngine(qapp)
    if (made.theme.id, made.scale) != ("light", 100):  # a new style sheet costs a second
        made.use("light")
        made.zoom(100)
    return made


@pytest.fixture
def calls(qapp: QApplication) -> Iterator[Calls]:
    made = Calls(qapp)
    yield made
    made.drain(5000)


@pytest.fixture
def show(qtbot, theme: ThemeEngine) -> Callable[[Page], Window]:
    """Show a page in a window that has the keyboard's focus."""

    def shown(page: Page) -> Window:
        window = Window(lambda: ())
        qtbot.addWidget(window)
        window.show_page(page)
        window.show()
        window.activateWindow()
        qtbot.waitExposed(window)
        return window

    return shown


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def desk(calls: Calls, gateway: Gateway) -> Desk:
    return Desk(calls, gateway)


@pytest.fixture
def window(qtbot, theme: ThemeEngine) -> Window:
    """An empty window that has the keyboard's focus, for a road."""
    made = Window(lambda: ())
    qtbot.addWidget(made)
    made.show_places(shown=True)
    made.show()
    made.activateWindow()
    qtbot.waitExposed(made)
    return made
