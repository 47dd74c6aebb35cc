"""Enrolling and unlocking on the screen, against the real gateway."""

from __future__ import annotations

from collections.abc import Callable

from ui.login.unlock import UnlockPage

HERS = "seven violet lanterns drift"


def _here(house) -> None:
    house.log_in()
    house.wait("Good day, Charlotte Babbage")
    house.page.unlock_asked.emit()


def test_a_wrong_pin_leads_to_one_page_of_warning_and_the_right_one_unlocks(open_house: Callable) -> None:
    house = open_house()
    _here(house)
    for n in range(20):
        house.unlock(pin=f"99999-no-{n}")
        page = house.page
        house.qtbot.waitUntil(
            lambda page=page: house.page is not page or (page.problem.problem is not None and not page.main.working),
            timeout=20_000,
        )
        house.qtbot.wait(300)
        if house.page.title == "Stop before you type the PIN":
            break
        assert isinstance(house.page, UnlockPage)
        assert house.page.problem.problem.code.startswith("pin-")
    page = house.wait("Stop before you type the PIN")
    assert page.problem.problem.code.startswith("pin-"), "what was refused stays said"
    page.word.control.setText("certain")
    page.go.click()
    house.unlock()
    house.wait("Good day, Charlotte Babbage")
    house.qtbot.waitUntil(lambda: "The module is unlocked" in house.words(), timeout=10_000)


def test_the_new_person_types_her_passphrase_and_logs_in_with_it(open_house: Callable) -> None:
    house = open_house()
    _here(house)
    house.unlock()
    house.wait("Good day, Charlotte Babbage")
    house.console.go("people")
    house.wait("People").enrol_asked.emit()
    page = house.wait("Enrol a person")
    page.name.set_text("Barbara Liskov")
    page.uid.set_text("b.liskov")
    next(tick for role, tick in page.roles.items() if role == "witness").setChecked(True)
    page.one.set_text(HERS)
    page.two.set_text(HERS)
    page.main.button.click()
    house.wait("People")
    house.qtbot.waitUntil(lambda: "Barbara Liskov is enrolled." in house.words(), timeout=10_000)
    house.console.log_off()
    house.log_in("b.liskov", HERS)
    house.wait("Good day, Barbara Liskov")
