"""A TPM 2.0 by tpm2-pkcs11: the keys of one machine, beside its processor."""

from __future__ import annotations

from adapters.pkcs11.profile import load
from adapters.pkcs11.token import Pkcs11Token
from hsm_console.hsm.port import Binding, Hsm


def create(binding: Binding) -> Hsm:
    """Raises EnvironmentFault `module-missing`, `module-unusable`."""
    return Pkcs11Token(binding, load("tpm2"))
