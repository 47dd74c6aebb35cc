"""Azure Dedicated HSM: a Luna 7, in a profile of its own."""

from __future__ import annotations

from adapters.pkcs11.profile import load
from adapters.pkcs11.token import Pkcs11Token
from hsm_console.hsm.port import Binding, Hsm


def create(binding: Binding) -> Hsm:
    """Raises EnvironmentFault `module-missing`, `module-unusable`."""
    return Pkcs11Token(binding, load("azure_dedicated_hsm"))
