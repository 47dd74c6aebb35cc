"""Sealing: confidential values leave an entry before it is written, and go encrypted into `disclosure` (AUDIT 2).

A data key (AES-256) seals values; it is wrapped to a key pair in the token whose private half never leaves it: anybody
can wrap, only the unlocked token unwraps. So values can be sealed while the device is locked, and not read.

    sealed row = 0x01 ‖ length of name ‖ name ‖ 12 bytes IV ‖ AES-256-GCM(disclosure), AAD = chain uid ⏎ entry ⏎ name
    wrapped    = 0x01 ‖ ephemeral P-384 point ‖ AES-256-GCM(data key) under HKDF-SHA256(ECDH), zero IV
               | 0x02 ‖ RSA-OAEP(32 random bytes) ‖ AES-256-GCM(data key) under HKDF-SHA256(those bytes), zero IV

0x02 is OAEP with SHA-256, 0x03 the same with SHA-1, for devices that open no other (its collisions do not touch OAEP).
"""

from __future__ import annotations

import enum
import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.audit import disclosure, sealable
from hsm_console.audit.disclosure import Disclosure
from hsm_console.domain.errors import EnvironmentFault, ExitCode, Problem, VerificationFailed
from hsm_console.domain.events import Draft, Event, Seat

_VERSION = b"\x01"
_IV_BYTES = 12
_POINT_BYTES = 97  # an uncompressed point of P-384
SHARED_BYTES = 48
VALUES_PER_KEY = 1 << 24  # far below the 2^32 random IVs that SP 800-38D allows one key
_SEED_BYTES = 32
_WRAPPED_BYTES = 48  # a data key and its tag
LEAST_RSA_BITS = 3072
Derive = Callable[[bytes], bytes]
"""ECDH in the token: the other side's point → the shared secret (48 bytes)."""
Decrypt = Callable[[bytes, str], bytes]
"""RSA-OAEP in the token: ciphertext and hash (`sha256`, `sha1`) → what was encrypted (32 bytes)."""


class Scheme(enum.StrEnum):
    """How data keys are wrapped for the key in the token; the values stand in the log."""

    ECDH_P384 = ""
    OAEP_SHA256 = "rsa-oaep-sha256"
    OAEP_SHA1 = "rsa-oaep-sha1"

    @property
    def digest(self) -> str:
        """Of OAEP, as the port names it; empty for ECDH."""
        return self.value.rpartition("-")[2]


_VERSIONS = {b"\x01": Scheme.ECDH_P384, b"\x02": Scheme.OAEP_SHA256, b"\x03": Scheme.OAEP_SHA1}
_HASHES: dict[str, Callable[[], HashAlgorithm]] = {"sha256": SHA256, "sha1": SHA1}


class Recipient(NamedTuple):
    """A key pair in the token that data keys are wrapped for. key_id: hex CKA_ID; spki: DER."""

    key_id: str
    spki: bytes
    scheme: Scheme


class Holder(NamedTuple):
    """What the unlocked token does with the private half of a recipient."""

    derive: Derive
    decrypt: Decrypt


class DataKey:
    """An AES-256 key in memory. Its repr shows nothing."""

    __slots__ = ("aead", "raw", "uid")

    def __init__(self, uid: str, raw: bytes) -> None:
        self.uid = uid
        self.raw = raw
        self.aead = AESGCM(raw)


class SealedRow(msgspec.Struct, frozen=True):
    """One row of table `disclosure`."""

    digest: str
    seq: int
    key_id: str
    sealed: bytes


class Sealed(msgspec.Struct, frozen=True):
    """A draft without its confidential values, and where they went."""

    draft: Draft
    rows: tuple[SealedRow, ...]

    def insert(self, conn: sqlite3.Connection) -> None:
        conn.executemany(
            "INSERT INTO disclosure(digest, seq, key_id, sealed) VALUES (?, ?, ?, ?)",
            [(row.digest, row.seq, row.key_id, row.sealed) for row in self.rows],
        )

    def members(self) -> dict[str, Any]:
        """What the entry says of it: digests in order (RFC 9901 4.2.4.1), and the SHA-256 of each sealed row."""
        rows = sorted(self.rows, key=lambda row: row.digest)
        return {
            "_sd": [row.digest for row in rows],
            "_sd_alg": "sha-256",
            "_sealed": [hashlib.sha256(row.sealed).hexdigest() for row in rows],
        }


