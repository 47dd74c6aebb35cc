"""Certificates, requests and CRLs: each is checked with the openssl command, and refusals have their code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_console.domain.errors import InputError, VerificationFailed
from hsm_console.domain.people import Person, Role
from hsm_console.pki import csr, lint, profiles
from hsm_console.pki.authority import (
    Authority,
    Revocation,
    certificate_sha256,
    load_certificate,
    pem,
    roster_entry,
    self_signed,
    serial_hex,
    sign,
    spki_sha256,
)

DAY = 86_400_000
ALAN = Person(uid="a.turing", name="Alan Türing")
Openssl = Callable[..., str]


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP384R1())


GOOD_KEYS: dict[str, Callable[[], Any]] = {
    "P-256": lambda: ec_key(ec.SECP256R1()),
    "P-384": ec_key,
    "P-521": lambda: ec_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA-3072": lambda: rsa.generate_private_key(65537, 3072),
}


@pytest.mark.parametrize("kind", GOOD_KEYS)
def test_a_chain_passes_strict_openssl(
    kind: str, authority: Authority, now: int, tmp_path: Path, openssl: Openssl
) -> None:
    key = GOOD_KEYS[kind]()
    request = csr.make(key, "whatever the request says")
    (tmp_path / "csr.pem").write_text(request)
    openssl("req", "-in", "csr.pem", "-verify", "-noout")
    builder = profiles.person(csr.check(request).public_key(), ALAN, authority.certificate, (now, now + DAY))
    certificate = sign(builder, authority.key)
    (tmp_path / "person.pem").write_text(pem(certificate))
    (tmp_path / "authority.pem").write_text(pem(authority.certificate))
    (tmp_path / "crl.pem").write_text(pem(authority.issue_crl(1, [], now_ms=now)))
    openssl("verify", "-x509_strict", "-check_ss_sig", "-crl_check", "-CRLfile", "crl.pem", "-purpose", "sslclient",
            "-CAfile", "authority.pem", "person.pem")  # fmt: skip
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "authority.pem", "person.pem", ok=False)


@pytest.mark.parametrize("kind", [*GOOD_KEYS, "ML-DSA-65"])
def test_every_kind_of_authority(kind: str, now: int, tmp_path: Path, openssl: Openssl) -> None:
    key = mldsa.MLDSA65PrivateKey.generate() if kind == "ML-DSA-65" else GOOD_KEYS[kind]()
    authority = Authority.found(key, "Another authority", now_ms=now)
    certificate = authority.issue_person(ALAN, csr.make(ec_key(), "x"), now_ms=now)
    certificate.verify_directly_issued_by(authority.certificate)
    crl = authority.issue_crl(7, [Revocation(certificate.serial_number, now)], now_ms=now)
    assert crl.is_signature_valid(authority.certificate.public_key())  # type: ignore[arg-type]
    if kind != "ML-DSA-65":  # OpenSSL 3.0 does not know it
        (tmp_path / "a.pem").write_text(pem(authority.certificate))
        (tmp_path / "p.pem").write_text(pem(certificate))
        openssl("verify", "-x509_strict", "-check_ss_sig", "-CAfile", "a.pem", "p.pem")


def test_what_stands_in_a_persons_certificate(authority: Authority, now: int) -> None:
    certificate = authority.issue_person(ALAN, csr.make(ec_key(), "x"), now_ms=now, days=10)
    assert certificate.subject.rfc4514_string() == "CN=Alan Türing"
    assert profiles.user_id(certificate) == "a.turing"
    assert profiles.time_ms(certificate.not_valid_before_utc) == now // 1000 * 1000
    assert profiles.time_ms(certificate.not_valid_after_utc) == (now + 10 * DAY) // 1000 * 1000
    extensions = certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value == profiles.key_usage("digital_signature")
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    entry = roster_entry(ALAN, (Role.CUSTODIAN,), certificate)
    assert entry.spki_sha256 == spki_sha256(certificate)
    assert entry.certificate_sha256 == certificate_sha256(certificate)
    assert int(entry.serial, 16) == certificate.serial_number
    assert serial_hex(certificate) == entry.serial


def test_digests_are_what_openssl_prints(authority: Authority, tmp_path: Path, openssl: Openssl) -> None:
    (tmp_path / "a.pem").write_text(pem(authority.certificate))
    printed = openssl("x509", "-in", "a.pem", "-noout", "-fingerprint", "-sha256", "-serial")
    assert certificate_sha256(authority.certificate) in printed.replace(":", "").lower()
    assert serial_hex(authority.certificate) in printed.lower()
    openssl("x509", "-in", "a.pem", "-noout", "-pubkey", "-out", "key.pem")
    openssl("pkey", "-pubin", "-in", "key.pem", "-outform", "DER", "-out", "key.der")
    assert spki_sha256(authority.certificate) in openssl("dgst", "-sha256", "key.der")


def test_the_gateways_certificate(authority: Authority, now: int, tmp_path: Path, openssl: Openssl) -> None:
    certificate = authority.issue_gateway(csr.make(ec_key(), "x"), now_ms=now)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [x509.DNSName("gateway.ceremony.internal")]
    assert profiles.user_id(certificate) is None
    (tmp_path / "a.pem").write_text(pem(authority.certificate))
    (tmp_path / "g.pem").write_text(pem(certificate))
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "gateway.ceremony.internal",
            "-CAfile", "a.pem", "g.pem")  # fmt: skip
    openssl("verify", "-purpose", "sslclient", "-CAfile", "a.pem", "g.pem", ok=False)


def test_a_ceremony_keys_certificate_and_a_root(
    authority: Authority, now: int, tmp_path: Path, openssl: Openssl
) -> None:
    certificate = authority.issue_key("Release signing 2026", csr.make(ec_key(), "x"), now_ms=now)
    root = self_signed(ec_key(), "Example Root CA", now_ms=now)
    (tmp_path / "a.pem").write_text(pem(authority.certificate))
    (tmp_path / "k.pem").write_text(pem(certificate))
    (tmp_path / "r.pem").write_text(pem(root))
    openssl("verify", "-x509_strict", "-CAfile", "a.pem", "k.pem")
    openssl("verify", "-x509_strict", "-check_ss_sig", "-CAfile", "r.pem", "r.pem")
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length is None
    assert authority.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_no_certificate_outlives_the_authority(now: int) -> None:
    short = Authority.found(ec_key(), "Short-lived authority", now_ms=now, days=3)
    certificate = short.issue_person(ALAN, csr.make(ec_key(), "x"), now_ms=now, days=700)
    assert certificate.not_valid_after_utc == short.certificate.not_valid_after_utc


def test_serials_are_positive_and_sixteen_octets_long() -> None:
    serials = [profiles.new_serial() for _ in range(200)]
    assert {s.bit_length() for s in serials} == {127}
    assert len(set(serials)) == 200


def test_a_crl_in_openssls_words(authority: Authority, now: int, tmp_path: Path, openssl: Openssl) -> None:
    victim = authority.issue_person(ALAN, csr.make(ec_key(), "x"), now_ms=now)
    crl = authority.issue_crl(42, [Revocation(victim.serial_number, now, "keyCompromise")], now_ms=now, days=5)
    for name, thing in (("a", authority.certificate), ("v", victim), ("crl", crl)):
        (tmp_path / f"{name}.pem").write_text(pem(thing))
    assert "verify OK" in openssl("crl", "-in", "crl.pem", "-CAfile", "a.pem", "-noout")
    printed = openssl("crl", "-in", "crl.pem", "-noout", "-text", "-crlnumber")
    assert "Key Compromise" in printed
    assert "crlNumber=0x2A" in printed
    assert f"{victim.serial_number:X}" in printed
    assert "revoked" in openssl("verify", "-crl_check", "-CRLfile", "crl.pem", "-CAfile", "a.pem", "v.pem", ok=False)


def test_an_unknown_reason_is_refused(authority: Authority, now: int) -> None:
    with pytest.raises(InputError, match="reason-unknown"):
        authority.issue_crl(1, [Revocation(5, now, "because")], now_ms=now)
    plain = authority.issue_crl(1, [Revocation(5, now)], now_ms=now)
    assert not list(plain.get_revoked_certificate_by_serial_number(5).extensions)  # type: ignore[union-attr]


def test_the_wrong_token_is_noticed_at_once(authority: Authority) -> None:
    with pytest.raises(VerificationFailed, match="authority-key-mismatch"):
        Authority(authority.certificate, ec_key())


# -- requests ------------------------------------------------------------------------------------


def tampered() -> str:
    """A request whose key was exchanged after signing."""
    mine = x509.load_pem_x509_csr(csr.make(ec_key(), "x").encode())
    other = x509.load_pem_x509_csr(csr.make(ec_key(), "x").encode())
    point = [r.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) for r in (mine, other)]
    der = mine.public_bytes(Encoding.DER).replace(point[0], point[1])
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM).decode()


def _foreign_curve() -> str:
    from cryptography.hazmat.primitives.hashes import SHA256

    builder = x509.CertificateSigningRequestBuilder().subject_name(profiles.common_name("x"))
    return builder.sign(ec.generate_private_key(ec.SECP256K1()), SHA256()).public_bytes(Encoding.PEM).decode()


BAD_REQUESTS: dict[str, tuple[str, Callable[[], str]]] = {
    "nothing": ("csr-unreadable", lambda: ""),
    "rubbish": (
        "csr-unreadable",
        lambda: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----",
    ),
    "too long": ("csr-unreadable", lambda: csr.make(ec_key(), "x") + "#" * csr.MAX_CSR_BYTES),
    "another's key": ("csr-not-signed-by-its-key", tampered),
    "RSA-2048": ("key-too-weak", lambda: csr.make(rsa.generate_private_key(65537, 2048), "x")),
    "small exponent": ("key-too-weak", lambda: csr.make(rsa.generate_private_key(3, 3072), "x")),
    "secp256k1": ("key-too-weak", _foreign_curve),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_refused_by_name(case: str, authority: Authority, now: int) -> None:
    code, make = BAD_REQUESTS[case]
    with pytest.raises(InputError) as caught:
        authority.issue_person(ALAN, make(), now_ms=now)
    assert caught.value.problem.code == code


def test_a_certificate_that_is_none() -> None:
    with pytest.raises(InputError, match="certificate-unreadable"):
        load_certificate("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----")


# -- linting ---------------------------------------------------------------------------------------


def test_a_bad_profile_is_not_signed(authority: Authority, now: int) -> None:
    """keyCertSign in a certificate that is no authority's (RFC 5280 4.2.1.3)."""
    builder = (
        x509.CertificateBuilder(authority.certificate.subject, profiles.common_name("x"), ec_key().public_key(), 5)
        .not_valid_before(profiles.moment(now))
        .not_valid_after(profiles.moment(now + DAY))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(profiles.key_usage("key_cert_sign"), critical=True)
    )

    class Untouched:
        """Stands for a key in a token: signing with it would be the mistake."""

        def public_key(self) -> Any:
            return authority.certificate.public_key()

    with pytest.raises(VerificationFailed) as caught:
        sign(builder, Untouched())  # type: ignore[arg-type]
    assert caught.value.problem.code == "certificate-lint"
    assert caught.value.problem.details


