"""One connection: handshake under a deadline in a thread of its own, then cheroot's HTTP over it.

The accept loop never waits for a peer: a silent or slow one costs one handshake thread for a few seconds, and their
number is bounded. After a failed handshake the connection lingers, so that the alert arrives (PLATFORM 1.2, rule 2).
"""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

from cheroot.makefile import StreamReader, StreamWriter
from cheroot.server import HTTPConnection

from hsm_console.domain.ids import uuid7
from hsm_console.gateway.listening import describe_peer
from hsm_console.gateway.refusals import Refused, code_for, refused
from hsm_console.gateway.tls import PeerSocket

if TYPE_CHECKING:
    from hsm_console.gateway.server import GatewayServer

HANDSHAKE_SECONDS = 5.0
LINGER_SECONDS = 0.5
IO_SECONDS = 30.0
PEER_DER = "hsm_console.peer_der"
CONNECTION_UID = "hsm_console.connection"
SRC = "hsm_console.src"

_log = logging.getLogger(__name__)


class TlsReader(StreamReader):
    """Knows that TLS may hold decrypted bytes that the selector cannot see."""

    def has_data(self) -> bool:
        mine: Any = self  # cheroot's type stubs leave these attributes out
        return bool(len(mine._read_buf) > mine._read_pos or mine.raw._sock.pending() > 0)


class TlsWriter(StreamWriter):
    """Drops what the peer cannot be given any more; else it would be tried again when the writer is collected."""

    def write(self, val: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        mine: Any = self
        try:
            return super().write(val, *args, **kwargs)  # type: ignore[no-untyped-call]
        except (OSError, ValueError):
            mine._write_buf.clear()
            raise


class TlsConnection(HTTPConnection):
    """uid: of the connection, fresh for each; name: by which the peer can ask why it was refused."""

    server: GatewayServer
    socket: Any

    def __init__(self, server: GatewayServer, sock: socket.socket, makefile: Any = None) -> None:
        super().__init__(server, sock, makefile)
        self.uid = uuid7()
        self.secured = False
        self._closed = threading.Event()
        try:
            self.src, self.name = describe_peer(sock)
        except OSError:  # gone between accept and here
            self.src, self.name = "gone", self.uid

    def shake_hands(self) -> Refused | None:
        """The TLS handshake. Returns why it was refused; the socket is then closed, after lingering."""
        raw = self.socket
        try:
            raw.settimeout(HANDSHAKE_SECONDS)
            wrapped: Any = self.server.contexts.current().wrap_socket(
                raw, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
            )
        except (OSError, ValueError) as error:
            return self._refused("client-went-away", error)
        self.socket = wrapped
        try:
            wrapped.do_handshake()
        except (OSError, ValueError) as error:
            return self._explain(wrapped, error)
        self._secure(wrapped)
        return None

    def _secure(self, wrapped: PeerSocket) -> None:
        wrapped.settimeout(IO_SECONDS)
        self.rfile = TlsReader(wrapped, "rb", self.rbufsize)
        self.wfile = TlsWriter(wrapped, "wb", self.wbufsize)
        self.ssl_env = {
            PEER_DER: wrapped.getpeercert(binary_form=True),
            CONNECTION_UID: self.uid,
            SRC: self.src,
            "wsgi.url_scheme": "https",
        }
        self.secured = True

    def _explain(self, wrapped: PeerSocket, error: Exception) -> Refused:
        shown = wrapped.untrusted_certificate
        if isinstance(error, ssl.SSLCertVerificationError):
            code = code_for(error.verify_code, error.reason or "")
            if code == "gateway-crl-missing":  # OpenSSL has none, because we did not give it the one that is there
                code = self.server.contexts.crl.fault or code
            return self._refused(code, error.verify_message, error.verify_code, shown)
        if isinstance(error, TimeoutError):
            return self._refused("handshake-too-slow", error)
        if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or not isinstance(error, ssl.SSLError):
            return self._refused("client-went-away", error)
        return self._refused(code_for(0, error.reason or ""), error.reason or error, 0, shown)

    def _refused(self, code: str, message: object, verify_code: int = 0, shown: bytes = b"") -> Refused:
        return refused(
            code,
            src=self.src,
            connection=self.name,
            verify_code=verify_code,
            message=str(message),
            untrusted_certificate=shown,
        )

    def drain_and_close(self) -> None:
        """Send what is queued (the alert), wait until the peer has read it or half a second is over, and close."""
        with contextlib.suppress(OSError, ValueError):
            sock = self.socket
            plain = socket.socket(fileno=sock.detach()) if isinstance(sock, ssl.SSLSocket) else sock
            with plain:
                plain.shutdown(socket.SHUT_WR)
                end = time.monotonic() + LINGER_SECONDS
                while (left := end - time.monotonic()) > 0:
                    plain.settimeout(left)
                    if not plain.recv(4096):
                        break

    def close(self) -> None:
        """Called by cheroot on every way out; tells the server once."""
        if self._closed.is_set():
            return
        self._closed.set()
        with contextlib.suppress(OSError, ValueError):
            super().close()
        self.server.forget(self)
