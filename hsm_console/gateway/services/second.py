"""The second implementation: whatever the token signed is verified outside it before it is given out or recorded.

Classic algorithms and ML-DSA of a device are verified by `cryptography` (OpenSSL), post-quantum signatures that a
library of ours made by another library than that one (`crypto/pq/providers`).
"""

from __future__ import annotations

import functools

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.crypto.pq import providers
from hsm_console.crypto.pq import spki as post_quantum
from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed
from hsm_console.domain.keys import Algorithm, Custody, SignMechanism

CLASSIC = "cryptography (OpenSSL)"
_HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def verify(
    spki: bytes, mechanism: SignMechanism, data: bytes, signature: bytes, custody: Custody = Custody.DEVICE
) -> str:
    """The implementation that agreed. spki: DER of the key that is said to have signed; custody: where it lies.

    Raises VerificationFailed `signature-not-verified`: the token gave something that is no signature.
    """
    try:
        return check(spki, mechanism, data, signature, custody)
    except ValueError as error:
        raise VerificationFailed(
            Problem(
                code="signature-not-verified",
                what=f"The token's signature ({mechanism.value}) does not verify with the key's public part.",
                key_state="The key exists. The signature was not given out.",
                todo="Do not use this device until it was examined; try the operation once more after that.",
                contact="the administrator of the HSM",
                exit_code=ExitCode.VERIFICATION,
            )
        ) from error


def check(
    spki: bytes, mechanism: SignMechanism, data: bytes, signature: bytes, custody: Custody = Custody.DEVICE
) -> str:
    """The implementation that found the signature good. Raises ValueError when it is not, or when nothing fits."""
    known = _post_quantum(spki)
    if known is not None:
        return _lattice_or_hash(*known, mechanism, data, signature, custody)
    try:
        _classic(spki, mechanism, data, signature)
    except (InvalidSignature, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("the signature does not verify") from error
    return CLASSIC


@functools.lru_cache(maxsize=256)
def _post_quantum(spki: bytes) -> tuple[Algorithm, bytes] | None:
    try:
        return post_quantum.decode(spki)
    except ValueError:
        return None


def _lattice_or_hash(
    algorithm: Algorithm, public: bytes, mechanism: SignMechanism, data: bytes, signature: bytes, custody: Custody
) -> str:
    wanted = SignMechanism.SLH_DSA if algorithm.is_slh_dsa else SignMechanism.ML_DSA
    if algorithm.is_kem or mechanism is not wanted:
        raise ValueError("the mechanism does not fit the key")
    made_by = providers.maker(algorithm).name if custody is Custody.SOFTWARE_WRAPPED else ""
    try:
        other = providers.checker(algorithm, made_by)
    except KeyError as nobody:
        raise ValueError("no second implementation of this algorithm is installed") from nobody
    other.verify(algorithm, public, data, signature)
    return str(other.name)


def _classic(spki: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
    key = _loaded(spki)
    family, _, hash_name = mechanism.value.rpartition("-")
    match key:
        case ed25519.Ed25519PublicKey() if mechanism is SignMechanism.ED25519:
            key.verify(signature, data)
        case ec.EllipticCurvePublicKey() if family == "ecdsa":
            key.verify(signature, data, ec.ECDSA(_HASHES[hash_name]()))
        case rsa.RSAPublicKey() if family == "rsa-pkcs1":
            key.verify(signature, data, padding.PKCS1v15(), _HASHES[hash_name]())
        case rsa.RSAPublicKey() if family == "rsa-pss":
            algorithm = _HASHES[hash_name]()
            key.verify(signature, data, padding.PSS(padding.MGF1(algorithm), algorithm.digest_size), algorithm)
        case _:
            raise TypeError("no second implementation for this key and mechanism")


@functools.lru_cache(maxsize=256)
def _loaded(spki: bytes) -> PublicKeyTypes:
    """The same few keys sign again and again; checking that a point lies on its curve costs as much as a signature."""
    return load_der_public_key(spki)
