"""What a token offers, from its mechanism list: asked once, so that “unsupported” is an answer and no surprise."""

from __future__ import annotations

import contextlib
from typing import Any

from pkcs11 import Mechanism, TokenFlag
from pkcs11.exceptions import PKCS11Error

from adapters.pkcs11 import postquantum
from adapters.pkcs11.encoding import CURVES, RSA_BITS
from adapters.pkcs11.numbers import Numbers
from adapters.pkcs11.profile import Profile, Role
from hsm_console.domain.keys import Algorithm, DeviceInfo, SignMechanism

M = Mechanism
_LEAST_BITS = 256  # of the smallest curve that is used here
_SIGN: dict[SignMechanism, Mechanism] = {
    SignMechanism.RSA_PKCS1_SHA256: M.SHA256_RSA_PKCS,
    SignMechanism.RSA_PKCS1_SHA384: M.SHA384_RSA_PKCS,
    SignMechanism.RSA_PKCS1_SHA512: M.SHA512_RSA_PKCS,
    SignMechanism.RSA_PSS_SHA256: M.SHA256_RSA_PKCS_PSS,
    SignMechanism.RSA_PSS_SHA384: M.SHA384_RSA_PKCS_PSS,
    SignMechanism.RSA_PSS_SHA512: M.SHA512_RSA_PKCS_PSS,
    SignMechanism.ECDSA_SHA256: M.ECDSA,
    SignMechanism.ECDSA_SHA384: M.ECDSA,
    SignMechanism.ECDSA_SHA512: M.ECDSA,
    SignMechanism.ED25519: M.EDDSA,
    SignMechanism.ML_DSA: M.ML_DSA,
    SignMechanism.SLH_DSA: postquantum.SLH_DSA,
    SignMechanism.HMAC_SHA256: M.SHA256_HMAC,
}
_SOFTWARE = {
    "softhsm": "SoftHSM",
    "kryoptic": "Kryoptic",
    "ibm soft": "The openCryptoki soft token",
    "soft token": "This soft token",
    "nss ": "NSS",
    "mozilla": "NSS",
    "sw   tpm": "A TPM in software (swtpm)",
}


def mechanism_of(mechanism: SignMechanism) -> Mechanism | None:
    """The CKM a signature is made with; ECDSA hashes in the worker, since not every token hashes itself."""
    return _SIGN.get(mechanism)


def sign_mechanisms(offered: set[Any]) -> tuple[SignMechanism, ...]:
    return tuple(name for name, native in _SIGN.items() if native in offered)


def algorithms(
    slot: Any, offered: set[Any], profile: Profile, role: Role, *, version_3_2: bool = False
) -> tuple[Algorithm, ...]:
    """What keys can be made: by mechanism and key size, and by the profile where a token cannot tell (curves).

    offered: in the standard's names. role: who logs in; not everybody makes keys. version_3_2: whether the module has
    the calls of PKCS #11 v3.2.
    """
    if not profile.can_generate or not role.generates:
        return ()
    found: list[Algorithm] = []
    if M.RSA_PKCS_KEY_PAIR_GEN in offered:
        low, high = _rsa_range(slot)
        found += [name for name, bits in RSA_BITS.items() if low <= bits <= high]
    if M.EC_KEY_PAIR_GEN in offered:
        low, high = _curve_range(slot)
        found += [name for name in CURVES if name in profile.curves and low <= CURVES[name][1]().key_size <= high]
    if {M.EC_EDWARDS_KEY_PAIR_GEN, M.EDDSA} <= offered:
        found.append(Algorithm.ED25519)
    if {M.AES_KEY_GEN, M.AES_GCM} <= offered:
        found.append(Algorithm.AES_256)
    if {M.GENERIC_SECRET_KEY_GEN, M.SHA256_HMAC} <= offered:
        found.append(Algorithm.HMAC_SHA256)
    found += postquantum.offered(offered, version_3_2=version_3_2)
    return tuple(name for name in found if not profile.algorithms or name in profile.algorithms)


