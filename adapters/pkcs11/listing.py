"""Every key of a token in as few calls as PKCS#11 allows: one search, then two calls for each object.

python-pkcs11 asks eighteen attributes twice before it shows an object, and SoftHSM opens a file for each attribute
that is asked; ten thousand pairs took most of a minute so. Here the buffers are ready before the call, and nothing is
asked that is not shown. A module whose answers do not fit is read in python-pkcs11's way instead (`Unlisted`).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping
from typing import Any

from pkcs11 import Attribute, ObjectClass

from adapters.pkcs11.raw import AttributeValue, CkrError, RawModule

_UNAVAILABLE = ctypes.c_ulong(-1).value
_ROOM = 4096  # more than the largest public key (ML-DSA-87) has; a longer value ends the quick way
_TOLD = (0x00, 0x11, 0x12)  # CKR_OK, CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID: the others are filled in
_GONE = 0x82  # CKR_OBJECT_HANDLE_INVALID: another process destroyed it meanwhile


class Unlisted(Exception):
    """The module does not answer in the way that a quick listing needs."""


class Read:
    """An object as it was read; it answers what a python-pkcs11 object would be asked for to show it."""

    def __init__(self, handle: int, values: dict[Attribute, Any]) -> None:
        self.handle = handle
        self._values = values
        if values.get(Attribute.DECAPSULATE, True):
            self.decapsulate_key = True

    def get_attributes(self, keys: list[Attribute]) -> dict[Attribute, Any]:
        return {key: self._values[key] for key in keys if key in self._values}


class _Asked:
    """One question for many objects: which attributes, with room for each."""

    def __init__(self, attributes: tuple[Attribute, ...]) -> None:
        self.attributes = attributes
        self._template = (AttributeValue * len(attributes))()
        self._rooms = [ctypes.create_string_buffer(_ROOM) for _ in attributes]
        self._places = [ctypes.addressof(room) for room in self._rooms]
        for item, attribute in zip(self._template, attributes, strict=True):
            item.type = int(attribute)

    def of(self, raw: RawModule, session: int, handle: int, mapper: Any) -> dict[Attribute, Any] | None:
        """What the object tells; None when it is gone. Raises Unlisted, CkrError."""
        for item, place in zip(self._template, self._places, strict=True):
            item.value, item.length = place, _ROOM
        try:
            rv = raw.attribute_values(session, handle, self._template)
        except CkrError as missing:
            raise Unlisted(str(missing)) from missing
        if rv == _GONE:
            return None
        if rv not in _TOLD:
            raise Unlisted(f"0x{rv:x}")
        values = {}
        for item, attribute, room in zip(self._template, self.attributes, self._rooms, strict=True):
            if item.length == _UNAVAILABLE:
                continue
            if item.length >= _ROOM or not item.value:  # untouched, too long, or taken away
                raise Unlisted(f"attribute 0x{int(attribute):x}")
            try:
                values[attribute] = mapper.unpack_attributes(attribute, ctypes.string_at(room, item.length))
            except (ValueError, struct.error) as wrong:
                raise Unlisted(f"attribute 0x{int(attribute):x}") from wrong
        return values


def everything(
    raw: RawModule, session: int, mapper: Any, by_class: Mapping[ObjectClass, tuple[Attribute, ...]], *, most: int
) -> list[tuple[ObjectClass, Read, dict[Attribute, Any]]]:
    """(class, object, values) of every token object of these classes; by_class: what is asked of each.

    Raises Unlisted, and CkrError where the search itself fails.
    """
    kind_of, asked = _Asked((Attribute.CLASS,)), {kind: _Asked(wanted) for kind, wanted in by_class.items()}
    found = []
    for handle in raw.token_objects(session, most):
        kind: Any = (kind_of.of(raw, session, handle, mapper) or {}).get(Attribute.CLASS)
        question = asked.get(kind)
        if question is None:
            continue
        values = question.of(raw, session, handle, mapper)
        if values is not None:
            found.append((kind, Read(handle, values), values))
    return found


def values(
    raw: RawModule, session: int, mapper: Any, attributes: tuple[Attribute, ...], *, most: int
) -> list[dict[Attribute, Any]]:
    """These attributes of every token object, of whatever class. Raises Unlisted and CkrError like `everything`."""
    asked = _Asked(attributes)
    found = (asked.of(raw, session, handle, mapper) for handle in raw.token_objects(session, most))
    return [each for each in found if each is not None]
