"""Using a key on the screen: forms that keep what was given, nothing before the check, results to take along."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import threading

import places
import pytest
import samples as s
import use_pages as u
import work_pages as w
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QFileDialog, QPushButton
from standins import emitted, refusing, words

from hsm_console.domain.errors import InputError
from hsm_console.domain.keys import SignMechanism
from hsm_console.domain.messages.session import DeviceState
from ui import files
from ui.orders.check import CheckPage
from ui.signing import stranger
from ui.signing.forms import DecryptForm, SignForm, VerifyForm
from ui.signing.page import UsePage
from ui.signing.results import ResultPage
from ui.signing.road import UseRoad
from ui.widgets.file_field import FileField


@pytest.fixture
def contract(tmp_path):
    path = tmp_path / "contract.pdf"
    path.write_bytes(u.CONTRACT)
    return path


# -- what somebody brings --------------------------------------------------------------------------------------


def test_each_reason_why_a_file_cannot_be_taken_has_its_words(tmp_path, contract):
    (tmp_path / "empty").touch()
    for path, code in (
        (tmp_path, "file-is-folder"),
        (tmp_path / "gone", "file-missing"),
        (tmp_path / "empty", "file-empty"),
    ):
        with pytest.raises(InputError) as caught:
            files.bring(path, 100)
        assert caught.value.problem.code == code
        assert caught.value.problem.todo
    with pytest.raises(InputError) as caught:
        files.bring(contract, 100)
    assert caught.value.problem.code == "file-too-large"
    assert "The digest of a large file" in caught.value.problem.todo


def test_a_large_file_stands_for_itself_by_the_line_of_sha256sum(contract):
    found = files.bring_digest(contract)
    with contract.open("rb") as file:
        printed = subprocess.run([shutil.which("sha256sum")], stdin=file, capture_output=True, check=True).stdout
    assert found.data == printed
    assert found.sha256 == hashlib.sha256(u.CONTRACT).hexdigest()
    assert found.octets == len(u.CONTRACT)


def test_a_dropped_file_is_taken_and_two_are_refused(qtbot, theme, contract, tmp_path):
    field = FileField("What is signed")
    qtbot.addWidget(field)

    def drop(*paths):
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        copy, left, none = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        field.dropEvent(QDropEvent(QPointF(5, 5), copy, data, left, none))

    drop(contract, tmp_path / "other")
    assert field.path() is None
    assert "One file at a time, please: 2 were dropped." in words(field)
    drop(contract)
    assert field.path() == contract
    assert field.field.error == ""


@pytest.mark.parametrize("of_digest", [False, True])
def test_the_strangers_command_really_verifies(tmp_path, contract, of_digest):
    private = ec.generate_private_key(ec.SECP384R1())
    data = files.bring_digest(contract).data if of_digest else u.CONTRACT
    (tmp_path / "contract.pdf.sig").write_bytes(private.sign(data, ec.ECDSA(hashes.SHA384())))
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(public)
    command = stranger.command(SignMechanism.ECDSA_SHA384, "contract.pdf", "contract.pdf.sig", of_digest=of_digest)
    ran = subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "Verified OK" in ran.stdout
    assert stranger.usual(public) is SignMechanism.ECDSA_SHA384


def test_names_of_files_are_no_commands():
    command = stranger.command(SignMechanism.ECDSA_SHA256, "a; rm -rf ~.pdf", "$(x).sig")
    assert "'a; rm -rf ~.pdf'" in command
    assert "'$(x).sig'" in command


# -- the forms -------------------------------------------------------------------------------------------------


def test_signing_says_what_is_missing_and_keeps_the_rest(show):
    form = SignForm([s.key()])
    show(form)
    asked = emitted(form.asked)
    form.main.button.click()
    assert asked == []
    assert form.content.file.field.error == "Choose a file first."
    form.content.by_text.setChecked(True)
    form.main.button.click()
    assert "Type the text first." in words(form)
    form.content.text.setPlainText("I agree.")
    form.main.button.click()
    assert asked[0].content.bring().data == b"I agree."
    assert asked[0].key == s.key()


def test_a_key_that_may_not_says_why_at_once(show):
    form = SignForm([w.several()[7]])
    show(form)
    form.show_detail(w.detail(w.several()[7]))
    assert "The key was made for agreeing on secrets and does not sign." in words(form)


def test_a_late_answer_about_another_key_is_not_taken(show):
    form = SignForm([s.key(), w.several()[2]])
    show(form)
    form.show_detail(w.detail(w.several()[2]))
    assert form.key.detail is None


def test_verifying_needs_a_signature_and_a_key(show, contract):
    form = VerifyForm([])
    show(form)
    asked = emitted(form.asked)
    form.content.file.set_path(contract)
    form.main.button.click()
    assert form.signature.field.error == "Choose a file first."
    form.signature.set_path(contract)
    form.main.button.click()
    assert form.public.field.error == "Choose a file first."
    assert asked == []


def test_what_cannot_be_read_is_said_where_it_was_typed(show, contract, tmp_path):
    form = VerifyForm([s.key()])
    show(form)
    form.content.file.set_path(contract)
    form.signature.set_path(tmp_path / "gone.sig")
    try:
        files.read(tmp_path / "gone.sig", 100)
    except InputError as error:
        form.refuse(error.problem)
    assert "There is no file" in form.signature.field.error
    assert form.content.file.field.error == ""
    assert form.content.file.path() == contract


# -- the road --------------------------------------------------------------------------------------------------


@pytest.fixture
def road(qtbot, window, desk, gateway):
    gateway.answers |= {"GET /v1/keys": w.several(), "GET /v1/device": DeviceState(unlocked=True)}
    for key in w.several():
        gateway.answers[f"GET /v1/work/keys/{key.object_id}"] = w.detail(key)
    made = UseRoad(window, desk)
    yield made
    made.leave()


def choose(qtbot, window, act, kind):
    window.page.tiles[act].click()
    qtbot.waitUntil(lambda: isinstance(window.page, kind))
    form = window.page
    qtbot.waitUntil(lambda: form.key.detail is not None)
    return form


def test_only_keys_that_can_do_it_are_offered(qtbot, road, window):
    form = choose(qtbot, window, "sign", SignForm)
    offered = [form.key.field.control.itemData(n).label for n in range(form.key.field.control.count())]
    assert offered == ["ceo-identity-2026", "code-signing-2026", "invoice-signing-01"], (
        "none that is unclear or destroyed"
    )


def test_who_may_not_use_keys_may_verify(qtbot, window, desk, gateway):
    gateway.greeting = s.greeting("k.goedel")
    gateway.answers["GET /v1/device"] = DeviceState(unlocked=False)
    road = UseRoad(window, desk)
    assert isinstance(window.page, UsePage)
    assert list(window.page.tiles) == ["verify"]
    qtbot.waitUntil(window.page._locked.isVisible)
    road.leave()


def test_nothing_is_signed_before_it_was_checked(qtbot, road, window, gateway, contract, tmp_path):
    asked: list = []
    gateway.answers["POST /v1/work/sign"] = lambda body: (asked.append(body), u.signed())[1]
    form = choose(qtbot, window, "sign", SignForm)
    form.content.file.set_path(contract)
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, CheckPage))
    check = window.page
    said = words(check)
    for text in (
        "Nothing has been done yet.",
        "contract.pdf",
        "ceo-identity-2026",
        "ECDSA, SHA-384",
        "cannot be unsigned",
    ):
        assert text in said
    assert asked == []
    check.back.click()
    assert window.page is form
    assert form.content.file.path() == contract
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, CheckPage))
    window.page.main.button.click()
    window.page.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, ResultPage))
    assert [(body.data, body.name) for body in asked] == [(u.CONTRACT, "contract.pdf")], "once"
    result = window.page
    assert "“contract.pdf” is signed with “ceo-identity-2026”." in words(result)
    next(b for b in result.findChildren(QPushButton) if b.text() == "&Save the signature…").click()
    dialog = result.findChild(QFileDialog)
    assert dialog.selectedFiles()[0].endswith("contract.pdf.sig")
    dialog.fileSelected.emit(str(tmp_path / "out.sig"))
    dialog.close()
    qtbot.waitUntil(lambda: "Saved: " in words(result))
    assert (tmp_path / "out.sig").read_bytes() == u.signed().signature
    next(b for b in result.findChildren(QPushButton) if "Receipt" in b.text()).click()
    qtbot.waitUntil(lambda: window.page.title == "Receipt")


def test_what_is_signed_is_what_was_checked(qtbot, road, window, gateway, contract):
    asked: list = []
    gateway.answers["POST /v1/work/sign"] = lambda body: (asked.append(body), u.signed())[1]
    form = choose(qtbot, window, "sign", SignForm)
    form.content.file.set_path(contract)
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, CheckPage))
    contract.write_bytes(b"something else was put in its place")
    window.page.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, ResultPage))
    assert asked[0].data == u.CONTRACT


def test_a_refused_signature_stays_on_the_check_page(qtbot, road, window, gateway, contract):
    gateway.answers["POST /v1/work/sign"] = refusing(places.MISSING)
    form = choose(qtbot, window, "sign", SignForm)
    form.content.file.set_path(contract)
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, CheckPage))
    page = window.page
    page.main.button.click()
    qtbot.waitUntil(lambda: page.problem.problem == places.MISSING)
    assert not page.main.working


def test_the_window_stays_while_the_module_signs(qtbot, road, window, gateway, calls, contract):
    going = threading.Event()
    gateway.answers["POST /v1/work/sign"] = lambda _body: (going.wait(5), u.signed())[1]
    form = choose(qtbot, window, "sign", SignForm)
    form.content.file.set_path(contract)
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, CheckPage))
    window.page.main.button.click()
    assert calls.guards == ("The module is signing; that cannot be interrupted.",)
    going.set()
    qtbot.waitUntil(lambda: calls.guards == ())


@pytest.mark.parametrize("good", [True, False])
def test_a_verdict_is_a_page_of_its_own(qtbot, road, window, gateway, contract, tmp_path, good):
    signature = tmp_path / "contract.pdf.sig"
    signature.write_bytes(b"0" * 96)
    asked: list = []

    def answer(body):
        asked.append(body)
        return u.verified() if good else refusing(u.INVALID)(body)

    gateway.answers["POST /v1/work/verify"] = answer
    form = choose(qtbot, window, "verify", VerifyForm)
    form.content.file.set_path(contract)
    form.signature.set_path(signature)
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, ResultPage))
    assert window.page.title == ("The signature is right" if good else "The signature is NOT right")
    assert asked[0].mechanism is SignMechanism.ECDSA_SHA384
    assert asked[0].key_id == s.key().object_id
    if not good:
        assert u.INVALID.todo in words(window.page)
        assert any("record 93" in b.text() for b in window.page.findChildren(QPushButton))


def test_somebodys_public_key_decides_how(qtbot, road, window, gateway, contract, tmp_path):
    public = tmp_path / "theirs.pem"
    private = ec.generate_private_key(ec.SECP256R1())
    public.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    asked: list = []
    gateway.answers["POST /v1/work/verify"] = lambda body: (asked.append(body), u.verified())[1]
    form = choose(qtbot, window, "verify", VerifyForm)
    form.other.setChecked(True)
    form.content.file.set_path(contract)
    form.signature.set_path(contract)
    form.public.set_path(contract)
    form.main.button.click()
    qtbot.waitUntil(lambda: "no public key" in form.public.field.error)
    form.public.set_path(public)
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, ResultPage))
    assert asked[0].mechanism is SignMechanism.ECDSA_SHA256
    assert asked[0].spki_pem == public.read_text()
    assert asked[0].key_id == ""


def test_encrypting_and_opening_again(qtbot, road, window, gateway, contract, tmp_path):
    gateway.answers["POST /v1/work/encrypt"] = u.encrypted()
    window.page.tiles["encrypt"].click()
    qtbot.waitUntil(lambda: window.page.title == "Encrypt")
    form = window.page
    form.content.file.set_path(contract)
    form.bound.set_text("file 12")
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, ResultPage))
    assert "Only with “payroll-files” can it be opened again." in words(window.page)
    window.page.again_asked.emit()
    qtbot.waitUntil(lambda: window.page.title == "Encrypt")
    assert window.page.content.file.path() is None
    window.page.left.emit()
    assert isinstance(window.page, UsePage)

    gateway.answers["POST /v1/work/decrypt"] = refusing(u.CLOSED)
    form = choose(qtbot, window, "decrypt", DecryptForm)
    form.envelope.set_path(contract)
    form.main.button.click()
    qtbot.waitUntil(lambda: isinstance(window.page, ResultPage))
    assert window.page.title == "It cannot be opened"
    window.page.left.emit()
    gateway.answers["POST /v1/work/decrypt"] = u.decrypted()
    form = choose(qtbot, window, "decrypt", DecryptForm)
    form.envelope.set_path(contract)
    form.main.button.click()
    qtbot.waitUntil(lambda: window.page.title == "It is open")
    assert u.CONTRACT.decode()[:20] not in words(window.page), "what was inside is not shown"


def test_a_key_that_was_chosen_elsewhere_is_chosen_here(qtbot, window, desk, gateway):
    gateway.answers |= {"GET /v1/keys": w.several(), "GET /v1/device": DeviceState(unlocked=True)}
    for key in w.several():
        gateway.answers[f"GET /v1/work/keys/{key.object_id}"] = w.detail(key)
    road = UseRoad(window, desk, w.several()[2])
    form = choose(qtbot, window, "sign", SignForm)
    assert form.key.key == w.several()[2]
    road.leave()
