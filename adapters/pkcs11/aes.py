"""AES-GCM and AES key wrapping in a token.

Who makes the IV of AES-GCM differs between vendors, by firmware and by mode (the profile's `gcm`, the option `iv`):

    caller     the console, 12 random bytes
    readback   the device: 12 zero bytes are handed in, and it writes its IV over them (AWS, Azure, Google)
    prepend    the device: nothing is handed in, its 12 bytes come before the ciphertext (CKM_CLOUDHSM_AES_GCM)
    append16   the device: nothing is handed in, its 16 bytes come after the tag (Luna in FIPS mode)

CK_GCM_PARAMS is packed here and points at buffers of this call: a device that writes its IV may do so as late as
C_Encrypt, and would change an “immutable” bytes object of Python, and with it every equal literal of a module.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import Any

from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.constants import DEFAULT
from pkcs11.exceptions import PKCS11Error

from adapters import problems
from adapters.pkcs11 import encoding, objects
from adapters.pkcs11.numbers import Numbers
from adapters.pkcs11.profile import Profile
from adapters.pkcs11.raw import RawModule
from adapters.pkcs11.templates import TolerantMapper, capabilities, check, guarded, public
from hsm_console.domain.keys import Algorithm, KeySpec, Usage
from hsm_console.hsm.port import AesGcm, Binding, unsupported

IV_BYTES = 12
LONG_IV_BYTES = 16
TAG_BYTES = 16
_ROOM = 64  # for tag, IV and a module that wants a block more
RULES = ("caller", "readback", "prepend", "append16")
_WRAPPED_BYTES = 40  # 32 bytes under AES-KWP
# AES-KWP (RFC 5649) under the ids of PKCS #11 v3.0 and of drafts before it. CKM_AES_KEY_WRAP (RFC 3394) cannot take
# private keys, whose length is no multiple of eight.
_NOT_PRIVATE = (Attribute.ENCRYPT, Attribute.WRAP, Attribute.VERIFY)
_PRIVATE = {"rsa-": KeyType.RSA, "ec-": KeyType.EC, "ed25519": KeyType.EC_EDWARDS}
_KWP = (Mechanism.AES_KEY_WRAP_KWP, Mechanism.AES_KEY_WRAP_PAD)


class _GcmParams(ctypes.Structure):
    """CK_GCM_PARAMS (PKCS #11 v3.1, 6.13.3)."""

    _fields_ = (
        ("pIv", ctypes.c_void_p),
        ("ulIvLen", ctypes.c_ulong),
        ("ulIvBits", ctypes.c_ulong),
        ("pAAD", ctypes.c_void_p),
        ("ulAADLen", ctypes.c_ulong),
        ("ulTagBits", ctypes.c_ulong),
    )


class _Parameters:
    """The packed structure, and the buffers it points at, which live as long as this object."""

    def __init__(self, iv: bytes, aad: bytes) -> None:
        self.iv = ctypes.create_string_buffer(iv, len(iv)) if iv else None
        self._aad = ctypes.create_string_buffer(aad, len(aad)) if aad else None
        self.packed = bytes(
            _GcmParams(
                pIv=ctypes.addressof(self.iv) if self.iv else None,
                ulIvLen=len(iv),
                ulIvBits=len(iv) * 8,
                pAAD=ctypes.addressof(self._aad) if self._aad else None,
                ulAADLen=len(aad),
                ulTagBits=TAG_BYTES * 8,
            )
        )


def rule_of(binding: Binding, profile: Profile) -> str:
    """Who makes the IV: the option `iv`, else the profile's word. Raises InputError `option-unusable`."""
    rule = binding.options.get("iv", "") or profile.gcm
    if rule not in RULES:
        raise problems.refused("option-unusable", f"The option “iv” is one of: {', '.join(RULES)}.", "Correct it.")
    return rule


def encrypt(raw: RawModule, key: Any, rule: str, numbers: Numbers, plaintext: bytes, aad: bytes) -> AesGcm:
    """key: an object of python-pkcs11, whose session is used."""
    iv = {"caller": os.urandom(IV_BYTES), "readback": bytes(IV_BYTES)}.get(rule, b"")
    parameters = _Parameters(iv, aad)
    mechanism, session, room = int(numbers.native(Mechanism.AES_GCM)), key.session.handle, len(plaintext) + _ROOM
    sealed = raw.cipher("Encrypt", session, mechanism, parameters.packed, key.handle, plaintext, room)
    used = parameters.iv.raw if parameters.iv else b""
    if rule == "prepend":
        used, sealed = sealed[:IV_BYTES], sealed[IV_BYTES:]
    if rule == "append16":
        used, sealed = sealed[-LONG_IV_BYTES:], sealed[:-LONG_IV_BYTES]
    if len(sealed) != len(plaintext) + TAG_BYTES or not any(used):
        raise problems.answer_unusable("encrypt", f"{len(sealed)} bytes for {len(plaintext)}, IV of {len(used)}")
    return AesGcm(iv=used, ciphertext=sealed[:-TAG_BYTES], tag=sealed[-TAG_BYTES:])


def decrypt(raw: RawModule, key: Any, rule: str, numbers: Numbers, message: AesGcm, aad: bytes) -> bytes:
    if len(message.iv) not in (IV_BYTES, LONG_IV_BYTES) or len(message.tag) != TAG_BYTES:
        raise problems.ciphertext_invalid()
    before = message.iv if rule == "prepend" else b""
    parameters = _Parameters(b"" if before else message.iv, aad)
    sealed = before + message.ciphertext + message.tag
    mechanism, session, room = int(numbers.native(Mechanism.AES_GCM)), key.session.handle, len(sealed) + _ROOM
    plain = raw.cipher("Decrypt", session, mechanism, parameters.packed, key.handle, sealed, room)
    if len(plain) != len(message.ciphertext):
        raise problems.answer_unusable("decrypt", f"{len(plain)} bytes for {len(message.ciphertext)}")
    return plain


def wrap(wrapping: Any, target: Any, offered: set[Any]) -> bytes:
    return bytes(wrapping.wrap_key(target, mechanism=_wrapping(offered)))


def unwrap(
    session: Any,
    wrapping: Any,
    mapper: TolerantMapper,
    profile: Profile,
    wrapped: bytes,
    spec: KeySpec,
    offered: set[Any],
) -> list[objects.Found]:
    """C_UnwrapKey into a token object: a secret key of 256 bits, or a private key (PKCS #8) beside its public half."""
    kind, object_class = _kind_of(spec)
    if not spec.algorithm.is_pair and len(wrapped) != _WRAPPED_BYTES:
        raise problems.ciphertext_invalid()
    mechanism = _wrapping(offered)
    made = [_public_half(session, mapper, profile, spec)] if spec.algorithm.is_pair else []
    try:
        handle = wrapping.unwrap_key(
            object_class,
            kind,
            wrapped,
            id=spec.object_id,
            label=spec.label,
            store=True,
            capabilities=capabilities(spec.usages),
            mechanism=mechanism,
            template={
                **check(mapper, guarded(spec, modifiable=profile.modifiable)),
                # python-pkcs11 names these for every kind of key; a private one has none of them
                **(dict.fromkeys(_NOT_PRIVATE, DEFAULT) if spec.algorithm.is_pair else {}),
            },
        )
    except BaseException:
        for half in made:
            with contextlib.suppress(PKCS11Error):
                half.handle.destroy()
        raise
    return [*made, objects.of(object_class, handle)]


def _public_half(session: Any, mapper: TolerantMapper, profile: Profile, spec: KeySpec) -> objects.Found:
    """First of the two: what a crash leaves behind is then harmless."""
    try:
        shown = encoding.public_attributes(spec.algorithm, spec.spki)
    except ValueError as wrong:
        what = f"The public half cannot be used: {wrong}."
        raise problems.refused("public-half-unusable", what, "Give the key’s own.") from wrong
    template = {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.ID: spec.object_id,
        Attribute.LABEL: spec.label,
        **public(modifiable=profile.modifiable, private=profile.public_private),
        **shown,
    }
    usable = {Usage.SIGN: Attribute.VERIFY, Usage.ENCRYPT: Attribute.ENCRYPT}
    template |= {attribute: True for usage, attribute in usable.items() if usage in spec.usages}
    return objects.of(ObjectClass.PUBLIC_KEY, session.create_object(check(mapper, template)))


def _wrapping(offered: set[Any]) -> Mechanism:
    for mechanism in _KWP:
        if mechanism in offered:
            return mechanism
    raise unsupported("wrap", "AES-KWP (RFC 5649)")


def _kind_of(spec: KeySpec) -> tuple[KeyType, ObjectClass]:
    if spec.algorithm is Algorithm.AES_256:
        return KeyType.AES, ObjectClass.SECRET_KEY
    if spec.algorithm is Algorithm.HMAC_SHA256:
        return KeyType.GENERIC_SECRET, ObjectClass.SECRET_KEY
    if not spec.spki:
        raise unsupported("unwrap", f"{spec.algorithm.value}: a private key alone brings no public half into the token")
    kind = next((kind for name, kind in _PRIVATE.items() if spec.algorithm.value.startswith(name)), None)
    if kind is None:
        raise unsupported("unwrap", spec.algorithm.value)
    return kind, ObjectClass.PRIVATE_KEY
