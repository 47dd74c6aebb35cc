"""Linting of to-be-signed certificates with pkilint before the key is asked to sign (CEREMONY 6, clause R7).

The certificate is first signed by a throw-away key of the same kind; its to-be-signed part is byte-equal to what
the real key will sign, because it contains the algorithm but not the key. `same_tbs` proves that afterwards.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed
from hsm_console.pki.signing import IssuerKey

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_FAILING = ("ERROR", "FATAL")
# pkilint judges URIs by the syntax of URLs; RFC 5280 4.2.1.6 permits every absolute URI, so URNs (RFC 8141 2) too.
_URN = re.compile(r'"urn:[a-z0-9][a-z0-9-]{1,30}[a-z0-9]:[A-Za-z0-9()+,.:=@;$_!*\'%/~&-]+"$')


class LintFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. severity: pkilint's name (ERROR, WARNING, NOTICE, INFO); code: pkilint's finding code."""

    severity: str
    code: str
    where: str
    text: str = ""


def check(certificate: x509.Certificate) -> tuple[LintFinding, ...]:
    """All findings about a certificate, worst first. Raises VerificationFailed `certificate-lint` on errors."""
    findings = findings_of(certificate)
    bad = [f for f in findings if f.severity in _FAILING]
    if bad:
        listed = "; ".join(f"{f.code} at {f.where}" for f in bad)
        raise VerificationFailed(
            Problem(
                code="certificate-lint",
                what=f"The certificate must not be signed as it is: {listed}.",
                todo="Correct the names or the profile named above and try again; nothing has been signed.",
                details={f.code: f.text or f.where for f in bad},
                exit_code=ExitCode.VERIFICATION,
            )
        )
    return findings


def findings_of(certificate: x509.Certificate) -> tuple[LintFinding, ...]:
    """What pkilint's RFC 5280 linter says about the certificate, worst first."""
    loader, validator = _linter()
    document = loader.load_der_certificate(certificate.public_bytes(Encoding.DER), "to-be-signed")
    found = [
        LintFinding(
            severity=description.finding.severity.name,
            code=description.finding.code,
            where=result.node.path,
            text=description.message or "",
        )
        for result in validator.validate(document.root)
        for description in result.finding_descriptions
        if not _is_urn(description.finding.code, description.message or "")
    ]
    order = ("FATAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
    return tuple(sorted(found, key=lambda f: order.index(f.severity) if f.severity in order else len(order)))


def _is_urn(code: str, message: str) -> bool:
    return code == "pkix.invalid_uri_syntax" and _URN.search(message) is not None


@functools.cache
def _linter() -> tuple[Any, Any]:
    from pkilint import loader
    from pkilint.pkix import certificate, extension, name

    validator = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )
    return loader, validator


def throw_away_key(public_key: PublicKeyTypes) -> IssuerKey:
    """A key of the same kind as the issuer's, good for linting only. Its curve fixes the signature algorithm."""
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _ec_key(public_key.curve.name)
    if isinstance(public_key, rsa.RSAPublicKey):
        return _rsa_key()
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return ed25519.Ed25519PrivateKey.generate()
    if isinstance(public_key, mldsa.MLDSA44PublicKey):
        return mldsa.MLDSA44PrivateKey.generate()
    if isinstance(public_key, mldsa.MLDSA65PublicKey):
        return mldsa.MLDSA65PrivateKey.generate()
    if isinstance(public_key, mldsa.MLDSA87PublicKey):
        return mldsa.MLDSA87PrivateKey.generate()
    raise TypeError(f"no certificates are issued with {type(public_key).__name__}")


@functools.cache
def _ec_key(curve: str) -> ec.EllipticCurvePrivateKey:
    curves = {c.name: c for c in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())}
    return ec.generate_private_key(curves[curve])


@functools.cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)  # never leaves this process, signs nothing that is kept


def same_tbs(linted: x509.Certificate, signed: x509.Certificate) -> None:
    """What was signed is byte for byte what was linted. Raises VerificationFailed `signed-not-linted`."""
    if linted.tbs_certificate_bytes != signed.tbs_certificate_bytes:
        raise VerificationFailed(
            Problem(
                code="signed-not-linted",
                what="The signed certificate differs from the one that was examined before signing.",
                todo="Do not use the certificate. Revoke its serial number and keep both files as evidence.",
                contact="the security officer and the maker of this software",
                exit_code=ExitCode.VERIFICATION,
            )
        )
