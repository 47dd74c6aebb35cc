"""Salted disclosures in the manner of RFC 9901 (SD-JWT): what stands in an entry for a confidential value.

A disclosure is the base64url text of the JSON array [salt, name, value]; its digest is the base64url SHA-256 of that
text. In the entry the place of the value keeps the text `sealed:` + digest, and `hsm_console._sd` lists the digests.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from pathlib import Path
from typing import NoReturn

import msgspec

from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.reading import read_whole

MARK = "sealed:"
MARKER = re.compile(r"sealed:([A-Za-z0-9_-]{43})")
HIDDEN = "(sealed)"
FILE_HEAD = "hsm-console disclosures v1"
_SALT_BYTES = 16  # 128 bits (RFC 9901 9.3)
_MAX_FILE_BYTES = 4 << 20


class Disclosure(msgspec.Struct, frozen=True, array_like=True):
    """[salt, name, value]. name: where in the entry the value belongs, for example `event.because`."""

    salt: str
    name: str
    value: str

    @property
    def text(self) -> str:
        return b64url(msgspec.json.encode(self))


def new(name: str, value: str) -> Disclosure:
    """A disclosure with a fresh salt."""
    return Disclosure(b64url(secrets.token_bytes(_SALT_BYTES)), name, value)


def digest(text: str) -> str:
    """What stands in the entry for a disclosure."""
    return b64url(hashlib.sha256(text.encode("ascii")).digest())


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parse(text: str) -> Disclosure:
    """A disclosure's members. Raises VerificationFailed `disclosure-broken`."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(data, type=Disclosure)
    except (binascii.Error, ValueError, msgspec.DecodeError, UnicodeDecodeError):
        broken("a disclosure is not the base64url text of [salt, name, value]")


def hide(text: str) -> str:
    """The text with a word to read in place of each digest."""
    return MARKER.sub(HIDDEN, text) if MARK in text else text


def broken(why: str) -> NoReturn:
    """Raise for a value or salt that is not the one in the entry."""
    raise VerificationFailed(
        Problem(
            code="disclosure-broken",
            what=f"DISCLOSURE: {why}.",
            todo="Do not rely on the value. Keep the file as it is and compare it with another copy.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def write_file(items: list[tuple[int, str]]) -> str:
    """Disclosures to hand out: a head line, then `ENTRY DISCLOSURE` a line."""
    return "".join([FILE_HEAD + "\n", *(f"{seq} {text}\n" for seq, text in items)])


def read_file(path: Path) -> list[tuple[int, str]]:
    """(entry, disclosure) of each line. Raises InputError `disclosures-unreadable`."""
    try:
        lines = read_whole(path, _MAX_FILE_BYTES).decode("ascii").splitlines()
        if lines[0] != FILE_HEAD:
            raise ValueError("it is no file of disclosures")
        return [(int(seq), text) for seq, _, text in (line.partition(" ") for line in lines[1:])]
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as fault:
        raise InputError(
            Problem(
                code="disclosures-unreadable",
                what=f"{path} cannot be read as disclosures: {fault}.",
                todo="Give the file that “hsm-console audit disclose --out FILE” wrote.",
                exit_code=ExitCode.USAGE,
            )
        ) from fault
