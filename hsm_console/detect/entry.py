"""An entry as rules see it: one flat table from a field's path to its value, or to all values along a list."""

from __future__ import annotations

import re
from typing import Any

import msgspec

KIND = "hsm_console.event.kind"
EVENT = "hsm_console.event."
ACTOR = "actor.user.uid"

Flat = dict[str, Any]

_SEALED = re.compile(r"sealed:[A-Za-z0-9_-]{43}")  # what stands for a confidential value: no alert may quote its digest
_decode = msgspec.json.Decoder().decode


def flatten(body: bytes) -> Flat:
    """The members of an entry's JSON by their paths. Values along a list come together as one list.

    Raises msgspec.DecodeError when the bytes are no JSON object.
    """
    found: Flat = {}
    plain = _decode(body)
    if not isinstance(plain, dict):
        raise msgspec.DecodeError("no object")
    _walk(found, "", plain)
    return found


def _walk(found: Flat, prefix: str, value: dict[str, Any]) -> None:
    for name, item in value.items():
        kind = item.__class__
        if kind is dict:
            _walk(found, prefix + name + ".", item)
            continue
        found[prefix + name] = item
        if kind is list and item and item[0].__class__ is dict:
            _along(found, prefix + name + ".", item)


def _along(found: Flat, prefix: str, items: list[Any]) -> None:
    for item in items:
        if isinstance(item, dict):
            inner: Flat = {}
            _walk(inner, prefix, item)
            for path, value in inner.items():
                found.setdefault(path, []).append(value)


def text_of(value: Any) -> str:
    """A field's value in a sentence."""
    if value is None or value == "":
        return "(nobody)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(text_of(item) for item in value if not isinstance(item, dict))
    return _SEALED.sub("(sealed)", str(value))
