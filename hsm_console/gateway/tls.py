"""The gateway's side of mutual TLS 1.3: contexts built by hand, CRL mandatory and re-read when its file changes.

Rules and the experiments behind them: own authority only, X509_STRICT, CRL check on the leaf, and no session tickets,
because a ticket lets a certificate in that was revoked after its first log-in (PLATFORM 1.2).
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsm_console.credential.memory import memory_file
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.pki import refusals
from hsm_console.pki.profiles import time_ms

SOON_MS = 3 * 86_400_000
_CERTIFICATE_MESSAGE = 11  # TLS handshake type (RFC 8446 4)
# SSL_OP_NO_RX_CERTIFICATE_COMPRESSION (OpenSSL 3.2; older ones pass the bit over): a compressed certificate (RFC 8879)
# would be one we cannot name when it is refused, and a decompressor before authentication is nothing we need.
_NO_COMPRESSED_CERTIFICATES = 1 << 33


class PeerSocket(ssl.SSLSocket):
    """A TLS socket that remembers the certificate its peer showed, also when it was not accepted."""

    untrusted_certificate: bytes = b""

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002 - the standard library's name
        """As in `ssl`; but a connection answers for itself only.

        OpenSSL keeps errors in a queue of the thread. Where a peer went away without waiting for our close_notify, the
        failed write stays there, and the next read that this thread does on another, healthy connection reports it
        (seen with Python 3.13 and OpenSSL 3.5). So the queue is emptied and the connection asked again.
        """
        try:
            return super().read(len, buffer)
        except (BrokenPipeError, ConnectionResetError):
            _empty_error_queue()
            return super().read(len, buffer)


_SCRATCH = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _empty_error_queue() -> None:
    """The one public call that empties OpenSSL's error queue of this thread is a refused cipher list."""
    with contextlib.suppress(ssl.SSLError):
        _SCRATCH.set_ciphers("NO-SUCH-CIPHER")


@dataclass(frozen=True)
class Identity:
    """Where the transport identity lies. certificate: PEM; key: PEM, readable by the gateway's user only."""

    certificate: Path
    key: Path
    authority: Path
    crl: Path


@dataclass(frozen=True)
class CrlState:
    """What is loaded. fault: code of `refusals`, empty when the CRL was loaded; times in Unix ms.

    older: the file holds an older CRL than one seen before; the newer one stays in force.
    """

    fault: str = ""
    older: bool = False
    number: int = 0
    this_update_ms: int = 0
    next_update_ms: int = 0
    sha256: str = ""


class TlsContexts:
    """The current SSLContext. Thread-safe: `current` is called by every handshake."""

    def __init__(self, identity: Identity) -> None:
        """Raises EnvironmentFault `gateway-identity-unusable` when key, certificate or authority cannot be loaded."""
        self._identity = identity
        self._lock = threading.Lock()
        self._stamp = _stamp(identity.crl)
        self._newest: tuple[int, bytes] = (-1, b"")
        self.certificate = _identity_certificate(identity.certificate)
        self.authority = _identity_certificate(identity.authority)
        self._bundle = _bundle(identity)  # read once: a new CRL must not fail because a file was moved meanwhile
        self._context, self._crl = self._build()

    @property
    def certificate_sha256(self) -> str:
        """Hex SHA-256 of the gateway's certificate (DER): what clients pin and people's approvals name."""
        return hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).hexdigest()

    def current(self) -> ssl.SSLContext:
        """The context for the next handshake; a changed CRL file is in force from here on."""
        with self._lock:
            stamp = _stamp(self._identity.crl)
            if stamp != self._stamp:
                self._context, self._crl = self._build()
                self._stamp = stamp
            return self._context

    @property
    def crl(self) -> CrlState:
        self.current()
        return self._crl

    def problems(self, now_ms: int) -> tuple[Problem, ...]:
        """What would stop people from logging in, told before they try (PLATFORM 1.1)."""
        found = [*_crl_problems(self.crl, now_ms)]
        if now_ms > time_ms(self.certificate.not_valid_after_utc):
            found.append(refusals.problem("gateway-certificate-expired", clock_ms=now_ms))
        if now_ms < time_ms(self.certificate.not_valid_before_utc):
            found.append(refusals.problem("gateway-certificate-not-yet-valid", clock_ms=now_ms))
        return tuple(found)

    def _build(self) -> tuple[ssl.SSLContext, CrlState]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
        context.num_tickets = 0
        context.options |= _NO_COMPRESSED_CERTIFICATES
        context.sslsocket_class = PeerSocket
        _remember_certificates(context)
        try:
            with memory_file(self._bundle, "identity") as descriptor:
                # A password is given so that OpenSSL never asks for one at a terminal.
                context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
            context.load_verify_locations(cadata=self.authority.public_bytes(Encoding.DER))
        except (OSError, ValueError) as error:
            raise _unusable(str(error)) from error
        return context, self._load_crl(context)

    def _load_crl(self, context: ssl.SSLContext) -> CrlState:
        """Without a genuine CRL nobody is let in: OpenSSL then answers 3, and we say why."""
        try:
            data = self._identity.crl.read_bytes()
        except OSError:
            return CrlState(fault="gateway-crl-missing")
        try:
            crl = x509.load_pem_x509_crl(data)
            genuine = crl.is_signature_valid(self.authority.public_key())  # type: ignore[arg-type]
            number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (ValueError, TypeError, x509.ExtensionNotFound):
            return CrlState(fault="gateway-crl-wrong")
        if not genuine or crl.issuer != self.authority.subject or crl.next_update_utc is None:
            return CrlState(fault="gateway-crl-wrong")
        older = number < self._newest[0]
        if older:  # putting an old file back must not let revoked people in again
            number, data = self._newest
            crl = x509.load_pem_x509_crl(data)
        self._newest = number, data
        # OpenSSL reads a CRL from a file only; the bytes that were checked are the bytes it gets.
        with memory_file(crl.public_bytes(Encoding.PEM), "crl") as descriptor:
            context.load_verify_locations(cafile=f"/proc/self/fd/{descriptor}")
        return CrlState(
            older=older,
            number=number,
            this_update_ms=time_ms(crl.last_update_utc),
            next_update_ms=time_ms(crl.next_update_utc) if crl.next_update_utc else 0,
            sha256=hashlib.sha256(data).hexdigest(),
        )


