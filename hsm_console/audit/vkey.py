"""Keys that sign heads of a log, as C2SP writes them (signed-note, tlog-cosignature): one table of signature types.

| type | key material | what the line carries behind the key id | what is signed |
|---|---|---|---|
| 0x02 | SubjectPublicKeyInfo (P-256, P-384, P-521) | DER ECDSA-Sig-Value with SHA-256 | the note's text |
| 0x04 | 32 bytes, Ed25519 | 8 bytes of seconds, 64 bytes | `cosignature/v1`, `time …`, the note's text |
| 0x06 | 1,312 bytes, ML-DSA-44 | 8 bytes of seconds, 2,420 bytes | struct `cosigned_message` |
| 0xff | `hsm-console/cms-cosignature/v1` ‖ SubjectPublicKeyInfo | 8 bytes of seconds, detached CMS (DER) | as 0x04 |
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NoReturn

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.domain.errors import ExitCode, InputError, Problem

ECDSA, TIMED_ED25519, ML_DSA_44, OTHER = 0x02, 0x04, 0x06, 0xFF
CMS_LABEL = b"hsm-console/cms-cosignature/v1"
NO_TIME = -1
"""Signatures of type 0x02 do not say when they were made."""
_ED25519_KEY, _ED25519_SIGNATURE = 32, 64
_ML_DSA_KEY, _ML_DSA_SIGNATURE = 1312, 2420
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
NAME = re.compile(r"[\x21-\x2a\x2c-\x7e]{1,200}")  # no space, no plus (C2SP signed-note)


class Vkey(msgspec.Struct, frozen=True):
    """A C2SP verifier key: what an auditor holds on paper. name is the log's origin, or the witness's name."""

    name: str
    public_key: bytes
    kind: int = TIMED_ED25519

    @property
    def key_id(self) -> bytes:
        if self.kind == ECDSA:  # C2SP signed-note: the hash of the SPKI alone
            return hashlib.sha256(self.public_key).digest()[:4]
        return key_id(self.name, self.kind, self.public_key)

    @property
    def text(self) -> str:
        """`name+hex keyid+base64(type ‖ public key)`, without a newline."""
        material = base64.b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @property
    def spki(self) -> bytes:
        """SubjectPublicKeyInfo of a person's key (type 0xff)."""
        return self.public_key.removeprefix(CMS_LABEL)


def person_key(name: str, spki: bytes) -> Vkey:
    """The vkey of a person who cosigns with the key of her certificate."""
    return Vkey(name, CMS_LABEL + spki, OTHER)


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """C2SP: SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def parse_vkey(text: str) -> Vkey:
    """Read a C2SP vkey of any type above. Raises InputError `vkey-unreadable`."""
    parts = text.strip().split("+", 2)
    try:
        name, keyid, material = parts
        data = base64.b64decode(material, validate=True)
    except (ValueError, binascii.Error):
        _unreadable("it is not of the form name+keyid+key")
    if not data:
        _unreadable("there is no key in it")
    vkey = Vkey(name, data[1:], data[0])
    _check_material(vkey)
    if not NAME.fullmatch(name) or vkey.key_id.hex() != keyid:
        _unreadable("its key id does not belong to its name and key")
    return vkey


def _check_material(vkey: Vkey) -> None:
    size = len(vkey.public_key)
    if vkey.kind == TIMED_ED25519:
        good = size == _ED25519_KEY
    elif vkey.kind == ML_DSA_44:
        good = size == _ML_DSA_KEY
    elif vkey.kind == ECDSA:
        good = _ecdsa_key(vkey.public_key) is not None
    else:
        good = vkey.kind == OTHER and vkey.public_key.startswith(CMS_LABEL) and _loads(vkey.spki)
    if not good:
        _unreadable(f"it is no key of a type that signs heads here (0x02, 0x04, 0x06; it says 0x{vkey.kind:02x})")


def _loads(spki: bytes) -> bool:
    try:
        load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return True


def _ecdsa_key(spki: bytes) -> ec.EllipticCurvePublicKey | None:
    try:
        key = load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES) else None


def timed_message(body: str, seconds: int) -> bytes:
    """What types 0x04 and 0xff sign (C2SP tlog-cosignature): header, time, the note's text."""
    return f"cosignature/v1\ntime {seconds}\n{body}".encode()


def tree_message(name: str, seconds: int, origin: str, size: int, root: bytes) -> bytes:
    """What type 0x06 signs: `cosigned_message` of C2SP tlog-cosignature over the whole tree of `size`."""
    signer, log = name.encode(), origin.encode()
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(signer)]) + signer,
            seconds.to_bytes(8, "big"),
            bytes([len(log)]) + log,
            (0).to_bytes(8, "big"),
            size.to_bytes(8, "big"),
            root,
        )
    )


def message_of(vkey: Vkey, body: str, head: tuple[str, int, bytes], seconds: int) -> bytes:
    """The exact bytes that this key signs for a head. head: origin, size, root."""
    if vkey.kind == ECDSA:
        return body.encode()
    if vkey.kind == ML_DSA_44:
        return tree_message(vkey.name, seconds, *head)
    return timed_message(body, seconds)


def pack(vkey: Vkey, seconds: int, signature: bytes) -> bytes:
    """What stands in the signature line behind the key id."""
    return signature if vkey.kind == ECDSA else seconds.to_bytes(8, "big") + signature


def unpack(vkey: Vkey, blob: bytes) -> tuple[int, bytes]:
    """(seconds, signature) out of a line. Raises ValueError when it has not the form of its type."""
    if vkey.kind == ECDSA:
        return NO_TIME, blob
    seconds, signature = int.from_bytes(blob[:8], "big"), blob[8:]
    wanted = {TIMED_ED25519: _ED25519_SIGNATURE, ML_DSA_44: _ML_DSA_SIGNATURE}.get(vkey.kind, len(signature))
    if len(blob) < 9 or len(signature) != wanted or seconds >= 1 << 63:
        raise ValueError("not the form of its type")
    return seconds, signature


def check_signature(vkey: Vkey, message: bytes, signature: bytes) -> None:
    """Raises ValueError unless the signature (types 0x02, 0x04, 0x06) verifies."""
    try:
        if vkey.kind == TIMED_ED25519:
            Ed25519PublicKey.from_public_bytes(vkey.public_key).verify(signature, message)
        elif vkey.kind == ML_DSA_44:
            MLDSA44PublicKey.from_public_bytes(vkey.public_key).verify(signature, message)
        elif vkey.kind == ECDSA and (key := _ecdsa_key(vkey.public_key)) is not None:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            raise ValueError(f"signatures of type 0x{vkey.kind:02x} are not verified here")
    except (InvalidSignature, UnsupportedAlgorithm) as fault:
        raise ValueError("it does not verify") from fault


def _unreadable(why: str) -> NoReturn:
    raise InputError(
        Problem(
            code="vkey-unreadable",
            what=f"This is not a verifier key of a log: {why}.",
            todo="Use the file log.vkey, or type the key from the page that was printed at the first ceremony.",
            contact="the auditor",
            exit_code=ExitCode.USAGE,
        )
    )
