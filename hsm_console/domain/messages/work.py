"""Work with keys on the wire: sign, verify, encrypt, decrypt, derive, random; what may be made, and batches of it."""

from __future__ import annotations

import msgspec

from hsm_console.domain.keys import Algorithm, Custody, SignMechanism, Usage

SECRET_OCTETS = (16, 1024)
"""Least and most that a DeriveRequest may ask for."""
RANDOM_OCTETS = (1, 4096)
"""Least and most that a RandomRequest may ask for."""
INFO_BYTES = 1024
"""Most that the context of a derivation may have."""


class SignRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/work/sign. key_id: hex CKA_ID; data: the whole message; name: what people call it (a file's name)."""

    key_id: str
    mechanism: SignMechanism
    data: bytes
    name: str = ""


class SignReply(msgspec.Struct, frozen=True, kw_only=True):
    """entry: the outcome's sequence number in the log; verified_by: the second implementation that agreed."""

    signature: bytes
    mechanism: SignMechanism
    entry: int
    time_ms: int
    key_id: str
    custody: Custody = Custody.DEVICE
    verified_by: str = ""


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/work/verify. Either key_id (a key of this workspace) or spki_pem (anybody's public key)."""

    mechanism: SignMechanism
    data: bytes
    signature: bytes
    key_id: str = ""
    spki_pem: str = ""
    name: str = ""


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """It holds; what does not hold is a Problem `signature-invalid`. words: PGP words of the key's fingerprint."""

    words: tuple[str, ...]
    entry: int
    fingerprint: str = ""
    label: str = ""
    verified_by: str = ""


class EncryptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/work/encrypt. aad: bound to the message and not hidden; whoever decrypts must give the same."""

    key_id: str
    data: bytes
    aad: bytes = b""
    name: str = ""


class EncryptReply(msgspec.Struct, frozen=True, kw_only=True):
    """format: `cms` (RFC 5083, DER) or `jwe` (RFC 7516, JSON); method: how the key is used, in words."""

    envelope: bytes
    entry: int
    time_ms: int
    format: str
    method: str


class DecryptRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/work/decrypt."""

    key_id: str
    envelope: bytes
    aad: bytes = b""
    name: str = ""


class DecryptReply(msgspec.Struct, frozen=True, kw_only=True):
    data: bytes
    entry: int
    time_ms: int


class DeriveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/work/derive. ECDH with `peer_spki_pem`, then HKDF-SHA-256 with `info`; the raw secret stays inside."""

    key_id: str
    peer_spki_pem: str
    info: bytes
    length: int = 32
    name: str = ""


class DeriveReply(msgspec.Struct, frozen=True, kw_only=True):
    secret: bytes
    entry: int
    time_ms: int


class RandomRequest(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/work/random. Octets of the device mixed with those of the operating system."""

    length: int


class RandomReply(msgspec.Struct, frozen=True, kw_only=True):
    """tested: octets of the device that have passed its health tests without a break, the start-up test included;
    a source that fails is a Problem `random-source-stuck`, and gives nothing.
    """

    data: bytes
    entry: int
    time_ms: int
    sources: tuple[str, ...]
    tested: int = 0


class KeyOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of key that can be made now. software: it would lie wrapped outside the module; note says so."""

    algorithm: Algorithm
    title: str
    usages: tuple[Usage, ...]
    mechanisms: tuple[SignMechanism, ...] = ()
    custody: Custody = Custody.DEVICE
    note: str = ""


class KeyDetail(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/work/keys/{key_id}: what may be done with one key.

    acts: of `sign`, `verify`, `encrypt`, `decrypt`, `derive`, `wrap`, `unwrap`; why_not: act → one sentence.
    mechanisms: the first is the default. custody_words: where the key lies, in one sentence.
    """

    key_id: str
    label: str
    algorithm: Algorithm
    usages: tuple[Usage, ...]
    acts: tuple[str, ...]
    why_not: dict[str, str]
    mechanisms: tuple[SignMechanism, ...]
    custody: Custody
    custody_words: str
    purpose: str = ""
    state: str = "active"


class WrappedKey(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/work/wrapped/{sha256}: a key that left the device under a wrapping key (AES-KWP, RFC 5649)."""

    sha256: str
    data: bytes


GENERATE_KEYS = "generate-keys"
DESTROY_KEY = "destroy-key"
WRAP_KEY = "wrap-key"
UNWRAP_KEY = "unwrap-key"
ORDER_PARAMETERS: dict[str, dict[str, str]] = {
    GENERATE_KEYS: {
        "algorithm": "the kind of key, for example ec-p384",
        "label": "the keys' name; {n} becomes the number, {nn} the number with a zero before, and so on",
        "count": "how many, 1 to 1000",
        "usages": "of sign, encrypt, wrap, derive; with a comma between them",
        "extractable": "yes or no: may the key leave the device under a wrapping key",
    },
    DESTROY_KEY: {
        "key": "the key's id (hexadecimal)",
        "leave": "names of further devices whose copies are left, with a comma between them; empty: none",
    },
    WRAP_KEY: {"key": "the id of the key that leaves", "under": "the id of the wrapping key"},
    UNWRAP_KEY: {
        "under": "the id of the wrapping key",
        "sha256": "the wrapped key's SHA-256, as the order wrap-key told it",
        "wrapped": "the wrapped key itself in base64, when it comes from elsewhere",
        "algorithm": "the kind of key",
        "label": "the key's name from now on",
        "usages": "of sign, encrypt, wrap, derive; with a comma between them",
    },
}
"""Parameters of the orders of this room: action → name → what is to be given there."""
