"""ML-DSA, ML-KEM and SLH-DSA as PKCS #11 v3.2 has them: kinds of keys, mechanisms, parameter sets and sizes.

python-pkcs11 knows no SLH-DSA; its numbers (CKK 0x4B, CKM 0x2D and 0x2E) become members of its enumerations here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from pkcs11 import KeyType, Mechanism

from adapters.pkcs11.numbers import member
from hsm_console.domain.keys import Algorithm

SLH_DSA_KEY: KeyType = member(KeyType, 0x4B, "SLH_DSA")
SLH_DSA_KEY_PAIR_GEN: Mechanism = member(Mechanism, 0x2D, "SLH_DSA_KEY_PAIR_GEN")
SLH_DSA: Mechanism = member(Mechanism, 0x2E, "SLH_DSA")


class Family(NamedTuple):
    """One standard: its key type, how pairs are made and used, and its parameter sets (CKP_…)."""

    key_type: KeyType
    pair_generation: Mechanism
    use: Mechanism
    sets: dict[Algorithm, int]


_A = Algorithm
ML_DSA = Family(
    KeyType.ML_DSA, Mechanism.ML_DSA_KEY_PAIR_GEN, Mechanism.ML_DSA, {_A.ML_DSA_44: 1, _A.ML_DSA_65: 2, _A.ML_DSA_87: 3}
)
ML_KEM = Family(
    KeyType.ML_KEM,
    Mechanism.ML_KEM_KEY_PAIR_GEN,
    Mechanism.ML_KEM,
    {_A.ML_KEM_512: 1, _A.ML_KEM_768: 2, _A.ML_KEM_1024: 3},
)
SLH = Family(
    SLH_DSA_KEY,
    SLH_DSA_KEY_PAIR_GEN,
    SLH_DSA,
    {
        _A.SLH_DSA_SHA2_128S: 1,
        _A.SLH_DSA_SHAKE_128S: 2,
        _A.SLH_DSA_SHA2_128F: 3,
        _A.SLH_DSA_SHAKE_128F: 4,
        _A.SLH_DSA_SHA2_192S: 5,
        _A.SLH_DSA_SHAKE_192S: 6,
        _A.SLH_DSA_SHA2_192F: 7,
        _A.SLH_DSA_SHAKE_192F: 8,
        _A.SLH_DSA_SHA2_256S: 9,
        _A.SLH_DSA_SHAKE_256S: 10,
        _A.SLH_DSA_SHA2_256F: 11,
        _A.SLH_DSA_SHAKE_256F: 12,
    },
)
FAMILIES = (ML_DSA, ML_KEM, SLH)
_SLH_BYTES = {"128s": 7856, "128f": 17088, "192s": 16224, "192f": 35664, "256s": 29792, "256f": 49856}
SIGNATURE_BYTES: dict[Algorithm, int] = {
    _A.ML_DSA_44: 2420,
    _A.ML_DSA_65: 3309,
    _A.ML_DSA_87: 4627,
    **{name: _SLH_BYTES[name.value[-4:]] for name in SLH.sets},
}


def family_of(algorithm: Algorithm) -> Family | None:
    return next((family for family in FAMILIES if algorithm in family.sets), None)


def algorithm_of(kind: object, number: object) -> Algorithm | None:
    """What a CKA_KEY_TYPE and a CKA_PARAMETER_SET mean; `other` for a set nobody knows, None for other kinds."""
    for family in FAMILIES:
        if kind == family.key_type:
            return next((name for name, value in family.sets.items() if value == number), Algorithm.OTHER)
    return None


def offered(mechanisms: set[Any], *, version_3_2: bool) -> tuple[Algorithm, ...]:
    """What a token makes and uses. version_3_2: whether the module has the calls of that version; ML-KEM needs one."""
    return tuple(
        name
        for family in FAMILIES
        if {family.pair_generation, family.use} <= mechanisms and (family is not ML_KEM or version_3_2)
        for name in family.sets
    )
