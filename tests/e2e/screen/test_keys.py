"""Keys of everyday work on the screen, against the real gateway: made by order, used, taken out, destroyed."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from desk_of_a_house import PASSPHRASE
from PySide6.QtWidgets import QFileDialog, QPushButton

from hsm_console.domain.messages.orders import OrderState
from ui.signing.results import ResultPage
from ui.widgets.typed_word import TypedWord

CONTRACT = b"The parties agree on everything.\n" * 4000
STATE_MS = 60_000


@pytest.fixture
def house(open_house: Callable) -> Any:
    return ready(open_house())


def ready(made: Any) -> Any:
    """The administrator is here, the module is unlocked."""
    made.log_in()
    made.wait("Good day, Charlotte Babbage").unlock_asked.emit()
    made.unlock()
    made.wait("Good day, Charlotte Babbage")
    return made


def press(house: Any, text: str) -> None:
    def there() -> list[QPushButton]:
        found = house.page.findChildren(QPushButton)
        return [b for b in found if text in b.text().replace("&", "") and b.isVisible() and b.isEnabled()]

    house.qtbot.waitUntil(lambda: bool(there()), timeout=20_000)
    there()[0].click()


def buttons(page: Any) -> str:
    return "\n".join(b.text().replace("&", "") for b in page.findChildren(QPushButton))


def make(house: Any, purpose: str, algorithm: str, name: str, count: int = 1, *, may_leave: bool = False) -> None:
    """Ask for keys on the pages of the keys; ends on the order's page."""
    house.console.go("keys")
    page = house.wait("Keys")
    house.qtbot.waitUntil(page.make.isVisible, timeout=20_000)
    page.make.click()
    page = house.wait("Make keys")
    house.choose(page.purpose.control, purpose)
    kinds = page.kind.control
    kinds.setCurrentIndex(next(i for i in range(kinds.count()) if kinds.itemData(i).algorithm == algorithm))
    page.count.set_text(str(count))
    page.name.set_text(name)
    page.extractable.setChecked(may_leave)
    page.check.click()
    house.wait("Check and confirm").main.button.click()


def listed(house: Any, count: int) -> list[Any]:
    """The keys of people, when there are so many of them."""
    page = house.wait("Keys")
    house.qtbot.waitUntil(lambda: len(own_left_out(page)) == count, timeout=20_000)
    return own_left_out(page)


def own_left_out(page: Any) -> list[Any]:
    return [key for key in page.model.keys if not key.purpose]


def decide(house: Any, uid: str, *, yes: bool = True) -> None:
    """A custodian steps up to the order that is shown, reads, signs and leaves."""
    page = house.page
    page.other.click()
    up = house.page
    up.credential.suggest(uid)
    up.passphrase.set_text(PASSPHRASE)
    up.main.button.click()
    house.qtbot.waitUntil(lambda: "this is what you sign" in house.page.title, timeout=20_000)
    over = house.page
    if not yes:
        over.because.set_text("Not this year.")
    (over.yes if yes else over.no).button.click()
    house.qtbot.waitUntil(lambda: house.page is page, timeout=20_000)


def carry_out(house: Any, title: str) -> Any:
    """Two custodians approve, the administrator carries it out; returns the order's page when it is done."""
    page = house.wait(title)
    decide(house, "a.turing")
    decide(house, "g.hopper")
    house.qtbot.waitUntil(lambda: page.order.state is OrderState.READY, timeout=20_000)
    if page.order.irreversible:
        page.findChild(TypedWord).control.setText("carry out")
    page.run.button.click()
    house.qtbot.waitUntil(lambda: page.order.state is OrderState.DONE, timeout=STATE_MS)
    return page


def save(house: Any, text: str, path: Path) -> Path:
    page = house.page
    press(house, text)
    dialog = page.findChildren(QFileDialog)[-1]
    dialog.fileSelected.emit(str(path))
    dialog.close()
    house.qtbot.waitUntil(lambda: f"Saved: {path}" in house.words(), timeout=10_000)
    return path


def use(house: Any, act: str, title: str) -> Any:
    house.console.go("use")
    house.wait("Use a key").tiles[act].click()
    return house.wait(title)


def ended(house: Any) -> str:
    house.qtbot.waitUntil(lambda: isinstance(house.page, ResultPage), timeout=20_000)
    return str(house.page.title)


