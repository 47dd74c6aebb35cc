"""Base45 (RFC 9285): bytes in the 45 characters that a QR code packs best (alphanumeric mode)."""

from __future__ import annotations

from hsm_console.domain.errors import ExitCode, InputError, Problem

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUE = {sign: value for value, sign in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """RFC 9285 4: two bytes become three characters, a last single byte becomes two."""
    out = []
    for at in range(0, len(data) - 1, 2):
        number = data[at] << 8 | data[at + 1]
        out.append(ALPHABET[number % 45] + ALPHABET[number // 45 % 45] + ALPHABET[number // 2025])
    if len(data) % 2:
        out.append(ALPHABET[data[-1] % 45] + ALPHABET[data[-1] // 45])
    return "".join(out)


def decode(text: str) -> bytes:
    """The bytes. Raises InputError `base45-unreadable` for any other character, length or value."""
    try:
        values = [_VALUE[sign] for sign in text]
    except KeyError as fault:
        raise _unreadable(f"the character {fault.args[0]!r} is not used") from None
    if len(values) % 3 == 1:
        raise _unreadable("a character is missing or too many")
    out = bytearray()
    for at in range(0, len(values) - 2, 3):
        number = values[at] + values[at + 1] * 45 + values[at + 2] * 2025
        if number > 0xFFFF:
            raise _unreadable("three characters say more than two bytes can")
        out += number.to_bytes(2, "big")
    if len(values) % 3 == 2:
        number = values[-2] + values[-1] * 45
        if number > 0xFF:
            raise _unreadable("two characters say more than one byte can")
        out.append(number)
    return bytes(out)


def _unreadable(why: str) -> InputError:
    return InputError(
        Problem(
            code="base45-unreadable",
            what=f"This text was not read correctly: {why}.",
            todo="Scan the code again, or use the file beside it.",
            exit_code=ExitCode.USAGE,
        )
    )
