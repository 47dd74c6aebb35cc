"""The gateway's HTTP server: cheroot over mutual TLS on a Unix socket or a TCP address.

Threads: one accepts and watches idle connections (cheroot's selector), one per handshake (bounded), a fixed pool runs
requests, and one answers at the refusal desk. Callbacks run in the handshake's or the request's thread.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from cheroot import connections
from cheroot.workers import threadpool
from cheroot.wsgi import Server

from hsm_console.gateway.connection import TlsConnection
from hsm_console.gateway.listening import UNIX_PREFIX, address_of, listen
from hsm_console.gateway.refusals import Ledger, RefusalDesk, Refused, refused
from hsm_console.gateway.tls import TlsContexts

STOP_SECONDS = 2.0
MAX_HANDSHAKES = 64
MAX_BODY_BYTES = 24 * 1024 * 1024  # a document of 16 MiB in base64, and its envelope
MAX_HEADER_BYTES = 32 * 1024
IDLE_SECONDS = 24 * 3600
_TICK_SECONDS = 0.2

_SHUTDOWN: Any = vars(threadpool)["_SHUTDOWNREQUEST"]
_log = logging.getLogger(__name__)


class WsgiApp(Protocol):
    def __call__(
        self, environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
    ) -> Iterable[bytes]: ...


class Pool(threadpool.ThreadPool):
    """cheroot's pool with daemon threads and an end that comes even when a request hangs."""

    def _spawn_worker(self) -> threading.Thread:
        worker: threading.Thread = threadpool.WorkerThread(self.server)  # type: ignore[no-untyped-call]
        worker.name = "gateway-" + worker.name
        worker.daemon = True
        worker.start()
        return worker

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        end = time.monotonic() + timeout
        mine: Any = self  # cheroot's type stubs leave its own attributes out
        for _ in mine._threads:
            mine._queue.put(_SHUTDOWN)
        for worker in mine._threads:
            worker.join(max(0.0, end - time.monotonic()))
        mine._threads.clear()


