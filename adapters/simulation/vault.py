"""PINs of the simulated token: Argon2id over the PIN seals a random master key; the master key seals the objects."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from adapters.simulation.store import PinRecord
from hsm_console.domain.secret import Secret

MEMORY_KIB = 64 * 1024
PASSES = 3
LANES = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
_PURPOSE = b"hsm-console/simulation/pin/v1\x00"


class WrongPin(Exception):
    """The PIN did not open the record."""


def record(pin: Secret, content: bytes, role: str) -> PinRecord:
    """Seal `content` under a PIN; `role` (user, so) keeps one record from passing for the other."""
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(_NONCE_BYTES)
    key = _stretch(pin, salt, MEMORY_KIB, PASSES, LANES)
    sealed = AESGCM(key).encrypt(nonce, content, _PURPOSE + role.encode())
    return PinRecord(salt=salt, memory_kib=MEMORY_KIB, passes=PASSES, lanes=LANES, nonce=nonce, sealed=sealed)


def open_record(held: PinRecord, pin: Secret, role: str) -> bytes:
    """What `record` sealed. Raises WrongPin."""
    key = _stretch(pin, held.salt, held.memory_kib, held.passes, held.lanes)
    try:
        return AESGCM(key).decrypt(held.nonce, held.sealed, _PURPOSE + role.encode())
    except InvalidTag as wrong:
        raise WrongPin from wrong


def master_key() -> bytes:
    return secrets.token_bytes(_KEY_BYTES)


def seal(key: bytes, header: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Nonce and sealed value; the header is authenticated."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce, AESGCM(key).encrypt(nonce, value, header)


def unseal(key: bytes, nonce: bytes, header: bytes, sealed: bytes) -> bytes:
    """Raises cryptography's InvalidTag when header or value were changed."""
    return AESGCM(key).decrypt(nonce, sealed, header)


def _stretch(pin: Secret, salt: bytes, memory_kib: int, passes: int, lanes: int) -> bytes:
    kdf = Argon2id(salt=salt, length=_KEY_BYTES, iterations=passes, lanes=lanes, memory_cost=memory_kib)
    return kdf.derive(pin.reveal_bytes())
