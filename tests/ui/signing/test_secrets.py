"""Secrets on the screen: covered, lent for a moment, saved for nobody else, gone with the page."""

from __future__ import annotations

import gc
import stat
import subprocess

import pytest
import use_pages as u
import work_pages as w
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from PySide6.QtCore import QEvent
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QFileDialog, QPushButton
from standins import emitted, refusing, words

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.session import DeviceState
from ui import saving
from ui.keys.key import KeyPage
from ui.signing import stranger
from ui.signing.page import UsePage
from ui.signing.results import ResultPage
from ui.signing.road import UseRoad
from ui.signing.secret_forms import DeriveForm, RandomForm
from ui.widgets import disclosed
from ui.widgets.disclosed import Disclosed

DIGITS = u.SECRET.hex()


def said(widget) -> str:
    return words(widget).replace(" ", "").replace("\n", "")


def clipboard() -> str:
    return QGuiApplication.clipboard().text()


# -- a secret on a page ----------------------------------------------------------------------------------------


def disclose(qtbot, octets: bytes = u.SECRET) -> Disclosed:
    made = Disclosed("The secret", octets)
    qtbot.addWidget(made)
    made.show()
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    return made


@pytest.fixture
def secret(qtbot, theme):
    made = disclose(qtbot)
    QGuiApplication.clipboard().clear()
    return made


def test_it_is_covered_until_somebody_wants_to_see_it(secret):
    assert DIGITS not in said(secret)
    secret.show_it.click()
    assert DIGITS in said(secret)
    assert clipboard() == "", "to see it copies nothing"
    secret.show_it.click()
    assert DIGITS not in said(secret)


def test_it_is_covered_again_by_itself(qtbot, theme, monkeypatch):
    monkeypatch.setattr(disclosed, "SECONDS", 0.05)
    made = disclose(qtbot)
    made.show_it.click()
    qtbot.waitUntil(lambda: not made.seen)
    assert DIGITS not in said(made)


def test_it_is_covered_when_another_page_or_window_comes_over_it(secret, monkeypatch):
    secret.show_it.click()
    secret.hide()
    assert not secret.seen
    secret.show()
    secret.show_it.click()
    monkeypatch.setattr(secret, "isActiveWindow", lambda: False)
    QApplication.sendEvent(secret, QEvent(QEvent.Type.ActivationChange))
    assert not secret.seen
    assert DIGITS not in said(secret)


def test_the_clipboard_is_lent_and_taken_back(qtbot, theme, monkeypatch):
    monkeypatch.setattr(disclosed, "SECONDS", 0.2)
    made = disclose(qtbot)
    made.copy.click()
    assert clipboard() == DIGITS
    assert QGuiApplication.clipboard().mimeData().data("x-kde-passwordManagerHint").data() == b"secret"
    qtbot.waitUntil(lambda: clipboard() == "")


def test_what_somebody_else_copied_meanwhile_is_left_alone(qtbot, theme, monkeypatch):
    monkeypatch.setattr(disclosed, "SECONDS", 0.1)
    made = disclose(qtbot)
    made.copy.click()
    QGuiApplication.clipboard().setText("a word of another program")
    qtbot.wait(250)
    assert clipboard() == "a word of another program"


def test_whoever_leaves_the_page_leaves_nothing(qtbot, theme):
    made = Disclosed("The secret", u.SECRET)
    kept = made._secret
    made.copy.click()
    assert clipboard() == DIGITS
    made.deleteLater()
    QApplication.sendPostedEvents(made, QEvent.Type.DeferredDelete)
    del made
    gc.collect()
    assert clipboard() == ""
    assert not kept, "overwritten"


def test_nobody_reads_four_thousand_octets(qtbot, theme):
    made = disclose(qtbot, bytes(4096))
    assert not made.show_it.isVisible()
    assert not made.copy.isVisible()
    assert "save it in a file" in words(made)


# -- saving ----------------------------------------------------------------------------------------------------


def test_what_is_secret_is_nobody_elses_to_read(tmp_path):
    new, old, link = tmp_path / "new.bin", tmp_path / "old.bin", tmp_path / "link.bin"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"untouched")
    old.write_bytes(b"was there")
    old.chmod(0o644)
    link.symlink_to(elsewhere)
    with old.open("rb") as reader:
        for path in (new, old, link):
            saving.write(path, u.SECRET, private=True)
            assert path.read_bytes() == u.SECRET
            assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert reader.read() == b"was there", "who had the old file open reads the old file"
    assert elsewhere.read_bytes() == b"untouched"


# -- the forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["15", "1025", "", "-1", "1e3", "٣٢", "9" * 40])
def test_a_length_that_cannot_be_is_said_at_its_field(show, tmp_path, length):
    form = DeriveForm([w.several()[7]])
    show(form)
    asked = emitted(form.asked)
    form.public.set_path(tmp_path / "partner.pem")
    form.length.set_text(length)
    form.main.button.click()
    assert asked == []
    assert form.length.error == "Type a number from 16 to 1024."
    assert form.public.path() == tmp_path / "partner.pem"


def test_agreeing_says_what_is_missing(show, tmp_path):
    form = DeriveForm([w.several()[7]])
    show(form)
    asked = emitted(form.asked)
    form.main.button.click()
    assert form.public.field.error == "Choose a file first."
    form.public.set_path(tmp_path / "partner.pem")
    form.context.set_text("€" * 342)
    form.main.button.click()
    assert form.context.error == "At most 1024 bytes; give a digest of it."
    assert asked == []
    wrong = Problem(code="public-key-other-curve", what="It is of another kind.", todo="Use the same curve.")
    form.refuse(wrong)
    assert form.public.field.error == "It is of another kind. Use the same curve."


