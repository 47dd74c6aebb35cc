"""JWE in the flattened JSON form (RFC 7516 7.2.2) for AES-256 keys that lie in a device.

Two ways (RFC 7518): `dir` with A256GCM, where the device itself encrypts the content; and A256GCMKW, where it encrypts
a fresh key, for contents that are too long for a device. Octets that are bound and not hidden are the member `aad`.
"""

from __future__ import annotations

import base64
import secrets
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hsm_console.crypto.envelope.cms import KEY_BYTES, NONCE_BYTES, TAG_BYTES, NotOpened, Unreadable

DIRECT_BYTES = 8 * 1024
"""Contents up to here go through the device itself; AWS CloudHSM for example takes 16 KiB at most."""
NONCES = (NONCE_BYTES, 16)
"""RFC 7518 wants 12 octets. Some devices make their IVs themselves and take 16; that envelope opens only there."""
DIRECT, WRAPPED, CONTENT = "dir", "A256GCMKW", "A256GCM"


class Sealed(Protocol):
    """What AES-GCM gives: of the device, `hsm.port.AesGcm`."""

    @property
    def iv(self) -> bytes: ...
    @property
    def ciphertext(self) -> bytes: ...
    @property
    def tag(self) -> bytes: ...


class Device(Protocol):
    """AES-256-GCM with the key of the device. Each raises what the device raises."""

    def encrypt(self, plaintext: bytes, aad: bytes) -> Sealed: ...
    def decrypt(self, iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> bytes: ...


class Jwe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The members as they stand in the JSON: base64url without padding."""

    protected: str
    iv: str
    ciphertext: str
    tag: str
    encrypted_key: str = ""
    aad: str = ""


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """kid: hex CKA_ID; iv, tag: of the encrypted key (A256GCMKW)."""

    alg: str
    enc: str
    kid: str = ""
    iv: str = ""
    tag: str = ""


def seal(kid: str, data: bytes, aad: bytes, device: Device) -> tuple[bytes, str]:
    """(JSON, how in a few words)."""
    if len(data) <= DIRECT_BYTES:
        header = Header(alg=DIRECT, enc=CONTENT, kid=kid)
        protected = _b64(msgspec.json.encode(header))
        done = device.encrypt(data, _bound(protected, aad))
        jwe = Jwe(protected=protected, iv=_b64(done.iv), ciphertext=_b64(done.ciphertext), tag=_b64(done.tag),
                  aad=_b64(aad))  # fmt: skip
        return msgspec.json.encode(jwe), "AES-256-GCM in the device (JWE dir, A256GCM)"
    key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    kept = device.encrypt(key, b"")
    header = Header(alg=WRAPPED, enc=CONTENT, kid=kid, iv=_b64(kept.iv), tag=_b64(kept.tag))
    protected = _b64(msgspec.json.encode(header))
    sealed = AESGCM(key).encrypt(nonce, data, _bound(protected, aad))
    jwe = Jwe(
        protected=protected,
        iv=_b64(nonce),
        ciphertext=_b64(sealed[:-TAG_BYTES]),
        tag=_b64(sealed[-TAG_BYTES:]),
        encrypted_key=_b64(kept.ciphertext),
        aad=_b64(aad),
    )
    return msgspec.json.encode(jwe), "A fresh key, encrypted with AES-256-GCM in the device (JWE A256GCMKW, A256GCM)"


def parse(data: bytes) -> tuple[Jwe, Header]:
    """Raises Unreadable."""
    try:
        jwe = msgspec.json.decode(data, type=Jwe)
        header = msgspec.json.decode(_raw(jwe.protected), type=Header)
    except (msgspec.MsgspecError, ValueError, RecursionError) as broken:
        raise Unreadable("it is no JWE that this console reads") from broken
    if header.alg not in (DIRECT, WRAPPED) or header.enc != CONTENT:
        raise Unreadable("it was encrypted in another way than AES-256-GCM")
    return jwe, header


def open_sealed(jwe: Jwe, header: Header, kid: str, aad: bytes, device: Device) -> bytes:
    """The data. Raises NotOpened, Unreadable, and what the device raises."""
    if header.kid and header.kid != kid:
        raise NotOpened("it was made for another key")
    try:
        parts = [_raw(text) for text in (jwe.iv, jwe.ciphertext, jwe.tag, jwe.aad, jwe.encrypted_key)]
        more = [_raw(text) for text in (header.iv, header.tag)]
    except ValueError as broken:
        raise Unreadable("a member is not base64url") from broken
    iv, ciphertext, tag, bound, encrypted_key = parts
    if bound != aad:
        raise NotOpened("other octets are bound to the envelope")
    if len(iv) not in NONCES or len(tag) != TAG_BYTES:
        raise Unreadable("nonce or tag has an unusual length")
    if header.alg == DIRECT:
        if encrypted_key:
            raise Unreadable("there is a key where none belongs")
        return device.decrypt(iv, ciphertext, tag, _bound(jwe.protected, aad))
    if len(more[0]) not in NONCES or len(more[1]) != TAG_BYTES or len(encrypted_key) != KEY_BYTES:
        raise Unreadable("the encrypted key has an unusual length")
    key = device.decrypt(more[0], encrypted_key, more[1], b"")
    try:
        return AESGCM(key).decrypt(iv, ciphertext + tag, _bound(jwe.protected, aad))
    except (InvalidTag, ValueError) as wrong:
        raise NotOpened("the content was changed") from wrong


def _bound(protected: str, aad: bytes) -> bytes:
    """RFC 7516 5.1, step 14."""
    return (f"{protected}.{_b64(aad)}" if aad else protected).encode()


def _b64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    """Exactly what `_b64` writes; anything else raises ValueError: two texts for one value are one too many."""
    value = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _b64(value) != text:
        raise ValueError("no canonical base64url")
    return value
