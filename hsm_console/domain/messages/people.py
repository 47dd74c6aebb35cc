"""People on the wire: listing, enrolling, revoking."""

from __future__ import annotations

import msgspec

from hsm_console.domain.people import Person, Role


class PersonView(msgspec.Struct, frozen=True, kw_only=True):
    """not_after_ms: 0 when the certificate cannot be read: sealed while the device is locked, or its entry pruned."""

    person: Person
    roles: tuple[Role, ...]
    serial: str
    not_after_ms: int
    revoked: bool
    certificate_pem: str


class Enrol(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/people (administrator): csr is PEM, made where the private key is."""

    person: Person
    roles: tuple[Role, ...]
    csr: str


class Revoke(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/people/{uid}/revoke. reason: RFC 5280 CRLReason name."""

    reason: str
