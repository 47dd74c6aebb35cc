"""Entrust nShield. The security assurances are policy: what lets keys pass that the device would refuse is named in
the binding, shown with the device, and never “all”."""

from __future__ import annotations

import msgspec

from adapters.pkcs11.profile import load
from adapters.pkcs11.token import Pkcs11Token
from adapters.problems import refused
from hsm_console.hsm.port import Binding, Hsm


def create(binding: Binding) -> Hsm:
    """Raises InputError `option-unusable`, EnvironmentFault `module-missing`, `module-unusable`."""
    profile = load("nshield")
    override = binding.options.get("assurances", "")
    if "all" in (each.strip().casefold() for each in override.split(";")):
        words = "The option “assurances” may not be “all”: that switches every protection of the device's keys off."
        raise refused("option-unusable", words, "Name the single assurances that the policy lets pass.")
    if override:
        remark = f"The device's security assurances are lowered by policy: {override}."
        profile = msgspec.structs.replace(profile, remarks=(*profile.remarks, remark))
    return Pkcs11Token(binding, profile)
