"""Making, destroying, taking out, bringing in: forms that keep what was typed and do nothing by themselves."""

from __future__ import annotations

import threading

import fleet_pages as f
import places
import pytest
import samples as s
import work_pages as w
from PySide6.QtCore import Qt
from standins import emitted, refusing, words

from hsm_console.domain.keys import Algorithm
from hsm_console.domain.messages.devices import FleetView
from hsm_console.domain.messages.orders import OpenOrder, OrderKindView
from hsm_console.domain.messages.work import DESTROY_KEY, GENERATE_KEYS
from ui.keys.ending import DestroyPage
from ui.keys.leaving import UnwrapPage, WrapPage
from ui.keys.making import MakePage
from ui.keys.road import KeyRoad
from ui.orders.check import CheckPage

# -- making ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "name", "said"),
    [
        ("0", "key", "Type a number from 1 to 1000."),
        ("1001", "key", "Type a number from 1 to 1000."),
        ("a few", "key", "Type a number from 1 to 1000."),
        ("٣", "key", "Type a number from 1 to 1000."),
        ("5", "key", "Write key-{nn}"),
        ("1", "", "A name has 1 to 64"),
        ("1", "../../etc", "A name has 1 to 64"),
        ("1", "k" * 65, "A name has 1 to 64"),
    ],
)
def test_wrong_input_is_said_at_its_field_and_kept(show, count, name, said):
    page = MakePage(w.offers(), {})
    show(page)
    filled = emitted(page.filled)
    page.count.set_text(count)
    page.name.set_text(name)
    page.check.click()
    assert filled == []
    assert said in words(page)
    assert (page.count.text(), page.name.text()) == (count, name)
    assert page.window().focusWidget() in (page.count.control, page.name.control)


def test_what_is_filled_in_becomes_the_orders_parameters(show):
    page = MakePage(w.offers(), {})
    show(page)
    filled = emitted(page.filled)
    page.count.set_text("5")
    page.name.set_text("invoice-signing-{nn}")
    assert "They will be called: invoice-signing-01, invoice-signing-02, … invoice-signing-05" in words(page)
    page.check.click()
    assert filled == [w.MAKE_FIVE]


def test_only_kinds_that_can_do_it_are_offered(show):
    page = MakePage(w.offers(), {})
    show(page)
    at = next(i for i in range(page.purpose.control.count()) if page.purpose.control.itemData(i) == "wrap")
    page.purpose.control.setCurrentIndex(at)
    assert [page.kind.control.itemData(i).algorithm for i in range(page.kind.control.count())] == [Algorithm.AES_256]


def test_a_software_key_is_called_one_and_cannot_be_taken_out(show):
    page = MakePage(w.offers(), {"algorithm": "ml-dsa-65", "usages": "sign", "label": "pq", "extractable": "yes"})
    show(page)
    assert "This is a software key." in words(page)
    assert not page.extractable.isVisible()
    filled = emitted(page.filled)
    page.check.click()
    assert filled[0]["extractable"] == "no"


# -- destroying ------------------------------------------------------------------------------------------------


def test_destroying_has_the_safe_answer_first_and_enter_does_nothing(qtbot, show):
    page = DestroyPage(s.key())
    show(page)
    asked = emitted(page.asked)
    assert page.window().focusWidget() is page.safe
    qtbot.keyClick(page.safe, Qt.Key.Key_Return)
    assert not page.main.button.isEnabled()
    qtbot.keyClicks(page.word.control, "destroy")
    qtbot.keyClick(page.word.control, Qt.Key.Key_Return)
    assert asked == []
    page.main.button.click()
    page.main.button.click()
    assert asked == [()], "once, and nothing is left anywhere"


def test_keeping_the_key_is_an_answer_that_is_seen(show):
    page = DestroyPage(s.key())
    show(page)
    page.word.set_text("destroy")
    page.safe.click()
    assert "Nothing has been asked. The key stays as it is." in words(page)
    assert not page.main.button.isEnabled()


def test_a_refusal_stays_and_keeps_the_word(show):
    page = DestroyPage(s.key())
    show(page)
    page.word.set_text("destroy")
    page.main.button.click()
    page.refuse(places.DENIED)
    assert not page.main.working
    assert page.word.text() == "destroy"
    assert places.DENIED.what in words(page)


def test_what_is_left_in_other_modules_is_chosen_one_by_one_and_said(show):
    page = DestroyPage(s.key(), (f.row("zurich-2"), f.row("bern & co", unlocked=False)))
    show(page)
    asked = emitted(page.asked)
    assert page.left_in == (), "it goes everywhere unless somebody says otherwise"
    assert "nobody can see whether a copy lies there" in page.copies["bern & co"].accessibleDescription()
    assert page.copies["zurich-2"].accessibleDescription() == ""
    assert page.copies["bern & co"].text() == "Leave what is in “bern && co”", "a name underlines nothing"
    page.copies["bern & co"].setChecked(True)
    assert "If a copy lies in “bern & co”, it lives on there." in words(page)
    page.word.set_text("destroy")
    page.main.button.click()
    assert asked == [("bern & co",)]


def test_without_further_modules_there_is_nothing_to_leave(show):
    page = DestroyPage(s.key())
    show(page)
    assert page.copies == {}
    assert "Copies in other modules" not in words(page)


# -- leaving and coming in -------------------------------------------------------------------------------------


def test_without_a_wrapping_key_nothing_can_be_taken_out(show):
    page = WrapPage(s.key(), [])
    show(page)
    assert "There is no key that may wrap others." in words(page)
    filled = emitted(page.filled)
    page._go()
    assert filled == []


