"""Making keys in a token, and agreeing on a secret with one."""

from __future__ import annotations

import contextlib
from typing import Any

from pkcs11 import KDF, Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import PKCS11Error

from adapters import problems
from adapters.pkcs11 import encoding, objects, postquantum
from adapters.pkcs11.numbers import Numbers
from adapters.pkcs11.profile import Profile
from adapters.pkcs11.templates import Template, TolerantMapper, capabilities, check, guarded, public, without
from hsm_console.domain.keys import Algorithm, KeySpec

_PAIRS: dict[str, tuple[KeyType, Mechanism]] = {
    "rsa": (KeyType.RSA, Mechanism.RSA_PKCS_KEY_PAIR_GEN),
    "ec": (KeyType.EC, Mechanism.EC_KEY_PAIR_GEN),
    "ed25519": (KeyType.EC_EDWARDS, Mechanism.EC_EDWARDS_KEY_PAIR_GEN),
}
_SECRET_BITS = 256


def generate(
    session: Any, mapper: TolerantMapper, profile: Profile, numbers: Numbers, spec: KeySpec
) -> list[objects.Found]:
    """C_GenerateKeyPair or C_GenerateKey, once; the objects it made. The templates are checked in Python first."""
    guards = check(mapper, guarded(spec, modifiable=profile.modifiable))
    # CKA_DECAPSULATE, which python-pkcs11 sets by itself, is all that an ML-KEM key may do
    flags = MechanismFlag(0) if spec.algorithm.is_kem else capabilities(spec.usages)
    check(mapper, {Attribute.ID: spec.object_id, Attribute.LABEL: spec.label})
    if not spec.algorithm.is_pair:
        return [_generate_secret(session, numbers, spec, flags, without(guards, profile.strip.secret))]
    kind, mechanism = _pair_of(spec.algorithm)
    shown = public(modifiable=profile.modifiable, private=profile.public_private)
    pair = session.generate_keypair(
        kind,
        encoding.RSA_BITS.get(spec.algorithm),
        id=spec.object_id,
        label=spec.label,
        store=True,
        capabilities=flags,
        mechanism=numbers.native(mechanism),
        public_template=without(check(mapper, {**shown, **_parameters(spec.algorithm)}), profile.strip.public),
        private_template=without(guards, profile.strip.private),
    )
    return [objects.of(ObjectClass.PUBLIC_KEY, pair[0]), objects.of(ObjectClass.PRIVATE_KEY, pair[1])]


def _generate_secret(
    session: Any, numbers: Numbers, spec: KeySpec, flags: MechanismFlag, template: Template
) -> objects.Found:
    aes = spec.algorithm is Algorithm.AES_256
    handle = session.generate_key(
        KeyType.AES if aes else KeyType.GENERIC_SECRET,
        _SECRET_BITS,
        id=spec.object_id,
        label=spec.label,
        store=True,
        capabilities=flags,
        mechanism=numbers.native(Mechanism.AES_KEY_GEN if aes else Mechanism.GENERIC_SECRET_KEY_GEN),
        template=template,
    )
    return objects.of(ObjectClass.SECRET_KEY, handle)


def _pair_of(algorithm: Algorithm) -> tuple[KeyType, Mechanism]:
    if (family := postquantum.family_of(algorithm)) is not None:
        return family.key_type, family.pair_generation
    return _PAIRS[algorithm.value.split("-", 1)[0]]


def _parameters(algorithm: Algorithm) -> Template:
    """What the public template says about the kind of key (RSA's size is python-pkcs11's own argument)."""
    if algorithm in encoding.CURVES:
        return {Attribute.EC_PARAMS: encoding.CURVES[algorithm][0]}
    if algorithm is Algorithm.ED25519:
        return {Attribute.EC_PARAMS: encoding.ED25519_OID}
    if (family := postquantum.family_of(algorithm)) is not None:
        return {Attribute.PARAMETER_SET: family.sets[algorithm]}
    return {}


def derive(key: objects.Found, mapper: TolerantMapper, peer: bytes) -> bytes:
    """CKM_ECDH1_DERIVE without KDF into a session object, whose value is read and which is destroyed at once.

    Always the whole secret: asked for less, tokens cut off its leading bytes (PKCS #11 v3.1, 6.3.17).
    """
    size = encoding.CURVES[key.algorithm][2]
    _check_point(peer, size)
    template = {
        Attribute.TOKEN: False,
        Attribute.PRIVATE: True,  # some devices know nothing else
        Attribute.SENSITIVE: False,
        Attribute.EXTRACTABLE: True,
    }
    secret = key.handle.derive_key(
        KeyType.GENERIC_SECRET,
        size * 8,
        capabilities=MechanismFlag(0),
        mechanism=Mechanism.ECDH1_DERIVE,
        mechanism_param=(KDF.NULL, None, peer),
        template=check(mapper, template),
    )
    try:
        return bytes(secret[Attribute.VALUE])
    finally:
        with contextlib.suppress(PKCS11Error):
            secret.destroy()


def agree(
    key: objects.Found, mapper: TolerantMapper, profile: Profile, peer: bytes, spec: KeySpec, info: bytes
) -> objects.Found:
    """CKM_ECDH1_DERIVE into an AES-256 token object, with CKD_SHA256_KDF (X9.63) and `info` as its shared data.

    Without info no KDF: P-256's shared secret has exactly the 32 octets.
    """
    kdf = (KDF.SHA256, info) if info else (KDF.NULL, None)
    _check_point(peer, _SECRET_BITS // 8)
    handle = key.handle.derive_key(
        KeyType.AES,
        _SECRET_BITS,
        id=spec.object_id,
        label=spec.label,
        store=True,
        capabilities=capabilities(spec.usages),
        mechanism=Mechanism.ECDH1_DERIVE,
        mechanism_param=(*kdf, peer),
        template=check(mapper, guarded(spec, modifiable=profile.modifiable)),
    )
    return objects.of(ObjectClass.SECRET_KEY, handle)


def _check_point(peer: bytes, size: int) -> None:
    if len(peer) != 2 * size + 1 or peer[0] != 4:
        raise problems.refused(
            "point-unusable", "The other side's public point must be uncompressed (X9.63).", "Ask for it again."
        )
