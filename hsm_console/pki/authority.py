"""The ceremony authority of one workspace: certificates for people, gateway and ceremony keys, and the CRL.

Its key is any private key of `cryptography`, usually one that lies in an HSM. Every certificate is linted before the
key is asked to sign, and compared with what was linted afterwards. Nothing here is stored; callers write files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.people import Person, Role, RosterEntry
from hsm_console.pki import cms, csr, lint, profiles
from hsm_console.pki.signing import IssuerKey, hash_for, public_of, spki

DAY_MS = 86_400_000
AUTHORITY_DAYS = 3650
PERSON_DAYS = 730
GATEWAY_DAYS = 730
KEY_DAYS = 1825
CRL_DAYS = 30


@dataclass(frozen=True)
class Revocation:
    """One line of a CRL. serial: of the certificate; reason: RFC 5280 5.3.1 CRLReason name; time in Unix ms."""

    serial: int
    time_ms: int
    reason: str = "unspecified"


@dataclass(frozen=True)
class Authority:
    """The authority's certificate together with the key that signs for it."""

    certificate: x509.Certificate
    key: IssuerKey

    def __post_init__(self) -> None:
        if spki(self.certificate.public_key()) != spki(public_of(self.key)):
            raise VerificationFailed(
                Problem(
                    code="authority-key-mismatch",
                    what="The authority's key in the token does not belong to the authority's certificate.",
                    todo="Check that the right token is connected; compare its serial with the founding record.",
                    exit_code=ExitCode.VERIFICATION,
                )
            )

    @classmethod
    def found(cls, key: IssuerKey, name: str, *, now_ms: int, days: int = AUTHORITY_DAYS) -> Self:
        """Make the self-signed certificate of a new authority called `name`. Raises as `sign` does."""
        return cls(self_signed(key, name, now_ms=now_ms, days=days, path_length=0), key)

    def issue_person(
        self, person: Person, request_pem: str, *, now_ms: int, days: int = PERSON_DAYS
    ) -> x509.Certificate:
        """A certificate for a person's key. The request proves possession; its name is not used.

        Raises InputError (see `csr.check`, and `key-cannot-approve`) and VerificationFailed `certificate-lint`.
        """
        public_key = csr.check(request_pem).public_key()
        cms.require_signing_key(public_key)
        validity = self._validity(now_ms, days)
        return self._issue(profiles.person(public_key, person, self.certificate, validity))

    def issue_gateway(self, request_pem: str, *, now_ms: int, days: int = GATEWAY_DAYS) -> x509.Certificate:
        """The transport identity of the workspace's gateway."""
        public_key = csr.check(request_pem).public_key()
        return self._issue(profiles.gateway(public_key, self.certificate, self._validity(now_ms, days)))

    def issue_key(self, name: str, request_pem: str, *, now_ms: int, days: int = KEY_DAYS) -> x509.Certificate:
        """A certificate for a key made in a ceremony, from its request."""
        public_key = csr.check(request_pem).public_key()
        return self._issue(profiles.ceremony_key(public_key, name, self.certificate, self._validity(now_ms, days)))

    def issue_crl(
        self, number: int, revoked: Iterable[Revocation], *, now_ms: int, days: int = CRL_DAYS
    ) -> x509.CertificateRevocationList:
        """A complete CRL. number: grows by one each time (RFC 5280 5.2.3)."""
        issuer_key = profiles.key_identifier(_certifiable(self.key))
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(profiles.moment(now_ms))
            .next_update(profiles.moment(now_ms + days * DAY_MS))
            .add_extension(x509.AuthorityKeyIdentifier(issuer_key, None, None), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for one in sorted(revoked, key=lambda r: (r.time_ms, r.serial)):
            builder = builder.add_revoked_certificate(_crl_entry(one))
        return builder.sign(self.key, hash_for(public_of(self.key)))

    def _issue(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return sign(builder, self.key)

    def _validity(self, now_ms: int, days: int) -> tuple[int, int]:
        """Never longer than the authority's own certificate: a chain is only as long-lived as its root."""
        end = profiles.time_ms(self.certificate.not_valid_after_utc)
        return now_ms, min(now_ms + days * DAY_MS, end)


def sign(builder: x509.CertificateBuilder, key: IssuerKey) -> x509.Certificate:
    """Lint what is to be signed, sign it, and compare. Raises VerificationFailed; the key is not used then."""
    public_key = public_of(key)
    algorithm = hash_for(public_key)
    linted = builder.sign(lint.throw_away_key(public_key), algorithm)
    lint.check(linted)
    certificate = builder.sign(key, algorithm)
    lint.same_tbs(linted, certificate)
    return certificate


def self_signed(
    key: IssuerKey, name: str, *, now_ms: int, days: int = AUTHORITY_DAYS, path_length: int | None = None
) -> x509.Certificate:
    """A self-signed certificate of a certification authority; path_length None: no limit below it."""
    validity = (now_ms, now_ms + days * DAY_MS)
    subject = profiles.common_name(name)
    return sign(profiles.certification_authority(_certifiable(key), subject, validity, path_length), key)


def roster_entry(person: Person, roles: tuple[Role, ...], certificate: x509.Certificate) -> RosterEntry:
    """The roster's line for a person and the certificate that was issued to her."""
    return RosterEntry(
        person=person,
        roles=roles,
        spki_sha256=spki_sha256(certificate),
        certificate_sha256=certificate_sha256(certificate),
        serial=serial_hex(certificate),
    )


def spki_sha256(certificate: x509.Certificate) -> str:
    """Hex SHA-256 of the subject's public key (SPKI, DER)."""
    return hashlib.sha256(spki(certificate.public_key())).hexdigest()


def certificate_sha256(certificate: x509.Certificate) -> str:
    """Hex SHA-256 of the certificate (DER)."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def serial_hex(certificate: x509.Certificate) -> str:
    """The serial number as the roster and the log write it: lower-case hex, as long as it is."""
    return f"{certificate.serial_number:x}"


def pem(certificate: x509.Certificate | x509.CertificateRevocationList) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def load_certificate(untrusted: str | bytes) -> x509.Certificate:
    """A certificate from PEM. Raises InputError `certificate-unreadable`."""
    data = untrusted.encode() if isinstance(untrusted, str) else untrusted
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise InputError(
            Problem(
                code="certificate-unreadable",
                what="The file is not a certificate (X.509, PEM).",
                todo="Bring the file again from where it was made; compare its digest.",
                exit_code=ExitCode.USAGE,
            )
        ) from error


def _certifiable(key: IssuerKey) -> CertificatePublicKeyTypes:
    return cast(CertificatePublicKeyTypes, key.public_key())


def _crl_entry(one: Revocation) -> x509.RevokedCertificate:
    try:
        reason = x509.ReasonFlags(one.reason)
    except ValueError as error:
        raise InputError(
            Problem(
                code="reason-unknown",
                what=f"“{one.reason}” is no reason for a revocation (RFC 5280 5.3.1).",
                todo="Name one of: " + ", ".join(sorted(r.value for r in x509.ReasonFlags)) + ".",
                exit_code=ExitCode.USAGE,
            )
        ) from error
    builder = x509.RevokedCertificateBuilder().serial_number(one.serial).revocation_date(profiles.moment(one.time_ms))
    if reason is not x509.ReasonFlags.unspecified:  # RFC 5280 5.3.1: absent rather than unspecified
        builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.build()
