"""AES-GCM and AES key wrapping in a token."""

from __future__ import annotations

import os
from typing import Any

from pkcs11 import GCMParams, KeyType, Mechanism, ObjectClass

from adapters import problems
from adapters.pkcs11 import objects
from adapters.pkcs11.profile import Profile
from adapters.pkcs11.templates import TolerantMapper, capabilities, check, guarded
from hsm_console.domain.keys import Algorithm, KeySpec
from hsm_console.hsm.port import AesGcm, unsupported

IV_BYTES = 12
TAG_BYTES = 16
_WRAPPED_BYTES = 40  # 32 bytes under AES-KWP
# AES-KWP (RFC 5649) under the ids of PKCS #11 v3.0 and of drafts before it. CKM_AES_KEY_WRAP (RFC 3394) cannot take
# private keys, whose length is no multiple of eight.
_KWP = (Mechanism.AES_KEY_WRAP_KWP, Mechanism.AES_KEY_WRAP_PAD)


def encrypt(key: Any, rule: str, plaintext: bytes, aad: bytes) -> AesGcm:
    """rule: `caller` makes the IV, or `token` does: it writes it over the twelve zero bytes that are handed in.

    The bytes object is made here and copied out at once: a token that writes its IV changes an “immutable” object.
    """
    iv = os.urandom(IV_BYTES) if rule == "caller" else bytes(bytearray(IV_BYTES))
    parameters = GCMParams(iv, aad or None, TAG_BYTES * 8)
    sealed: bytes = key.encrypt(plaintext, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    used = bytes(bytearray(parameters.nonce))
    return AesGcm(iv=used, ciphertext=sealed[:-TAG_BYTES], tag=sealed[-TAG_BYTES:])


def decrypt(key: Any, message: AesGcm, aad: bytes) -> bytes:
    if len(message.iv) != IV_BYTES or len(message.tag) != TAG_BYTES:
        raise problems.ciphertext_invalid()
    parameters = GCMParams(bytes(bytearray(message.iv)), aad or None, TAG_BYTES * 8)
    plain: bytes = key.decrypt(
        message.ciphertext + message.tag, mechanism=Mechanism.AES_GCM, mechanism_param=parameters
    )
    return plain


def wrap(wrapping: Any, target: Any, offered: set[Any]) -> bytes:
    return bytes(wrapping.wrap_key(target, mechanism=_wrapping(offered)))


def unwrap(
    wrapping: Any, mapper: TolerantMapper, profile: Profile, wrapped: bytes, spec: KeySpec, offered: set[Any]
) -> objects.Found:
    """C_UnwrapKey into a token object. Secret keys of 256 bits only."""
    kind, object_class = _kind_of(spec.algorithm)
    if len(wrapped) != _WRAPPED_BYTES:
        raise problems.ciphertext_invalid()
    handle = wrapping.unwrap_key(
        object_class,
        kind,
        wrapped,
        id=spec.object_id,
        label=spec.label,
        store=True,
        capabilities=capabilities(spec.usages),
        mechanism=_wrapping(offered),
        template=check(mapper, guarded(spec, modifiable=profile.modifiable)),
    )
    return objects.of(object_class, handle)


def _wrapping(offered: set[Any]) -> Mechanism:
    for mechanism in _KWP:
        if mechanism in offered:
            return mechanism
    raise unsupported("wrap", "AES-KWP (RFC 5649)")


def _kind_of(algorithm: Algorithm) -> tuple[KeyType, ObjectClass]:
    if algorithm is Algorithm.AES_256:
        return KeyType.AES, ObjectClass.SECRET_KEY
    if algorithm is Algorithm.HMAC_SHA256:
        return KeyType.GENERIC_SECRET, ObjectClass.SECRET_KEY
    raise unsupported("unwrap", f"{algorithm.value}: a private key alone brings no public half into the token")
