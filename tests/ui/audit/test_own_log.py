"""The room of the module's own log: asked of the module or from a file, told in words with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import samples as s
import watch_pages as w
from places import Gateway, settle
from PySide6.QtWidgets import QPushButton
from standins import words

from hsm_console.domain.errors import Problem
from ui.audit.own_log import OwnLogPage

PATH = "/v1/device/log-comparison"
BEFORE = (w.past(), w.past(1_020, *w.FINDINGS[:1], by="Kurt Gödel", source="file"))


@pytest.fixture
def gateway() -> Gateway:
    made = Gateway()
    made.answers = {f"GET {PATH}": w.standing(*BEFORE), f"POST {PATH}": w.report()}
    return made


@pytest.fixture
def page(qtbot: Any, theme: Any, calls: Any, gateway: Gateway) -> OwnLogPage:
    made = OwnLogPage(gateway, calls)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.resize(1100, 900)
    made.show()
    settle(lambda: "Kurt Gödel" in words(made))
    return made


def test_what_was_found_before_stands_there(page: OwnLogPage, qtbot: Any) -> None:
    said = words(page)
    assert f"Module {w.SERIAL} is unlocked." in said
    assert "compared by the gateway by itself" in said
    assert "One thing differed" in said
    link = next(b for b in page.findChildren(QPushButton) if b.text() == "Record 1020")
    with qtbot.waitSignal(page.record_asked) as asked:
        link.click()
    assert asked.args == [1_020]


def test_the_module_is_asked_and_nothing_differs(page: OwnLogPage, gateway: Gateway) -> None:
    page.ask.pressed.emit()
    settle(lambda: "Nothing differs" in words(page))
    assert "41: 26 match a record of this log, 15 are the console's own work" in words(page)
    assert not page.ask.working
    assert gateway.asked.count(f"GET {PATH}") == 2, "the list below is asked for again"


def test_each_kind_of_finding_says_what_to_do_once(page: OwnLogPage, gateway: Gateway) -> None:
    gateway.answers[f"POST {PATH}"] = w.report(*w.FINDINGS)
    page.ask.pressed.emit()
    settle(lambda: "3 things differed" in words(page))
    said = words(page)
    assert "The device signed with the key “invoice-signing-01” (its record 4812)" in said
    assert said.count("Somebody used the module without asking here.") == 1
    assert said.count("The module denies it") == 1
    assert "SHADOW-OP" not in said, "words of the trade are for the record"


def test_the_first_look_is_called_what_it_is(page: OwnLogPage, gateway: Gateway) -> None:
    gateway.answers[f"POST {PATH}"] = w.report(beginning=True, matched=0)
    page.ask.pressed.emit()
    settle(lambda: "The first look" in words(page))
    assert "Nothing differs" not in words(page)


def test_a_file_is_sent_with_its_name(page: OwnLogPage, gateway: Gateway, tmp_path: Path) -> None:
    file, sent = tmp_path / "luna.csv", []
    file.write_bytes(b"index,operation\n1,login\n")
    gateway.answers[f"POST {PATH}"] = lambda body: (sent.append(body), w.report(source="file", serial="77"))[1]
    page.bring.pressed.emit()
    assert page.file.field.error, "no file: said at the field, nothing sent"
    page.file.set_path(file)
    page.bring.pressed.emit()
    settle(lambda: "a file, serial 77" in words(page))
    assert [(body.name, body.data) for body in sent] == [("luna.csv", file.read_bytes())]


def test_a_refusal_keeps_the_file_and_says_why(page: OwnLogPage, gateway: Gateway, tmp_path: Path) -> None:
    page.file.set_path(tmp_path / "gone.csv")
    page.bring.pressed.emit()
    settle(lambda: page.problem.problem is not None)
    assert page.file.path() == tmp_path / "gone.csv"
    gateway.problem = Problem(code="device-log-unreadable", what="It cannot be read.", todo="Give a CSV file.")
    page.ask.pressed.emit()
    settle(lambda: page.problem.problem is not None and page.problem.problem.code == "device-log-unreadable")
    assert not page.ask.working


@pytest.mark.parametrize(
    ("state", "said"), [({"unlocked": False}, "is locked"), ({"offered": False}, "Compare a file")]
)
def test_what_cannot_be_done_now_is_not_offered(page: OwnLogPage, state: dict[str, bool], said: str) -> None:
    page.show_standing(w.standing(**state))
    assert not page.ask.button.isEnabled()
    assert said in words(page)
    page.show_standing(w.standing())
    assert page.ask.button.isEnabled()


def test_who_may_only_read_is_told_so(qtbot: Any, theme: Any, calls: Any, gateway: Gateway) -> None:
    gateway.greeting = s.greeting("w.diffie")
    made = OwnLogPage(gateway, calls)  # type: ignore[arg-type]
    qtbot.addWidget(made)
    made.show()
    settle(lambda: "Kurt Gödel" in words(made))
    assert not made.ask.isVisible()
    assert not made.file.isVisible()
    assert "you may read what was found" in words(made)
