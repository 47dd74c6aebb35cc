"""One person's log-in at a gateway, through a credential agent of her own. Thread-safe.

Calls wait for each other: a session has one connection. Ask for the log's head with a short wait, or from a session
of its own, so that a click does not stand behind a long poll.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import TypeVar

import msgspec

from hsm_console.client import spawn
from hsm_console.client.failures import error_of
from hsm_console.client.rendezvous import GatewayAddress
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, ExitCode, Problem
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
from hsm_console.domain.messages.session import Greeting, LogOn
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret

AGENT = "hsm_console.credential.agent"
OPEN_SECONDS = 60.0
CONNECT_SECONDS = 20.0
CALL_SECONDS = 660.0
_LOG_OFF_SECONDS = 1.0
_KILL_SECONDS = 1.0

T = TypeVar("T")
R = TypeVar("R", bound=msgspec.Struct)


class AgentLink:
    """The credential agent's process and the socket to it. Replies are matched to requests by id."""

    def __init__(self, on_ended: Callable[[Problem], None]) -> None:
        """Raises EnvironmentFault `agent-not-started`."""
        mine, theirs = socket.socketpair()
        try:
            with theirs:
                command = spawn.python_command(AGENT, str(theirs.fileno()))
                self._process = spawn.start(command, pass_fds=(theirs.fileno(),))
        except OSError as error:
            mine.close()
            raise EnvironmentFault(_not_started(error)) from error
        self._socket = mine
        self._on_ended = on_ended
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[Reply]] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._over: Problem | None = None
        threading.Thread(target=self._receive, name="agent-replies", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def new_id(self) -> int:
        return next(self._ids)

    def ask(self, request: Request, kind: type[R], seconds: float) -> R:
        """Send a request, wait for its reply. Raises ConsoleError: the agent's, `session-ended` or `call-timeout`."""
        answer: Future[Reply] = Future()
        with self._lock:
            if self._over is not None:
                raise EnvironmentFault(self._over)
            self._waiting[request.id] = answer
        try:
            with self._sending:
                self._socket.sendall(frame(request))
            reply = answer.result(seconds)
        except FutureTimeout as error:
            raise EnvironmentFault(_timeout(seconds)) from error
        except OSError as error:
            raise EnvironmentFault(self._over or ended()) from error
        finally:
            with self._lock:
                self._waiting.pop(request.id, None)
        if isinstance(reply, Failed):
            raise error_of(reply.problem, reply.kind)
        if not isinstance(reply, kind):
            raise EnvironmentFault(_nonsense(f"{type(reply).__name__} instead of {kind.__name__}"))
        return reply

    def close(self) -> None:
        """End the agent; killing it is the log-off. Harmless when repeated."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        spawn.stop(self._process, _KILL_SECONDS)
        self._finish(ended())
        self._socket.close()

    def _receive(self) -> None:
        frames, decoder = Unframer(), msgspec.msgpack.Decoder(Reply)
        problem = ended()
        try:
            while data := self._socket.recv(1 << 18):
                for body in frames.feed(data):
                    reply = decoder.decode(body)
                    if isinstance(reply, Ended):
                        problem = reply.problem
                        self._finish(problem)
                    else:
                        self._deliver(reply)
        except (OSError, ValueError):
            pass
        self._finish(problem)

    def _deliver(self, reply: Reply) -> None:
        with self._lock:
            answer = self._waiting.pop(reply.id, None)
        if answer is not None:
            answer.set_result(reply)

    def _finish(self, problem: Problem) -> None:
        with self._lock:
            if self._over is not None:
                return
            self._over = problem
            waiting, self._waiting = self._waiting, {}
        for id_, answer in waiting.items():
            answer.set_result(Failed(id=id_, kind="EnvironmentFault", problem=problem))
        self._on_ended(problem)


class Session:
    """A person who is logged in. Made by `log_in`; used as a context manager it logs off at the end."""

    def __init__(self, address: GatewayAddress) -> None:
        self.address = address
        self.greeting: Greeting
        self.opened: Opened
        self.on_closed: Callable[[Problem], None] | None = None
        self._over = threading.Event()
        self._calls = threading.Lock()
        self._agent = AgentLink(self._ended)

    @property
    def closed(self) -> bool:
        return self._over.is_set()

    @property
    def agent_pid(self) -> int:
        """Process id of the credential agent, for tests and for support."""
        return self._agent.pid

    def call(
        self,
        method: str,
        path: str,
        body: msgspec.Struct | None,
        reply: type[T],
        *,
        seconds: float = CALL_SECONDS,
    ) -> T:
        """One request; the answer as `reply`. Raises ConsoleError with the gateway's Problem, or the connection's."""
        data = b"" if body is None else msgspec.json.encode(body)
        return _decode(self._relay(method, path, data, seconds), reply)

    def raw(self, method: str, path: str, *, seconds: float = CALL_SECONDS) -> bytes:
        """One request whose answer is a file. Raises as `call` does."""
        return self._relay(method, path, b"", seconds)

    def sign_statement(self, canonical: str) -> str:
        """The person's detached CMS signature over exactly this text (UTF-8), as base64 of its DER."""
        request = SignStatement(id=self._agent.new_id(), statement=canonical.encode())
        return base64.b64encode(self._agent.ask(request, Signed, OPEN_SECONDS).cms).decode()

    def close(self) -> None:
        """Log off: tell the gateway, then end the agent. Never raises; harmless when repeated."""
        # A call that hangs must not keep anybody logged in: then the gateway learns it from the closed connection.
        if not self.closed and self._calls.acquire(timeout=_LOG_OFF_SECONDS):
            try:
                with contextlib.suppress(ConsoleError):
                    self._ask_gateway("DELETE", "/v1/session", b"", _LOG_OFF_SECONDS)
            finally:
                self._calls.release()
        self._agent.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _relay(self, method: str, path: str, body: bytes, seconds: float) -> bytes:
        with self._calls:
            return self._ask_gateway(method, path, body, seconds)

    def _ask_gateway(self, method: str, path: str, body: bytes, seconds: float) -> bytes:
        request = Relay(id=self._agent.new_id(), method=method, path=path, body=body)
        return _accept(self._agent.ask(request, Relayed, seconds))

    def _open(self, credential: Path, passphrase: Secret) -> None:
        request = Open(
            id=self._agent.new_id(),
            path=str(credential),
            passphrase=passphrase.reveal_bytes() if passphrase else b"",
        )
        self.opened = self._agent.ask(request, Opened, OPEN_SECONDS)

    def _connect(self, role: Role | None, *, step_up: bool, watch: bool = False) -> None:
        where = self.address
        request = Connect(
            id=self._agent.new_id(),
            listen=where.listen,
            authority_pem=where.authority_pem,
            gateway_sha256=where.gateway_sha256,
            refusals=where.refusals,
        )
        greeting = _decode(_accept(self._agent.ask(request, Relayed, CONNECT_SECONDS)), Greeting)
        self.greeting = self.call("POST", "/v1/session", LogOn(role=role, step_up=step_up, watch=watch), Greeting)
        if greeting.person != self.greeting.person:
            raise EnvironmentFault(_nonsense("the gateway changed its mind about who is logging on"))

    def _ended(self, problem: Problem) -> None:
        self._over.set()
        if self.on_closed is not None:
            self.on_closed(problem)


def log_in(
    address: GatewayAddress,
    credential: Path,
    passphrase: Secret,
    role: Role | None = None,
    step_up: bool = False,  # the contract's order
    *,
    watch: bool = False,
) -> Session:
    """Open the credential, prove the person to the gateway, and log on. Takes about a second: not on a UI thread.

    Raises ConsoleError with the exact reason: a code of `credential.problems`, of `pki.refusals`, or the gateway's.
    """
    session = Session(address)
    try:
        session._open(credential, passphrase)
        session._connect(role, step_up=step_up, watch=watch)
    except BaseException:
        session._agent.close()
        raise
    return session


def _accept(reply: Relayed) -> bytes:
    if reply.status < 400:
        return reply.body
    try:
        problem = msgspec.json.decode(reply.body, type=Problem)
    except msgspec.DecodeError:
        raise EnvironmentFault(_nonsense(f"HTTP {reply.status}")) from None
    raise error_of(problem)


def _decode(data: bytes, reply: type[T]) -> T:
    if reply is type(None) and not data:
        return None  # nothing was expected, nothing came
    try:
        return msgspec.json.decode(data, type=reply)
    except msgspec.DecodeError as error:
        raise EnvironmentFault(_nonsense(str(error))) from error


def ended() -> Problem:
    return Problem(
        code="session-ended",
        what="This session is over.",
        key_state="What was not confirmed on the screen may or may not have been done; the log tells.",
        todo="Log in again and look at the log.",
    )


def _timeout(seconds: float) -> Problem:
    return Problem(
        code="call-timeout",
        what=f"The gateway did not answer within {seconds:.0f} seconds.",
        key_state="What was asked may still be done; the log tells.",
        todo="Look at the log before you repeat anything.",
    )


def _nonsense(detail: str) -> Problem:
    return Problem(
        code="answer-not-understood",
        what="The gateway's answer cannot be understood by this version of the program.",
        key_state="What was asked may have been done; the log tells.",
        todo="Use the same version of HSM Console on both sides.",
        details={"detail": detail[:300]},
    )


def _not_started(error: OSError) -> Problem:
    return Problem(
        code="agent-not-started",
        what="The process that would hold your credential could not be started.",
        todo="Check free memory and the installation, then try again.",
        details={"detail": str(error)},
        exit_code=ExitCode.ENVIRONMENT,
    )
