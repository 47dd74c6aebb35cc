"""Keys from passphrases: scrypt (RFC 7914) and Argon2id (RFC 9106). Parameters travel with what they protect."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hsm_console.domain.secret import Secret

MIN_SALT_BYTES = 16
MAX_MEMORY_KIB = 4 * 1024 * 1024


class ScryptParameters(msgspec.Struct, frozen=True, kw_only=True):
    """n: CPU and memory cost, a power of two; memory is 128·n·r bytes."""

    n: int
    r: int
    p: int


class Argon2Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """memory_kib: m of RFC 9106 in KiB; iterations: t; lanes: p."""

    memory_kib: int
    iterations: int
    lanes: int


SCRYPT = ScryptParameters(n=1 << 17, r=8, p=1)
"""128 MiB. Measured on two busy cores of 2026: 0.34 s."""

ARGON2ID = Argon2Parameters(memory_kib=256 * 1024, iterations=3, lanes=4)
"""256 MiB: four times the memory of RFC 9106 4, second recommendation. Measured on two busy cores of 2026: 0.7 s."""


def scrypt(passphrase: Secret, salt: bytes, length: int = 32, parameters: ScryptParameters = SCRYPT) -> bytes:
    """`length` octets. Raises ValueError for a short salt or parameters that would exhaust the machine."""
    _require_salt(salt)
    if 128 * parameters.n * parameters.r > MAX_MEMORY_KIB * 1024:
        raise ValueError("the scrypt parameters ask for more than 4 GiB")
    function = Scrypt(salt=salt, length=length, n=parameters.n, r=parameters.r, p=parameters.p)
    return function.derive(passphrase.reveal_bytes())


def argon2id(passphrase: Secret, salt: bytes, length: int = 32, parameters: Argon2Parameters = ARGON2ID) -> bytes:
    """`length` octets. Raises ValueError for a short salt or parameters that would exhaust the machine."""
    _require_salt(salt)
    if parameters.memory_kib > MAX_MEMORY_KIB:
        raise ValueError("the Argon2id parameters ask for more than 4 GiB")
    function = Argon2id(
        salt=salt,
        length=length,
        iterations=parameters.iterations,
        lanes=parameters.lanes,
        memory_cost=parameters.memory_kib,
    )
    return function.derive(passphrase.reveal_bytes())


def _require_salt(salt: bytes) -> None:
    if len(salt) < MIN_SALT_BYTES:
        raise ValueError(f"a salt has at least {MIN_SALT_BYTES} octets")
