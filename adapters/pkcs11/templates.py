"""Attribute templates, checked in Python before they come near a module.

An exception while python-pkcs11 packs a template frees memory that was never set, and the process dies; so every
value is packed once here first. Values must have exactly the type of their attribute: no True for 1, no text for
bytes. Vendors get only what a key's purpose needs: a set of usages that is all true is refused by several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass
from pkcs11.attributes import ATTRIBUTE_TYPES, AttributeMapper, handle_bool, handle_date, handle_str, handle_ulong
from pkcs11.constants import DEFAULT

from adapters.problems import refused
from hsm_console.domain.keys import KeySpec, Usage

Template = dict[Attribute, Any]
_OWN_TYPES: dict[int, type] = {id(handle_bool): bool, id(handle_ulong): int, id(handle_str): str}


class TolerantMapper(AttributeMapper):
    """Reads what foreign tools have written: labels that are no UTF-8, classes and key types nobody registered."""

    def __init__(self, key_types: dict[int, KeyType] | None = None) -> None:
        """key_types: a vendor's own numbers and what they are in the standard."""
        super().__init__()
        for attribute in (Attribute.LABEL, Attribute.APPLICATION, Attribute.UNIQUE_ID, Attribute.URL):
            self.attribute_types[attribute] = (handle_str[0], _text)
        self.attribute_types[Attribute.CLASS] = (handle_ulong[0], _number_of(ObjectClass, {}))
        self.attribute_types[Attribute.KEY_TYPE] = (handle_ulong[0], _number_of(KeyType, key_types or {}))
        self.attribute_types[Attribute.MODULUS_BITS] = handle_ulong


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _number_of(known: Any, others: dict[int, Any]) -> Callable[[bytes], Any]:
    def unpack(value: bytes) -> Any:
        number = handle_ulong[1](value)
        if number in others:
            return others[number]
        try:
            return known(number)
        except ValueError:
            return number

    return unpack


def check(mapper: AttributeMapper, template: Template) -> Template:
    """The template, unchanged, when every value packs. Raises InputError `template-unusable` naming the attribute."""
    for attribute, value in template.items():
        expected = _expected(attribute)
        fits = type(value) is expected if expected in (bool, str, bytes) else isinstance(value, int)
        if not fits or (isinstance(value, int) and value < 0):
            raise _unusable(attribute, value)
        try:
            mapper.pack_attribute(attribute, value)
        except Exception as error:
            raise _unusable(attribute, value) from error
    return template


def _expected(attribute: Attribute) -> type:
    """The Python type of an attribute's value; enumerations and numbers count as int."""
    handler = ATTRIBUTE_TYPES.get(attribute)
    if handler is None or handler is handle_date:
        return bytes
    if handler is handle_bool:
        return bool
    if handler is handle_str:
        return str
    if handler is handle_ulong or attribute in (Attribute.CLASS, Attribute.KEY_TYPE, Attribute.CERTIFICATE_TYPE):
        return int
    return bytes


def _unusable(attribute: Attribute, value: object) -> Exception:
    name = getattr(attribute, "name", str(attribute))
    return refused(
        "template-unusable",
        f"The key property {name} cannot be given as {type(value).__name__}. The device was not asked.",
        "Tell the maker of this adapter.",
        attribute=name,
        type=type(value).__name__,
    )


def without(template: Template, names: tuple[str, ...]) -> Template:
    """The template and a word to python-pkcs11 to leave these attributes out, its own defaults too. `*` is all."""
    chosen = [each.name for each in Attribute] if "*" in names else names
    return {**template, **{Attribute[name]: DEFAULT for name in chosen}}


def capabilities(usages: tuple[Usage, ...]) -> MechanismFlag:
    """CKA_SIGN and the like for a purpose; only what the purpose needs."""
    flags = MechanismFlag(0)
    if Usage.SIGN in usages:
        flags |= MechanismFlag.SIGN | MechanismFlag.VERIFY
    if Usage.ENCRYPT in usages:
        flags |= MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
    if Usage.WRAP in usages:
        flags |= MechanismFlag.WRAP | MechanismFlag.UNWRAP
    if Usage.DERIVE in usages:
        flags |= MechanismFlag.DERIVE
    return flags


def guarded(spec: KeySpec, *, modifiable: bool | None) -> Template:
    """What keeps a private or secret key in the device, always said and never left to a default."""
    template: Template = {
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: spec.extractable,
    }
    if modifiable is not None:
        template[Attribute.MODIFIABLE] = modifiable
    return template


def public(*, modifiable: bool | None, private: bool = False) -> Template:
    """The public half: on the token, readable without a PIN where the vendor allows it."""
    template: Template = {Attribute.TOKEN: True, Attribute.PRIVATE: private}
    if modifiable is not None:
        template[Attribute.MODIFIABLE] = modifiable
    return template
