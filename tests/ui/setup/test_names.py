"""Names are judged on the page on which they are typed, and exactly as the founding judges them at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hsm_console.domain.errors import InputError
from hsm_console.domain.people import Person, Role
from hsm_console.gateway import founding_rules
from ui.setup import answers as rules
from ui.setup.answers import Answers
from ui.setup.pages import PeoplePage, PlacePage

NAMES = (
    "Ada Lovelace", "Łukasiewicz Jan", "", " ", "x" * 64, "x" * 65, "tab\there", "right\u202eleft", "zero\u200bwidth",
)  # fmt: skip
UIDS = ("a.turing", "x", "0", "", "A.Turing", ".dot", "dot.", "a b", "ä", "x" * 32, "x" * 33, "../up", "a_b-c.d")


def refused(act: Callable[[], None]) -> bool:
    try:
        act()
    except InputError:
        return True
    return False


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_judged_as_the_founding_judges_it(name: str) -> None:
    kept = rules.composed(name)
    at_the_end = refused(lambda: founding_rules.check_person(Person(uid="a", name=kept), (Role.AUDITOR,)))
    assert bool(rules.name_fault(kept, ())) == at_the_end


@pytest.mark.parametrize("uid", UIDS)
def test_a_short_name_is_judged_as_the_founding_judges_it(uid: str) -> None:
    at_the_end = refused(lambda: founding_rules.check_person(Person(uid=uid, name="A"), (Role.AUDITOR,)))
    assert bool(rules.uid_fault(uid, ())) == at_the_end


def test_two_names_that_look_alike_are_told_at_the_second(show: Callable) -> None:
    page = PeoplePage(Answers())
    show(page)
    for n, (name, uid, _) in enumerate(page.lines):
        name.set_text(f"Person {n}")
        uid.set_text(f"p{n}")
    page.lines[3][0].set_text("PERSON  1")
    page.lines[5][1].set_text("P5")
    assert not page.take()
    assert [n for n, (name, uid, _) in enumerate(page.lines) if name.error or uid.error] == [3, 5]
    assert "name" in page.lines[3][0].error
    assert page.lines[3][0].text() == "PERSON  1"  # nothing typed is lost
    page.lines[3][0].set_text("Person 3")
    page.lines[5][1].set_text("p5")
    assert page.take()
    assert not any(name.error or uid.error for name, uid, _ in page.lines)


def test_a_decomposed_name_is_kept_composed(show: Callable) -> None:
    page = PeoplePage(Answers())
    show(page)
    for n, (name, uid, _) in enumerate(page.lines):
        name.set_text(f"Jose\u0301 {n}")
        uid.set_text(f"p{n}")
    assert page.take()
    assert page.answers.people[0].name == "Jos\u00e9 0"


def test_a_workspace_with_an_invisible_name_is_refused_on_its_page(show: Callable, tmp_path) -> None:
    page = PlacePage(Answers())
    show(page)
    page.directory.set_text(str(tmp_path / "new"))
    page.name.set_text("house\u200b")
    assert not page.take()
    assert page.name.error
