"""The credential agent: one process per log-in, holding one person's key until it is killed (DESIGN 2).

`python -m hsm_console.credential.agent FD` with one end of a socket pair at FD; frames as in `domain.messages.agent`.
The end of that socket is the log-off: the process ends at once, and with it every copy of key and passphrase.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from pathlib import Path

import msgspec
from cryptography.x509.oid import NameOID

from hsm_console.credential.hardening import die_with, harden
from hsm_console.credential.link import Link
from hsm_console.credential.pkcs12 import Credential, load
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, InputError, Problem
from hsm_console.domain.messages.agent import (
    Connect,
    Ended,
    Failed,
    Open,
    Opened,
    Relay,
    Relayed,
    Reply,
    Request,
    Signed,
    SignStatement,
    Unframer,
    frame,
)
from hsm_console.domain.secret import Secret
from hsm_console.pki.authority import certificate_sha256
from hsm_console.pki.cms import sign_detached
from hsm_console.pki.profiles import time_ms

GREETING = "/v1/greeting"
MAX_STATEMENT = 1024 * 1024


class Agent:
    """State of one log-in: nothing, then a credential, then a connection. Single-threaded."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._credential: Credential | None = None
        self._link: Link | None = None

    def serve(self) -> None:
        """Answer frames until the control socket ends."""
        frames, decoder = Unframer(), msgspec.msgpack.Decoder(Request)
        while True:
            self._wait()
            data = self._control.recv(65536)
            if not data:
                return
            for body in frames.feed(data):
                self._control.sendall(frame(self._answer(decoder.decode(body))))

    def _wait(self) -> None:
        """Until a frame comes. A gateway that hangs up meanwhile is reported at once, not at the next click."""
        while self._link is not None:
            poll = select.poll()
            poll.register(self._control, select.POLLIN)
            poll.register(self._link, select.POLLIN)
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._link.fileno() in ready:  # between requests the gateway says nothing but good-bye
                problem = self._link.lost()
                self._hang_up()
                self._control.sendall(frame(Ended(id=0, problem=problem)))
            if self._control.fileno() in ready:
                return

    def _answer(self, request: Request) -> Reply:
        try:
            return self._do(request)
        except ConsoleError as error:
            if isinstance(request, Connect | Relay):
                self._hang_up()
            return Failed(id=request.id, kind=type(error).__name__, problem=error.problem)
        except Exception as error:  # noqa: BLE001  # the screen must hear of it; the text may quote secrets, so only its type
            self._hang_up()
            return Failed(id=request.id, kind="EnvironmentFault", problem=_unexpected(error))

    def _do(self, request: Request) -> Reply:
        match request:
            case Open():
                return self._open(request)
            case Connect():
                self._hang_up()
                self._link = Link(self._opened(), request)
                return self._relay(request.id, "GET", GREETING, b"")
            case Relay():
                return self._relay(request.id, request.method, request.path, request.body)
            case SignStatement():
                return self._sign(request)

    def _open(self, request: Open) -> Opened:
        self._hang_up()
        self._credential = None
        with Secret(request.passphrase) as passphrase:
            credential = load(Path(request.path), passphrase, now_ms=time.time_ns() // 1_000_000)
        self._credential = credential
        names = credential.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return Opened(
            id=request.id,
            uid=credential.uid,
            name=str(names[0].value) if names else "",
            not_after_ms=time_ms(credential.certificate.not_valid_after_utc),
            certificate_sha256=certificate_sha256(credential.certificate),
            notices=credential.notices,
        )

    def _relay(self, id_: int, method: str, path: str, body: bytes) -> Relayed:
        if self._link is None:
            raise EnvironmentFault(_ended())
        status, content_type, data = self._link.request(method, path, body)
        return Relayed(id=id_, status=status, content_type=content_type, body=data)

    def _sign(self, request: SignStatement) -> Signed:
        if len(request.statement) > MAX_STATEMENT:
            raise InputError(_too_long())
        credential = self._opened()
        return Signed(id=request.id, cms=sign_detached(credential.certificate, credential.key, request.statement))

    def _opened(self) -> Credential:
        if self._credential is None:
            raise EnvironmentFault(_ended())
        return self._credential

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None


def _ended() -> Problem:
    return Problem(
        code="session-ended",
        what="This session is over.",
        todo="Log in again.",
    )


def _too_long() -> Problem:
    return Problem(
        code="statement-too-long",
        what="What is to be signed is too long to be a statement that a person has read.",
        todo="Do not sign it. Tell the administrator which page asked for it.",
    )


def _unexpected(error: Exception) -> Problem:
    return Problem(
        code="agent-failed",
        what="The part of the program that holds your credential met a failure that nobody foresaw.",
        todo="Log in again. If it happens again, write down these details and report them.",
        contact="the maker of this software",
        details={"type": type(error).__name__},
    )


def main(arguments: list[str]) -> int:
    """Entry point. arguments: the number of the inherited descriptor."""
    harden()
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)
    die_with(control)
    Agent(control).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
