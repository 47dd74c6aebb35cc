"""People, the roles they hold, and the roster that grants them (CEREMONY 1, PLATFORM 1.4)."""

from __future__ import annotations

import enum
import re
import unicodedata

import msgspec

USER_URI_PREFIX = "urn:hsm-console:user:"
MAX_NAME = 64
MAX_WORKSPACE_NAME = 100
_UID = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,30}[a-z0-9])?")


def is_short_name(uid: str) -> bool:
    """Small letters, digits, dots and dashes, at most 32; it begins and ends with a letter or a digit."""
    return _UID.fullmatch(uid) is not None


def is_printed_name(name: str, most: int = MAX_NAME) -> bool:
    """At least one visible character, in Unicode's composed form (NFC), no control, format or direction marks."""
    plain = all(unicodedata.category(c)[0] not in "CZ" or c == " " for c in name)
    return bool(name.strip()) and len(name) <= most and unicodedata.is_normalized("NFC", name) and plain


def alike(name: str) -> str:
    """What two names have in common that a reader of the minutes could not tell apart."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


class Role(enum.StrEnum):
    ADMINISTRATOR = "administrator"
    CUSTODIAN = "custodian"
    EXECUTIVE = "executive"
    WITNESS = "witness"
    AUDITOR = "auditor"


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """uid: short ASCII handle, unique in the workspace (`a.turing`); name: as printed on minutes (NFC)."""

    uid: str
    name: str

    @property
    def uri(self) -> str:
        """The one URI SAN of the person's certificate."""
        return USER_URI_PREFIX + self.uid


class RosterEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One person's public key and the roles it grants. spki_sha256: hex SHA-256 of the SPKI DER."""

    person: Person
    roles: tuple[Role, ...]
    spki_sha256: str
    certificate_sha256: str
    serial: str  # hex of the certificate's serial number
    revoked: bool = False


class Roster(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what in this workspace. Signed by the ceremony authority (CMS, detached)."""

    chain_uid: str
    version: int
    issued_ms: int
    entries: tuple[RosterEntry, ...]

    def by_key(self, spki_sha256: str) -> RosterEntry | None:
        return next((e for e in self.entries if e.spki_sha256 == spki_sha256), None)

    def by_uid(self, uid: str) -> RosterEntry | None:
        """The person's entry that is in force, else her newest revoked one."""
        mine = [e for e in self.entries if e.person.uid == uid]
        return next((e for e in mine if not e.revoked), mine[-1] if mine else None)


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who did it, as the gateway knows it: from the certificate and the roster, never from the request."""

    uid: str
    name: str
    roles: tuple[Role, ...]
    session_uid: str
    certificate_sha256: str
