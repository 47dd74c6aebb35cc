"""The inventory: words, limits of the evidence, copies."""

from __future__ import annotations

import places
import pytest
import samples as s
from PySide6.QtWidgets import QFileDialog, QLabel, QPushButton

from hsm_console.domain.errors import EnvironmentFault
from ui.keys.page import KeysPage
from ui.saving import write
from ui.widgets.fingerprint import Fingerprint


def words(widget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


@pytest.fixture
def page(show):
    made = KeysPage()
    show(made)
    return made


def test_a_key_is_said_in_words_with_what_is_not_proved(page):
    page.show_keys([s.key()])
    said = words(page)
    for text in ("ceo-identity-2026", "Elliptic curve P-384", "in use", "Grade D of evidence",
                 "It does not prove anything about a hardware module.", "none was issued"):  # fmt: skip
        assert text in said
    assert page.findChild(Fingerprint).accessibleDescription().startswith("af2b dbe1")


def test_attributes_tell_yes_no_and_unknown_apart(page):
    page.show_keys([places.certified()])
    said = words(page)
    assert "Its value cannot be read in the clear" in said
    assert "NOT so: It cannot leave the module" in said
    assert "That was so from the beginning: the module does not tell" in said


def test_an_unclear_key_is_marked(page):
    page.show_keys([places.replace(s.key(), state="unclear")])
    assert "do not use this key" in words(page)


def test_no_key_says_how_one_comes_to_be(qtbot, page):
    page.show_keys([])
    assert "A key is made in a ceremony" in words(page)
    there = next(b for b in page.findChildren(QPushButton) if "ceremonies" in b.text())
    with qtbot.waitSignal(page.ceremonies_asked):
        there.click()


def test_public_key_and_certificate_can_be_saved(qtbot, page, tmp_path):
    page.show_keys([places.certified()])
    saves = [b for b in page.findChildren(QPushButton) if b.text().startswith("Save")]
    assert [b.accessibleName() for b in saves] == [
        "Save the public key: code-signing-2026", "Save the certificate: code-signing-2026"]  # fmt: skip
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


def test_looking_again(qtbot, page):
    with qtbot.waitSignal(page.refresh_asked):
        page.refresh.button.click()
    assert page.refresh.working
    page.show_keys([])
    assert not page.refresh.working
