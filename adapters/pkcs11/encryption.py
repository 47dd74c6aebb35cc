"""Opening what was encrypted for a key in a token: RSA-OAEP and ML-KEM."""

from __future__ import annotations

import contextlib
from typing import Any

from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import MGF

from adapters.pkcs11.templates import TolerantMapper, check

_SECRET_BITS = 256
# python-pkcs11's default is SHA-1: hash and mask are always said.
_OAEP = {"sha256": (Mechanism.SHA256, MGF.SHA256, None), "sha1": (Mechanism.SHA_1, MGF.SHA1, None)}


def oaep_decrypt(key: Any, ciphertext: bytes, digest: str) -> bytes:
    return bytes(key.decrypt(ciphertext, mechanism=Mechanism.RSA_PKCS_OAEP, mechanism_param=_OAEP[digest]))


def decapsulate(key: Any, mapper: TolerantMapper, ciphertext: bytes) -> bytes:
    """C_DecapsulateKey (PKCS #11 v3.2) into a session object, whose value is read and which is destroyed at once."""
    template = {
        Attribute.TOKEN: False,
        Attribute.PRIVATE: True,  # some devices know nothing else
        Attribute.SENSITIVE: False,
        Attribute.EXTRACTABLE: True,
    }
    secret = key.decapsulate_key(
        ciphertext,
        KeyType.GENERIC_SECRET,
        _SECRET_BITS,
        capabilities=MechanismFlag(0),
        mechanism=Mechanism.ML_KEM,
        template=check(mapper, template),
    )
    try:
        return bytes(secret[Attribute.VALUE])
    finally:
        with contextlib.suppress(PKCS11Error):
            secret.destroy()
