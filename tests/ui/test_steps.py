"""Behaviour of the step pages: safe focus, typed word, errors that stay, inputs that survive, equal weight of a no."""

from __future__ import annotations

import samples as s
from msgspec.structs import replace
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import Confirmed, Perform, PresenceAnswer, ScannedReceipt, WordsAnswer
from ui.ceremony.pages import page_for, page_key
from ui.ceremony.states import AbandonPage, DeviationPage
from ui.ceremony.step_up import StatementPage, StepUpPage
from ui.widgets.banner import Banner

STALE = Problem(code="answer-stale", what="Somebody else answered.", todo="Look at the page as it is now.")


def focus_of(page):
    """Where the keyboard is in this window; the offscreen platform may hold another window to be the active one."""
    return page.window().focusWidget()


def _answers(page) -> list:
    heard: list = []
    page.answered.connect(heard.append)
    return heard


def test_an_irreversible_act_waits_for_its_word(qtbot, show) -> None:
    page = page_for(s.ceremony("generate"))
    show(page)
    heard = _answers(page)
    assert focus_of(page) is page.safe
    assert not page.main.button.isEnabled()
    page.word.control.setFocus()
    QTest.keyClicks(page.word.control, "generat")
    assert not page.main.button.isEnabled()
    QTest.keyClicks(page.word.control, "e")
    assert page.main.button.isEnabled()
    QTest.keyClick(page.word.control, Qt.Key.Key_Return)
    QTest.keyClick(page.main.button, Qt.Key.Key_Return)
    assert heard == []
    QTest.keyClick(page.main.button, Qt.Key.Key_Space)
    assert heard == [Perform(step="generate", revision=40, confirmed="generate")]


def test_to_do_nothing_is_an_answer_with_a_visible_result(show) -> None:
    page = page_for(s.ceremony("generate"))
    show(page)
    page.word.set_text("generate")
    page.safe.click()
    assert page._waiting.isVisible()
    assert page.word.text() == ""


def test_a_busy_act_is_not_done_twice_and_keeps_the_focus(show) -> None:
    page = page_for(s.ceremony("welcome"))
    show(page)
    heard = _answers(page)
    page.main.button.click()
    page.set_busy(True)
    page.main.button.click()
    assert heard == [Confirmed(step="welcome", revision=40)]
    assert focus_of(page) is page.main.button


def test_a_stale_answer_loses_nothing_that_was_typed(show) -> None:
    view = s.ceremony("software")
    page = page_for(view)
    show(page)
    field = page.fields["read"]
    field.set_text("0123456789abcdef")
    page.set_busy(True)
    page.refuse(STALE)
    newer = replace(view, revision=44)
    assert page_key(newer) == page_key(view)
    page.refresh(newer)
    assert field.text() == "0123456789abcdef"
    assert page.problem.isVisible()
    heard = _answers(page)
    page.main.button.click()
    assert heard[0].revision == 44


def test_an_error_stays_while_one_types(show) -> None:
    page = page_for(s.ceremony("software"))
    show(page)
    page.main.button.click()
    field = page.fields["read"]
    assert field.error
    assert "invalid entry" in field.control.accessibleName()
    QTest.keyClicks(field.control, "abc")
    assert field.error
    assert focus_of(page) is field.control


def test_nobody_is_seated_in_advance(show) -> None:
    page = page_for(s.ceremony("presence"))
    show(page)
    page.set_people(s.people())
    assert not any(tick.isChecked() for tick, _combo, _person in page.lines)
    assert "k.goedel" not in [person.person.uid for _t, _c, person in page.lines]  # revoked
    page.lines[0][0].setChecked(True)
    heard = _answers(page)
    page.main.button.click()
    assert isinstance(heard[0], PresenceAnswer)
    assert [seat.uid for seat in heard[0].seats] == ["c.babbage"]


def test_they_differ_is_as_large_and_never_needs_words(show) -> None:
    page = page_for(s.ceremony("compare"))
    show(page)
    heard = _answers(page)
    assert page.differ.width() >= page.main.button.width()
    page.differ.click()
    assert heard == [WordsAnswer(step="compare", revision=40, differ=True)]


def test_the_words_to_compare_are_not_on_the_page(show) -> None:
    page = page_for(s.ceremony("compare"))
    window = show(page)
    texts = " ".join(w.text() for w in window.findChildren(type(page.main._said)))
    assert not any(f" {word} " in texts for word in s.WORDS)


def test_a_space_in_a_receipt_is_kept(show) -> None:
    page = page_for(s.ceremony("receipt"))
    show(page)
    heard = _answers(page)
    page._area.setPlainText("HSM1:AB C\r\n D \n")
    page.main.button.click()
    assert heard == [ScannedReceipt(step="receipt", revision=40, text="HSM1:AB C D ")]


def test_yes_and_no_weigh_the_same(show) -> None:
    page = StatementPage("Grace Hopper", s.STATEMENT, sign_off=True)
    show(page)
    decided: list[tuple[bool, str]] = []
    page.decided.connect(lambda yes, why: decided.append((yes, why)))
    assert page.no.button.width() == page.yes.button.width()
    assert page.no.button.property("look") == page.yes.button.property("look")
    page.no.button.click()
    assert decided == []
    assert page.because.error  # a dissent says why
    page.because.set_text("The clock was read twice.")
    page.no.button.click()
    assert decided == [(False, "The clock was read twice.")]


def test_the_passphrase_is_taken_out_of_the_field(qtbot, show, tmp_path) -> None:
    path = tmp_path / "g.hopper.p12"
    page = StepUpPage((s.seat("g.hopper"),), "why", lambda: [tmp_path / "a.turing.p12", path])
    show(page)
    proved: list = []
    page.proved.connect(lambda *found: proved.append(found))
    QTest.keyClicks(page.passphrase.control, "four unrelated words here")
    QTest.keyClick(page.passphrase.control, Qt.Key.Key_Return)
    assert proved[0][0] == path
    assert proved[0][1].reveal() == "four unrelated words here"
    assert page.passphrase.text() == ""
    assert "unrelated" not in repr(proved)


def test_a_deviation_needs_all_three_sentences(show) -> None:
    page = DeviationPage(s.ceremony("compare"))
    show(page)
    heard = _answers(page)
    page.expected.set_text("The seal is whole.")
    page.main.button.click()
    assert heard == []
    assert page.happened.error
    assert page.decided.error


def test_ending_begins_at_the_way_back(show) -> None:
    page = AbandonPage(s.ceremony("compare"))
    show(page)
    assert focus_of(page) is page.back


def test_the_window_stays_while_the_module_is_at_work(qtbot, theme) -> None:
    from ui.shell.window import Window

    window = Window(lambda: ("The module makes a key.",))
    qtbot.addWidget(window)
    window.show_page(page_for(s.ceremony("generate")))
    window.show()
    assert not window.close()
    assert window.isVisible()
    assert "makes a key" in window.page.problem.problem.key_state
    window._reasons_to_stay = tuple


def test_simulation_is_told_by_words_and_pattern(qtbot, theme) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    banner.tell(s.WORKSPACE)
    assert banner.text.startswith("SIMULATION")
    banner.resize(900, 38)
    image = banner.grab().toImage()
    assert len({image.pixel(x, 19) for x in range(200)}) > 2  # stripes, not one colour
