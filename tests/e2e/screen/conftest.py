"""The screen's own objects, offscreen, in front of a real gateway of a freshly founded workspace."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).parent))

import pytest
from desk_of_a_house import House, spec
from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QApplication

from ui.calls import Calls
from ui.console import Console
from ui.desk import Desk
from ui.shell.window import Window
from ui.theme.engine import ThemeEngine


@pytest.fixture
def adapter() -> str:
    """The module of the workspace; a test may be given another one."""
    return "simulation"


@pytest.fixture
def open_house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication, qtbot, found: Callable, adapter: str
) -> Iterator[Callable]:
    """Makes the application on a workspace; call it again for a second start of the program."""
    QStandardPaths.setTestModeEnabled(True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    workspace = found(spec(tmp_path / "workspace", adapter))
    if qapp.findChild(ThemeEngine) is None:
        ThemeEngine(qapp)
    made: list[House] = []

    def start() -> House:
        calls = Calls(qapp)
        window = Window(lambda: calls.guards)
        qtbot.addWidget(window)
        desk = Desk(calls, workspace)
        house = House(qtbot, window, desk, Console(window, desk), calls)
        made.append(house)
        window.show()
        house.console.start()
        return house

    yield start
    for house in made:
        house.close()
