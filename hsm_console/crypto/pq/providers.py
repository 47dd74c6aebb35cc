"""Who computes: liboqs where its library is, else `cryptography` (OpenSSL) and `pqcrypto` (Rust); `slh-dsa` to check.

A private key has a form: `seed` (RFC 9881, 9935: what the key is made from) or `expanded` (FIPS 203, 204, 205). The
form is stored with it, so that a key made by one provider is used by another when the first is gone.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem

from hsm_console.crypto.pq.liboqs import LibOqs
from hsm_console.crypto.pq.spki import OIDS
from hsm_console.domain.keys import Algorithm

_A = Algorithm


class Provider(Protocol):
    """One implementation. `verify` raises ValueError; the others raise ValueError for keys or input that do not fit."""

    name: str
    form: str

    def offers(self, algorithm: Algorithm) -> bool: ...
    def generate(self, algorithm: Algorithm) -> tuple[bytes, bytearray]: ...
    def sign(self, algorithm: Algorithm, private: bytearray, message: bytes) -> bytes: ...
    def verify(self, algorithm: Algorithm, public: bytes, message: bytes, signature: bytes) -> None: ...
    def encapsulate(self, algorithm: Algorithm, public: bytes) -> tuple[bytes, bytes]: ...
    def decapsulate(self, algorithm: Algorithm, private: bytearray, ciphertext: bytes) -> bytes: ...


class OpenSsl:
    """`cryptography`: ML-DSA and ML-KEM of OpenSSL, from seeds."""

    name = "cryptography (OpenSSL)"
    form = "seed"
    _private: dict[Algorithm, Any] = {
        _A.ML_DSA_44: mldsa.MLDSA44PrivateKey,
        _A.ML_DSA_65: mldsa.MLDSA65PrivateKey,
        _A.ML_DSA_87: mldsa.MLDSA87PrivateKey,
        _A.ML_KEM_768: mlkem.MLKEM768PrivateKey,
        _A.ML_KEM_1024: mlkem.MLKEM1024PrivateKey,
    }
    _public: dict[Algorithm, Any] = {
        _A.ML_DSA_44: mldsa.MLDSA44PublicKey,
        _A.ML_DSA_65: mldsa.MLDSA65PublicKey,
        _A.ML_DSA_87: mldsa.MLDSA87PublicKey,
        _A.ML_KEM_768: mlkem.MLKEM768PublicKey,
        _A.ML_KEM_1024: mlkem.MLKEM1024PublicKey,
    }

    def offers(self, algorithm: Algorithm) -> bool:
        return algorithm in self._private

    def generate(self, algorithm: Algorithm) -> tuple[bytes, bytearray]:
        key = self._private[algorithm].generate()
        return key.public_key().public_bytes_raw(), bytearray(key.private_bytes_raw())

    def sign(self, algorithm: Algorithm, private: bytearray, message: bytes) -> bytes:
        signature: bytes = self._load(algorithm, private).sign(message)
        return signature

    def verify(self, algorithm: Algorithm, public: bytes, message: bytes, signature: bytes) -> None:
        try:
            self._public[algorithm].from_public_bytes(public).verify(signature, message)
        except InvalidSignature as wrong:
            raise ValueError("the signature does not verify") from wrong

    def encapsulate(self, algorithm: Algorithm, public: bytes) -> tuple[bytes, bytes]:
        secret, ciphertext = self._public[algorithm].from_public_bytes(public).encapsulate()
        return ciphertext, secret

    def decapsulate(self, algorithm: Algorithm, private: bytearray, ciphertext: bytes) -> bytes:
        secret: bytes = self._load(algorithm, private).decapsulate(ciphertext)
        return secret

    def _load(self, algorithm: Algorithm, private: bytearray) -> Any:
        return self._private[algorithm].from_seed_bytes(private)


class RustCrypto:
    """`pqcrypto`: all three families, in expanded form."""

    name = "pqcrypto (Rust)"
    form = "expanded"

    def offers(self, algorithm: Algorithm) -> bool:
        return algorithm in OIDS and _installed("pqcrypto")

    def generate(self, algorithm: Algorithm) -> tuple[bytes, bytearray]:
        public, private = _rust(algorithm).keygen()
        return bytes(public), bytearray(private)

    def sign(self, algorithm: Algorithm, private: bytearray, message: bytes) -> bytes:
        return bytes(_rust(algorithm).sign(bytes(private), message))

    def verify(self, algorithm: Algorithm, public: bytes, message: bytes, signature: bytes) -> None:
        try:
            _rust(algorithm).verify(public, message, signature)
        except Exception as wrong:
            raise ValueError("the signature does not verify") from wrong

    def encapsulate(self, algorithm: Algorithm, public: bytes) -> tuple[bytes, bytes]:
        first, second = _rust(algorithm).encaps(public)
        return (bytes(first), bytes(second)) if len(first) > len(second) else (bytes(second), bytes(first))

    def decapsulate(self, algorithm: Algorithm, private: bytearray, ciphertext: bytes) -> bytes:
        return bytes(_rust(algorithm).decaps(bytes(private), ciphertext))


class PurePython:
    """`slh-dsa`: SLH-DSA written independently in Python. It only verifies here."""

    name = "slh-dsa (Python)"
    form = "none"

    def offers(self, algorithm: Algorithm) -> bool:
        return algorithm.is_slh_dsa and _installed("slhdsa")

    def verify(self, algorithm: Algorithm, public: bytes, message: bytes, signature: bytes) -> None:
        library = importlib.import_module("slhdsa")
        parameters = getattr(library, algorithm.value.removeprefix("slh-dsa-").replace("-", "_"))
        try:
            right = library.PublicKey.from_digest(public, parameters).verify_pure(message, signature)
        except Exception as wrong:
            raise ValueError("the signature does not verify") from wrong
        if right is not True:
            raise ValueError("the signature does not verify")


OPENSSL, RUST, PYTHON, LIBOQS = OpenSsl(), RustCrypto(), PurePython(), LibOqs()


def makers() -> tuple[Provider, ...]:
    """Who may make and use keys, best first."""
    return (LIBOQS, OPENSSL, RUST)


def offered(algorithm: Algorithm) -> bool:
    """Whether anybody makes keys of this algorithm here. liboqs is looked for last: looking takes a moment."""
    return any(provider.offers(algorithm) for provider in (OPENSSL, RUST, LIBOQS))


def maker(algorithm: Algorithm) -> Provider:
    """Who makes keys of this algorithm here. Raises KeyError when nobody does."""
    for provider in makers():
        if provider.offers(algorithm):
            return provider
    raise KeyError(algorithm.value)


def user(algorithm: Algorithm, form: str) -> Provider:
    """Who can use a private key of this form. Raises KeyError when nobody does."""
    for provider in makers():
        if provider.form == form and provider.offers(algorithm):
            return provider
    raise KeyError(f"{algorithm.value} ({form})")


def checker(algorithm: Algorithm, other_than: str = "") -> Any:
    """An implementation that verifies and is not `other_than`: the second opinion. Raises KeyError when nobody does."""
    for provider in (PYTHON, RUST, OPENSSL) if algorithm.is_slh_dsa else (RUST, OPENSSL):
        if provider.name != other_than and provider.offers(algorithm):
            return provider
    raise KeyError(algorithm.value)


def encapsulate(algorithm: Algorithm, public: bytes) -> tuple[bytes, bytes]:
    """(ciphertext, shared secret) for an ML-KEM public key, in software: it needs no private key."""
    for provider in (OPENSSL, RUST):
        if provider.offers(algorithm):
            return provider.encapsulate(algorithm, public)
    raise KeyError(algorithm.value)


@functools.cache
def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _rust(algorithm: Algorithm) -> Any:
    family = "kem" if algorithm.is_kem else "sign"
    importlib.import_module(f"pqcrypto.{family}")
    return importlib.import_module(f"pqcrypto.{family}.{algorithm.value.replace('-', '_')}")
