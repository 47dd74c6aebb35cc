"""Frames between a screen and the credential agent of one log-in: four octets of length, then MessagePack.

Requests go to the agent, replies come back with the request's id. `Ended` comes unasked when the gateway is gone.
"""

from __future__ import annotations

import msgspec

from hsm_console.domain.errors import Problem

MAX_FRAME = 96 * 1024 * 1024
_HEADER = 4


class Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="op"):
    """id: chosen by the asker, repeated in the reply."""

    id: int


class Open(Frame, frozen=True, kw_only=True, tag="open"):
    """Open the credential file with the passphrase. Answer: Opened or Failed."""

    path: str
    passphrase: bytes

    def __repr__(self) -> str:
        return f"Open(id={self.id}, path={self.path!r}, passphrase=…)"


class Connect(Frame, frozen=True, kw_only=True, tag="connect"):
    """Handshake and first request. listen: `unix:/path` or `host:port`; authority_pem: the only one that is trusted;
    gateway_sha256: hex digest of the one certificate that is accepted (empty: any gateway of the authority);
    refusals: path of the socket where to ask why, empty for a gateway on another machine."""

    listen: str
    authority_pem: str
    gateway_sha256: str = ""
    refusals: str = ""


class Relay(Frame, frozen=True, kw_only=True, tag="relay"):
    """One HTTP request on the session's connection. Answer: Relayed or Failed."""

    method: str
    path: str
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Relay(id={self.id}, {self.method} {self.path}, body of {len(self.body)} bytes)"


class SignStatement(Frame, frozen=True, kw_only=True, tag="sign"):
    """Sign exactly these UTF-8 bytes with the person's key. Answer: Signed or Failed."""

    statement: bytes


class Opened(Frame, frozen=True, kw_only=True, tag="opened"):
    """What the credential says of itself; nothing of it is verified yet."""

    uid: str
    name: str
    not_after_ms: int
    certificate_sha256: str
    notices: tuple[Problem, ...] = ()


class Relayed(Frame, frozen=True, kw_only=True, tag="relayed"):
    """The gateway's answer, unread. Also the answer to Connect: status and body of the greeting."""

    status: int
    content_type: str
    body: bytes

    def __repr__(self) -> str:
        return f"Relayed(id={self.id}, {self.status}, body of {len(self.body)} bytes)"


class Signed(Frame, frozen=True, kw_only=True, tag="signed"):
    """CMS SignedData, detached, DER."""

    cms: bytes


class Failed(Frame, frozen=True, kw_only=True, tag="failed"):
    """kind: name of the ConsoleError subclass that the screen's side raises."""

    kind: str
    problem: Problem


class Ended(Frame, frozen=True, kw_only=True, tag="ended"):
    """The connection to the gateway is over (id 0: nobody asked)."""

    problem: Problem


Request = Open | Connect | Relay | SignStatement
Reply = Opened | Relayed | Signed | Failed | Ended


def frame(message: Request | Reply) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(_HEADER, "big") + body


class Unframer:
    """Bytes in any pieces in, whole frame bodies out. Raises ValueError on a length nobody would send."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        bodies = []
        while len(self._buffer) >= _HEADER:
            length = int.from_bytes(self._buffer[:_HEADER], "big")
            if length > MAX_FRAME:
                raise ValueError("a frame claims to be larger than any that is sent")
            if len(self._buffer) < _HEADER + length:
                break
            bodies.append(bytes(self._buffer[_HEADER : _HEADER + length]))
            # Overwritten before it is given back: a frame may have held a passphrase.
            self._buffer[: _HEADER + length] = bytes(_HEADER + length)
            del self._buffer[: _HEADER + length]
        return bodies
