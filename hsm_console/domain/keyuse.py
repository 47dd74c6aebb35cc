"""What a key may do, by its usages and its algorithm, and how when nobody chose. Pure; asked before each use."""

from __future__ import annotations

import enum

from hsm_console.domain.keys import Algorithm, SignMechanism, Usage


class Act(enum.StrEnum):
    """What somebody may want of a key."""

    SIGN = "sign"
    VERIFY = "verify"
    ENCRYPT = "encrypt"
    DECRYPT = "decrypt"
    DERIVE = "derive"
    WRAP = "wrap"
    UNWRAP = "unwrap"


_A, _M, _U = Algorithm, SignMechanism, Usage
_RSA = (_M.RSA_PSS_SHA256, _M.RSA_PSS_SHA384, _M.RSA_PSS_SHA512, _M.RSA_PKCS1_SHA256, _M.RSA_PKCS1_SHA384,
        _M.RSA_PKCS1_SHA512)  # fmt: skip
_MECHANISMS: dict[Algorithm, tuple[SignMechanism, ...]] = {
    _A.RSA_2048: _RSA,
    _A.RSA_3072: _RSA,
    _A.RSA_4096: (_M.RSA_PSS_SHA512, *(name for name in _RSA if name is not _M.RSA_PSS_SHA512)),
    _A.EC_P256: (_M.ECDSA_SHA256, _M.ECDSA_SHA384, _M.ECDSA_SHA512),
    _A.EC_P384: (_M.ECDSA_SHA384, _M.ECDSA_SHA512),
    _A.EC_P521: (_M.ECDSA_SHA512,),
    _A.ED25519: (_M.ED25519,),
    _A.HMAC_SHA256: (_M.HMAC_SHA256,),
    **{name: (_M.ML_DSA,) for name in _A if name.value.startswith("ml-dsa-")},
    **{name: (_M.SLH_DSA,) for name in _A if name.is_slh_dsa},
}
_NEEDS: dict[Act, Usage] = {
    Act.SIGN: _U.SIGN,
    Act.VERIFY: _U.SIGN,
    Act.ENCRYPT: _U.ENCRYPT,
    Act.DECRYPT: _U.ENCRYPT,
    Act.DERIVE: _U.DERIVE,
    Act.WRAP: _U.WRAP,
    Act.UNWRAP: _U.WRAP,
}
_MADE_FOR = {_U.SIGN: "signing", _U.ENCRYPT: "encryption", _U.WRAP: "wrapping keys", _U.DERIVE: "agreeing on secrets"}


def mechanisms(algorithm: Algorithm) -> tuple[SignMechanism, ...]:
    """How keys of this algorithm sign; the first is the default. Empty for keys that do not sign."""
    return _MECHANISMS.get(algorithm, ())


def usages(algorithm: Algorithm) -> tuple[Usage, ...]:
    """What a key of this algorithm can be made for. The first is the default; one purpose a key, AES may have two."""
    if algorithm.is_rsa:
        return (_U.SIGN, _U.ENCRYPT)
    if algorithm.is_ec:
        return (_U.SIGN, _U.DERIVE)
    if algorithm is _A.AES_256:
        return (_U.ENCRYPT, _U.WRAP)
    if algorithm.is_kem:
        return (_U.DERIVE,)
    return (_U.SIGN,) if mechanisms(algorithm) else ()


def why_not(act: Act, algorithm: Algorithm, held: tuple[Usage, ...]) -> str:
    """One sentence when such a key must not do this; empty when it may.

    Elliptic curves and ML-KEM decrypt by deriving: the device agrees on a key, and that key opens the message.
    """
    needed = _NEEDS[act]
    if act in (Act.ENCRYPT, Act.DECRYPT) and (algorithm.is_ec or algorithm.is_kem):
        needed = _U.DERIVE
    if needed not in usages(algorithm) or (act is Act.DERIVE and algorithm.is_kem):
        return f"A key of the kind {algorithm.value} cannot {act.value}."
    if needed not in held:
        made = " and ".join(_MADE_FOR[usage] for usage in held) or "nothing that the console knows of"
        return f"The key was made for {made} and does not {act.value}."
    return ""