def test_five_keys_by_order_then_one_signs(house: Any, tmp_path: Path) -> None:
    make(house, "sign", "ec-p384", "invoice-signing-{nn}", 5)
    carry_out(house, "Make keys")
    press(house, "Receipt")
    house.wait("Receipt").left.emit()
    press(house, "Look at the keys")
    keys = listed(house, 5)
    assert sorted(key.label for key in keys) == [f"invoice-signing-0{n}" for n in range(1, 6)]

    house.page.opened.emit(keys[0])
    one = house.page
    house.qtbot.waitUntil(one.use.isVisible, timeout=20_000)
    one.ask_history.button.click()
    house.qtbot.waitUntil(lambda: "Receipt of its making" in buttons(one), timeout=20_000)
    one.use.click()
    house.wait("Use a key").tiles["sign"].click()
    form = house.wait("Sign")
    assert form.key.key.label == one.key.label
    contract = tmp_path / "contract.pdf"
    contract.write_bytes(CONTRACT)
    form.content.file.set_path(contract)
    house.qtbot.waitUntil(lambda: form.key.detail is not None, timeout=20_000)
    form.main.button.click()
    house.wait("Check and confirm").main.button.click()
    assert ended(house) == "It is signed"
    signature = save(house, "Save the signature", tmp_path / "contract.pdf.sig")
    public = save(house, "Save the public key", tmp_path / "key.pem")
    command = ["openssl", "dgst", "-sha384", "-verify", str(public), "-signature", str(signature), str(contract)]
    assert b"Verified OK" in subprocess.run(command, capture_output=True, check=True).stdout

    for data, verdict in ((CONTRACT, "The signature is right"), (CONTRACT + b".", "The signature is NOT right")):
        contract.write_bytes(data)
        form = use(house, "verify", "Verify a signature")
        form.content.file.set_path(contract)
        form.signature.set_path(signature)
        form.other.setChecked(True)
        form.public.set_path(public)
        form.main.button.click()
        assert ended(house) == verdict


def sign_and_verify(house: Any, plain: Path, folder: Path) -> None:
    plain.write_bytes(CONTRACT)
    form = use(house, "sign", "Sign")
    form.content.file.set_path(plain)
    house.qtbot.waitUntil(lambda: form.key.detail is not None, timeout=20_000)
    form.main.button.click()
    house.wait("Check and confirm").main.button.click()
    assert ended(house) == "It is signed"
    signature = save(house, "Save the signature", folder / "payroll.sig")
    for data, verdict in ((CONTRACT, "The signature is right"), (CONTRACT + b".", "The signature is NOT right")):
        plain.write_bytes(data)
        form = use(house, "verify", "Verify a signature")
        form.content.file.set_path(plain)
        form.signature.set_path(signature)
        house.qtbot.waitUntil(lambda: form.key.detail is not None, timeout=20_000)  # noqa: B023
        form.main.button.click()
        assert ended(house) == verdict


def encrypt_and_open(house: Any, plain: Path, folder: Path) -> None:
    plain.write_bytes(CONTRACT)
    form = use(house, "encrypt", "Encrypt")
    form.content.file.set_path(plain)
    form.bound.set_text("file 12")
    form.main.button.click()
    assert ended(house) == "It is encrypted"
    sealed = save(house, "Save the encrypted file", folder / "payroll.sealed")
    for bound, verdict in (("file 12", "It is open"), ("file 13", "It cannot be opened")):
        form = use(house, "decrypt", "Decrypt")
        form.envelope.set_path(sealed)
        form.bound.set_text(bound)
        form.main.button.click()
        assert ended(house) == verdict
        if bound == "file 12":
            opened = save(house, "Save what was inside", folder / "opened.xlsx")
            assert opened.read_bytes() == CONTRACT
            assert stat.S_IMODE(opened.stat().st_mode) == 0o600


@pytest.mark.softhsm
@pytest.mark.parametrize("adapter", ["softhsm"])
def test_a_whole_life_in_a_real_module(open_house: Callable, tmp_path: Path, adapter: str) -> None:
    """Make, sign, verify, encrypt, decrypt, draw, destroy; a changed file is neither right nor opened."""
    house = ready(open_house())
    plain = tmp_path / "payroll.xlsx"
    make(house, "sign", "ec-p384", "release-signing")
    carry_out(house, "Make keys")
    make(house, "encrypt", "aes-256", "payroll-files")
    carry_out(house, "Make keys")

    sign_and_verify(house, plain, tmp_path)
    encrypt_and_open(house, plain, tmp_path)
    use(house, "random", "Draw random bytes").main.button.click()
    assert ended(house) == "They are drawn"
    assert len(save(house, "Save them", tmp_path / "seed.bin").read_bytes()) == 32

    house.console.go("keys")
    signing = next(key for key in listed(house, 2) if key.label == "release-signing")
    house.page.opened.emit(signing)
    house.page.end.click()
    page = house.wait("Destroy “release-signing”")
    page.word.control.setText("destroy")
    page.main.button.click()
    carry_out(house, "Destroy a key")
    house.console.go("keys")
    assert {key.label: key.state for key in listed(house, 2)} == {
        "payroll-files": "active",
        "release-signing": "destroyed",
    }


