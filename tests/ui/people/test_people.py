"""Listing, enrolling, revoking."""

from __future__ import annotations

import places
import samples as s
from msgspec.structs import replace
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QFileDialog, QLabel, QPushButton

from hsm_console.domain.people import Role
from ui.people.enrol import EnrolPage
from ui.people.page import PeoplePage
from ui.people.revoke import REASONS, RevokePage


def words(widget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


def buttons(widget) -> list[str]:
    return [b.accessibleName() for b in widget.findChildren(QPushButton)]


def test_each_certificate_is_named_with_its_end_and_revocation_in_words(show):
    page = PeoplePage(may_change=True, own_uid="c.babbage")
    show(page)
    page.show_people(places.people())
    said = words(page)
    assert "Certificate 5daf 1275 d78a ee20" in said
    assert "enrol anew before that" in said
    assert "Expired on" in said
    assert "Revoked: this certificate opens nothing any more." in said
    revocable = [name for name in buttons(page) if name.startswith("Revoke ")]
    assert "Revoke Charlotte Babbage" not in revocable, "nobody revokes herself"
    assert "Revoke Alan Turing" in revocable
    assert len(revocable) == len(places.people()) - 2


def test_who_may_not_change_sees_no_way_to_change(show):
    page = PeoplePage(may_change=False)
    show(page)
    page.show_people(places.people())
    assert not [name for name in buttons(page) if "Revoke" in name or "Enrol" in name]


def test_a_certificate_can_be_saved(qtbot, show, tmp_path):
    page = PeoplePage(may_change=False)
    show(page)
    one = places.replace(places.people()[0], certificate_pem="-----BEGIN CERTIFICATE-----")
    page.show_people([one])
    next(b for b in page.findChildren(QPushButton) if "Save the certificate" in b.text()).click()
    dialog = page.findChild(QFileDialog)
    with qtbot.waitSignal(page.save_asked) as asked:
        dialog.fileSelected.emit(str(tmp_path / "a.crt"))
    assert asked.args == ["-----BEGIN CERTIFICATE-----", tmp_path / "a.crt"]
    dialog.close()


def filled(tmp_path) -> EnrolPage:
    request = tmp_path / "request.pem"
    request.write_text("-----BEGIN CERTIFICATE REQUEST-----\n")
    page = EnrolPage()
    page.name.set_text("Barbara Liskov")
    page.uid.set_text("b.liskov")
    page.brought.setChecked(True)
    page.csr.set_text(str(request))
    return page


def test_enrolling_needs_every_field_and_a_role(qtbot, show, tmp_path):
    page = filled(tmp_path)
    show(page)
    page.name.set_text("")
    page.main.button.click()
    assert page.name.error.startswith("Type the name")
    page.name.set_text("Barbara Liskov")
    page.main.button.click()
    assert "Choose at least one role." in words(page)
    assert not page.main.working
    page.roles[Role.WITNESS].setChecked(True)
    with qtbot.waitSignal(page.asked) as asked:
        page.main.button.click()
    wanted = asked.args[0]
    assert (wanted.person.uid, wanted.roles) == ("b.liskov", (Role.WITNESS,))
    assert wanted.csr.startswith("-----BEGIN CERTIFICATE REQUEST-----")


def test_she_types_her_own_passphrase_twice_by_default(qtbot, show, tmp_path):
    page = filled(tmp_path)
    show(page)
    page.here.setChecked(True)
    assert not page.csr.isVisible()
    page.roles[Role.WITNESS].setChecked(True)
    page.one.set_text("too short")
    page.main.button.click()
    assert "9 of at least 12 characters" in page.one.error
    page.one.set_text("seven violet lanterns drift")
    page.two.set_text("seven violet lanterns")
    page.main.button.click()
    assert "not the same" in page.one.error
    page.two.set_text("seven violet lanterns drift")
    with qtbot.waitSignal(page.making_asked) as asked:
        page.main.button.click()
    wanted = asked.args[0]
    assert (wanted.person.uid, wanted.roles) == ("b.liskov", (Role.WITNESS,))
    assert wanted.passphrase.reveal() == "seven violet lanterns drift"
    assert (page.one.text(), page.two.text()) == ("", ""), "the fields keep nothing"


def test_a_refused_enrolment_keeps_what_was_typed(show, tmp_path):
    page = filled(tmp_path)
    show(page)
    page.refuse(s.PROBLEM)
    assert page.problem.problem == s.PROBLEM
    assert page.uid.text() == "b.liskov"


def test_a_file_that_is_no_request_is_said_beside_it(show, tmp_path):
    page = filled(tmp_path)
    show(page)
    page.roles[Role.WITNESS].setChecked(True)
    page.csr.set_text(str(tmp_path / "nothing"))
    page.main.button.click()
    assert "cannot be read" in page.csr.error


def test_revoking_is_safe_by_default(qtbot, show):
    page = RevokePage(places.people()[1])
    show(page)
    asked = []
    page.asked.connect(asked.append)
    assert page.window().focusWidget() is page.back
    assert not page.main.button.isEnabled()
    assert "open sessions end" in words(page)
    page.word.setFocus()
    for text in ("revok", "revoke"):
        page.word.control.clear()
        qtbot.keyClicks(page.word.control, text)
        qtbot.keyClick(page.word.control, Qt.Key.Key_Return)
    assert not asked, "Enter does nothing"
    page.main.button.click()
    assert not asked
    assert page.reason.error.startswith("Choose why")
    combo = page.reason.control
    assert isinstance(combo, QComboBox)
    combo.setCurrentIndex(combo.findData("superseded"))
    page.main.button.click()
    assert asked == ["superseded"]


def test_every_reason_has_words(show):
    page = RevokePage(places.people()[1])
    combo = page.reason.control
    assert isinstance(combo, QComboBox)
    assert [combo.itemData(n) for n in range(1, combo.count())] == list(REASONS)
    show(page)


def test_a_certificate_that_is_sealed_has_not_expired(show):
    page = PeoplePage(may_change=True)
    show(page)
    page.show_people([replace(one, not_after_ms=0, revoked=False) for one in places.people()])
    assert "1970" not in words(page)
    assert "Expired" not in words(page)
    assert words(page).count("cannot be told now") == len(places.people())
    assert "not known now" in words(RevokePage(replace(places.people()[0], not_after_ms=0)))
