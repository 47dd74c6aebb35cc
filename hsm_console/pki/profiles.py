"""The certificate profiles of a workspace, one function each (RFC 5280; what OpenSSL's X509_STRICT demands).

Every profile has authority and subject key identifiers, basic constraints and key usage, so that a chain passes
with `X509_V_FLAG_X509_STRICT`. Times are Unix milliseconds; certificates hold whole seconds, rounded down.
"""

from __future__ import annotations

import datetime
import hashlib
import secrets
import unicodedata
from typing import TYPE_CHECKING

from asn1crypto import core
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.people import USER_URI_PREFIX, Person
from hsm_console.pki.signing import spki

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

GATEWAY_NAME = "gateway.ceremony.internal"
"""The one DNS name of every gateway's certificate; its address is something else and may change."""
MAX_NAME = 64  # ub-common-name (RFC 5280 A.1)


def common_name(text: str) -> x509.Name:
    """CN=text. Raises InputError `name-unusable`: 1 to 64 printable characters, composed (NFC), no spaces around."""
    if not 1 <= len(text) <= MAX_NAME or text != unicodedata.normalize("NFC", text).strip() or not text.isprintable():
        raise InputError(
            Problem(
                code="name-unusable",
                what=f"“{text[:80]}” cannot stand as a name in a certificate.",
                todo=f"Use 1 to {MAX_NAME} printable characters, without spaces before or after.",
                exit_code=ExitCode.USAGE,
            )
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def moment(time_ms: int) -> datetime.datetime:
    """Unix milliseconds as UTC, rounded down to the second as ASN.1 times are."""
    return datetime.datetime.fromtimestamp(time_ms // 1000, datetime.UTC)


def time_ms(value: datetime.datetime) -> int:
    return int(value.timestamp() * 1000)


def key_usage(*wanted: str) -> x509.KeyUsage:
    """KeyUsage with exactly the named bits (names as in `cryptography`)."""
    names = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in wanted for name in names})


def _start(
    public_key: CertificatePublicKeyTypes, subject: x509.Name, issuer: x509.Name, validity: tuple[int, int]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(new_serial())
        .not_valid_before(moment(validity[0]))
        .not_valid_after(moment(validity[1]))
        .add_extension(x509.SubjectKeyIdentifier(key_identifier(public_key)), critical=False)
    )


def key_identifier(public_key: CertificatePublicKeyTypes) -> bytes:
    """Leftmost 160 bits of the SHA-256 of the public key's bits (RFC 7093 2, method 1): no SHA-1 anywhere."""
    bits = core.Sequence.load(spki(public_key))[1].contents[1:]  # without the octet of unused bits
    return hashlib.sha256(bits).digest()[:20]


def new_serial() -> int:
    """A positive serial of 16 octets, 126 bits of it random (RFC 5280 4.1.2.2; the BR ask for 64)."""
    return secrets.randbits(126) | 1 << 126


def certification_authority(
    public_key: CertificatePublicKeyTypes, name: x509.Name, validity: tuple[int, int], path_length: int | None = 0
) -> x509.CertificateBuilder:
    """A self-signed authority. digitalSignature: it also signs rosters."""
    builder = _start(public_key, name, name, validity)
    return (
        builder.add_extension(x509.AuthorityKeyIdentifier(key_identifier(public_key), None, None), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign", "digital_signature"), critical=True)
    )


def end_entity(
    public_key: CertificatePublicKeyTypes, subject: x509.Name, issuer: x509.Certificate, validity: tuple[int, int]
) -> x509.CertificateBuilder:
    """What all certificates for people, gateways and ceremony keys share."""
    issuer_key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    return (
        _start(public_key, subject, issuer.subject, validity)
        .add_extension(x509.AuthorityKeyIdentifier(issuer_key, None, None), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage("digital_signature"), critical=True)
    )


def person(
    public_key: CertificatePublicKeyTypes, who: Person, issuer: x509.Certificate, validity: tuple[int, int]
) -> x509.CertificateBuilder:
    """clientAuth, and exactly one URI that says who it is; the roster says what she may do."""
    return (
        end_entity(public_key, common_name(who.name), issuer, validity)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(who.uri)]), critical=False)
    )


def gateway(
    public_key: CertificatePublicKeyTypes, issuer: x509.Certificate, validity: tuple[int, int]
) -> x509.CertificateBuilder:
    """serverAuth, and one fixed DNS name; no address, because either would be accepted (RFC 6125 6.4)."""
    return (
        end_entity(public_key, common_name("HSM Console gateway"), issuer, validity)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(GATEWAY_NAME)]), critical=False)
    )


def ceremony_key(
    public_key: CertificatePublicKeyTypes, name: str, issuer: x509.Certificate, validity: tuple[int, int]
) -> x509.CertificateBuilder:
    """A key made in a ceremony: digitalSignature, no extended purpose."""
    return end_entity(public_key, common_name(name), issuer, validity)


def user_id(certificate: x509.Certificate) -> str | None:
    """The uid of a person's certificate: exactly one URI SAN, and it is ours; else None."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith(USER_URI_PREFIX):
        return None
    return uris[0].removeprefix(USER_URI_PREFIX) or None
