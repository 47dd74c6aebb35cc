"""Every row of the table of TLS failures, on the real server, through the real agent: the exact code on both sides."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from hsm_console.credential import pkcs12
from hsm_console.domain.errors import EnvironmentFault, PolicyRefusal, VerificationFailed
from hsm_console.domain.secret import Secret
from hsm_console.gateway.tls import TlsContexts
from hsm_console.pki import profiles
from hsm_console.pki.authority import Authority, certificate_sha256, pem, sign

DAY = 86_400_000


def raw_connection(scene: Any) -> socket.socket:
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.settimeout(5)
    raw.connect(scene.server.address.removeprefix("unix:"))
    return raw


def client_context(scene: Any, credential: Any = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(scene.directory / "authority.pem")
    if credential is not None:
        pkcs12.load(credential, Secret("seven violet lanterns drift")).install(context)
    return context


def other_authority(now: int) -> Authority:
    return Authority.found(ec.generate_private_key(ec.SECP384R1()), "Ceremony authority", now_ms=now)


def server_purpose(key: Any, issuer: Authority, validity: tuple[int, int]) -> x509.Certificate:
    return sign(profiles.gateway(key, issuer.certificate, validity), issuer.key)


def no_identifier(key: Any, issuer: Authority, validity: tuple[int, int]) -> x509.Certificate:
    """A person's certificate without AuthorityKeyIdentifier: legal for OpenSSL, refused by X509_STRICT."""
    name = profiles.common_name("A. Turing")
    builder = (
        x509.CertificateBuilder(issuer.certificate.subject, name, key, profiles.new_serial())
        .not_valid_before(profiles.moment(validity[0]))
        .not_valid_after(profiles.moment(validity[1]))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    )
    return builder.sign(issuer.key, ec_hash())


def ec_hash() -> Any:
    from cryptography.hazmat.primitives.hashes import SHA384

    return SHA384()


PEOPLE: list[tuple[str, dict[str, Any], int, str]] = [
    # code, how the certificate is made, X509_V_ERR, what a person without refusal desk is told
    ("certificate-expired", {"start": -2 * DAY, "days": 1}, 10, "certificate-expired"),
    ("certificate-not-yet-valid", {"start": DAY}, 9, "certificate-not-yet-valid"),
    ("certificate-wrong-purpose", {"build": server_purpose}, 26, "certificate-wrong-purpose"),
    ("certificate-not-strict", {"build": no_identifier}, 85, "certificate-not-strict"),
    ("certificate-other-authority", {"issuer": other_authority}, 20, "certificate-other-authority"),
]


@pytest.mark.parametrize(("code", "how", "verify_code", "remote_code"), PEOPLE, ids=[row[0] for row in PEOPLE])
def test_a_certificate_that_is_refused(
    scene: Any, code: str, how: dict[str, Any], verify_code: int, remote_code: str
) -> None:
    how = {k: v(profiles.time_ms(scene.authority.certificate.not_valid_before_utc)) if v is other_authority else v
           for k, v in how.items()}  # fmt: skip
    credential, certificate = scene.person(**how)
    error = scene.refusal(credential)
    assert (error.problem.code, type(error)) == (code, PolicyRefusal)
    noted = scene.refused[-1]
    assert (noted.reason, noted.verify_code) == (code, verify_code)
    assert noted.src.startswith("unix uid=")
    assert noted.certificate_sha256 == certificate_sha256(certificate)
    assert noted.claimed_uid == (profiles.user_id(certificate) or "")
    assert scene.refusal(credential, scene.remote).problem.code == remote_code


@pytest.mark.parametrize("code", ["certificate-expired", "certificate-not-yet-valid"])
def test_date_errors_show_the_clock(scene: Any, code: str) -> None:
    how = {"start": -2 * DAY, "days": 1} if code == "certificate-expired" else {"start": DAY}
    credential, _ = scene.person(**how)
    for address in (scene.address, scene.remote):
        problem = scene.refusal(credential, address).problem
        assert "clock says 20" in problem.what
        assert problem.details["clock"].endswith(" UTC")
        assert "watch" in problem.todo


def test_revoked_after_the_first_log_in_on_a_live_gateway(scene: Any) -> None:
    credential, certificate = scene.person()
    with scene.log_in(credential) as session:
        assert session.greeting.person.uid == "a.turing"
    scene.revoke(certificate)
    assert scene.refusal(credential).problem.code == "certificate-revoked"
    assert (scene.refused[-1].reason, scene.refused[-1].verify_code) == ("certificate-revoked", 23)
    assert scene.refused[-1].claimed_uid == "a.turing"
    assert scene.refusal(credential, scene.remote).problem.code == "certificate-revoked"
    other, _ = scene.person(uid="g.hopper")
    scene.log_in(other).close()


