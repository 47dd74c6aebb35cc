"""openCryptoki: IBM's CCA, EP11 and ICA tokens, and its soft token."""

from __future__ import annotations

from adapters.pkcs11.profile import load
from adapters.pkcs11.token import Pkcs11Token
from hsm_console.hsm.port import Binding, Hsm


def create(binding: Binding) -> Hsm:
    """Raises EnvironmentFault `module-missing`, `module-unusable`."""
    return Pkcs11Token(binding, load("opencryptoki"))
