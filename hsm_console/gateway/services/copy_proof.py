"""Whether a copy of a key is that key: by using it, not by looking at its name.

A pair's copy does something that only the private key to the log's public key can do, and a second implementation
says so. A secret key's copy undoes what the first one did.
"""

from __future__ import annotations

import base64
import hmac
import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.domain import keyuse
from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed
from hsm_console.domain.keys import Algorithm, Usage
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.services import second
from hsm_console.hsm.port import Hsm

TEXT = b"HSM Console: is this copy the key of the log?"


def prove(row: KeyRow, original: Hsm, copy: Hsm) -> None:
    """Raises VerificationFailed `copy-not-same`, and what the devices raise."""
    object_id, algorithm = bytes.fromhex(row.object_id), Algorithm(row.algorithm)
    usages = row.attributes.usages
    if Usage.SIGN in usages and algorithm.is_pair:
        mechanism = keyuse.mechanisms(algorithm)[0]
        second.verify(base64.b64decode(row.spki), mechanism, TEXT, copy.sign(object_id, mechanism, TEXT))
    elif Usage.SIGN in usages:
        mechanism = keyuse.mechanisms(algorithm)[0]
        _require(row, original.sign(object_id, mechanism, TEXT), copy.sign(object_id, mechanism, TEXT))
    elif algorithm is Algorithm.AES_256 and Usage.ENCRYPT in usages:
        secret = os.urandom(32)
        _require(row, secret, copy.decrypt(object_id, original.encrypt(object_id, secret)))
    else:
        _public(row, object_id, copy)


def _public(row: KeyRow, object_id: bytes, copy: Hsm) -> None:
    key = load_der_public_key(base64.b64decode(row.spki)) if row.spki else None
    if isinstance(key, ec.EllipticCurvePublicKey) and Usage.DERIVE in row.attributes.usages:
        mine = ec.generate_private_key(key.curve)
        point = mine.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        shared = mine.exchange(ec.ECDH(), key)
        _require(row, shared, copy.derive(object_id, point, len(shared)))
    elif isinstance(key, rsa.RSAPublicKey) and Usage.ENCRYPT in row.attributes.usages:
        secret = os.urandom(32)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303 - what every device offers
        _require(row, secret, copy.oaep_decrypt(object_id, key.encrypt(secret, oaep), "sha1"))
    else:
        raise different(row.label, "there is no way to try it")


def provable(row: KeyRow) -> bool:
    """Whether `prove` knows a way for a key of this kind and these usages."""
    usages, algorithm = row.attributes.usages, Algorithm(row.algorithm)
    if Usage.SIGN in usages:
        return True
    if algorithm is Algorithm.AES_256 or algorithm.is_rsa:
        return Usage.ENCRYPT in usages
    return algorithm.is_ec and Usage.DERIVE in usages


def _require(row: KeyRow, wanted: bytes, found: bytes) -> None:
    if not hmac.compare_digest(wanted, found):
        raise different(row.label, "it does not do what the key does")


def different(label: str, why: str) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="copy-not-same",
            what=f"What was copied of “{label}” is not the same key: {why}.",
            key_state="The key is unchanged where it was. The copy is not used.",
            todo="Compare the devices again, and do not use this copy until it was examined.",
            contact="the administrator of the HSM",
            exit_code=ExitCode.VERIFICATION,
        )
    )
