"""The window that only watches: what it asks for, what it shows, and that it never goes on without saying so."""

from __future__ import annotations

import pytest
import samples as s
from places import DENIED, settle
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QLabel
from standins import emitted, refusing
from witness_pages import CHECKPOINT, HEAD, watching

from hsm_console.domain.errors import ConsoleError, Problem
from ui.witness.look import held, look, signed_root
from ui.witness.page import WitnessPage
from ui.witness.room import Witness

GONE = Problem(code="session-ended", what="This session is over.", todo="Log in again.")


def seen(widget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel) if label.isVisibleTo(widget))


@pytest.fixture
def house(gateway):
    """A gateway at which a ceremony is held."""
    gateway.answers["GET /v1/ceremonies"] = s.summaries()
    gateway.answers["GET /v1/ceremonies/a"] = s.ceremony("authorise")
    return gateway


@pytest.fixture
def room(window, desk, house):
    made = Witness(window, desk)
    yield made
    made.close()


@pytest.fixture
def shown(room):
    log_in(room)
    settle(lambda: room.window.page.title == "What the log has recorded" and "Last looked" in seen(room.window.page))
    return room


def log_in(room) -> None:
    page = room.window.page
    page.credential.suggest("w.diffie")
    page.passphrase.set_text("her own words")
    page.main.button.click()


def test_whoever_watches_logs_in_herself_and_acts_nowhere(shown, desk, house):
    assert desk.watched == ["w.diffie"]
    assert list(desk.book) == [house], "she is not among those who act"
    assert {request.split(" ")[0] for request in house.asked} == {"GET"}


def test_it_shows_step_next_person_records_and_banner(shown, house):
    settle(lambda: str(house.size - 1) in seen(shown.window.page))
    said = seen(shown.window.page)
    view = s.ceremony("authorise")
    assert f"Step {view.position} of {len(view.steps)}" in said
    assert "Next: Grace Hopper and Emmy Noether" in said
    assert "SIMULATION" in shown.window.banner.text
    assert shown.window.rail.isVisible()


def test_close_is_the_only_act(shown):
    acts = [b.text() for b in shown.window.findChildren(QAbstractButton) if b.isVisible()]
    assert acts == ["Close this &window"]


def test_records_come_by_themselves(shown, house):
    house.size += 3
    settle(lambda: str(house.size - 1) in seen(shown.window.page), ms=5000)


def test_closing_logs_off(shown, desk, qtbot):
    closed = emitted(shown.closed)
    shown.window.page.main.click()
    assert len(closed) == 1
    assert [session.greeting.person.uid for session in desk.left] == ["w.diffie"]


def test_closed_during_the_log_in_nobody_stays(qtbot, room, desk):
    log_in(room)
    room.close()
    settle(lambda: [session.greeting.person.uid for session in desk.left] == ["w.diffie"])


def test_a_lost_gateway_is_said_and_nothing_is_asked_any_more(shown, desk, house):
    session = shown._session
    desk.session_ended.emit(session, GONE)
    settle(lambda: "process has ended" in seen(shown.window.page))
    said = seen(shown.window.page)
    assert "does not follow the log any more" in said
    assert "follows the log by itself" not in said
    assert "Next: Grace Hopper" in said, "what was seen stays readable"
    assert not shown._again.isActive()
    assert desk.left == [session]


def test_the_end_of_somebody_else_changes_nothing(shown, desk, house):
    desk.session_ended.emit(house, GONE)
    assert shown.window.page.problem.problem is None
    assert shown._session is not None


def test_a_refusal_to_show_records_is_asked_for_once(shown, house, monkeypatch):
    monkeypatch.setattr(house, "_entries", refusing(DENIED))
    house.asked.clear()
    house.size += 1
    settle(lambda: "The records are not shown." in seen(shown.window.page), ms=5000)
    before = sum("entries" in request for request in house.asked)
    house.size += 1
    settle(lambda: shown._size == house.size, ms=5000)
    assert sum("entries" in request for request in house.asked) == before == 1
    assert shown.window.page.problem.problem == DENIED, "it stays"


def test_a_look_that_found_nothing_new_reads_nothing(house):
    found = look(house, house.size)
    assert not found.grew
    assert len(house.asked) == 1
    assert "wait_ms=2000" in house.asked[0]


def test_a_look_raises_when_the_session_is_over(house, monkeypatch):
    monkeypatch.setattr(house, "_entries", refusing(GONE))
    with pytest.raises(ConsoleError):
        look(house, -1)


def test_the_ceremony_that_is_held_comes_first():
    opened, done = s.summaries()
    assert held([done, opened]) is opened
    assert held([done]) is done
    assert held([]) is None


def test_the_root_is_read_from_the_checkpoint():
    assert signed_root(CHECKPOINT) == s.FINGERPRINT
    for nonsense in ("", "aurora/log\n41", "aurora/log\n41\n%%%\n"):
        assert signed_root(nonsense) == ""


def test_the_signed_head_and_its_records_are_told_to_readers(qtbot, theme):
    page = watching()
    qtbot.addWidget(page)
    said = seen(page)
    assert "41 records are signed; 3 newer ones wait" in said
    names = [w.accessibleName() for w in page.findChildren(QLabel) + page.findChildren(type(page.bar))]
    assert any(name.startswith("Root of the signed head: ") for name in names)
    assert any(name.startswith("Record 43: ") and "not yet signed" in name for name in names)
    assert any(name.startswith("Record 40: ") and name.endswith("(signed)") for name in names)


def test_nothing_signed_and_nothing_opened_are_said(qtbot, theme):
    page = WitnessPage("Wilhelmina Diffie", workspace="Aurora")
    qtbot.addWidget(page)
    assert "No ceremony" not in seen(page), "not before the gateway told so"
    page.show_view(None)
    page.show_head(type(HEAD)(size=3, checkpoint="", checkpoint_size=0, last_kind=""))
    assert "No head was signed yet." in seen(page)
    assert "No ceremony was opened yet." in seen(page)


def test_the_page_is_read_to_its_end_by_keyboard(show, qtbot):
    window = show(watching())
    window.resize(900, 420)
    bar = window.page.area.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0)
    before = bar.value()
    qtbot.keyClick(window.page.main, Qt.Key.Key_PageDown)
    assert bar.value() > before


def test_the_header_opens_it_once(qtbot, window, desk):
    from ui.console import Console

    console = Console(window, desk)
    qtbot.keyClick(window, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    first = console._witness
    assert first is not None
    console.watch()
    assert console._witness is first
    first.close()
    assert console._witness is None
    window.show_places(shown=False)
    qtbot.keyClick(window, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    assert console._witness is None, "nobody is logged in"
