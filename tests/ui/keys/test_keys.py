"""The inventory and one key: words, limits of the evidence, copies, what may be asked for."""

from __future__ import annotations

import places
import pytest
import samples as s
import work_pages as w
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QPushButton
from standins import words

from hsm_console.domain.errors import EnvironmentFault, Problem
from ui.keys.inventory import STATE, Wanted
from ui.keys.key import KeyPage
from ui.keys.page import KeysPage
from ui.saving import write
from ui.widgets.fingerprint import Fingerprint


@pytest.fixture
def page(show):
    made = KeysPage()
    show(made)
    return made


def labels(page: KeysPage) -> list[str]:
    return [key.label for key in page.model.keys]


def test_no_key_says_how_one_comes_to_be(qtbot, page):
    page.show_keys([])
    assert "A key is made in a ceremony" in words(page)
    there = next(b for b in page.findChildren(QPushButton) if "ceremonies" in b.text())
    with qtbot.waitSignal(page.ceremonies_asked):
        there.click()


def test_each_key_is_a_row_with_its_state_in_words(page):
    page.show_keys(w.several())
    states = [page.model.data(page.model.index(n, STATE)) for n in range(page.model.rowCount())]
    assert states[0] == "in use"
    assert "unclear: do not use it" in states
    assert "destroyed" in states
    assert "8 keys, and 2 that the console itself needs" in words(page)


@pytest.mark.parametrize(
    ("text", "found"),
    [("PAYROLL", ["payroll-files"]), ("af2b dbe1", 8), ("aardvark absurd adroitness moon", []), ("no such", [])],
)
def test_a_key_is_found_by_name_fingerprint_and_words(page, text, found):
    page.show_keys(w.several())
    page.search.set_text(text)
    if isinstance(found, int):
        assert len(labels(page)) == found
        assert "payroll-files" not in labels(page), "a secret key has no fingerprint"
    else:
        assert labels(page) == found
    if not found:
        assert "No key fits. Take a word or a filter away." in words(page)


def test_words_of_a_fingerprint_find_it(theme):
    assert Wanted(text=" ".join(s.WORDS[3:6])).fits(s.key())
    assert not Wanted(text="wrong words here").fits(s.key())


def test_looking_again_keeps_what_was_searched(qtbot, page):
    page.show_keys(w.several())
    page.search.set_text("invoice")
    page.state.control.setCurrentIndex(page.state.control.findData("unclear"))
    assert labels(page) == ["invoice-signing-02"]
    with qtbot.waitSignal(page.refresh_asked):
        page.refresh.button.click()
    assert page.refresh.working
    page.show_keys(w.several())
    assert not page.refresh.working
    assert page.search.text() == "invoice"
    assert labels(page) == ["invoice-signing-02"]


def test_news_do_not_move_the_focus(qtbot, page):
    page.show_keys(w.several())
    page.table.setFocus()
    page.show_keys([*w.several(), w.key("one-more")])
    assert page.window().focusWidget() is page.table


def test_enter_opens_the_key(qtbot, page):
    page.show_keys(w.several())
    page.table.selectRow(2)
    with qtbot.waitSignal(page.opened) as opened:
        qtbot.keyClick(page.table, Qt.Key.Key_Return)
    assert opened.args[0].label == "invoice-signing-01"


def test_among_ten_thousand_keys_one_is_found(qtbot, page):
    page.show_keys(w.many(10_000))
    page.search.set_text("9777")
    assert labels(page) == ["invoice-signing-9777"]
    page.table.selectRow(0)
    with qtbot.waitSignal(page.opened) as opened:
        qtbot.keyClick(page.table, Qt.Key.Key_Return)
    assert opened.args[0].label == "invoice-signing-9777"


def test_the_consoles_own_keys_are_shown_last_and_are_no_keys_of_people(show, page):
    page.show_keys([*w.own(), w.key("mine")])
    assert labels(page) == ["mine", "authority", "log"]
    page.show_keys(w.own())
    assert "No key yet" in words(page)
    own = KeyPage(w.own()[1], w.MAY, may_use=True)
    show(own)
    assert "It signs the heads of the log, and nothing else." in words(own)
    assert not any(button.isVisible() for button in (own.use, own.end, own.wrap))


def test_only_those_who_may_are_offered_the_acts(page):
    page.offer(frozenset())
    assert not page.make.isVisible()
    page.offer(w.MAY)
    assert page.make.isVisible()
    assert page.bring.isVisible()