def test_bringing_in_says_what_is_missing_and_keeps_the_rest(show, tmp_path):
    wrapping = w.several()[5]
    page = UnwrapPage([wrapping], w.offers())
    show(page)
    filled = emitted(page.filled)
    page._go()
    assert page.file.field.error == "Choose a file first."
    page.file.set_path(tmp_path / "wrapped.kwp")
    page._go()
    assert page.name.error == "Give it a name."
    assert page.file.path() == tmp_path / "wrapped.kwp"
    page.name.set_text("partner-key")
    page._go()
    values, path = filled[0]
    assert values == {"under": wrapping.object_id, "algorithm": "ec-p384", "label": "partner-key", "usages": "sign"}
    assert path == tmp_path / "wrapped.kwp"


# -- the road --------------------------------------------------------------------------------------------------


def kinds(*actions: str) -> list[OrderKindView]:
    return [
        OrderKindView(action=a, title=a, parameters={}, needs_quorum=True, irreversible=False, may_open=True)
        for a in actions
    ]


@pytest.fixture
def road(qtbot, window, desk, gateway):
    gateway.answers |= {
        "GET /v1/keys": w.several(),
        "GET /v1/order-kinds": kinds(*w.MAY),
        "GET /v1/work/offers": w.offers(),
        "GET /v1/devices": FleetView(devices=()),
    }
    for key in w.several():
        gateway.answers[f"GET /v1/work/keys/{key.object_id}"] = w.detail(key)
    made = KeyRoad(window, desk)
    qtbot.waitUntil(lambda: window.page.model.rowCount() > 0 and window.page.make.isVisible())
    yield made
    made.leave()


def test_an_order_is_opened_only_after_check_and_confirm(qtbot, road, window, gateway):
    opened: list[OpenOrder] = []
    gateway.answers["POST /v1/orders"] = lambda body: (opened.append(body), w.order())[1]
    went = emitted(road.go_asked)
    window.page.make.click()
    qtbot.waitUntil(lambda: isinstance(window.page, MakePage))
    form = window.page
    form.count.set_text("5")
    form.name.set_text("invoice-signing-{nn}")
    form.check.click()
    check = window.page
    assert isinstance(check, CheckPage)
    assert "Nothing has been done yet." in words(check)
    assert opened == []
    check.change_asked.emit()
    assert window.page is form
    assert form.name.text() == "invoice-signing-{nn}", "everything typed is still there"
    form.check.click()
    window.page.main.button.click()
    qtbot.waitUntil(lambda: bool(went))
    assert opened == [OpenOrder(action=GENERATE_KEYS, parameters=w.MAKE_FIVE)]
    assert went == [("orders", w.order().id)]


@pytest.mark.parametrize(("left", "parameters"), [((), {}), (("zurich-2", "bern"), {"leave": "zurich-2,bern"})])
def test_the_order_names_the_modules_that_are_left(qtbot, road, window, gateway, left, parameters):
    opened: list[OpenOrder] = []
    gateway.answers["POST /v1/orders"] = lambda body: (opened.append(body), w.order())[1]
    gateway.answers["GET /v1/devices"] = f.fleet(f.row(), f.row("zurich-2"), f.row("bern", unlocked=False))
    key = w.several()[2]
    window.page.opened.emit(key)
    window.page.destroy_asked.emit()
    qtbot.waitUntil(lambda: isinstance(window.page, DestroyPage))
    page = window.page
    assert list(page.copies) == ["zurich-2", "bern"], "the first module is no choice: there it goes last"
    for name in left:
        page.copies[name].setChecked(True)
    page.word.set_text("destroy")
    page.main.button.click()
    qtbot.waitUntil(lambda: bool(opened))
    assert opened == [OpenOrder(action=DESTROY_KEY, parameters={"key": key.object_id} | parameters)]


def test_a_refused_order_stays_on_the_check_page(qtbot, road, window, gateway):
    gateway.answers["POST /v1/orders"] = refusing(w.FULL)
    road._check("Make keys", GENERATE_KEYS, w.MAKE_FIVE, "")
    page = window.page
    page.main.button.click()
    qtbot.waitUntil(lambda: page.problem.problem == w.FULL)
    assert not page.main.working


def test_a_wrapped_key_that_cannot_be_read_is_said_at_its_field(qtbot, road, window, gateway, tmp_path):
    window.page.bring.click()
    qtbot.waitUntil(lambda: isinstance(window.page, UnwrapPage))
    page = window.page
    page.file.set_path(tmp_path / "gone.kwp")
    page.name.set_text("partner-key")
    page._go()
    qtbot.waitUntil(lambda: "There is no file" in page.file.field.error)
    assert page.name.text() == "partner-key"
    assert not [asked for asked in gateway.asked if asked == "POST /v1/orders"]


def test_the_keys_own_page_tells_what_it_may(qtbot, road, window):
    window.page.opened.emit(w.several()[6])
    page = window.page
    qtbot.waitUntil(page.use.isVisible)
    went = emitted(road.go_asked)
    page.use.click()
    assert went[0][0] == "use"
    page.left.emit()
    assert window.page.title == "Keys"


def test_an_answer_for_a_place_that_was_left_changes_nothing(qtbot, road, window, gateway, calls):
    going, asked = threading.Event(), threading.Event()

    def slow(_body):
        asked.set()
        going.wait(5)
        return []

    gateway.answers["GET /v1/keys"] = slow
    road.look()
    assert asked.wait(5)
    road.leave()
    going.set()
    qtbot.waitUntil(lambda: not calls._waiting)
    assert window.page.model.rowCount() == len(w.several())
