"""Hash functions by their published names: SHA-2 (FIPS 180-4), SHA-3 and SHAKE (FIPS 202)."""

from __future__ import annotations

import enum
import hashlib
from pathlib import Path

from hsm_console.domain.errors import EnvironmentFault, Problem


class Hash(enum.StrEnum):
    """Fixed-length hashes; the value is hashlib's name."""

    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"
    SHA3_256 = "sha3_256"
    SHA3_384 = "sha3_384"
    SHA3_512 = "sha3_512"


class Xof(enum.StrEnum):
    """Extendable-output functions (FIPS 202 6.2); the value is hashlib's name."""

    SHAKE128 = "shake_128"
    SHAKE256 = "shake_256"


def digest(data: bytes, algorithm: Hash = Hash.SHA256) -> bytes:
    return hashlib.new(algorithm.value, data, usedforsecurity=True).digest()


def fingerprint(data: bytes) -> str:
    """Hex SHA-256, lower case: how keys, certificates, scripts and files are named everywhere."""
    return hashlib.sha256(data).hexdigest()


def shake(data: bytes, length: int, algorithm: Xof = Xof.SHAKE256) -> bytes:
    """`length` octets of output. Raises ValueError unless length is positive."""
    if length <= 0:
        raise ValueError("an extendable-output function gives at least one octet")
    function = hashlib.shake_128 if algorithm is Xof.SHAKE128 else hashlib.shake_256
    return function(data).digest(length)


def file_digest(path: Path, algorithm: Hash = Hash.SHA256) -> bytes:
    """Digest of a file's content, read in pieces. Raises EnvironmentFault `file-unreadable`."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, algorithm.value).digest()
    except OSError as error:
        raise EnvironmentFault(
            Problem(
                code="file-unreadable",
                what=f"The file {path} cannot be read: {error.strerror}.",
                todo="Check that the medium is connected and that the file belongs to you.",
                details={"path": str(path)},
            )
        ) from error
