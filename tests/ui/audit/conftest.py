# ruff: noqa: E402
"""The page of the log over a gateway in memory."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1])]

from places import Gateway, settle
from PySide6.QtWidgets import QApplication

from ui.audit.page import AuditPage
from ui.calls import Calls
from ui.theme.engine import ThemeEngine


@pytest.fixture(scope="session")
def qapp_args():
    return ["hsm-console"]


@pytest.fixture
def calls(qtbot):
    app = QApplication.instance()
    if app.findChild(ThemeEngine) is None:
        ThemeEngine(app)
    made = Calls()
    yield made
    assert made.drain(3000)


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def page(qtbot, calls, gateway):
    made = AuditPage(gateway, calls)
    qtbot.addWidget(made)
    made.resize(1280, 800)
    made.show()
    settle(lambda: made.model.rowCount() > 0)
    return made
