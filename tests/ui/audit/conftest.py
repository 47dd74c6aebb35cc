"""The page of the log over a gateway in memory."""

from __future__ import annotations

import pytest
from places import Gateway, settle

from ui.audit.page import AuditPage


@pytest.fixture
def gateway():
    return Gateway()


@pytest.fixture
def page(qtbot, theme, calls, gateway):
    made = AuditPage(gateway, calls)
    qtbot.addWidget(made)
    made.resize(1280, 800)
    made.show()
    settle(lambda: made.model.rowCount() > 0)
    return made