def oaep(offered: set[Any], profile: Profile) -> tuple[str, ...]:
    """Hashes for RSA-OAEP. A token cannot tell which it takes: the profile knows what was found by trying."""
    return profile.oaep if M.RSA_PKCS_OAEP in offered else ()


def _rsa_range(slot: Any) -> tuple[int, int]:
    with contextlib.suppress(PKCS11Error):
        info = slot.get_mechanism_info(M.RSA_PKCS_KEY_PAIR_GEN)
        if info.max_key_length:
            return int(info.min_key_length or 0), int(info.max_key_length)
    return 0, max(RSA_BITS.values())


def _curve_range(slot: Any) -> tuple[int, int]:
    """Least and most bits of a curve. Modules that tell octets, or nothing, are taken to know every curve."""
    with contextlib.suppress(PKCS11Error):
        info = slot.get_mechanism_info(M.EC_KEY_PAIR_GEN)
        if info.max_key_length and info.max_key_length >= _LEAST_BITS:
            return int(info.min_key_length or 0), int(info.max_key_length)
    return 0, max(curve().key_size for _, curve, _ in CURVES.values())


def software(token: Any) -> str:
    """The name of a known software token, whatever adapter it was opened with; empty for anything else.

    Without this, a production environment could be given SoftHSM through the generic adapter.
    """
    told = f"{token.manufacturer_id} {token.model} {token.slot.slot_description}".casefold()
    return next((name for mark, name in _SOFTWARE.items() if mark in told), "")


def describe(
    token: Any, offered: set[Any], profile: Profile, role: Role, numbers: Numbers, *, version_3_2: bool = False
) -> DeviceInfo:
    """DeviceInfo of a token that was just read. A blank token tells its flags and mechanisms, but no label."""
    flags = token.flags
    blank = not flags & TokenFlag.TOKEN_INITIALIZED
    soft = software(token)
    remark = () if profile.simulated or not soft else (f"{soft} keeps keys in files; it is no hardware.",)
    derives = profile.derives and not profile.token_objects_only  # the secret is read from a session object
    used = offered if derives else offered - {M.ECDH1_DERIVE}
    known = algorithms(token.slot, offered, profile, role, version_3_2=version_3_2)
    return DeviceInfo(
        adapter=profile.id,
        vendor=token.manufacturer_id or profile.vendor,
        model=token.model,
        serial="" if blank else bytes(token.serial).rstrip(b"\x00 ").decode("utf-8", errors="replace"),
        label="" if blank else token.label,
        firmware=".".join(map(str, token.firmware_version)),
        hardware=".".join(map(str, token.hardware_version)),
        simulated=profile.simulated or bool(soft),
        initialised=not blank,
        mechanisms=tuple(sorted(_name(numbers.native(m) if isinstance(m, Mechanism) else m) for m in used)),
        algorithms=known,
        sign_mechanisms=sign_mechanisms(offered),
        oaep=oaep(offered, profile),
        limits=_limits(profile),
        user_pin_low=bool(flags & TokenFlag.USER_PIN_COUNT_LOW),
        user_pin_final_try=bool(flags & TokenFlag.USER_PIN_FINAL_TRY),
        user_pin_locked=bool(flags & TokenFlag.USER_PIN_LOCKED),
        untested_on_hardware=profile.untested,
        remarks=(*profile.remarks, *((role.words,) if role.words else ()), *remark),
    )


def _name(mechanism: Any) -> str:
    return mechanism.name if isinstance(mechanism, Mechanism) else f"0x{mechanism:08x}"


def _limits(profile: Profile) -> dict[str, int]:
    """What the profile knows of the device's bounds; what it does not know is left out."""
    known = {"gcm_bytes": profile.gcm_bytes, "sessions": profile.max_sessions, "id_bytes": profile.id_bytes}
    return {name: value for name, value in known.items() if value}