class Sealer:
    """Takes confidential values out of drafts. Called inside the log's transaction; `use` from anywhere."""

    def __init__(self, chain_uid: str, classes: Iterable[str]) -> None:
        self._chain_uid = chain_uid
        self._plan = sealable.Plan(classes)
        self._lock = threading.Lock()
        self._key: DataKey | None = None
        self.used = 0

    def use(self, key: DataKey) -> None:
        """Seal with this key from the next value on; the one before is forgotten."""
        with self._lock:
            self._key, self.used = key, 0

    @property
    def key_uid(self) -> str:
        key = self._key
        return key.uid if key else ""

    def seal(self, draft: Draft, seq: int) -> Sealed | None:
        """None when nothing in this draft is confidential. Raises EnvironmentFault `seal-key-missing`."""
        members = self._plan.members.get(type(draft.event), ())
        named = self._plan.actor_name and draft.actor is not None
        if not members and not named:
            return None
        with self._lock:
            work = _Work(self._key, self._chain_uid, seq)
            change = {name: new for name in members if (new := self._replaced(work, draft.event, name)) is not None}
            if named and draft.actor is not None:
                actor = msgspec.structs.replace(draft.actor, name=work.put(sealable.ACTOR_NAME, draft.actor.name))
                draft = msgspec.structs.replace(draft, actor=actor)
            self.used += len(work.rows)
        if change:
            draft = msgspec.structs.replace(draft, event=msgspec.structs.replace(draft.event, **change))
        return Sealed(draft, tuple(work.rows)) if work.rows else None

    def _replaced(self, work: _Work, event: Event, name: str) -> Any:
        value = getattr(event, name)
        if isinstance(value, str):
            return work.put(f"event.{name}", value) if value else None
        if isinstance(value, dict):
            kind = getattr(event, "step_kind", "")
            return {
                fact: work.put(f"event.{name}.{fact}", text) if text and self._plan.seals_fact(kind, fact) else text
                for fact, text in value.items()
            }
        seats: list[Seat] = [
            msgspec.structs.replace(seat, name=work.put(f"event.{name}.{at}.name", seat.name))
            for at, seat in enumerate(value)
        ]
        return tuple(seats)


class _Work:
    """The values of one entry on their way into rows."""

    def __init__(self, key: DataKey | None, chain_uid: str, seq: int) -> None:
        self._key = key
        self._chain_uid = chain_uid
        self._seq = seq
        self.rows: list[SealedRow] = []

    def put(self, name: str, value: str) -> str:
        """Seal one value; what stands in its place."""
        if self._key is None:
            raise _no_key()
        text = disclosure.new(name, value).text
        digest = disclosure.digest(text)
        sealed = seal_text(self._key, self._chain_uid, self._seq, name, text)
        self.rows.append(SealedRow(digest, self._seq, self._key.uid, sealed))
        return disclosure.MARK + digest


def seal_text(key: DataKey, chain_uid: str, seq: int, name: str, text: str) -> bytes:
    """A disclosure as a sealed row."""
    label = name.encode()[:255]
    iv = secrets.token_bytes(_IV_BYTES)
    header = _VERSION + bytes([len(label)]) + label + iv
    return header + key.aead.encrypt(iv, text.encode("ascii"), _aad(chain_uid, seq, label))


def open_row(key: DataKey, chain_uid: str, row: SealedRow) -> Disclosure:
    """The disclosure of a row, held to its digest, its entry and its name.

    Raises VerificationFailed `sealed-broken` (word SEALED) or `disclosure-broken` (word DISCLOSURE).
    """
    blob = row.sealed
    end = 2 + blob[1] if len(blob) > 2 else 0
    if blob[:1] != _VERSION or len(blob) < end + _IV_BYTES + 16 or not end:
        _broken(row.seq)
    label, iv = blob[2:end], blob[end : end + _IV_BYTES]
    try:
        text = key.aead.decrypt(iv, blob[end + _IV_BYTES :], _aad(chain_uid, row.seq, label)).decode("ascii")
    except (InvalidTag, UnicodeDecodeError):
        _broken(row.seq)
    if disclosure.digest(text) != row.digest:
        disclosure.broken(f"the sealed value of entry {row.seq} is not the one that the entry names")
    found = disclosure.parse(text)
    if found.name.encode()[:255] != label:
        _broken(row.seq)
    return found


