"""From a shared secret to the key that wraps the content's key: X9.63 (RFC 5753) and HKDF (RFC 9936). Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF

from hsm_console.crypto.envelope import asn1
from hsm_console.crypto.pq import spki as post_quantum
from hsm_console.domain.keys import Algorithm

KEK_BYTES = 32


@dataclass(frozen=True)
class Agreement:
    """How keys of one curve agree: dhSinglePass-stdDH, X9.63 with a hash of its strength (RFC 5753 7.1.4)."""

    oid: str
    hash: type[HashAlgorithm]
    curve: type[ec.EllipticCurve]
    octets: int


AGREEMENTS: dict[Algorithm, Agreement] = {
    Algorithm.EC_P256: Agreement("1.3.132.1.11.1", SHA256, ec.SECP256R1, 32),
    Algorithm.EC_P384: Agreement("1.3.132.1.11.2", SHA384, ec.SECP384R1, 48),
    Algorithm.EC_P521: Agreement("1.3.132.1.11.3", SHA512, ec.SECP521R1, 66),
}
KEM_OIDS: dict[Algorithm, str] = {
    Algorithm.ML_KEM_512: "2.16.840.1.101.3.4.4.1",
    Algorithm.ML_KEM_768: "2.16.840.1.101.3.4.4.2",
    Algorithm.ML_KEM_1024: "2.16.840.1.101.3.4.4.3",
}
KEM_CIPHERTEXT_BYTES: dict[Algorithm, int] = {
    Algorithm.ML_KEM_512: 768,
    Algorithm.ML_KEM_768: 1088,
    Algorithm.ML_KEM_1024: 1568,
}


def wrap_identifier() -> asn1.AlgorithmIdentifier:
    """AES-256 key wrap, without parameters (RFC 3565 2.3.2)."""
    return asn1.identifier(asn1.AES256_WRAP)


def agreed_kek(algorithm: Algorithm, shared: bytes, ukm: bytes | None = None) -> bytes:
    """The wrapping key of an elliptic-curve recipient, from the ECDH secret."""
    how = AGREEMENTS[algorithm]
    plain: dict[str, object] = {"key_info": wrap_identifier(), "bits": (KEK_BYTES * 8).to_bytes(4, "big")}
    if ukm is not None:
        plain["ukm"] = ukm
    info = asn1.EccSharedInfo(plain).dump()
    return X963KDF(algorithm=how.hash(), length=KEK_BYTES, sharedinfo=info).derive(shared)


def kem_kek(shared: bytes, ukm: bytes | None = None) -> bytes:
    """The wrapping key of an ML-KEM recipient, from the encapsulated secret."""
    plain: dict[str, object] = {"wrap": wrap_identifier(), "kek_length": KEK_BYTES}
    if ukm is not None:
        plain["ukm"] = ukm
    info = asn1.KemOtherInfo(plain).dump()
    return HKDF(algorithm=SHA256(), length=KEK_BYTES, salt=None, info=info).derive(shared)


def key_id(spki: bytes) -> bytes:
    """The subject key identifier that certificates have too (RFC 5280 4.2.1.2, method 1). It identifies, no more."""
    try:
        _, public = post_quantum.decode(spki)
    except ValueError:
        from cryptography.hazmat.primitives.serialization import load_der_public_key
        from cryptography.x509 import SubjectKeyIdentifier

        return SubjectKeyIdentifier.from_public_key(load_der_public_key(spki)).digest  # type: ignore[arg-type]
    return hashlib.sha1(public, usedforsecurity=False).digest()
