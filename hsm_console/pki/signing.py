"""Which hash goes with which key, and which keys are strong enough to be people's or ceremonies' keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_console.domain.errors import ExitCode, InputError, Problem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.x509.base import _AllowedHashTypes

IssuerKey = CertificateIssuerPrivateKeyTypes
"""A private key of `cryptography`, in software or behind an HSM: both sign certificates, CRLs and rosters."""

RSA_FLOOR_BITS = 3072
_EC_HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}
MlDsa = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey


def hash_for(public_key: object) -> _AllowedHashTypes | None:
    """The hash that matches the key's strength (FIPS 186-5 for EC); None for keys that hash by themselves."""
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _EC_HASHES[public_key.curve.name]()
    if isinstance(public_key, rsa.RSAPublicKey):
        return hashes.SHA384() if public_key.key_size > RSA_FLOOR_BITS else hashes.SHA256()
    return None


def spki(public_key: PublicKeyTypes) -> bytes:
    """SubjectPublicKeyInfo, DER (RFC 5280 4.1.2.7)."""
    return public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_of(key: IssuerKey) -> PublicKeyTypes:
    """The public half, with the type that `cryptography` gives all public keys."""
    return cast("PublicKeyTypes", key.public_key())


def require_strength(public_key: object) -> None:
    """Refuse keys below P-256, Ed25519, RSA-3072 or ML-DSA-44. Raises InputError `key-too-weak`."""
    if isinstance(public_key, ed25519.Ed25519PublicKey | MlDsa):
        return
    if isinstance(public_key, ec.EllipticCurvePublicKey) and public_key.curve.name in _EC_HASHES:
        return
    if isinstance(public_key, rsa.RSAPublicKey):
        if public_key.key_size >= RSA_FLOOR_BITS and public_key.public_numbers().e >= 65537:
            return
        raise _too_weak(f"RSA with {public_key.key_size} bits and exponent {public_key.public_numbers().e}")
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        raise _too_weak(f"the curve {public_key.curve.name}")
    raise _too_weak(type(public_key).__name__)


def _too_weak(found: str) -> InputError:
    return InputError(
        Problem(
            code="key-too-weak",
            what=f"The key is of a kind that is not accepted here: {found}.",
            todo="Make a new key: P-384 (preferred), P-256, Ed25519, or RSA with at least 3072 bits.",
            details={"found": found},
            exit_code=ExitCode.USAGE,
        )
    )
