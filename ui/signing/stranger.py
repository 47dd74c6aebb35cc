"""How somebody without this program checks a signature or computes an agreed secret: lines for OpenSSL."""

from __future__ import annotations

import shlex

from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.keys import SignMechanism
from ui.texts import tr

_CURVES = {"secp256r1": SignMechanism.ECDSA_SHA256, "secp384r1": SignMechanism.ECDSA_SHA384,
           "secp521r1": SignMechanism.ECDSA_SHA512}  # fmt: skip


def command(
    mechanism: SignMechanism, document: str, signature: str, key: str = "key.pem", *, of_digest: bool = False
) -> str:
    """Empty when OpenSSL has no way for it. of_digest: what was signed is the line about the document's SHA-256."""
    before = ""
    if of_digest:
        line = f"{document}.sha256"
        before, document = f"sha256sum < {shlex.quote(document)} > {shlex.quote(line)}\n", line
    check = _check(mechanism, *(shlex.quote(name) for name in (document, signature, key)))
    return before + check if check else ""


def _check(mechanism: SignMechanism, document: str, signature: str, key: str) -> str:
    name = mechanism.value
    if name.startswith(("ecdsa-", "rsa-")):
        digest = name.rpartition("-")[2]
        pss = " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest" if name.startswith("rsa-pss") else ""
        return f"openssl dgst -{digest} -verify {key}{pss} -signature {signature} {document}"
    if mechanism is SignMechanism.HMAC_SHA256:
        return ""
    return f"openssl pkeyutl -verify -pubin -inkey {key} -rawin -in {document} -sigfile {signature}"


def agreement(key: str, length: int, context: bytes) -> str:
    """What the other side types, with her private key in `mine.pem`. key: the file of this side's public key."""
    info = f" -kdfopt hexinfo:{context.hex()}" if context else ""
    shared = "$(od -An -v -tx1 shared.bin | tr -d ' \\n')"
    return (
        f"openssl pkeyutl -derive -inkey mine.pem -peerkey {shlex.quote(key)} -out shared.bin\n"
        f"openssl kdf -keylen {length} -kdfopt digest:SHA256 -kdfopt hexkey:{shared}{info} -binary -out secret.bin HKDF"
    )


def usual(pem: bytes) -> SignMechanism:
    """How a key of this kind signs most often. Imports a large library: through a background call.

    Raises InputError `file-no-public-key`.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        problem = Problem(
            code="file-no-public-key",
            what=tr("This file holds no public key that this program knows."),
            todo=tr("Choose a PEM file that begins with “-----BEGIN PUBLIC KEY-----”."),
            exit_code=ExitCode.USAGE,
        )
        raise InputError(problem) from None
    if isinstance(key, rsa.RSAPublicKey):
        return SignMechanism.RSA_PSS_SHA256
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES.get(key.curve.name, SignMechanism.ECDSA_SHA256)
    return SignMechanism.ED25519 if isinstance(key, ed25519.Ed25519PublicKey) else SignMechanism.ML_DSA
