"""What holds for every page: names for screen readers, Tab reaches everything in reading order, Enter is harmless."""

from __future__ import annotations

import gallery
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
)

from ui.shell.focus import reading_order
from ui.texts import PseudoTranslator

CONTROLS = (QAbstractButton, QLineEdit, QComboBox, QPlainTextEdit, QProgressBar)
ALL = gallery.everything()


@pytest.fixture(params=sorted(ALL))
def window(request, qtbot, theme):
    make, view = ALL[request.param]
    shown = gallery.window_with(make, view)
    qtbot.addWidget(shown)
    shown.activateWindow()
    qtbot.waitExposed(shown)
    return shown


def names_for_every_control(window) -> None:
    nameless = [
        f"{type(c).__name__} {c.objectName()}"
        for kind in CONTROLS
        for c in window.findChildren(kind)
        if not c.accessibleName()
        and not (isinstance(c, QAbstractButton) and c.text())
        and c.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    assert nameless == []


def tab_reaches_everything_and_comes_round(window) -> None:
    root = window.centralWidget()
    wanted = [w for w in reading_order(root) if w.isVisible() and w.isEnabled()]
    wanted[0].setFocus()
    met = []
    for _ in wanted:
        met.append(window.focusWidget())
        window.focusNextPrevChild(True)
    assert met == wanted
    assert window.focusWidget() is wanted[0]
    for button in window.findChildren(QPushButton):
        if button.isVisible() and button.isEnabled():
            assert button in wanted, button.text()


def the_focus_begins_where_nothing_is_lost(window) -> None:
    page = window.page
    if page.first is None:
        return
    focus = window.focusWidget()
    assert focus is not None
    assert page.isAncestorOf(focus)
    assert focus.property("look") != "commit"


def enter_presses_no_button(window) -> None:
    pressed: list[str] = []
    for button in window.findChildren(QPushButton):
        button.clicked.connect(lambda _c=False, b=button: pressed.append(b.text()))
        if button.isVisible() and button.isEnabled():
            button.setFocus()
            QTest.keyClick(button, Qt.Key.Key_Return)
    assert pressed == []


def mnemonics_are_all_different(window) -> None:
    keys = []
    for button in window.page.findChildren(QAbstractButton):
        if button.isVisible() and not (sequence := QKeySequence.mnemonic(button.text())).isEmpty():
            keys.append(sequence.toString())
    for label in window.page.findChildren(QLabel):
        sequence = QKeySequence.mnemonic(label.text())
        if label.isVisible() and label.buddy() is not None and not sequence.isEmpty():
            keys.append(sequence.toString())
    assert sorted(set(keys)) == sorted(keys)


def test_what_holds_for_every_page(window) -> None:
    """One window for all five: making it costs more than asking it."""
    names_for_every_control(window)
    the_focus_begins_where_nothing_is_lost(window)
    tab_reaches_everything_and_comes_round(window)
    mnemonics_are_all_different(window)
    enter_presses_no_button(window)


def test_every_page_can_be_translated(qtbot, theme, qapp) -> None:
    translator = PseudoTranslator()
    qapp.installTranslator(translator)
    try:
        for name in ("welcome", "login", "home-empty-locked", "setup-1-place", "open-1-choose", "state-pause"):
            make, _view = ALL[name]
            page = make()
            qtbot.addWidget(page)
            plain = [b.text() for b in page.findChildren(QPushButton) if b.text() and not b.text().startswith("[")]
            assert plain == [], name
    finally:
        qapp.removeTranslator(translator)
