"""The room of the rules: what watches, how often it fired, what is usual."""

from __future__ import annotations

from typing import Any

import pytest
import watch_pages as w
from places import DENIED, Gateway, settle
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from standins import words

from ui.audit.rules import KEYS, PEOPLE, RulesPage


@pytest.fixture
def gateway() -> Gateway:
    made = Gateway()
    made.answers = {"GET /v1/alerts/rules": w.rules(), "GET /v1/alerts/usual": w.usual()}
    return made


@pytest.fixture
def page(qtbot: Any, theme: Any, calls: Any, gateway: Gateway) -> RulesPage:
    made = RulesPage(gateway, calls)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(1280, 800)
    made.show()
    settle(lambda: made.model.rowCount() > 0)
    return made


def row_of(page: RulesPage, text: str) -> int:
    """The row that says this."""
    cells = range(page.model.columnCount())
    return next(
        n
        for n in range(page.model.rowCount())
        if any(text == page.model.data(page.model.index(n, column)) for column in cells)
    )


def test_every_rule_stands_there_with_how_often_it_fired(page: RulesPage) -> None:
    assert page.model.rowCount() == len(w.shipped())
    levels = [page.model.data(page.model.index(n, 2)) for n in range(page.model.rowCount())]
    assert levels == sorted(levels, key=["Critical", "High", "Medium", "Low"].index)
    at = row_of(page, "Several wrong PINs")
    assert [page.model.data(page.model.index(at, column)) for column in (0, 3)] == ["On", "2 times"]
    page.table.selectRow(at)
    said = words(page)
    assert "The PIN of the HSM was wrong three times within fifteen minutes." in said
    assert "Stop trying." in said
    assert "A person who mistypes" in said
    assert "33 rules are on. They have judged all 1,204 records." in said


def test_the_newest_alert_of_a_rule_is_one_press_away(page: RulesPage, qtbot: Any) -> None:
    page.table.selectRow(row_of(page, "Several wrong PINs"))
    from PySide6.QtWidgets import QPushButton

    link = next(b for b in page.findChildren(QPushButton) if "record 812" in b.text())
    with qtbot.waitSignal(page.record_asked) as asked:
        link.click()
    assert asked.args == [812]


def test_the_keyboard_alone_reads_all_rules(page: RulesPage) -> None:
    page.table.setFocus()
    page.table.selectRow(0)
    met = []
    for _ in range(page.model.rowCount()):
        met.append(next(text for text in words(page).splitlines() if text in _titles()))
        QTest.keyClick(page.table, Qt.Key.Key_Down)
    assert sorted(met) == sorted(_titles())


def _titles() -> list[str]:
    return [rule.title for rule in w.shipped()]


def test_what_cannot_be_used_or_failed_comes_first(page: RulesPage, gateway: Gateway) -> None:
    broken = w.rules(w.BAD_FILE, export_burst={"fault": "KeyError at entry 7"})
    gateway.answers["GET /v1/alerts/rules"] = broken
    page.again.pressed.emit()
    settle(lambda: "night-shift.yml" in words(page))
    assert page.model.data(page.model.index(0, 0)) == "Failed"
    assert page.model.data(page.model.index(0, 1)) == "Many exports in a short time"
    assert "KeyError at entry 7" in words(page)
    assert w.BAD_FILE.todo in words(page)


def test_habits_are_told_in_words(page: RulesPage) -> None:
    page.turn(KEYS)
    settle(lambda: page.model.rowCount() == 4)
    assert [page.model.data(page.model.index(0, n)) for n in range(5)] == [
        "invoice-signing-01", "07:00 to 19:00", "09:00 to 12:00", "38 a minute", "142 days"]  # fmt: skip
    page.table.selectRow(1)
    said = words(page)
    assert "61 uses, nearly all at 22:00 to 02:00" in said
    assert "raises no alert yet: that needs seven days and 10 minutes of use" in said
    page.table.selectRow(3)
    assert "unknown, id d4d4d4d4d4d4d4d4" in words(page)
    page.turn(PEOPLE)
    settle(lambda: page.model.rowCount() == 4 and "c.babbage" in words(page))
    assert "80 log-ins, nearly all at 08:00 to 17:00" in words(page)


def test_an_answer_that_comes_after_another_choice_is_not_shown(page: RulesPage) -> None:
    page.turn(KEYS)
    page.show_rules(w.rules())
    settle(lambda: page.model.rowCount() == 4)
    page.turn("rules")
    page.show_usual(w.usual())
    settle(lambda: page.model.rowCount() == len(w.shipped()))


def test_a_refusal_is_told_and_looking_again_mends_it(page: RulesPage, gateway: Gateway) -> None:
    gateway.problem = DENIED
    page.again.pressed.emit()
    settle(lambda: page.problem.problem is not None)
    assert not page.again.working
    gateway.problem = None
    page.again.pressed.emit()
    settle(lambda: page.problem.problem is None and page.model.rowCount() > 0)
