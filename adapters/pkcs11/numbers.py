"""A vendor's own numbers for mechanisms and key types, and the standard's, in both directions.

python-pkcs11 takes members of its enumerations only; a vendor's number becomes one more member.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pkcs11 import KeyType, Mechanism

from adapters.pkcs11.profile import Profile


def member(kind: Any, value: int, name: str) -> Any:
    """The member of an enumeration with this number; made when there is none."""
    known = kind._value2member_map_.get(value)
    if known is not None:
        return known
    made = int.__new__(kind, value)
    made._name_, made._value_ = name, value
    kind._member_map_[name] = kind._value2member_map_[value] = made
    return made


class Numbers:
    """What one module calls things. gcm: the IV rule in force, which may have a mechanism of its own."""

    def __init__(self, profile: Profile, gcm: str) -> None:
        named = dict(profile.mechanisms)
        if gcm in profile.gcm_mechanisms:
            named["AES_GCM"] = profile.gcm_mechanisms[gcm]
        self._vendor: dict[Mechanism, Mechanism] = {
            Mechanism[name]: member(Mechanism, value, f"{name}_VENDOR_0x{value:08X}") for name, value in named.items()
        }
        self.key_types: dict[int, KeyType] = {value: KeyType[name] for name, value in profile.key_types.items()}

    def native(self, mechanism: Mechanism) -> Mechanism:
        """What the module calls it."""
        return self._vendor.get(mechanism, mechanism)

    def standard(self, offered: Iterable[Any]) -> set[Any]:
        """A module's list in the standard's names. What has a vendor's number is there by that number only."""
        there = set(offered)
        return (there - set(self._vendor)) | {name for name, own in self._vendor.items() if own in there}
