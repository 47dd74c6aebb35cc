"""Which signature mechanism fits which kind of key."""

from __future__ import annotations

from hsm_console.domain.keys import Algorithm, SignMechanism


def fits(algorithm: Algorithm, mechanism: SignMechanism) -> bool:
    """Whether a key of this algorithm can sign with this mechanism."""
    family = mechanism.value.split("-")[0]
    if family == "ecdsa":
        return algorithm.is_ec
    if mechanism is SignMechanism.ML_DSA:
        return algorithm.value.startswith("ml-dsa")
    return algorithm.value.startswith(family)
