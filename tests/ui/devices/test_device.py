"""One module in words, kept true while it is shown; and the page before the last attempts."""

from __future__ import annotations

import fleet_pages as f
import places
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPlainTextEdit
from standins import emitted, words

from ui.devices.few import FewAttemptsPage
from ui.devices.page import DevicePage
from ui.devices.words import pin_state
from ui.widgets.fold import Fold


@pytest.fixture
def page(show):
    def made(row, *, may=f.MAY, alone=False, state=None):
        page = DevicePage(row, alone=alone, may=may)
        show(page)
        if state is not None:
            page.show_state(state)
        return page

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


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "In order: it serves."),
        ({"state": "degraded"}, "It serves, but it is slow or a check failed."),
        ({"state": "down"}, "It does not answer."),
        ({"state": "latched"}, "Left alone after it failed again and again"),
        ({"unlocked": False}, "Locked: no key in it can be used."),
        ({"state": "down", "unlocked": False}, "It does not answer."),
    ],
)
def test_each_state_is_a_sentence(page, more, said):
    assert said in words(page(f.row(**more)))


def test_what_is_known_of_it(page):
    said = words(page(f.row(waiting=7, busy_with="generating a key", weight=0)))
    for text in ("5a3f2c8e91d04b7f", "SoftHSM project SoftHSM v2", "answered in 1.2 ms", "7", "generating a key",
                 "0: only when no other can", "the key that signs the log"):  # fmt: skip
        assert text in said


def test_calls_are_told_with_their_times(page):
    shown = page(f.row())
    figures = next(e.toPlainText() for e in shown.findChildren(QPlainTextEdit) if "median" in e.toPlainText())
    assert figures.splitlines()[1].split() == ["sign", "1204", "2", "1.91", "7.40"]


def test_while_it_is_shown_it_changes_in_place(page):
    shown = page(f.row())
    fold = shown.findChild(Fold)
    fold.handle.setChecked(True)
    fold.handle.setFocus()
    shown.show_row(f.row(took_ms=99.0, waiting=3))
    assert shown.findChild(Fold) is fold
    assert fold.content.isVisible()
    assert shown.window().focusWidget() is fold.handle
    assert "answered in 99.0 ms" in words(shown)


def test_locking_takes_the_focus_nowhere_else(page):
    shown = page(f.row())
    shown.lock.setFocus()
    shown.show_row(f.row(unlocked=False))
    assert shown.isAncestorOf(shown.window().focusWidget())


def test_locked_says_the_pin_before_anybody_types(page):
    shown = page(f.row(unlocked=False), state=places.hardware(**places.PINS["low"]))
    assert "Do not guess" in words(shown)
    assert shown.unlock.isVisible()
    assert shown.unlock.isEnabled()


def test_a_locked_pin_is_not_asked_for(page):
    assert not page(f.row(unlocked=False), state=places.hardware(**places.PINS["locked"])).unlock.isEnabled()


def test_a_simulation_says_so(page):
    shown = page(f.row(simulated=True), state=places.device(unlocked=True))
    assert "This is a simulation" in words(shown)
    assert "none: this is a simulation" in words(shown)


def test_untested_hardware_says_so(page):
    assert "has not been tried on the hardware" in words(page(f.row(untested_on_hardware=True)))


def test_a_missing_module_is_told_in_four_things(page):
    said = words(page(f.row(state="down", problem=places.MISSING)))
    for text in (places.MISSING.what, places.MISSING.key_state, "Connect it, then look again."):
        assert text in said


def test_at_work_it_cannot_be_locked(page):
    assert not page(f.row(busy_with="generating a key")).lock.button.isEnabled()


def test_locking_and_probing_are_asked_once(page):
    shown = page(f.row())
    locked, probed = emitted(shown.lock_asked), emitted(shown.probe_asked)
    for _ in range(2):
        shown.lock.button.click()
        shown.probe.button.click()
    assert (len(locked), len(probed)) == (1, 1)
    shown.refuse(f.GONE)
    assert not shown.lock.working
    assert not shown.probe.working


def test_who_may_nothing_sees_only_what_it_is(page):
    shown = page(f.row("zurich-2"), may=frozenset())
    visible = [b for b in (shown.lock, shown.probe, shown.remove, shown.more, shown.compare) if b.isVisible()]
    assert visible == []


def test_the_first_module_cannot_be_taken_off(page):
    assert not page(f.row()).remove.isVisible()
    assert page(f.row("zurich-2")).remove.isVisible()


def test_few_attempts_stop_first(qtbot, show):
    page = FewAttemptsPage(pin_state(places.hardware(**places.PINS["final-try"]).device))
    show(page)
    asked = emitted(page.go_asked)
    assert page.window().focusWidget() is page.back
    assert not page.go.isEnabled()
    qtbot.keyClicks(page.word.control, "certain")
    qtbot.keyClick(page.word.control, Qt.Key.Key_Return)
    assert not asked, "Enter does nothing"
    page.go.click()
    assert len(asked) == 1


@pytest.mark.parametrize("unlocked", [True, False])
def test_who_only_looks_begins_where_the_page_is_not_scrolled(qtbot, show, unlocked):
    page = DevicePage(f.row(unlocked=unlocked), may=frozenset({"compare"}), alone=True)
    window = show(page)
    qtbot.wait(50)
    assert window.focusWidget() is (page.compare if unlocked else page.unlock)
    assert page.area.verticalScrollBar().value() == 0
