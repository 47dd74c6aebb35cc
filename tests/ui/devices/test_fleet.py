"""Several modules: who serves, adding and taking off, which keys lie where; and the road between the pages."""

from __future__ import annotations

import fleet_pages as f
import places
import pytest
import work_pages as w
from PySide6.QtWidgets import QPushButton
from standins import emitted, refusing, words

from hsm_console.domain.messages.devices import AddDevice
from hsm_console.domain.messages.orders import OpenOrder
from ui.devices import fleet_words
from ui.devices.changing import AddPage, RemovePage
from ui.devices.comparing import FOUND, ComparePage
from ui.devices.fleet import FleetPage
from ui.devices.page import DevicePage
from ui.devices.road import DeviceRoad
from ui.login.unlock import UnlockPage


@pytest.mark.parametrize(
    ("rows", "said", "look"),
    [
        ((f.row(),), "One module serves. If it fails, nothing takes its place.", "done"),
        ((f.row(), f.row("b")), "“token-primary” and “b” serve.", "done"),
        ((f.row(), f.row("b", state="down")), "Only “token-primary” serves now.", "notice"),
        ((f.row(), f.row("b", unlocked=False)), "Only “token-primary” serves now.", "notice"),
        ((f.row(state="latched"), f.row("b", unlocked=False)), "No module serves now", "problem"),
    ],
)
def test_who_would_go_on_if_one_failed(theme, rows, said, look):
    found = fleet_words.failover(f.fleet(*rows))
    assert found.words.startswith(said)
    assert found.look == look


def test_states_differ_by_words_and_icon_not_by_colour_alone(theme):
    said = [fleet_words.state(row) for row in f.fleet().devices]
    assert len({found.words for found in said}) == len(said)
    assert len({found.icon for found in said}) == len(said)


def test_the_list_changes_in_place(qtbot, show):
    page = FleetPage(f.MAY)
    show(page)
    page.show_fleet(f.fleet(f.row(), f.row("b")))
    qtbot.waitUntil(page._tiles["primary"].hasFocus)
    tile = page._tiles["b"]
    tile.setFocus()
    page.show_fleet(f.fleet(f.row(), f.row("b", state="down")))
    assert page._tiles["b"] is tile
    assert page.window().focusWidget() is tile
    assert "It does not answer." in tile.accessibleDescription()
    assert "Only “token-primary” serves now." in words(page)


def test_a_long_list_says_what_each_lacks(show):
    page = FleetPage(f.MAY)
    show(page)
    page.show_fleet(f.fleet())
    said = words(page)
    for text in ("7 calls wait", "“geneva” does not answer any more.", "carries the log's key", "region eu-bern"):
        assert text in said
    assert "prefers modules there" in said


# -- add, take off ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("name", "Zürich 2", "Small letters, digits and hyphens"),
        ("name", "", "Small letters, digits and hyphens"),
        ("label", "", "Type the token's label"),
        ("weight", "-1", "Type a number from 0 to 1000."),
        ("weight", "1001", "Type a number from 0 to 1000."),
    ],
)
def test_wrong_input_is_said_at_its_field_and_kept(show, field, text, said):
    page = AddPage("softhsm")
    show(page)
    asked = emitted(page.asked)
    page.name.set_text("zurich-2")
    page.label.set_text("second")
    getattr(page, field).set_text(text)
    page.main.button.click()
    assert asked == []
    assert said in getattr(page, field).error
    assert getattr(page, field).text() == text
    assert page.window().focusWidget() is getattr(page, field).control


def test_settings_are_lines_of_name_and_value(show):
    page = AddPage("softhsm")
    show(page)
    asked = emitted(page.asked)
    page.name.set_text("zurich-2")
    page.label.set_text("second")
    page.options.setPlainText("module=/usr/lib/libsofthsm2.so\nnonsense\n")
    page.main.button.click()
    assert asked == []
    page.options.setPlainText("\n module = /usr/lib/lib=x.so \n")
    page.main.button.click()
    wish = AddDevice(name="zurich-2", adapter="softhsm", label="second", options={"module": "/usr/lib/lib=x.so"})
    assert asked == [wish]


def test_taking_off_begins_with_the_safe_answer(show):
    page = RemovePage(f.row("zurich-2"))
    show(page)
    assert page.window().focusWidget() is page.safe
    left, asked = emitted(page.left), emitted(page.asked)
    page.safe.click()
    assert (len(left), asked) == (1, [])


# -- comparing -------------------------------------------------------------------------------------------------


def test_what_is_not_right_stands_first_and_in_words(show):
    page = ComparePage()
    show(page)
    page.show_fleet(f.fleet(keys=f.findings()))
    found = [page.model.data(page.model.index(n, FOUND)) for n in range(page.model.rowCount())]
    assert found == [
        "ANOTHER KEY lies under this id on “zurich-2”",
        "foreign: the log knows no such key",
        "missing on “zurich-2”",
        "everywhere where it should be",
    ]
    assert "1 with ANOTHER key under the same id, 1 foreign, 1 missing somewhere." in words(page)
    page.table.selectRow(2)
    assert "It may be copied under a wrapping key." in words(page)


def test_nobody_has_compared_yet(show):
    page = ComparePage()
    show(page)
    page.show_fleet(f.fleet())
    assert "Nobody has compared them since the gateway started." in words(page)
    assert not page.table.isVisible()


# -- the road --------------------------------------------------------------------------------------------------


