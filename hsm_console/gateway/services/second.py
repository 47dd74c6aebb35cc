"""The second implementation: whatever the token signed is verified outside it before it is given out or recorded."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed
from hsm_console.domain.keys import SignMechanism

_HASHES: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


def verify(spki: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
    """Raises VerificationFailed `signature-not-verified`. spki: DER of the key that is said to have signed."""
    try:
        _verify(spki, mechanism, data, signature)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
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


def _verify(spki: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
    key = load_der_public_key(spki)
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
        case mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey():
            key.verify(signature, data)
        case _:
            raise TypeError("no second implementation for this key and mechanism")