def test_good_certificates_have_no_finding_of_weight(authority: Authority, now: int) -> None:
    certificate = authority.issue_person(ALAN, csr.make(ec_key(), "x"), now_ms=now)
    for found in (*lint.check(certificate), *lint.check(authority.certificate)):
        assert found.severity in ("NOTICE", "INFO"), found


@pytest.mark.parametrize("name", ["", " Alan", "Alan\n", "x" * 65, "Tu\u0308ring", "A\u202eB"])
def test_a_name_that_cannot_stand_in_a_certificate(name: str, authority: Authority, now: int) -> None:
    with pytest.raises(InputError, match="name-unusable"):
        authority.issue_person(Person(uid="x", name=name), csr.make(ec_key(), "x"), now_ms=now)


def test_a_false_urn_is_still_an_error(authority: Authority, now: int) -> None:
    builder = profiles.end_entity(
        ec_key().public_key(), profiles.common_name("x"), authority.certificate, (now, now + DAY)
    )
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:x")])
    with pytest.raises(VerificationFailed, match="invalid_uri_syntax"):
        sign(builder.add_extension(names, critical=False), authority.key)


def test_what_was_linted_is_what_was_signed(authority: Authority, now: int) -> None:
    one, two = (authority.issue_person(ALAN, csr.make(ec_key(), "x"), now_ms=now) for _ in range(2))
    lint.same_tbs(one, one)
    with pytest.raises(VerificationFailed, match="signed-not-linted"):
        lint.same_tbs(one, two)