def test_a_stale_crl_is_the_gateways_fault_and_is_told_before(scene: Any) -> None:
    credential, _ = scene.person()
    scene.revoke(start=-3 * DAY, days=1)
    told = scene.contexts.problems(profiles.time_ms(scene.contexts.certificate.not_valid_before_utc) + 5000)
    assert [p.code for p in told] == ["gateway-crl-stale"]
    error = scene.refusal(credential)
    assert (error.problem.code, type(error)) == ("gateway-crl-stale", EnvironmentFault)
    assert "not the cause" in error.problem.what
    assert (scene.refused[-1].reason, scene.refused[-1].verify_code) == ("gateway-crl-stale", 12)
    # Somebody far away only gets the alert "expired", and is told that it is not her certificate.
    assert scene.refusal(credential, scene.remote).problem.code == "refused-as-expired"
    scene.revoke()
    scene.log_in(credential).close()


def test_a_crl_from_the_future(scene: Any) -> None:
    credential, _ = scene.person()
    scene.revoke(start=DAY)
    assert scene.refusal(credential).problem.code == "gateway-crl-not-yet-valid"
    assert scene.refused[-1].verify_code == 11


def test_without_a_crl_nobody_enters(start: Callable[..., Any]) -> None:
    scene = start(crl=False)
    credential, _ = scene.person()
    assert scene.contexts.problems(0)[0].code == "gateway-crl-missing"
    assert scene.refusal(credential).problem.code == "gateway-crl-missing"
    assert (scene.refused[-1].reason, scene.refused[-1].verify_code) == ("gateway-crl-missing", 3)
    assert scene.refusal(credential, scene.remote).problem.code == "refused-as-unknown"
    scene.revoke()
    scene.log_in(credential).close()


def crl_without_number(authority: Authority, now: int) -> str:
    crl = (
        x509.CertificateRevocationListBuilder(authority.certificate.subject)
        .last_update(profiles.moment(now))
        .next_update(profiles.moment(now + DAY))
        .sign(authority.key, ec_hash())
    )
    return pem(crl)


@pytest.mark.parametrize("content", ["", "rubbish", "another authority's", "without a number"])
def test_a_crl_that_is_not_ours_closes_the_gateway(scene: Any, content: str) -> None:
    credential, certificate = scene.person()
    now = profiles.time_ms(certificate.not_valid_before_utc)
    if content == "without a number":
        content = crl_without_number(scene.authority, now)
    if content == "another authority's":
        content = pem(other_authority(now).issue_crl(9, [], now_ms=now))
    (scene.directory / "crl.pem").write_text(content)
    assert scene.contexts.crl.fault == "gateway-crl-wrong"
    assert scene.refusal(credential).problem.code == "gateway-crl-wrong"
    assert (scene.refused[-1].reason, scene.refused[-1].verify_code) == ("gateway-crl-wrong", 3)
    scene.revoke()
    scene.log_in(credential).close()


def test_a_new_crl_needs_no_key_from_the_disk(scene: Any) -> None:
    credential, certificate = scene.person()
    (scene.directory / "identity.key").unlink()
    scene.revoke(certificate)
    assert scene.refusal(credential).problem.code == "certificate-revoked"


def test_an_identity_that_cannot_be_used(scene: Any) -> None:
    identity = scene.contexts._identity
    identity.key.write_text("rubbish")
    with pytest.raises(EnvironmentFault, match="gateway-identity-unusable"):
        TlsContexts(identity)
    key = ec.generate_private_key(ec.SECP384R1())
    identity.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    with pytest.raises(EnvironmentFault, match="gateway-identity-unusable"):
        TlsContexts(identity)  # and nobody is asked for a password at a terminal
    identity.key.unlink()
    with pytest.raises(EnvironmentFault, match="gateway-identity-unusable"):
        TlsContexts(identity)


def test_an_older_crl_put_back_lets_nobody_in_again(scene: Any) -> None:
    credential, certificate = scene.person()
    file = scene.directory / "crl.pem"
    before = file.read_text()
    scene.revoke(certificate)
    assert scene.refusal(credential).problem.code == "certificate-revoked"
    file.write_text(before)
    assert scene.refusal(credential).problem.code == "certificate-revoked"
    now = profiles.time_ms(certificate.not_valid_before_utc)
    assert [p.code for p in scene.contexts.problems(now + 5000)] == ["gateway-crl-older"]
    scene.revoke()
    assert scene.contexts.problems(now + 5000) == ()
    scene.log_in(credential).close()


def test_no_certificate(scene: Any) -> None:
    """The handshake passes on this side; the first read tells."""
    context = client_context(scene)
    with raw_connection(scene) as raw:
        tls = context.wrap_socket(raw, server_hostname=profiles.GATEWAY_NAME)
        with tls, pytest.raises(ssl.SSLError) as caught:
            tls.recv(1)
    assert caught.value.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    scene.wait_for(lambda: bool(scene.refused))
    assert (scene.refused[-1].reason, scene.refused[-1].verify_code) == ("certificate-missing", 0)


def test_only_tls_1_2(scene: Any) -> None:
    credential, _ = scene.person()
    context = client_context(scene, credential)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with raw_connection(scene) as raw, pytest.raises(ssl.SSLError) as caught:
        context.wrap_socket(raw, server_hostname=profiles.GATEWAY_NAME)
    assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    scene.wait_for(lambda: bool(scene.refused))
    assert scene.refused[-1].reason == "tls-too-old"


