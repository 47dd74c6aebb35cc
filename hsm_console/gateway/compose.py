"""The composition root of the trusted side: every part is made here, in the order in which it is trusted.

workspace.toml → lock → authority → log → files held to the log → roster → TLS → device (locked) → services → server.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from hsm_console import __version__
from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.log import AuditLog
from hsm_console.crypto.files import write_durably
from hsm_console.domain import events as ev
from hsm_console.domain import places
from hsm_console.domain.clock import Clock, SystemClock
from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.ids import uuid7
from hsm_console.domain.messages.process import Rendezvous
from hsm_console.gateway import projections, rosters
from hsm_console.gateway.app import App, Request
from hsm_console.gateway.connection import CONNECTION_UID, PEER_DER, SRC
from hsm_console.gateway.core import Core
from hsm_console.gateway.device import Device
from hsm_console.gateway.fleet import Fleet
from hsm_console.gateway.incidents import Incidents
from hsm_console.gateway.openapi import document
from hsm_console.gateway.routes import table
from hsm_console.gateway.seals import Seals
from hsm_console.gateway.server import GatewayServer
from hsm_console.gateway.services import read_back
from hsm_console.gateway.services.access import Access
from hsm_console.gateway.services.alerts import Alerts
from hsm_console.gateway.services.auditing import Auditing
from hsm_console.gateway.services.ceremonies import Ceremonies
from hsm_console.gateway.services.destroying import Destroying
from hsm_console.gateway.services.device_log import DeviceLog
from hsm_console.gateway.services.devices import Devices
from hsm_console.gateway.services.disclosing import Disclosing
from hsm_console.gateway.services.evidence import Evidence
from hsm_console.gateway.services.inventory import Keys, People
from hsm_console.gateway.services.key_orders import KeyOrders
from hsm_console.gateway.services.orders import Orders
from hsm_console.gateway.services.receipts import Receipts
from hsm_console.gateway.services.replicating import Replicating
from hsm_console.gateway.services.reporting import Reporting
from hsm_console.gateway.services.retaining import Retaining
from hsm_console.gateway.services.rootsheets import RootSheets
from hsm_console.gateway.services.scripts import Scripts
from hsm_console.gateway.services.sheet_day import SheetDay
from hsm_console.gateway.services.standing import Standing
from hsm_console.gateway.services.witnessing import Witnessing
from hsm_console.gateway.services.work import Work
from hsm_console.gateway.sessions import Sessions
from hsm_console.gateway.station import Opener
from hsm_console.gateway.tls import Identity, TlsContexts
from hsm_console.gateway.watch import Watch
from hsm_console.gateway.workspace import Home, WorkspaceFile, WorkspaceLock
from hsm_console.hsm.worker import HsmClient
from hsm_console.pki.authority import load_certificate
from hsm_console.policy import environment as environments

TICK_SECONDS = 1.0
POLLED = ("/v1/audit/head", "/v1/alerts", "/v1/device", "/v1/health")  # a screen left alone asks these for ever
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
            405: "Method Not Allowed", 409: "Conflict", 413: "Content Too Large", 422: "Unprocessable Content",
            500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}  # fmt: skip


class Gateway:
    """A running gateway. Made by `start`; ended by `stop`, once."""

    def __init__(self, core: Core, server: GatewayServer, closing: Sequence[Callable[[], None]], run: Path) -> None:
        """closing: ends what services do in the background, before anybody is logged off."""
        self.core = core
        self._server = server
        self._closing = tuple(closing)
        self.starting: tuple[Callable[[], None], ...] = ()
        self.ticking: tuple[Callable[[], None], ...] = ()
        self.ending: tuple[Callable[[], None], ...] = ()  # when nobody is connected any more
        self.orders: Orders
        self.held = contextlib.ExitStack()
        self._run = run
        self.rendezvous: Rendezvous | None = None

    def listen(self) -> Rendezvous:
        """Record the start, accept connections; leaves `gateway.json` for those who come later."""
        self.core.log.append(started(self.core, self._server.address))
        self.core.seals.begin()
        for step in self.starting:
            step()
        self._server.start()
        found = Rendezvous(
            pid=os.getpid(),
            listen=self._server.address,
            started_ms=self.core.started_ms,
            run_uid=self.core.run_uid,
        )
        write_durably(self._run / places.RENDEZVOUS, msgspec.json.encode(found) + b"\n")
        self.rendezvous = found
        return found

    def tick(self) -> None:
        """Once a second: idle sessions, the 60-second checkpoint, a worker that is gone, the head in the token."""
        for part in (self.core.sessions.tick, self.core.log.tick, self.core.device.tick, *self.ticking):
            try:
                part()
            except ConsoleError as error:
                self.core.incidents.note(f"tick: {error.problem.code}", error)

    def stop(self, reason: str) -> None:
        """A clean end: log-offs, GatewayStopped, the last checkpoint, the head in the token."""
        core = self.core
        steps: tuple[Callable[[], Any], ...] = (
            *self._closing,
            lambda: core.sessions.end_all("gateway-stopping"),
            self._server.stop,
            *self.ending,
            lambda: core.log.append([Draft(event=ev.GatewayStopped(run_uid=core.run_uid, reason=reason))]),
            lambda: core.device.lock(None),
            lambda: (self._run / places.RENDEZVOUS).unlink(missing_ok=True),
            self.held.close,
        )
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - every later step must still be tried
                core.incidents.note("stop", error)


def start(directory: Path, *, listen: str = "", clock: Clock | None = None, opener: Opener = HsmClient) -> Gateway:
    """Put a gateway together; it does not listen yet. listen: address, empty for the workspace's own Unix socket.

    Raises ConsoleErrors that say exactly what is missing or wrong; nothing is left behind then.
    """
    with contextlib.ExitStack() as undo:
        core = prepare(directory, undo, clock=clock, opener=opener)
        run = core.home.run_directory()
        gateway = _serve(core, run, listen or f"unix:{run / places.GATEWAY_SOCKET}")
        gateway.held = undo.pop_all()
    return gateway


def prepare(
    directory: Path, undo: contextlib.ExitStack, *, clock: Clock | None = None, opener: Opener = HsmClient
) -> Core:
    """Everything but the services and the server. undo: closes what was opened, in reverse order."""
    home = Home(directory)
    file = home.load()
    lock = WorkspaceLock(home.directory)
    undo.callback(lock.release)
    clock = clock or SystemClock()
    log = _open_log(home, file, clock)
    undo.callback(log.close)
    core = _core(home, file, clock, log, opener)
    undo.callback(core.device.close)
    return core


def _open_log(home: Home, file: WorkspaceFile, clock: Clock) -> AuditLog:
    log = AuditLog.open(home.log, chain_uid=file.chain_uid, clock=clock, projections=projections.projections())
    try:
        with log.query().borrow() as conn:
            rosters.settle(home, conn)
    except BaseException:
        log.close()
        raise
    return log


def _core(home: Home, file: WorkspaceFile, clock: Clock, log: AuditLog, opener: Opener) -> Core:
    environment = environments.load(file.environment)
    authority = load_certificate(home.authority.read_bytes())
    contexts = TlsContexts(
        Identity(certificate=home.gateway_certificate, key=home.gateway_key, authority=home.authority, crl=home.crl)
    )
    with log.query().borrow() as conn:
        book = rosters.RosterBook(home, authority, conn)
        log_key = next(row for row in projections.keys(conn) if row.purpose == "log")
        known_crl = projections.issued(conn, "crl")
    notices = _crl_notices(home, known_crl)
    device = Device(home.binding(file), log, environment, log_key, opener=opener)
    core = Core(
        home=home,
        file=file,
        environment=environment,
        clock=clock,
        log=log,
        authority=authority,
        vkey=parse_vkey(home.vkey.read_text()),
        contexts=contexts,
        rosters=book,
        sessions=Sessions(log, book, clock, idle_minutes=environment.session.idle_minutes),
        device=device,
        seals=Seals(log, environment, device),
        incidents=Incidents(home.diagnostics),
        run_uid=uuid7(),
        started_ms=clock.now().time_ms,
        startup_notices=notices,
    )
    device.probe()
    return core


def started(core: Core, listen: str) -> list[Draft]:
    """GatewayStarted; and the policy, when the environment's rules are not those that the log knows."""
    environment = core.environment
    with core.reading() as conn:
        waiting = len(projections.open_intents(conn))
        known = projections.issued(conn, "policy")
    event = ev.GatewayStarted(
        run_uid=core.run_uid,
        software_version=__version__,
        previous_end=_previous_end(core.log),
        listen=listen,
        open_intents=waiting,
    )
    drafts = [Draft(event=event)]
    sha256 = environments.digest(environments.texts()[environment.id])
    if known is None or known[1] != sha256:
        policy = ev.PolicyInForce(
            environment=environment.id,
            production=environment.production,
            policy_sha256=sha256,
            settings=environment.settings(),
        )
        drafts.append(Draft(event=policy, critical=True))
    return drafts