# -- the road --------------------------------------------------------------------------------------------------


@pytest.fixture
def road(window, desk, gateway):
    gateway.answers |= {"GET /v1/keys": w.several(), "GET /v1/device": DeviceState(unlocked=True)}
    for key in w.several():
        gateway.answers[f"GET /v1/work/keys/{key.object_id}"] = w.detail(key)
    made = UseRoad(window, desk)
    yield made
    made.leave()


def test_random_octets_from_door_to_file(qtbot, road, window, gateway, tmp_path):
    asked: list = []
    gateway.answers["POST /v1/work/random"] = lambda body: (asked.append(body.length), u.drawn())[1]
    window.page.tiles["random"].click()
    form = window.page
    assert isinstance(form, RandomForm)
    form.length.set_text("4097")
    form.main.button.click()
    assert form.length.error == "Type a number from 1 to 4096."
    form.length.set_text("32")
    form.main.button.click()
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, ResultPage))
    assert asked == [32], "once"
    result = window.page
    assert "1,152 bytes of the module without a failure" in words(result)
    assert "the module and the operating system" in words(result)
    assert DIGITS not in said(result)
    next(b for b in result.findChildren(QPushButton) if b.text() == "&Save them…").click()
    dialog = result.findChild(QFileDialog)
    dialog.fileSelected.emit(str(tmp_path / "seed.bin"))
    dialog.close()
    qtbot.waitUntil(lambda: "Saved: " in words(result))
    assert (tmp_path / "seed.bin").read_bytes() == u.SECRET
    assert stat.S_IMODE((tmp_path / "seed.bin").stat().st_mode) == 0o600
    result.again_asked.emit()
    assert isinstance(window.page, RandomForm)
    window.page.left.emit()
    assert isinstance(window.page, UsePage)


def test_a_generator_that_fails_its_test_gives_nothing_and_is_told(qtbot, road, window, gateway):
    gateway.answers["POST /v1/work/random"] = refusing(u.STUCK)
    window.page.tiles["random"].click()
    form = window.page
    form.main.button.click()
    qtbot.waitUntil(lambda: form.problem.problem == u.STUCK)
    assert not form.main.working
    assert "Do not make any key." in words(form)


def test_what_was_decrypted_is_saved_for_its_owner_only(qtbot, road, window, gateway, tmp_path):
    from ui.signing import endings

    page = endings.decrypted(w.several()[6], u.brought("letter.p7m"), u.decrypted(), "Ada")
    road._end(page, "decrypt")
    page.save_asked.emit(u.CONTRACT, tmp_path / "letter", True)
    qtbot.waitUntil(lambda: "Saved: " in words(page))
    assert stat.S_IMODE((tmp_path / "letter").stat().st_mode) == 0o600
    assert [take for take in (b.text() for b in page.findChildren(QPushButton)) if "Save" in take]


def test_agreeing_from_door_to_secret(qtbot, road, window, gateway, tmp_path):
    asked: list = []
    gateway.answers["POST /v1/work/derive"] = lambda body: (asked.append(body), u.derived())[1]
    partner = tmp_path / "partner.pem"
    partner.write_text("-----BEGIN PUBLIC KEY-----")
    window.page.tiles["derive"].click()
    qtbot.waitUntil(lambda: isinstance(window.page, DeriveForm))
    form = window.page
    qtbot.waitUntil(lambda: form.key.detail is not None)
    assert [form.key.field.control.itemData(n).label for n in range(form.key.field.control.count())] == [
        "partner-exchange"
    ]
    form.public.set_path(tmp_path / "gone.pem")
    form.main.button.click()
    qtbot.waitUntil(lambda: "There is no file" in form.public.field.error)
    form.public.set_path(partner)
    form.context.set_text("file 12")
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, ResultPage))
    assert [(a.key_id, a.peer_spki_pem, a.info, a.length, a.name) for a in asked] == [
        (w.several()[7].object_id, "-----BEGIN PUBLIC KEY-----", b"file 12", 32, "partner.pem")
    ]
    assert "can compute the same secret" in words(window.page)
    assert DIGITS not in said(window.page)
    buttons = {b.text(): b for b in window.page.findChildren(QPushButton)}
    assert buttons["S&how it"].nextInFocusChain() is buttons["&Copy it"], "Tab goes as one reads"
    assert buttons["&Copy it"].nextInFocusChain() is buttons["&Save the secret…"]


def test_a_key_for_agreeing_is_used_from_its_own_page(show):
    key = w.several()[7]
    page = KeyPage(key, may_use=True)
    show(page)
    page.show_detail(w.detail(key))
    assert page.use.isVisible()


def test_who_may_not_use_keys_sees_neither_door(show):
    page = UsePage(may_use=False, unlocked=True)
    show(page)
    assert list(page.tiles) == ["verify"]


@pytest.mark.parametrize("context", [b"", b"file 12; rm -rf ~"])
def test_the_other_side_computes_the_same_with_openssl(tmp_path, context):
    ours, theirs = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    (tmp_path / "mine.pem").write_bytes(theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = ours.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "our key.pem").write_bytes(public)
    subprocess.run(["/bin/sh", "-ec", stranger.agreement("our key.pem", 40, context)], cwd=tmp_path, check=True)
    shared = ours.exchange(ec.ECDH(), theirs.public_key())
    expected = HKDF(algorithm=SHA256(), length=40, salt=None, info=context).derive(shared)
    assert (tmp_path / "secret.bin").read_bytes() == expected