class GatewayServer(Server):
    """Serve `app` at `address`. start() returns when connections are accepted; stop() is over within two seconds.

    In the WSGI environ: `hsm_console.peer_der` (bytes), `hsm_console.connection` (uid), `hsm_console.src` (text).
    on_refused is called once for every handshake that fails, on_closed once for every connection that was secured.
    """

    ConnectionClass = TlsConnection
    keep_alive_conn_limit = None  # type: ignore[assignment]  # cheroot documents None as unlimited
    expiration_interval = _TICK_SECONDS
    max_request_body_size = MAX_BODY_BYTES
    max_request_header_size = MAX_HEADER_BYTES

    def __init__(
        self,
        app: WsgiApp,
        *,
        address: str,
        contexts: TlsContexts,
        on_refused: Callable[[Refused], None] | None = None,
        on_closed: Callable[[str], None] | None = None,
        refusals_socket: Path | None = None,
        threads: int = 16,
        socket_mode: int = 0o600,
    ) -> None:
        super().__init__(address, app, numthreads=threads, server_name="hsm-console", timeout=IDLE_SECONDS)
        self.requests = Pool(self, min=threads, max=threads)
        self.contexts = contexts
        self.ledger = Ledger()
        self._address, self._socket_mode, self._refusals_socket = address, socket_mode, refusals_socket
        self._on_refused, self._on_closed = on_refused, on_closed
        self._desk: RefusalDesk | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._live: dict[str, TlsConnection] = {}
        self._live_lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_HANDSHAKES)

    @property
    def address(self) -> str:
        """Where it listens, as clients write it: `unix:/path` or `host:port` with the real port."""
        return self._address

    def start(self) -> None:
        """Listen and serve in threads of its own. Raises EnvironmentFault `address-in-use` and the like."""
        self.prepare()
        self._thread = threading.Thread(target=self.serve, name="gateway-accept", daemon=True)
        self._thread.start()

    def prepare(self) -> None:
        """What cheroot does here, with our listening socket: exact rights, stale socket files, typed failures."""
        self._interrupt = None
        self.software = "hsm-console"
        self.socket = listen(self._address, mode=self._socket_mode)
        self.socket.setblocking(False)  # the selector says when; on a shut socket `accept` must not wait either
        self._address = address_of(self.socket)
        self._bind_addr = self._address if self._address.startswith(UNIX_PREFIX) else self.socket.getsockname()[:2]
        try:
            if self._refusals_socket is not None:
                self._desk = RefusalDesk(self._refusals_socket, self.ledger)
        except BaseException:
            self._close_listening()
            raise
        self._connections = connections.ConnectionManager(self)
        self.requests.start()
        self.ready = True
        self._start_time = time.time()

    def process_conn(self, conn: TlsConnection) -> None:
        """A new connection goes to its handshake, an established one to the pool."""
        if conn.secured:
            super().process_conn(conn)
            return
        if not self._slots.acquire(blocking=False):
            self._tell(refused("gateway-busy", src=conn.src, connection=conn.name))
            conn.close()
            return
        threading.Thread(target=self._shake_hands, args=(conn,), name="gateway-handshake", daemon=True).start()

    def _shake_hands(self, conn: TlsConnection) -> None:
        try:
            refusal = conn.shake_hands()
            if refusal is not None:
                self._tell(refusal)
                conn.drain_and_close()
                return
            with self._live_lock:
                self._live[conn.uid] = conn
        finally:
            self._slots.release()
        self.put_conn(conn)

    def _tell(self, refusal: Refused) -> None:
        self.ledger.note(refusal)
        if self._on_refused is not None:
            try:
                self._on_refused(refusal)
            except Exception:  # noqa: BLE001  # a callback's failure must not end the server
                _log.exception("the refusal %s of %s could not be recorded", refusal.reason, refusal.src)

    def forget(self, conn: TlsConnection) -> None:
        """A connection was closed, by whom and why ever."""
        with self._live_lock:
            known = self._live.pop(conn.uid, None)
        if known is not None and self._on_closed is not None:
            try:
                self._on_closed(conn.uid)
            except Exception:  # noqa: BLE001  # a callback's failure must not end the server
                _log.exception("the end of connection %s could not be recorded", conn.uid)

    def drop(self, connection_uid: str) -> None:
        """Cut one connection now (the person was revoked, the session is over); harmless when it is gone."""
        with self._live_lock:
            conn = self._live.get(connection_uid)
        if conn is not None:
            with contextlib.suppress(OSError, ValueError):
                # The kernel's socket only: the thread that serves the connection sees its end and closes it.
                socket.socket.shutdown(conn.socket, socket.SHUT_RDWR)

    @property
    def live(self) -> tuple[str, ...]:
        """Uids of the connections that are established now."""
        with self._live_lock:
            return tuple(self._live)

    def stop(self) -> None:
        """End: no new connections, requests in work get two seconds, then everything is cut."""
        if not self.ready:
            return
        self.shutdown_timeout = STOP_SECONDS / 2
        self._stopping = True
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the accept loop, which else sleeps on for a tick
        listening_path = self._address.removeprefix(UNIX_PREFIX) if self._address.startswith(UNIX_PREFIX) else ""
        super().stop()
        for uid in self.live:
            self.drop(uid)
        with self._live_lock:
            left = list(self._live.values())
        for conn in left:
            conn.close()
        if self._desk is not None:
            self._desk.close()
        if listening_path:
            Path(listening_path).unlink(missing_ok=True)

    def _close_listening(self) -> None:
        self.socket.close()
        if self._address.startswith(UNIX_PREFIX):
            Path(self._address.removeprefix(UNIX_PREFIX)).unlink(missing_ok=True)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        """cheroot's messages go to the log file of the process, never into the audit log."""
        if self._stopping:
            return  # the accept loop complains about the socket that was taken from it
        _log.log(level, "%s", msg, exc_info=traceback)