def test_plain_http(scene: Any) -> None:
    with raw_connection(scene) as raw:
        raw.sendall(b"GET /v1/greeting HTTP/1.1\r\nHost: x\r\n\r\n")
        while raw.recv(4096):  # an alert, then the end: nothing of HTTP
            pass
    scene.wait_for(lambda: bool(scene.refused))
    assert scene.refused[-1].reason == "not-tls"


def test_somebody_who_hangs_up(scene: Any) -> None:
    raw_connection(scene).close()
    scene.wait_for(lambda: bool(scene.refused))
    assert scene.refused[-1].reason == "client-went-away"


def test_two_uris_in_one_certificate(scene: Any) -> None:
    def two(key: Any, issuer: Authority, validity: tuple[int, int]) -> x509.Certificate:
        names = [x509.UniformResourceIdentifier(f"urn:hsm-console:user:{uid}") for uid in ("a.turing", "g.hopper")]
        builder = profiles.end_entity(key, profiles.common_name("Two"), issuer.certificate, validity)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        return sign(builder.add_extension(x509.SubjectAlternativeName(names), critical=False), issuer.key)

    credential, _ = scene.person(build=two)
    error = scene.refusal(credential)
    assert (error.problem.code, type(error)) == ("certificate-not-ours", PolicyRefusal)
    assert not scene.refused  # the handshake passes; the application refuses


# -- the person's side judges the gateway -------------------------------------------------------------


def other_name(key: Any, issuer: x509.Certificate, validity: tuple[int, int]) -> x509.CertificateBuilder:
    return (
        profiles.end_entity(key, profiles.common_name("Printer"), issuer, validity)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("printer.ceremony.internal")]), critical=False)
    )


def client_purpose(key: Any, issuer: x509.Certificate, validity: tuple[int, int]) -> x509.CertificateBuilder:
    return (
        profiles.end_entity(key, profiles.common_name("Gateway"), issuer, validity)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(profiles.GATEWAY_NAME)]), critical=False)
    )


GATEWAYS: list[tuple[str, dict[str, Any], type[Exception]]] = [
    ("gateway-name-wrong", {"build": other_name}, VerificationFailed),
    ("gateway-certificate-wrong-purpose", {"build": client_purpose}, VerificationFailed),
    ("gateway-certificate-expired", {"start": -3 * DAY, "days": 1}, EnvironmentFault),
    ("gateway-certificate-not-yet-valid", {"start": DAY}, EnvironmentFault),
]


@pytest.mark.parametrize(("code", "how", "kind"), GATEWAYS, ids=[row[0] for row in GATEWAYS])
def test_a_gateway_that_is_not_accepted(
    start: Callable[..., Any], code: str, how: dict[str, Any], kind: type[Exception]
) -> None:
    scene = start(**how)
    credential, _ = scene.person()
    error = scene.refusal(credential)
    assert (error.problem.code, type(error)) == (code, kind)
    scene.wait_for(lambda: bool(scene.refused))
    assert scene.refused[-1].reason == "client-distrusts-gateway"


def test_an_impostor_of_another_authority(start: Callable[..., Any]) -> None:
    ours, impostor = start(), start()
    credential, _ = ours.person()
    address = type(ours.address)(listen=impostor.server.address, authority_pem=ours.address.authority_pem)
    error = ours.refusal(credential, address)
    assert (error.problem.code, type(error)) == ("gateway-impostor", VerificationFailed)
    impostor.wait_for(lambda: bool(impostor.refused))
    assert impostor.refused[-1].reason == "client-distrusts-gateway"


def test_an_impostor_with_a_certificate_of_our_authority(start: Callable[..., Any]) -> None:
    """A second gateway of the same authority is genuine, but not the one that was pinned."""
    ours = start()
    impostor = start(authority=ours.authority)
    credential, _ = ours.person()
    address = type(ours.address)(
        listen=impostor.server.address,
        authority_pem=ours.address.authority_pem,
        gateway_sha256=ours.contexts.certificate_sha256,
    )
    assert ours.refusal(credential, address).problem.code == "gateway-impostor"


def test_no_gateway_at_all(scene: Any) -> None:
    credential, _ = scene.person()
    scene.server.stop()
    error = scene.refusal(credential)
    assert (error.problem.code, type(error)) == ("gateway-unreachable", EnvironmentFault)


def test_something_that_speaks_no_tls(scene: Any) -> None:
    credential, _ = scene.person()
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            peer, _ = other.accept()
            with peer:
                peer.recv(1)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                peer.recv(65536)

        thread = threading.Thread(target=answer)
        thread.start()
        host, port = other.getsockname()
        address = type(scene.address)(listen=f"{host}:{port}", authority_pem=scene.address.authority_pem)
        assert scene.refusal(credential, address).problem.code == "gateway-wrong-protocol"
        thread.join()