def _previous_end(log: AuditLog) -> Any:
    """How the run before ended: a clean stop is the last entry, or nothing ran yet, or it was a crash."""
    if isinstance(log.read(log.size - 1).event, ev.GatewayStopped):
        return "clean"
    with log.query().borrow() as conn:
        ran = conn.execute("SELECT 1 FROM entry_row WHERE kind = 'gateway-started' LIMIT 1").fetchone()
    return "unclean" if ran else "none"


def _crl_notices(home: Home, known: tuple[int, str] | None) -> tuple[Problem, ...]:
    """The CRL on the disk is held to the log too; a stale one is a notice, since people must learn why they fail."""
    try:
        found = hashlib.sha256(home.crl.read_bytes()).hexdigest()
    except OSError:
        return ()
    if known is not None and known[1] == found:
        return ()
    return (
        Problem(
            code="crl-not-in-log",
            what="The list of revoked certificates on the disk is not the one that the log says was issued last.",
            todo="Bring the newest crl.pem back from the backup: a person who was revoked might be let in.",
            contact="the administrator and the security officer",
        ),
    )


def _serve(core: Core, run: Path, listen: str) -> Gateway:
    receipts = Receipts(core)
    evidence = Evidence(core, receipts)
    ceremonies = Ceremonies(core, evidence)
    access, auditing, reporting = Access(core), Auditing(core, receipts), Reporting(core, receipts)
    people, orders = People(core), Orders(core)
    standing, witnessing = Standing(core), Witnessing(core)
    standing.start_up()
    core.notices.append(standing.problems)
    watch = Watch(core, sound=standing.sound)
    core.notices.append(watch.problems)
    alerts, own_log = Alerts(core, watch), DeviceLog(core)
    sheets = RootSheets(core)
    sheet_day = SheetDay(core, sheets)
    standing.sheet = sheet_day.state
    core.notices.append(sheet_day.problems)
    fleet = Fleet(core)
    copying = Replicating(core, fleet)
    for kind in (*Retaining(core).kinds(), *copying.kinds()):
        orders.register(kind)
    core.notices.append(fleet.problems)

    def after_unlock() -> None:
        core.seals.unlocked()
        ceremonies.recover()
        _seal_or_lock(core)
        copying.settle()
        people.renew_crl()
        own_log.quietly()
        read_back.soon(core)

    core.device.recover = after_unlock
    routes = table(access, ceremonies, evidence, Scripts(evidence), Keys(core), people, auditing)
    routes += reporting.routes() + orders.routes() + Disclosing(core).routes() + alerts.routes()
    routes += standing.routes() + witnessing.routes() + sheets.routes()
    routes += Devices(core, fleet, on_unlock=copying.settle).routes()
    routes += Work(core).routes() + own_log.routes()
    for kind in (*KeyOrders(core).kinds(), Destroying(core, fleet, copying.settle).kind()):
        orders.register(kind)
    access.document = functools.cache(lambda: document(routes))
    app = App(
        routes,
        identify=lambda request: core.sessions.identify(
            request.connection,
            request.peer_der,
            request.source,
            watching=request.method == "GET" and request.path in POLLED,
        ),
        authorise=core.authorise,
        incidents=core.incidents,
    )
    server = GatewayServer(
        wsgi(app),
        address=listen,
        contexts=core.contexts,
        on_refused=core.sessions.handshake_refused,
        on_closed=core.sessions.connection_closed,
        refusals_socket=run / places.REFUSALS_SOCKET,
    )
    core.sessions.drop = server.drop
    evidence.complete_all()
    gateway = Gateway(
        core, server, (orders.close, auditing.close, reporting.close, sheet_day.close, standing.close, fleet.close), run
    )
    gateway.starting, gateway.orders = (watch.begin, standing.record, orders.settle, fleet.start), orders
    gateway.ticking += (standing.tick, fleet.tick, core.seals.tick, watch.tick, own_log.tick, sheet_day.tick)
    gateway.ending += (own_log.quietly, watch.close)
    return gateway


def _seal_or_lock(core: Core) -> None:
    """Rules that seal, and a token that cannot hold the key: nothing is done that would stand in the log in clear."""
    try:
        core.seals.settle()
    except ConsoleError as error:
        core.device.withdraw(error)
        raise


def wsgi(app: App) -> Callable[..., Iterable[bytes]]:
    """The App as the server wants it. The peer's certificate comes from the handshake, never from a header."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        chunked = "HTTP_TRANSFER_ENCODING" in environ  # RFC 9112 6.1: the start of request smuggling
        length = 0 if chunked else int(environ.get("CONTENT_LENGTH") or 0)
        response = app.handle(
            Request(
                method=environ["REQUEST_METHOD"],
                path=unquote(environ.get("PATH_INFO", "")),
                query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
                body=environ["wsgi.input"].read(length) if length else b"",
                connection=environ[CONNECTION_UID],
                peer_der=environ[PEER_DER],
                source=environ[SRC],
                chunked=chunked,
            )
        )
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("Cache-Control", "no-store"),
            *response.headers,
            *((("Connection", "close"),) if chunked else ()),
        ]
        start_response(f"{response.status} {_REASONS.get(response.status, 'Error')}", headers)
        return [response.body]

    return application
