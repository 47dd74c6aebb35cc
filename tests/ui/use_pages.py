"""What the gateway answers to somebody who uses a key, in the memory of the test; and the pages, for the gallery."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import samples as s
import work_pages as w

from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import SignMechanism
from hsm_console.domain.messages.work import DecryptReply, DeriveReply, EncryptReply, RandomReply, SignReply, Verified
from ui.files import Brought

CONTRACT = b"The parties agree on everything.\n" * 400
LONG_NAME = "Framework agreement between Aurora Holding AG and the Noether-Schwarzenberg von der Hohen Warte trust.pdf"
INVALID = Problem(
    code="signature-invalid",
    what="The signature does not belong to this message and this key.",
    todo="Do not rely on it. Ask the sender for message, signature and public key over another way.",
    details={"entry": "93"},
)
CLOSED = Problem(
    code="ciphertext-invalid",
    what="The envelope, what is bound to it and the key do not belong together.",
    todo="Ask the sender whether it was encrypted for this key.",
    details={"entry": "94"},
)


def brought(name: str = "contract.pdf", data: bytes = CONTRACT) -> Brought:
    return Brought(name, data, hashlib.sha256(data).hexdigest(), Path("/srv/in") / name, len(data))


def signed() -> SignReply:
    return SignReply(
        signature=bytes(range(96)), mechanism=SignMechanism.ECDSA_SHA384, entry=91, time_ms=s.NOW, key_id="a1" * 16,
        verified_by="cryptography 50.0 (OpenSSL 3.5)",
    )  # fmt: skip


def verified() -> Verified:
    return Verified(
        words=s.WORDS, entry=92, fingerprint=s.FINGERPRINT, label="ceo-identity-2026", verified_by="cryptography"
    )


def encrypted() -> EncryptReply:
    return EncryptReply(envelope=b"\x30" * 14_000, entry=95, time_ms=s.NOW, format="cms", method="ECDH-ES, AES-256-GCM")


def decrypted() -> DecryptReply:
    return DecryptReply(data=CONTRACT, entry=96, time_ms=s.NOW)


STUCK = Problem(
    code="random-source-stuck",
    what="The random number generator “token” is not working: it gave the same octet 8 times in a row.",
    key_state="No key was touched.",
    todo="Do not make any key. Have the device examined.",
    contact="the maker of the device",
)
SECRET = bytes(range(100, 132))


def derived() -> DeriveReply:
    return DeriveReply(secret=SECRET, entry=97, time_ms=s.NOW)


def drawn(octets: bytes = SECRET) -> RandomReply:
    sources = ("the device", "the operating system")
    return RandomReply(data=octets, entry=98, time_ms=s.NOW, sources=sources, tested=1152)


def simple() -> dict[str, Callable[[], Any]]:
    """name → maker of a page."""
    from ui.orders.check import CheckPage
    from ui.signing import endings, secret_endings
    from ui.signing.fields import Source
    from ui.signing.forms import DecryptForm, EncryptForm, SignForm, VerifyForm, Wish
    from ui.signing.page import UsePage
    from ui.signing.secret_forms import DeriveForm, RandomForm
    from ui.widgets.disclosed import Disclosed
    from ui.widgets.fold import Fold

    key = s.key()
    keys, secret = [key, w.several()[2]], w.several()[6]
    who = "Charlotte Babbage"
    wish = Wish("verify", key, Source(path=Path("/srv/in/contract.pdf")), signature=Path("/srv/in/contract.pdf.sig"))

    def ready(form: Any, of: Any, *, opened: bool = False) -> Any:
        form.show_detail(w.detail(of))
        if opened:
            form.findChild(Fold).handle.setChecked(True)
        return form

    def missing() -> SignForm:
        form = ready(SignForm(keys), key)
        form.main.button.click()
        return form

    def not_allowed() -> SignForm:
        form = SignForm([w.several()[7]])
        form.show_detail(w.detail(w.several()[7]))
        return form

    def busy() -> EncryptForm:
        form = ready(EncryptForm([secret]), secret)
        form.content.file.set_path(Path("/srv/in/payroll-2026-11.xlsx"))
        form.main.start()
        form.main._since -= 3
        form.main._tick()
        return form

    exchange = w.several()[7]
    agreement = Wish("derive", exchange, Source(path=Path("/srv/in/partner.pem")), bound=b"file 12", length=32)

    def derive_wrong() -> DeriveForm:
        form = ready(DeriveForm([exchange]), exchange, opened=True)
        form.public.set_path(Path("/srv/in/partner.pem"))
        form.length.set_text("8")
        form.main.button.click()
        return form

    def agreed() -> Any:
        return secret_endings.agreed(exchange, agreement, brought("partner.pem", b"x" * 215), derived(), who)

    def opened(page: Any) -> Any:
        page.findChild(Disclosed).show_it.setChecked(True)
        return page

    def stuck() -> RandomForm:
        form = RandomForm()
        form.refuse(STUCK)
        return form

    def sign_check() -> CheckPage:
        items = [
            *endings.about(brought(LONG_NAME)),
            ("Key", f"{key.label} (Elliptic curve P-384)"),
            ("How", "ECDSA, SHA-384"),
        ]
        then = "The module signs it now. Whoever has the public key can verify it, for ever; it cannot be unsigned."
        return CheckPage("Sign", items, then, ask=f"&Sign with “{key.label}”", fixed=endings.fixed())

    return {
        "use": lambda: UsePage(may_use=True, unlocked=True),
        "use-locked": lambda: UsePage(may_use=True, unlocked=False),
        "use-reader": lambda: UsePage(may_use=False, unlocked=True),
        "use-sign": lambda: ready(SignForm(keys), key, opened=True),
        "use-sign-missing": missing,
        "use-sign-refused": not_allowed,
        "use-sign-no-key": lambda: SignForm([]),
        "use-sign-check": sign_check,
        "use-signed": lambda: endings.signed(key, brought(), signed(), who),
        "use-verify": lambda: ready(VerifyForm(keys), key),
        "use-verified": lambda: endings.verified(wish, brought(), verified()),
        "use-not-verified": lambda: endings.not_verified(wish, brought(), INVALID),
        "use-encrypt": lambda: ready(EncryptForm([secret]), secret, opened=True),
        "use-encrypt-busy": busy,
        "use-encrypted": lambda: endings.encrypted(secret, brought(), encrypted(), who),
        "use-decrypt": lambda: ready(DecryptForm([secret]), secret),
        "use-decrypted": lambda: endings.decrypted(secret, brought("contract.pdf.p7m"), decrypted(), who),
        "use-derive": lambda: ready(DeriveForm([exchange]), exchange),
        "use-derive-wrong": derive_wrong,
        "use-derive-no-key": lambda: DeriveForm([]),
        "use-derived": agreed,
        "use-derived-seen": lambda: opened(agreed()),
        "use-random": RandomForm,
        "use-random-stuck": stuck,
        "use-random-drawn": lambda: secret_endings.drawn(drawn(), who),
        "use-random-many": lambda: secret_endings.drawn(drawn(SECRET * 128), who),
        "use-not-opened": lambda: endings.not_opened(secret, brought("contract.pdf.p7m"), CLOSED),
    }
