"""The agent's TLS connection to the gateway: handshake, one request at a time, and the exact reason of a refusal."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import secrets
import socket
import ssl
import time
from typing import Any, NoReturn

import msgspec

from hsm_console.credential.pkcs12 import Credential
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, PolicyRefusal, Problem, VerificationFailed
from hsm_console.domain.messages.agent import Connect
from hsm_console.domain.messages.session import Refusal
from hsm_console.pki import refusals
from hsm_console.pki.profiles import GATEWAY_NAME, time_ms

UNIX_PREFIX = "unix:"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 600.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_IMPOSTOR = ("gateway-impostor", "gateway-name-wrong", "gateway-certificate-wrong-purpose")


class Link:
    """One connection. After any failure it is over; a new log-in makes a new one."""

    def __init__(self, credential: Credential, target: Connect) -> None:
        """Connect and shake hands. Raises ConsoleError with a code of `pki.refusals`."""
        self._credential, self._target = credential, target
        self._name = ""
        raw = self._dial()
        try:
            self._tls = self._shake_hands(raw)
        except BaseException:
            raw.close()
            raise
        self._http = http.client.HTTPConnection(GATEWAY_NAME)
        self._http.sock = self._tls
        self._http.auto_open = 0
        self._answered = False

    def fileno(self) -> int:
        return self._tls.fileno()

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, str, bytes]:
        """(status, content type, body). Raises ConsoleError when the connection fails or was refused."""
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            self._http.request(method, path, body=body or None, headers=headers)
            answer = self._http.getresponse()
            data = answer.read(MAX_ANSWER_BYTES + 1)
            if len(data) <= MAX_ANSWER_BYTES and answer.length != 0:  # a gateway that died leaves half an answer
                raise http.client.IncompleteRead(data, answer.length)
        except (OSError, http.client.HTTPException) as error:
            self._fail(error)
        if len(data) > MAX_ANSWER_BYTES:
            raise _fault("gateway-wrong-protocol", message=self._target.listen)
        self._answered = True
        return answer.status, answer.headers.get_content_type(), data

    def lost(self) -> Problem:
        """What to say when the connection ended while nothing was asked."""
        return _problem("gateway-went-away")

    def close(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._tls.close()

    def _dial(self) -> socket.socket:
        where = self._target.listen
        try:
            if where.startswith(UNIX_PREFIX):
                return self._dial_unix(where.removeprefix(UNIX_PREFIX))
            host, _, port = where.rpartition(":")
            raw = socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            mine = raw.getsockname()
            self._name = f"{mine[0]}:{mine[1]}"
        except (OSError, ValueError) as error:
            raise _fault("gateway-unreachable", message=f"{where} ({_short(error)})") from error
        return raw

    def _dial_unix(self, path: str) -> socket.socket:
        """Bind to a random abstract name first, so that this side can ask about exactly this connection."""
        self._name = f"hsm-console-{secrets.token_hex(16)}"
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            raw.settimeout(CONNECT_SECONDS)
            raw.bind(b"\0" + self._name.encode())
            raw.connect(path)
        except OSError:
            raw.close()
            raise
        return raw

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the host name and demands a certificate
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        try:
            context.load_verify_locations(cadata=self._target.authority_pem)
            self._credential.install(context)
        except (ssl.SSLError, ValueError) as error:
            raise EnvironmentFault(
                Problem(
                    code="authority-unreadable",
                    what="The workspace's authority certificate (authority.pem) cannot be read.",
                    todo="Bring authority.pem back from the backup, or get it from the administrator again.",
                    details={"detail": _short(error)},
                )
            ) from error
        return context

    def _shake_hands(self, raw: socket.socket) -> ssl.SSLSocket:
        context = self._context()
        try:
            raw.settimeout(CONNECT_SECONDS)
            tls = context.wrap_socket(raw, server_hostname=GATEWAY_NAME)
        except ssl.SSLCertVerificationError as error:
            code = refusals.BY_GATEWAY_CHECK.get(error.verify_code, "gateway-impostor")
            raise _fault(code, message=error.verify_message) from error
        except OSError as error:
            self._answered = False
            self._fail(error)
        digest = hashlib.sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
        if self._target.gateway_sha256 and digest != self._target.gateway_sha256:
            tls.close()
            raise _fault("gateway-impostor", message="another certificate than the pinned one")
        tls.settimeout(ANSWER_SECONDS)
        return tls

    def _fail(self, error: Exception) -> NoReturn:
        """Before the first answer a failure is a refusal: ask why. Later it is a lost connection."""
        if self._answered:
            raise _fault("gateway-went-away", message=_short(error)) from error
        told = self._ask_why()
        if told is not None:
            raise _error(told.reason, told.problem) from error
        raise self._explain(error) from error

    def _ask_why(self) -> Refusal | None:
        if not self._target.refusals:
            return None
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as desk:
                desk.settimeout(3.0)
                desk.connect(self._target.refusals)
                desk.sendall(msgspec.json.encode({"connection": self._name}) + b"\n")
                answer = b"".join(iter(lambda: desk.recv(65536), b""))
            return msgspec.json.decode(answer, type=Refusal | None)
        except (OSError, msgspec.DecodeError):
            return None

    def _explain(self, error: Exception) -> ConsoleError:
        """The gateway cannot be asked: read its alert, this certificate and this clock together (PLATFORM 1.1)."""
        reason = getattr(error, "reason", None) or ""
        now, certificate = _now(), self._credential.certificate
        if now > time_ms(certificate.not_valid_after_utc):
            guess = {"SSLV3_ALERT_CERTIFICATE_EXPIRED": "certificate-expired"}.get(reason)
        elif now < time_ms(certificate.not_valid_before_utc):
            guess = {"SSLV3_ALERT_BAD_CERTIFICATE": "certificate-not-yet-valid"}.get(reason)
        elif reason == "TLSV1_ALERT_UNKNOWN_CA" and self._issued_elsewhere():
            guess = "certificate-other-authority"
        else:
            guess = None
        code = guess or refusals.BY_ALERT.get(reason)
        if code is None:
            wrong = reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE", "RECORD_LAYER_FAILURE", "INVALID_ALERT")
            code = "gateway-wrong-protocol" if wrong else "gateway-went-away"
        message = self._target.listen if code == "gateway-wrong-protocol" else reason or _short(error)
        return _error(code, _problem(code, message=message))

    def _issued_elsewhere(self) -> bool:
        from hsm_console.pki.authority import load_certificate

        try:
            authority = load_certificate(self._target.authority_pem)
            self._credential.certificate.verify_directly_issued_by(authority)
        except Exception:  # noqa: BLE001  # InvalidSignature, ValueError, TypeError, InputError: not issued by it
            return True
        return False


def _now() -> int:
    return time.time_ns() // 1_000_000


def _short(error: Any) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]


def _problem(code: str, message: str = "") -> Problem:
    return refusals.problem(code, clock_ms=_now(), message=message)


def _error(code: str, problem: Problem) -> ConsoleError:
    """An impostor is a failed verification, what the gateway decided is a refusal, the rest is environment."""
    if code in _IMPOSTOR:
        return VerificationFailed(problem)
    if code.startswith("gateway-"):
        return EnvironmentFault(problem)
    return PolicyRefusal(problem)


def _fault(code: str, message: str = "") -> ConsoleError:
    return _error(code, _problem(code, message))