def _crl_problems(state: CrlState, now_ms: int) -> list[Problem]:
    if state.fault:
        return [refusals.problem(state.fault, clock_ms=now_ms)]
    if state.older:
        return [refusals.problem("gateway-crl-older", clock_ms=now_ms, message=str(state.number))]
    if now_ms >= state.next_update_ms:
        return [refusals.problem("gateway-crl-stale", clock_ms=now_ms)]
    if now_ms < state.this_update_ms:
        return [refusals.problem("gateway-crl-not-yet-valid", clock_ms=now_ms)]
    if now_ms + SOON_MS >= state.next_update_ms:
        hours = (state.next_update_ms - now_ms) // 3_600_000
        return [refusals.problem("gateway-crl-soon-stale", clock_ms=now_ms, message=f"in {hours} hours")]
    return []


def _remember_certificates(context: ssl.SSLContext) -> None:
    """Keep the leaf of the peer's Certificate message (RFC 8446 4.4.2), so that a refusal can say whose it was.

    WORKAROUND: OpenSSL forgets a chain that failed, and `ssl` offers no public view of it before Python 3.13. The
    message callback is private API of `ssl` since 3.8; where it is absent, refusals are logged without the digest.
    """

    def on_message(sock: Any, direction: str, _version: Any, _content: Any, kind: Any, data: bytes) -> None:
        if direction == "read" and kind == _CERTIFICATE_MESSAGE and isinstance(sock, PeerSocket):
            sock.untrusted_certificate = _leaf(data)

    if hasattr(type(context), "_msg_callback"):
        context._msg_callback = on_message  # type: ignore[attr-defined]


def _leaf(message: bytes) -> bytes:
    """The first certificate of a TLS 1.3 Certificate message; empty when there is none."""
    body = memoryview(message)[4:]  # type and length of the handshake message
    if len(body) < 1:
        return b""
    body = body[1 + body[0] :]  # certificate_request_context
    length = int.from_bytes(body[3:6], "big")
    leaf = bytes(body[6 : 6 + length])
    return leaf if len(leaf) == length else b""


def _bundle(identity: Identity) -> bytes:
    try:
        return identity.certificate.read_bytes() + b"\n" + identity.key.read_bytes()
    except OSError as error:
        raise _unusable(str(error)) from error


def _identity_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable(f"{path}: {error}") from error


def _unusable(detail: str) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="gateway-identity-unusable",
            what="The gateway's own certificate, key or authority cannot be loaded.",
            todo="Check that the workspace's folder is complete and that its gateway/ folder belongs to you.",
            details={"detail": detail},
        )
    )


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