# -- one key ---------------------------------------------------------------------------------------------------


@pytest.fixture
def one(show):
    def made(key, *args, **named):
        page = KeyPage(key, *args, **named)
        show(page)
        return page

    return made


def test_a_key_is_said_in_words_with_what_is_not_proved(one):
    page = one(s.key())
    said = words(page)
    for text in ("ceo-identity-2026", "Elliptic curve P-384", "in use", "Grade D of evidence",
                 "It does not prove anything about a hardware module.", "none was issued"):  # fmt: skip
        assert text in said
    assert page.findChild(Fingerprint).accessibleDescription().startswith("af2b dbe1")


def test_attributes_tell_yes_no_and_unknown_apart(one):
    said = words(one(places.certified()))
    assert "Its value cannot be read in the clear" in said
    assert "NOT so: It cannot leave the module" in said
    assert "That was so from the beginning: the module does not tell" in said


def test_an_unclear_key_is_marked(one):
    assert "do not use this key" in words(one(places.replace(s.key(), state="unclear")))


def test_why_a_key_may_not_is_said_for_each_act(one):
    page = one(s.key(), w.MAY, may_use=True)
    page.show_detail(w.detail(page.key))
    said = words(page)
    assert "In the module “rehearsal”, serial 4F00A1." in said
    assert "Encrypt: The key was made for signing and does not encrypt." in said
    assert page.use.isVisible()


def test_who_may_not_use_keys_is_not_led_there(one):
    page = one(s.key())
    page.show_detail(w.detail(page.key))
    assert not any(button.isVisible() for button in (page.use, page.end, page.wrap))


def test_a_key_that_cannot_leave_offers_no_way_out(one):
    assert not one(s.key(), w.MAY).wrap.isVisible()
    assert one(w.several()[2], w.MAY).wrap.isVisible()


def test_a_destroyed_key_offers_nothing(one):
    page = one(w.several()[4], w.MAY, may_use=True)
    assert "Destroyed; only its record is left." in words(page)
    assert not any(button.isVisible() for button in (page.use, page.end, page.wrap))


def test_a_gateway_that_uses_no_keys_leaves_no_empty_cards(one):
    page = one(s.key())
    page.refuse_detail(Problem(code="route-unknown", what="There is nothing at /v1/work.", todo="-"))
    visible = "\n".join(text for text in words(page).splitlines())
    assert "There is nothing at" not in visible


def test_missing_copies_of_a_cluster_are_named(one):
    page = one(s.key())
    page.show_detail(w.detail(page.key))
    page.show_holders(("rehearsal",), ("Geneva",))
    assert "Geneva: it is missing there" in words(page)


def test_its_history_is_asked_for_and_offers_the_receipt_of_its_making(qtbot, one):
    page = one(s.key())
    page.ask_history.setFocus()
    with qtbot.waitSignal(page.history_asked):
        page.ask_history.button.click()
    page.show_history(w.HISTORY, more=True)
    qtbot.waitUntil(lambda: "Receipt" in getattr(page.window().focusWidget(), "text", str)())
    assert page.area.verticalScrollBar().value() > 0, "it is brought to the eyes"
    assert "signed “contract.pdf”" in words(page)
    assert "Older records are in the log." in words(page)
    receipt = next(b for b in page.findChildren(QPushButton) if "Receipt" in b.text())
    with qtbot.waitSignal(page.receipt_asked) as asked:
        receipt.click()
    assert asked.args == [41]


def test_public_key_and_certificate_can_be_saved(qtbot, one, tmp_path):
    page = one(places.certified())
    saves = [b for b in page.findChildren(QPushButton) if b.text().startswith("Save")]
    assert [b.accessibleName() for b in saves] == ["Save the public key…", "Save the certificate…"]
    saves[0].click()
    dialog = page.findChild(QFileDialog)
    with qtbot.waitSignal(page.save_asked) as asked:
        dialog.fileSelected.emit(str(tmp_path / "key.pem"))
    dialog.close()
    text, path = asked.args
    assert write(path, text.encode()).read_text() == s.key().spki_pem
    page.saved(path)
    assert f"Saved: {path}" in words(page)


def test_a_copy_that_cannot_be_written_is_a_problem_with_four_things(tmp_path):
    with pytest.raises(EnvironmentFault) as caught:
        write(tmp_path / "missing" / "key.pem", b"x")
    assert caught.value.problem.code == "file-not-written"
    assert caught.value.problem.todo
