"""Between PKCS#11's encodings and those of X.509: SubjectPublicKeyInfo and ECDSA-Sig-Value.

python-pkcs11 writes Ed25519 keys as id-ecPublicKey, which no verifier accepts; so the structures are built here
(RFC 8017 A.1, RFC 5480, RFC 8410).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from pkcs11 import Attribute, KeyType

from adapters.pkcs11 import postquantum
from hsm_console.crypto.pq import spki as post_quantum_spki
from hsm_console.domain.keys import Algorithm

ED25519_OID = bytes.fromhex("06032b6570")
ED25519_NAME = b"\x13\x0cedwards25519"
CURVES: dict[Algorithm, tuple[bytes, type[ec.EllipticCurve], int]] = {
    Algorithm.EC_P256: (bytes.fromhex("06082a8648ce3d030107"), ec.SECP256R1, 32),
    Algorithm.EC_P384: (bytes.fromhex("06052b81040022"), ec.SECP384R1, 48),
    Algorithm.EC_P521: (bytes.fromhex("06052b81040023"), ec.SECP521R1, 66),
}
RSA_BITS = {Algorithm.RSA_2048: 2048, Algorithm.RSA_3072: 3072, Algorithm.RSA_4096: 4096}


def algorithm_of(values: Mapping[Attribute, Any]) -> Algorithm:
    """What kind of key these attributes describe; `other` for what the console does not use."""
    kind = values.get(Attribute.KEY_TYPE)
    if kind == KeyType.RSA:
        bits = len(bytes(values.get(Attribute.MODULUS) or b"").lstrip(b"\x00")) * 8
        return next((name for name, size in RSA_BITS.items() if size == bits), Algorithm.OTHER)
    if kind == KeyType.EC:
        oid = values.get(Attribute.EC_PARAMS)
        return next((name for name, (der, _, _) in CURVES.items() if der == oid), Algorithm.OTHER)
    if kind == KeyType.EC_EDWARDS:
        known = values.get(Attribute.EC_PARAMS) in (ED25519_OID, ED25519_NAME)
        return Algorithm.ED25519 if known else Algorithm.OTHER
    if (lattice_or_hash := postquantum.algorithm_of(kind, values.get(Attribute.PARAMETER_SET))) is not None:
        return lattice_or_hash
    return _secret_of(kind, values.get(Attribute.VALUE_LEN))


def _secret_of(kind: object, length: object) -> Algorithm:
    # SoftHSM shows an unwrapped key with no length; `unwrap` lets only 256 bits in.
    if kind == KeyType.AES and length in (32, 0, None):
        return Algorithm.AES_256
    if kind in (KeyType.GENERIC_SECRET, KeyType.SHA256_HMAC) and length in (32, 0, None):
        return Algorithm.HMAC_SHA256
    return Algorithm.OTHER


def spki(algorithm: Algorithm, values: Mapping[Attribute, Any]) -> bytes:
    """SubjectPublicKeyInfo DER from a public object's attributes. Raises ValueError, KeyError when they do not fit."""
    key: Any
    if algorithm in RSA_BITS:
        exponent = int.from_bytes(values[Attribute.PUBLIC_EXPONENT], "big")
        key = rsa.RSAPublicNumbers(exponent, int.from_bytes(values[Attribute.MODULUS], "big")).public_key()
    elif algorithm in CURVES:
        _, curve, size = CURVES[algorithm]
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve(), _point(values[Attribute.EC_POINT], 2 * size + 1))
    elif algorithm is Algorithm.ED25519:
        key = ed25519.Ed25519PublicKey.from_public_bytes(_point(values[Attribute.EC_POINT], 32))
    else:
        return post_quantum_spki.encode(algorithm, values[Attribute.VALUE])
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def public_attributes(algorithm: Algorithm, encoded: bytes) -> dict[Attribute, Any]:
    """What a public object is made of. Raises ValueError when the SPKI is none, or of another kind of key."""
    key = load_der_public_key(encoded)
    if isinstance(key, rsa.RSAPublicKey) and RSA_BITS.get(algorithm) == key.key_size:
        numbers = key.public_numbers()
        return {
            Attribute.KEY_TYPE: KeyType.RSA,
            Attribute.MODULUS: numbers.n.to_bytes(key.key_size // 8, "big"),
            Attribute.PUBLIC_EXPONENT: numbers.e.to_bytes(3, "big"),
        }
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES.get(algorithm, (b"", str, 0))[1]):
        point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {Attribute.KEY_TYPE: KeyType.EC, Attribute.EC_PARAMS: CURVES[algorithm][0], **_octets(point)}
    if isinstance(key, ed25519.Ed25519PublicKey) and algorithm is Algorithm.ED25519:
        return {
            Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
            Attribute.EC_PARAMS: ED25519_OID,
            **_octets(key.public_bytes_raw()),
        }
    raise ValueError(f"the public half is no {algorithm.value} key")


def _octets(point: bytes) -> dict[Attribute, Any]:
    length = bytes([len(point)]) if len(point) < 0x80 else bytes([0x81, len(point)])
    return {Attribute.EC_POINT: b"\x04" + length + point}


def _point(value: bytes, length: int) -> bytes:
    """CKA_EC_POINT is an OCTET STRING; some modules give the bare point (PKCS #11 v3.1, 6.3.3)."""
    if len(value) == length:
        return value
    header = b"\x04" + (bytes([length]) if length < 0x80 else bytes([0x81, length]))
    if value[: len(header)] == header and len(value) == len(header) + length:
        return value[len(header) :]
    raise ValueError("CKA_EC_POINT has the wrong length")


def ecdsa_to_der(raw: bytes) -> bytes:
    """r and s side by side (PKCS #11 v3.1, 6.3.1) as Ecdsa-Sig-Value (RFC 3279)."""
    half = len(raw) // 2
    return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


def ecdsa_from_der(signature: bytes, algorithm: Algorithm) -> bytes:
    """Raises ValueError when the signature is no Ecdsa-Sig-Value or too long for the curve."""
    size = CURVES[algorithm][2]
    r, s = decode_dss_signature(signature)
    try:
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    except OverflowError as long:
        raise ValueError("the signature is too long for this curve") from long


def signature_fits(algorithm: Algorithm, signature: bytes) -> bool:
    """Whether a token's signature has the length that its key gives; other kinds are not judged."""
    if algorithm in CURVES:
        return len(signature) == 2 * CURVES[algorithm][2]
    if algorithm in RSA_BITS:
        return len(signature) * 8 == RSA_BITS[algorithm]
    sizes = {Algorithm.ED25519: 64, Algorithm.HMAC_SHA256: 32, **postquantum.SIGNATURE_BYTES}
    return len(signature) == sizes.get(algorithm, len(signature))


def digest(name: str, data: bytes, algorithm: Algorithm) -> bytes:
    """The message's hash, cut to the curve's order as ECDSA asks (FIPS 186-5, 6.4.1)."""
    return hashlib.new(name, data).digest()[: CURVES[algorithm][2]]
