"""Canonical bytes: RFC 8785 (JCS), narrowed to a profile in which all encoders agree (AUDIT 2).

Outside the profile nothing is written: no floats, integers below 2^53, ASCII keys, text in NFC, no duplicate
keys, no control or bidirectional characters, at most 64 KiB. Inside it the sorted encoder of msgspec and the
reference encoder `rfc8785` give the same bytes (a property test holds them together), so the fast one is used.
"""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any, NoReturn

import msgspec

from hsm_console.domain.errors import ExitCode, InputError, Problem

MAX_BYTES = 64 * 1024 - 1  # the longest entry that a C2SP entry bundle can carry (16-bit length)
MAX_INTEGER = (1 << 53) - 1
MAX_DEPTH = 32

# C0, DEL, C1, line and paragraph separators, bidirectional marks, embeddings, overrides and isolates,
# and code points that are no characters. Each could make a line look like something it is not.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)
_DOUBTFUL = re.compile(rb"[:,\[]-?(?:[0-9]{16}|[0-9]+[.eE])")
_encoder = msgspec.json.Encoder(order="sorted")
_MOST_KEYS = 4096
_keys: set[str] = set()  # that were found to be plain text; the same few come again in every entry


def encode(obj: Any) -> bytes:
    """RFC 8785 bytes of plain values (dict, list, tuple, str, int, bool, None).

    A value that `part` made may stand anywhere in it. Raises InputError `canon-refused` for everything outside the
    profile.
    """
    _walk(obj, 0)
    try:
        data = _encoder.encode(obj)
    except (UnicodeEncodeError, ValueError, TypeError) as fault:
        _refuse(str(fault))
    if len(data) > MAX_BYTES:
        _refuse(f"{len(data)} bytes, at most {MAX_BYTES} are written")
    if not data.isascii() and not unicodedata.is_normalized("NFC", data.decode()):
        _refuse("text is not in Unicode normal form C")
    return data


def part(obj: Any) -> msgspec.Raw:
    """The canonical bytes of a value that comes again in many entries, to be put into them as it is.

    Raises as `encode`. The profile knows no other Raw: whatever is one was judged here.
    """
    return msgspec.Raw(encode(obj))


def struct_part(value: msgspec.Struct) -> msgspec.Raw | None:
    """The same of a struct, without looking at each member; None when something in it must be looked at.

    What the sorted encoder writes is canonical. In ASCII without an escape no text is refused; a number that is
    refused has a point, an exponent or 16 digits, or is none and became null; what has few brackets is not deep.
    """
    data = _encoder.encode(value)
    plain = data.isascii() and b"\\" not in data and b"null" not in data and data.decode().isprintable()
    if not plain or data.count(b"{") + data.count(b"[") > MAX_DEPTH // 2 or _DOUBTFUL.search(data):
        return None
    return msgspec.Raw(data)


def check(data: bytes) -> None:
    """Raise InputError `canon-refused` unless these bytes are what `encode` writes for their value."""
    if len(data) > MAX_BYTES:
        _refuse(f"{len(data)} bytes, at most {MAX_BYTES} are written")
    try:
        value = json.loads(data, object_pairs_hook=_no_duplicates, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as fault:
        _refuse(f"not JSON ({fault})")
    if encode(value) != data:
        _refuse("the same value has other canonical bytes")


def _walk(value: Any, depth: int) -> None:
    """Refuse what is outside. On the way of every append: known keys, plain ASCII texts and small integers, the most
    there is, are judged without a call."""
    if depth > MAX_DEPTH:
        _refuse("nested too deeply")
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if key not in _keys:
                _check_key(key)
            kind = type(item)
            if kind is str:
                if not (item.isascii() and item.isprintable()):
                    _check_text(item)
            elif (kind is int and 0 <= item <= MAX_INTEGER) or kind is bool or kind is msgspec.Raw:
                continue
            else:
                _walk(item, depth + 1)
    elif kind is list or kind is tuple:
        for item in value:
            _walk(item, depth + 1)
    else:
        _check_scalar(value, kind)


def _check_scalar(value: Any, kind: type) -> None:
    if kind is str:
        _check_text(value)
    elif kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            _refuse(f"integer {value} is not below 2^53")
    elif value is not None and kind is not bool and kind is not msgspec.Raw:
        _refuse(f"{kind.__name__} is not written")


def _check_key(key: Any) -> None:
    if type(key) is not str or not key.isascii():
        _refuse(f"key {key!r} is not ASCII text")
    _check_text(key)
    if len(_keys) < _MOST_KEYS:
        _keys.add(key)


def _check_text(text: str) -> None:
    found = None if text.isascii() and text.isprintable() else _FORBIDDEN.search(text)
    if found:
        _refuse(f"forbidden character U+{ord(found[0]):04X} in text")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        _refuse("a key occurs twice")
    return result


def _no_float(text: str) -> NoReturn:
    _refuse(f"number {text} is not an integer")


def _refuse(why: str) -> NoReturn:
    raise InputError(
        Problem(
            code="canon-refused",
            what=f"CANON refused: {why}.",
            todo="Correct the text that was entered (no control characters, no unusual direction marks) and try again.",
            exit_code=ExitCode.USAGE,
        )
    )
