"""The signed roster: who may do what in this workspace (PLATFORM 1.4). Canonical JSON (RFC 8785) and a CMS signature.

The certificate proves the person, the roster grants the roles. Without a verified roster nobody is let in.
"""

from __future__ import annotations

import msgspec
import rfc8785
from cryptography import x509

from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed
from hsm_console.domain.people import Roster
from hsm_console.pki import cms
from hsm_console.pki.authority import Authority


def encode(roster: Roster) -> bytes:
    """The exact bytes that are signed: RFC 8785 JSON of the roster."""
    return rfc8785.dumps(msgspec.to_builtins(roster))


def sign(authority: Authority, roster: Roster) -> tuple[bytes, bytes]:
    """(roster.json, roster.p7s). Raises as the authority's key does."""
    data = encode(roster)
    return data, cms.sign_detached(authority.certificate, authority.key, data)


def verify(authority: x509.Certificate, untrusted_json: bytes, untrusted_p7s: bytes) -> Roster:
    """The roster, when the authority signed exactly these bytes and they say nothing beyond a roster.

    Raises VerificationFailed `roster-not-authentic` or `roster-unreadable`.
    """
    try:
        cms.verify_detached(authority, untrusted_json, untrusted_p7s)
    except VerificationFailed as error:
        raise _refused(
            "roster-not-authentic", "The roster was not signed by this workspace's authority.", error
        ) from error
    try:
        roster = msgspec.json.decode(untrusted_json, type=Roster)
    except msgspec.DecodeError as error:
        raise _refused("roster-unreadable", "The signed roster cannot be read by this version.", error) from error
    if encode(roster) != untrusted_json:
        raise _refused("roster-unreadable", "The signed roster says more than this version understands.", None)
    _require_unambiguous(roster)
    return roster


def _require_unambiguous(roster: Roster) -> None:
    """One key belongs to one person, and a person has at most one certificate in force."""
    keys = [entry.spki_sha256 for entry in roster.entries]
    in_force = [entry.person.uid for entry in roster.entries if not entry.revoked]
    if len(set(keys)) != len(keys) or len(set(in_force)) != len(in_force):
        raise _refused("roster-unreadable", "The roster names one key or one person twice.", None)


def _refused(code: str, what: str, cause: Exception | None) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code=code,
            what=what,
            todo="Nobody can log in until the roster is right: bring back roster.json and roster.p7s from the backup.",
            contact="the administrator and the security officer",
            details={"cause": str(cause)} if cause else {},
            exit_code=ExitCode.VERIFICATION,
        )
    )