def test_both_sides_agree_on_a_secret(house: Any, tmp_path: Path) -> None:
    make(house, "derive", "ec-p384", "partner-exchange")
    carry_out(house, "Make keys")
    theirs, other = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256R1())
    partner = tmp_path / "partner.pem"

    def compute(key: ec.EllipticCurvePrivateKey) -> Any:
        partner.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        form = use(house, "derive", "Agree on a secret")
        form.public.set_path(partner)
        form.context.set_text("file 12")
        form.main.button.click()
        return form

    form = compute(other)
    house.qtbot.waitUntil(lambda: "not of the kind" in form.public.field.error, timeout=20_000)
    compute(theirs)
    assert ended(house) == "You share a secret"
    secret = save(house, "Save the secret", tmp_path / "secret.bin").read_bytes()
    ours = load_pem_public_key(save(house, "Save the public key", tmp_path / "ours.pem").read_bytes())
    shared = theirs.exchange(ec.ECDH(), ours)
    assert secret == HKDF(algorithm=SHA256(), length=32, salt=None, info=b"file 12").derive(shared)


def test_a_key_is_taken_out_destroyed_and_brought_in_again(house: Any, tmp_path: Path) -> None:
    make(house, "wrap", "aes-256", "backup-wrapping")
    carry_out(house, "Make keys")
    make(house, "sign", "ec-p256", "partner-signing", may_leave=True)
    carry_out(house, "Make keys")

    house.console.go("keys")
    partner = next(key for key in listed(house, 2) if key.label == "partner-signing")
    house.page.opened.emit(partner)
    house.page.wrap.click()
    house.wait("Take “partner-signing” out, wrapped")
    press(house, "Check it")
    house.wait("Check and confirm").main.button.click()
    carry_out(house, "Let a key out, wrapped")
    wrapped = save(house, "Save the wrapped key", tmp_path / "partner.kwp")

    house.console.go("keys")
    listed(house, 2)
    house.page.opened.emit(partner)
    house.page.end.click()
    page = house.wait("Destroy “partner-signing”")
    page.word.control.setText("destroy")
    page.main.button.click()
    carry_out(house, "Destroy a key")

    house.console.go("keys")
    keys = house.wait("Keys")
    house.qtbot.waitUntil(keys.bring.isVisible, timeout=20_000)
    keys.bring.click()
    page = house.wait("Bring a wrapped key in")
    page.file.set_path(wrapped)
    house.choose(page.kind.control, "ec-p256")
    page.name.set_text("partner-again")
    press(house, "Check it")
    house.wait("Check and confirm").main.button.click()
    carry_out(house, "Take a wrapped key in")
    house.console.go("keys")
    states = {key.label: key.state for key in listed(house, 3)}
    assert states == {"backup-wrapping": "active", "partner-signing": "destroyed", "partner-again": "active"}


def test_a_batch_is_stopped_and_goes_on_and_nothing_is_made_twice(house: Any) -> None:
    make(house, "sign", "ed25519", "sensor-{nnn}", 60)
    page = house.wait("Make keys")
    decide(house, "a.turing")
    decide(house, "g.hopper")
    press(house, "Carry it out")
    house.qtbot.waitUntil(lambda: page.order.done >= 2 or page.order.state is OrderState.DONE, timeout=STATE_MS)
    press(house, "Stop it")
    house.qtbot.waitUntil(lambda: page.order.state is OrderState.STOPPED, timeout=STATE_MS)
    made = int(page.order.result["made"].split()[0])
    assert 0 < made < 60
    press(house, "Go on")
    house.qtbot.waitUntil(lambda: page.order.state is OrderState.DONE, timeout=2 * STATE_MS)
    house.console.go("keys")
    assert len({key.label for key in listed(house, 60)}) == 60


def test_one_custodian_declines_and_nothing_is_made(house: Any) -> None:
    make(house, "sign", "ec-p384", "unwanted")
    page = house.wait("Make keys")
    decide(house, "a.turing")
    decide(house, "g.hopper", yes=False)
    decide(house, "e.noether", yes=False)
    house.qtbot.waitUntil(lambda: page.order.state is OrderState.DECLINED, timeout=20_000)
    house.qtbot.waitUntil(lambda: "Not this year." in house.words(), timeout=20_000)
    assert not page.run.isVisible()
    house.console.go("keys")
    house.qtbot.waitUntil(lambda: "No key yet" in house.words(), timeout=20_000)
