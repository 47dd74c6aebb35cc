"""What a token is handed to sign or to verify."""

from __future__ import annotations

from typing import Any

from pkcs11 import Mechanism
from pkcs11.mechanisms import MGF

from adapters import problems
from adapters.mechanisms import fits
from adapters.pkcs11 import capabilities, encoding
from adapters.pkcs11.numbers import Numbers
from hsm_console.domain.keys import Algorithm, SignMechanism

_PSS = {
    "sha256": (Mechanism.SHA256, MGF.SHA256, 32),
    "sha384": (Mechanism.SHA384, MGF.SHA384, 48),
    "sha512": (Mechanism.SHA512, MGF.SHA512, 64),
}


def prepared(
    algorithm: Algorithm, mechanism: SignMechanism, data: bytes, offered: set[Any], numbers: Numbers
) -> tuple[Mechanism, Any, bytes]:
    """CKM, its parameter and what is handed to it. Raises unsupported when key and mechanism do not fit."""
    native = capabilities.mechanism_of(mechanism)
    if native is None or native not in offered or not fits(algorithm, mechanism):
        raise problems.mechanism_unsupported(mechanism, algorithm)
    name = mechanism.value.rpartition("-")[2]
    native = numbers.native(native)
    if algorithm.is_ec:
        return native, None, encoding.digest(name, data, algorithm)
    return native, _PSS[name] if "-pss-" in mechanism.value else None, data
