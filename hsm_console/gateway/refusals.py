"""Refusals on the gateway's side: the recent ones by connection, and the socket where a refused person may ask why.

The table of codes and texts is `hsm_console.pki.refusals`, because the person's side explains a remote gateway's alerts
with the same words. The socket answers only about a connection whose name the asker knows: a random name on a Unix
socket, address and port on TCP. It lies in the private run-time directory.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.session import Refusal
from hsm_console.gateway.listening import listen_unix
from hsm_console.pki.refusals import CODES, code_for, problem

__all__ = ["CODES", "Ledger", "RefusalDesk", "Refused", "code_for", "problem"]

KEPT = 256
ASK_SECONDS = 2.0
_WAIT_SECONDS = 1.0
_MAX_QUESTION = 512


@dataclass(frozen=True)
class Refused:
    """One refused handshake. reason: a code of the table; verify_code: X509_V_ERR_… or 0; src: who connected.

    connection: the name by which the refused side asks why. untrusted_certificate: DER as shown, not verified, empty
    when none was shown. certificate_sha256 and claimed_uid are taken from it and are claims, no more.
    """

    src: str
    connection: str
    reason: str
    verify_code: int
    problem: Problem
    clock_ms: int
    untrusted_certificate: bytes = b""
    certificate_sha256: str = ""
    claimed_uid: str = ""

    def for_person(self) -> Refusal:
        return Refusal(reason=self.reason, problem=self.problem, clock_ms=self.clock_ms, verify_code=self.verify_code)


class Ledger:
    """The newest refusals by connection name. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._by_name: OrderedDict[str, Refused] = OrderedDict()

    def note(self, refused: Refused) -> None:
        with self._changed:
            self._by_name[refused.connection] = refused
            while len(self._by_name) > KEPT:
                self._by_name.popitem(last=False)
            self._changed.notify_all()

    def find(self, connection: str, wait_seconds: float = 0.0) -> Refused | None:
        """The refusal of that connection; the alert may arrive before the note, so one may wait for it."""
        with self._changed:
            self._changed.wait_for(lambda: connection in self._by_name, wait_seconds)
            return self._by_name.get(connection)


class RefusalDesk:
    """Answers one line `{"connection": NAME}` with one line: a Refusal, or null when there is none."""

    def __init__(self, path: Path, ledger: Ledger) -> None:
        """Raises EnvironmentFault `address-in-use`."""
        self._ledger = ledger
        self._listening = listen_unix(path, 0o600)
        self._path = path
        self._thread = threading.Thread(target=self._serve, name="refusal-desk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listening.close()
        self._thread.join(1.0)
        self._path.unlink(missing_ok=True)

    def _serve(self) -> None:
        while True:
            try:
                asker, _ = self._listening.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._answer, args=(asker,), name="refusal-answer", daemon=True).start()

    def _answer(self, asker: socket.socket) -> None:
        with asker, contextlib.suppress(OSError, msgspec.DecodeError):
            asker.settimeout(ASK_SECONDS)
            line = asker.recv(_MAX_QUESTION)
            question = msgspec.json.decode(line, type=_Question)
            found = self._ledger.find(question.connection, _WAIT_SECONDS)
            asker.sendall(msgspec.json.encode(found.for_person() if found else None) + b"\n")


class _Question(msgspec.Struct):
    connection: str


def refused(  # one call site; each fact is its own
    code: str,
    *,
    src: str,
    connection: str,
    verify_code: int = 0,
    message: str = "",
    untrusted_certificate: bytes = b"",
) -> Refused:
    """A Refused with texts and claims filled in, stamped with this machine's clock."""
    clock_ms = time.time_ns() // 1_000_000
    digest, claimed = _claims(untrusted_certificate)
    return Refused(
        src=src,
        connection=connection,
        reason=code,
        verify_code=verify_code,
        problem=problem(code, clock_ms=clock_ms, message=message),
        clock_ms=clock_ms,
        untrusted_certificate=untrusted_certificate,
        certificate_sha256=digest,
        claimed_uid=claimed,
    )


def _claims(untrusted_certificate: bytes) -> tuple[str, str]:
    """(digest, claimed uid) of a certificate that nobody vouches for."""
    import hashlib

    from cryptography import x509

    from hsm_console.pki.profiles import user_id

    if not untrusted_certificate:
        return "", ""
    digest = hashlib.sha256(untrusted_certificate).hexdigest()
    try:
        return digest, (user_id(x509.load_der_x509_certificate(untrusted_certificate)) or "")[:128]
    except ValueError:
        return digest, ""
