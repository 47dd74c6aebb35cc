"""A workspace's PKI in a folder, a real server with a tiny application, and people with real credential files."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hsm_console.client.rendezvous import GatewayAddress
from hsm_console.client.session import Session, log_in
from hsm_console.credential import pkcs12
from hsm_console.domain.errors import ConsoleError, PolicyRefusal
from hsm_console.domain.messages.session import Greeting, Workspace
from hsm_console.domain.people import Person
from hsm_console.domain.secret import Secret
from hsm_console.gateway import connection
from hsm_console.gateway.refusals import Refused, problem
from hsm_console.gateway.server import GatewayServer
from hsm_console.gateway.tls import Identity, TlsContexts
from hsm_console.pki import profiles
from hsm_console.pki.authority import Authority, Revocation, pem, sign

PASSPHRASE = "seven violet lanterns drift"
DAY = 86_400_000
WORKSPACE = Workspace(
    name="test", chain_uid="c", origin="o", environment="lab", production=False, simulated=True, adapter="simulation"
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


@dataclass
class Scene:
    """One workspace and its running server. Certificates are made to measure by the tests."""

    directory: Path
    authority: Authority
    server: GatewayServer
    contexts: TlsContexts
    refused: list[Refused]
    closed: list[str]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    @property
    def address(self) -> GatewayAddress:
        return GatewayAddress(
            listen=self.server.address,
            authority_pem=pem(self.authority.certificate),
            gateway_sha256=self.contexts.certificate_sha256,
            refusals=str(self.directory / "refusals.sock"),
        )

    @property
    def remote(self) -> GatewayAddress:
        """The same gateway as somebody sees it who cannot ask at the refusal desk."""
        return msgspec.structs.replace(self.address, refusals="")

    def certificate(
        self,
        key: ec.EllipticCurvePrivateKey,
        *,
        uid: str = "a.turing",
        start: int = 0,
        days: int = 30,
        issuer: Authority | None = None,
        build: Callable[..., x509.CertificateBuilder] | None = None,
    ) -> x509.Certificate:
        """A certificate from `start` ms after now; build: a profile other than a person's."""
        issuer = issuer or self.authority
        validity = (now_ms() + start, now_ms() + start + days * DAY)
        if build is not None:
            return build(key.public_key(), issuer, validity)  # type: ignore[return-value]
        who = Person(uid=uid, name=uid.replace(".", " ").title())
        return sign(profiles.person(key.public_key(), who, issuer.certificate, validity), issuer.key)

    def credential(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Path:
        path = self.directory / f"{certificate.serial_number:x}.p12"
        data = pkcs12.encode(key, certificate, (self.authority.certificate,), Secret(PASSPHRASE), 20_000)
        path.write_bytes(data)
        return path

    def person(self, **how: Any) -> tuple[Path, x509.Certificate]:
        key = new_key()
        certificate = self.certificate(key, **how)
        return self.credential(certificate, key), certificate

    def revoke(self, *certificates: x509.Certificate, start: int = 0, days: int = 30) -> None:
        """A new CRL, in force at once on the running server. start: its thisUpdate, ms after now."""
        lines = [Revocation(c.serial_number, now_ms(), "keyCompromise") for c in certificates]
        crl = self.authority.issue_crl(next(self.numbers), lines, now_ms=now_ms() + start, days=days)
        (self.directory / "crl.pem").write_text(pem(crl))

    def log_in(self, credential: Path, address: GatewayAddress | None = None) -> Session:
        return log_in(address or self.address, credential, Secret(PASSPHRASE))

    def refusal(self, credential: Path, address: GatewayAddress | None = None) -> ConsoleError:
        """The error that a log-in ends with."""
        with pytest.raises(ConsoleError) as caught:
            self.log_in(credential, address).close()
        return caught.value

    def wait_for(self, condition: Callable[[], bool], seconds: float = 3.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.01)


def half_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A gateway that dies while it answers."""
    body = b"".join(pieces)
    yield body[: len(body) // 2]
    raise OSError("gone")


def application(contexts: TlsContexts) -> Callable[..., Iterable[bytes]]:
    """Greets whoever the certificate names; knows nothing else of the gateway."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["PATH_INFO"] == "/v1/slow":
            time.sleep(1.0)
        if environ["PATH_INFO"] == "/v1/large":
            return _reply(start_response, "200 OK", bytes(range(256)) * 40_000)
        if environ["PATH_INFO"] == "/v1/half":
            return half_of(_reply(start_response, "200 OK", b'{"whole": "answer"}'))
        certificate = x509.load_der_x509_certificate(environ[connection.PEER_DER])
        try:
            body = msgspec.json.encode(_greeting(environ, certificate, contexts))
        except ConsoleError as error:
            return _reply(start_response, "403 Forbidden", msgspec.json.encode(error.problem))
        return _reply(start_response, "200 OK", body)

    return app


def _reply(start_response: Callable[..., Any], status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _greeting(environ: dict[str, Any], certificate: x509.Certificate, contexts: TlsContexts) -> Greeting:
    uid = profiles.user_id(certificate)
    if uid is None:
        raise PolicyRefusal(problem("certificate-not-ours", clock_ms=now_ms()))
    return Greeting(
        session_uid=environ[connection.CONNECTION_UID],
        person=Person(uid=uid, name=uid),
        roles=(),
        certificate_not_after_ms=profiles.time_ms(certificate.not_valid_after_utc),
        nonce="00",
        gateway_time_ms=now_ms(),
        gateway_sha256=contexts.certificate_sha256,
        workspace=WORKSPACE,
        device_unlocked=False,
    )


Start = Callable[..., Scene]


def lay_out(
    directory: Path, authority: Authority, build: Callable[..., x509.CertificateBuilder], validity: tuple[int, int]
) -> Identity:
    """The files of a workspace that TLS needs."""
    key = new_key()
    builder = build(key.public_key(), authority.certificate, validity)
    (directory / "identity.pem").write_text(pem(sign(builder, authority.key)))
    write_key(directory / "identity.key", key)
    (directory / "authority.pem").write_text(pem(authority.certificate))
    (directory / "crl.pem").write_text(pem(authority.issue_crl(1, [], now_ms=now_ms())))
    names = ("identity.pem", "identity.key", "authority.pem", "crl.pem")
    return Identity(*(directory / name for name in names))


def begin(directory: Path, identity: Identity, authority: Authority, address: str) -> Scene:
    contexts = TlsContexts(identity)
    refused: list[Refused] = []
    closed: list[str] = []
    server = GatewayServer(
        application(contexts),
        address=address,
        contexts=contexts,
        on_refused=refused.append,
        on_closed=closed.append,
        refusals_socket=directory / "refusals.sock",
    )
    server.start()
    return Scene(directory, authority, server, contexts, refused, closed)


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a scene: authority (fresh or given), the gateway's certificate by `build`, TCP or Unix socket."""
    running: list[Scene] = []

    def one(
        *,
        authority: Authority | None = None,
        build: Callable[..., x509.CertificateBuilder] = profiles.gateway,
        start: int = 0,
        days: int = 30,
        tcp: bool = False,
        crl: bool = True,
    ) -> Scene:
        directory = tmp_path_factory.mktemp("workspace")
        authority = authority or Authority.found(new_key(), "Ceremony authority", now_ms=now_ms() - 400 * DAY)
        identity = lay_out(directory, authority, build, (now_ms() + start, now_ms() + start + days * DAY))
        if not crl:
            identity.crl.unlink()
        address = "127.0.0.1:0" if tcp else f"unix:{directory}/gateway.sock"
        running.append(begin(directory, identity, authority, address))
        return running[-1]

    yield one
    for scene in running:
        scene.server.stop()
    assert not [t.name for t in threading.enumerate() if t.name.startswith("gateway-accept")]


@pytest.fixture
def scene(start: Start) -> Scene:
    return start()