@pytest.fixture
def road(qtbot, window, desk, gateway):
    made: list[DeviceRoad] = []

    def start(fleet=None, about=None):
        gateway.answers |= {
            "GET /v1/devices": fleet or f.fleet(),
            "GET /v1/device": places.device(unlocked=True),
        }
        made.append(DeviceRoad(window, desk, about))
        qtbot.waitUntil(lambda: isinstance(window.page, DevicePage) or bool(getattr(window.page, "_tiles", ())))
        return made[0]

    yield start
    made[0].leave()


def test_the_only_module_is_shown_at_once(qtbot, road, window):
    road(f.only())
    assert isinstance(window.page, DevicePage)
    qtbot.waitUntil(window.page.probe.button.hasFocus)
    assert window.page.more.isVisible()
    assert not window.page.back.isVisible()
    qtbot.waitUntil(lambda: "none: this is a simulation" in words(window.page))


def test_a_beat_asks_once_and_shows_what_changed(qtbot, road, window, gateway):
    made = road()
    gateway.answers["GET /v1/devices"] = f.fleet(*(f.row(d.name, state="down") for d in f.fleet().devices))
    before = len(gateway.asked)
    made.beat()
    made.beat()
    qtbot.waitUntil(lambda: "No module serves now" in words(window.page))
    assert gateway.asked[before:] == ["GET /v1/devices"]


def test_a_module_that_was_taken_off_elsewhere_is_said(qtbot, road, window, gateway):
    made = road(about="geneva")
    qtbot.waitUntil(lambda: isinstance(window.page, DevicePage))
    gateway.answers["GET /v1/devices"] = f.fleet(f.row(), f.row("zurich-2"))
    made.beat()
    qtbot.waitUntil(lambda: "“geneva” was taken off the list." in words(window.page))


def test_asking_a_latched_one_tells_how_it_is_now(qtbot, road, window, gateway):
    road(about="oslo")
    qtbot.waitUntil(lambda: isinstance(window.page, DevicePage))
    gateway.answers["POST /v1/devices/oslo/probe"] = f.row("oslo")
    window.page.probe.button.click()
    qtbot.waitUntil(lambda: "In order: it serves." in words(window.page))
    gateway.answers["POST /v1/devices/oslo/probe"] = refusing(f.GONE)
    window.page.probe.button.click()
    qtbot.waitUntil(lambda: window.page.problem.problem == f.GONE)


def test_each_module_is_unlocked_with_its_own_pin(qtbot, road, window, desk, gateway):
    road(about="bern")
    qtbot.waitUntil(lambda: isinstance(window.page, DevicePage))
    window.page.unlock.click()
    qtbot.waitUntil(lambda: isinstance(window.page, UnlockPage))
    page = window.page
    assert page.title == "Unlock the module “bern”"
    assert "has not said how many attempts are left" in words(page)
    given: list[str] = []

    def unlocked(body):
        given.append(body.pin)
        return f.row("bern")

    gateway.answers["POST /v1/devices/bern/unlock"] = unlocked
    gateway.answers["GET /v1/devices"] = f.fleet(f.row(), f.row("bern"))
    page.pin.set_text("24680-bern")
    page.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, DevicePage))
    assert given == ["24680-bern"]
    assert window.page.name == "bern"


def test_what_was_typed_stays_when_the_new_module_does_not_answer(qtbot, road, window, gateway):
    road()
    window.page.more.click()
    page = window.page
    page.name.set_text("basel")
    page.label.set_text("third")
    gateway.answers["POST /v1/devices"] = refusing(f.GONE)
    page.main.button.click()
    qtbot.waitUntil(lambda: page.problem.problem == f.GONE)
    assert page.name.text() == "basel"
    gateway.answers["POST /v1/devices"] = f.row("basel")
    page.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, FleetPage))
    assert "“basel” is on the list." in words(window.page)


def test_taking_one_off_comes_back_to_the_list(qtbot, road, window, gateway):
    road(about="geneva")
    qtbot.waitUntil(lambda: isinstance(window.page, DevicePage))
    window.page.remove.click()
    assert isinstance(window.page, RemovePage)
    gateway.answers["DELETE /v1/devices/geneva"] = f.fleet(f.row(), f.row("zurich-2"))
    gateway.answers["GET /v1/devices"] = f.fleet(f.row(), f.row("zurich-2"))
    window.page.main.button.click()
    qtbot.waitUntil(lambda: "Its keys stay in it." in words(window.page))


def test_comparing_shows_what_was_found(qtbot, road, window, gateway):
    road()
    window.page.compare.click()
    page = window.page
    gateway.answers["POST /v1/devices/comparison"] = f.fleet(keys=f.findings())
    page.main.button.click()
    qtbot.waitUntil(lambda: page.model.rowCount() == len(f.findings()))
    assert not page.main.working


def test_a_copy_is_asked_for_where_a_key_is_missing(qtbot, road, window, gateway):
    opened: list = []
    made = road(f.fleet(f.row(), f.row("zurich-2"), keys=f.findings()))
    gateway.answers["POST /v1/orders"] = lambda body: (opened.append(body), w.order())[1]
    went = emitted(made.go_asked)
    window.page.compare.click()
    page = window.page
    page.table.selectRow(0)
    assert not copies(page), "another key lies there: nothing is copied over it"
    page.table.selectRow(2)
    assert [b.text() for b in copies(page)] == ["Ask for a copy on “zurich-2”…"]
    copies(page)[0].click()
    assert "invoice-signing-01" in words(window.page)
    window.page.main.button.click()
    qtbot.waitUntil(lambda: bool(went))
    assert opened == [OpenOrder(action="replicate-key", parameters={"key": "a1" * 16, "device": "zurich-2"})]


def copies(page):
    return [b for b in page.findChildren(QPushButton) if "copy on" in b.text()]
