"""The module in words, and the page before the last attempts."""

from __future__ import annotations

import places
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from hsm_console.domain.messages.session import DeviceState
from ui.devices.few import FewAttemptsPage
from ui.devices.page import DevicePage
from ui.devices.words import pin_state


def words(widget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


@pytest.fixture
def page(show):
    made = DevicePage()
    show(made)
    return made


@pytest.mark.parametrize(
    ("flags", "limits", "said", "few", "locked"),
    [
        ({}, {}, "No wrong PIN", False, False),
        ({"user_pin_low": True}, {}, "few attempts are left", True, False),
        (places.PINS["final-try"], {}, "ONE attempt is left", True, False),
        (places.PINS["locked"], {}, "The PIN is locked", False, True),
        ({}, {"pin_attempts_left": 7}, "7 attempts are left", False, False),
        ({}, {"pin_attempts_left": 2}, "few attempts are left", True, False),
        ({}, {"pin_attempts_left": 1}, "ONE attempt is left", True, False),
        ({}, {"pin_attempts_left": 0}, "The PIN is locked", False, True),
    ],
)
def test_flags_of_the_pin_in_words(theme, flags, limits, said, few, locked):
    found = pin_state(places.hardware(limits=limits, **flags).device)
    assert said in found.words
    assert (found.few, found.locked) == (few, locked)


def test_nothing_known_is_said_too(theme):
    assert "has not said" in pin_state(None).words


def test_unlocked(page):
    page.show_state(places.hardware(unlocked=True))
    said = words(page)
    for text in ("Unlocked: keys can be used.", "1238696044953", "Thales Luna 7", "7.8.4", "Elliptic curve P-384"):
        assert text in said
    assert page.lock.isVisible()
    assert not page.unlock.isVisible()


def test_locked_says_the_pin_before_anybody_types(page):
    page.show_state(places.hardware(**places.PINS["low"]))
    assert "Do not guess" in words(page)
    assert page.unlock.isVisible()
    assert page.unlock.isEnabled()


def test_a_locked_pin_is_not_asked_for(page):
    page.show_state(places.hardware(**places.PINS["locked"]))
    assert not page.unlock.isEnabled()


def test_a_simulation_says_so(page):
    page.show_state(places.device(unlocked=True))
    assert "This is a simulation" in words(page)
    assert "none: this is a simulation" in words(page)


def test_a_missing_module_is_told_in_four_things(page):
    page.show_state(DeviceState(unlocked=False, problem=places.MISSING))
    said = words(page)
    assert places.MISSING.what in said
    assert places.MISSING.key_state in said
    assert "Connect it, then look again." in said


def test_at_work_it_cannot_be_locked(page):
    page.show_state(places.replace(places.hardware(unlocked=True), busy_with="generating a key"))
    assert not page.lock.button.isEnabled()
    assert "generating a key" in words(page)


def test_locking_is_asked_once(qtbot, page):
    page.show_state(places.hardware(unlocked=True))
    asked = []
    page.lock_asked.connect(lambda: asked.append(1))
    page.lock.button.click()
    page.lock.button.click()
    assert asked == [1]


def test_few_attempts_stop_first(qtbot, show):
    page = FewAttemptsPage(pin_state(places.hardware(**places.PINS["final-try"]).device))
    show(page)
    asked = []
    page.go_asked.connect(lambda: asked.append(1))
    assert page.window().focusWidget() is page.back
    assert not page.go.isEnabled()
    qtbot.keyClicks(page.word.control, "certain")
    qtbot.keyClick(page.word.control, Qt.Key.Key_Return)
    assert not asked, "Enter does nothing"
    page.go.click()
    assert asked == [1]
