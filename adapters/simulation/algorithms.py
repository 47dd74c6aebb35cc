"""What each algorithm is in software: generation, encoding, signing, verification. No files, no PINs."""

from __future__ import annotations

import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding, rsa
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from hsm_console.domain.keys import Algorithm, SignMechanism

_CURVES: dict[Algorithm, type[ec.EllipticCurve]] = {
    Algorithm.EC_P256: ec.SECP256R1,
    Algorithm.EC_P384: ec.SECP384R1,
    Algorithm.EC_P521: ec.SECP521R1,
}
_RSA_BITS = {Algorithm.RSA_2048: 2048, Algorithm.RSA_3072: 3072, Algorithm.RSA_4096: 4096}
_LATTICE: dict[Algorithm, Any] = {
    Algorithm.ML_DSA_44: mldsa.MLDSA44PrivateKey,
    Algorithm.ML_DSA_65: mldsa.MLDSA65PrivateKey,
    Algorithm.ML_DSA_87: mldsa.MLDSA87PrivateKey,
    Algorithm.ML_KEM_768: mlkem.MLKEM768PrivateKey,
    Algorithm.ML_KEM_1024: mlkem.MLKEM1024PrivateKey,
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
SECRET_BYTES = 32
OAEP = ("sha256", "sha1")
ALGORITHMS: tuple[Algorithm, ...] = (
    *_RSA_BITS,
    *_CURVES,
    Algorithm.ED25519,
    Algorithm.AES_256,
    Algorithm.HMAC_SHA256,
    *_LATTICE,
)
SIGN_MECHANISMS = tuple(mechanism for mechanism in SignMechanism if mechanism is not SignMechanism.SLH_DSA)


def new_private(algorithm: Algorithm) -> Any:
    """A fresh private key object of `cryptography`."""
    if algorithm in _RSA_BITS:
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[algorithm])
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm is Algorithm.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return _LATTICE[algorithm].generate()


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def private_der(key: Any) -> bytes:
    """PKCS#8 DER, unencrypted: it is sealed at once."""
    encoded: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return encoded


def spki_der(key: Any) -> bytes:
    encoded: bytes = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def load_private(encoded: bytes) -> Any:
    return load_der_private_key(encoded, None)


def algorithm_of(key: Any) -> Algorithm | None:
    """The algorithm of a loaded private key; None when this token does not know it."""
    if isinstance(key, rsa.RSAPrivateKey):
        return next((name for name, bits in _RSA_BITS.items() if bits == key.key_size), None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return next((name for name, curve in _CURVES.items() if isinstance(key.curve, curve)), None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Algorithm.ED25519
    return next((name for name, kind in _LATTICE.items() if isinstance(key, kind)), None)


def sign(key: Any, mechanism: SignMechanism, data: bytes) -> bytes:
    """Sign with a private key object, or with bytes for HMAC."""
    signature: bytes
    if isinstance(key, bytes):
        signature = _mac(key, data).finalize()
    elif isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(data, _padding(mechanism), _hash(mechanism))
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(data, ec.ECDSA(_hash(mechanism)))
    else:
        signature = key.sign(data)
    return signature


def verify(public: Any, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
    """Raises cryptography's InvalidSignature."""
    if isinstance(public, bytes):
        _mac(public, data).verify(signature)
    elif isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, data, _padding(mechanism), _hash(mechanism))
    elif isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, data, ec.ECDSA(_hash(mechanism)))
    else:
        public.verify(signature, data)


def agree(key: Any, peer: bytes) -> bytes:
    """ECDH with an uncompressed point, or ML-KEM decapsulation of a ciphertext. Raises ValueError."""
    shared: bytes
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if peer[:1] != b"\x04":
            raise ValueError("the point is not uncompressed")
        point = ec.EllipticCurvePublicKey.from_encoded_point(key.curve, peer)
        shared = key.exchange(ec.ECDH(), point)
    else:
        shared = key.decapsulate(peer)
    return shared


def kdf(shared: bytes, info: bytes) -> bytes:
    """The KDF of ANSI X9.63 with SHA-256, or the secret itself where no text says whom it is for."""
    return X963KDF(hashes.SHA256(), SECRET_BYTES, info).derive(shared) if info else shared


def oaep_decrypt(key: rsa.RSAPrivateKey, ciphertext: bytes, digest: str) -> bytes:
    """RFC 8017 7.1.2 with an empty label. Raises ValueError."""
    algorithm: hashes.HashAlgorithm = hashes.SHA256() if digest == "sha256" else hashes.SHA1()  # noqa: S303
    return key.decrypt(ciphertext, padding.OAEP(padding.MGF1(algorithm), algorithm, None))


def _mac(key: bytes, data: bytes) -> hmac.HMAC:
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(data)
    return mac


def _hash(mechanism: SignMechanism) -> hashes.HashAlgorithm:
    return _HASHES[mechanism.value.rsplit("-", 1)[1]]()


def _padding(mechanism: SignMechanism) -> padding.AsymmetricPadding:
    if "-pss-" in mechanism.value:
        return padding.PSS(padding.MGF1(_hash(mechanism)), padding.PSS.DIGEST_LENGTH)
    return padding.PKCS1v15()