def _aad(chain_uid: str, seq: int, label: bytes) -> bytes:
    return f"{chain_uid}\n{seq}\n".encode() + label


# -- data keys -------------------------------------------------------------------------------------------------


def new_data_key() -> DataKey:
    return DataKey(secrets.token_hex(8), secrets.token_bytes(32))


def wrap(key: DataKey, chain_uid: str, recipient: Recipient) -> bytes:
    """The data key for the holder of a P-384 or RSA key pair. Needs the public half only."""
    public = load_der_public_key(recipient.spki)
    version = next(version for version, scheme in _VERSIONS.items() if scheme is recipient.scheme)
    if recipient.scheme is Scheme.ECDH_P384:
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name != "secp384r1":
            raise _no_key()
        ephemeral = ec.generate_private_key(ec.SECP384R1())
        shown = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        secret = ephemeral.exchange(ec.ECDH(), public)
    else:
        if not isinstance(public, rsa.RSAPublicKey) or public.key_size < LEAST_RSA_BITS:
            raise _no_key()
        secret = secrets.token_bytes(_SEED_BYTES)
        shown = public.encrypt(secret, oaep(recipient.scheme))
    kek, aad = _wrapping_key(secret, shown, recipient.spki, chain_uid, key.uid)
    return version + shown + kek.encrypt(bytes(_IV_BYTES), key.raw, aad)


def oaep(scheme: Scheme) -> padding.OAEP:
    """RFC 8017 7.1 without label, the mask by the same hash."""
    chosen = _HASHES[scheme.digest]
    return padding.OAEP(mgf=padding.MGF1(chosen()), algorithm=chosen(), label=None)


def unwrap(uid: str, wrapped: bytes, chain_uid: str, recipient_spki: bytes, holder: Holder) -> DataKey:
    """The data key, by the token's private half. Raises what the token raises, VerificationFailed `sealed-broken`."""
    shown, sealed = wrapped[1:-_WRAPPED_BYTES], wrapped[-_WRAPPED_BYTES:]
    scheme = _VERSIONS.get(wrapped[:1])
    if scheme is None or len(sealed) != _WRAPPED_BYTES or len(shown) < _POINT_BYTES:
        _broken(-1)
    if scheme is Scheme.ECDH_P384 and len(shown) != _POINT_BYTES:
        _broken(-1)
    secret = holder.derive(shown) if scheme is Scheme.ECDH_P384 else holder.decrypt(shown, scheme.digest)
    kek, aad = _wrapping_key(secret, shown, recipient_spki, chain_uid, uid)
    try:
        return DataKey(uid, kek.decrypt(bytes(_IV_BYTES), sealed, aad))
    except InvalidTag:
        _broken(-1)


def _wrapping_key(secret: bytes, shown: bytes, spki: bytes, chain_uid: str, uid: str) -> tuple[AESGCM, bytes]:
    """The key for one wrapping: a fresh point or ciphertext each time, so that a zero IV is used once."""
    info = f"hsm-console/data-key/v1\n{chain_uid}\n{uid}\n".encode()
    kdf = HKDF(algorithm=SHA256(), length=32, salt=hashlib.sha256(shown + spki).digest(), info=info)
    return AESGCM(kdf.derive(secret)), info


def _broken(seq: int) -> NoReturn:
    where = f"the sealed value of entry {seq}" if seq >= 0 else "a wrapped data key"
    raise VerificationFailed(
        Problem(
            code="sealed-broken",
            what=f"SEALED: {where} was altered, or belongs to another entry or log.",
            todo="Do not rely on what is shown for this entry. Keep the file as it is and run the verification.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def _no_key() -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="seal-key-missing",
            what="The log seals confidential values, and there is no key to seal with.",
            todo="Unlock the device; the key for sealing is looked up or made then.",
        )
    )
