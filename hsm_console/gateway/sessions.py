"""Sessions: one per live TLS connection. The certificate proves the person, the signed roster grants the roles.

A connection first learns how the gateway sees it (the greeting), then logs on. Whatever is refused is recorded and told
exactly. A session ends when it is asked to, when its connection dies, when it was idle too long, when the person is
revoked, and when the gateway stops.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509

from hsm_console.audit.log import AuditLog
from hsm_console.domain import events as ev
from hsm_console.domain.clock import Clock
from hsm_console.domain.errors import ExitCode, PolicyRefusal, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.ids import uuid7
from hsm_console.domain.messages.session import LogOn
from hsm_console.domain.people import Actor, Person, Role
from hsm_console.gateway.refusals import Refused
from hsm_console.gateway.rosters import RosterBook
from hsm_console.pki import profiles, refusals
from hsm_console.pki.authority import certificate_sha256, serial_hex, spki_sha256

NONCE_BYTES = 32
MINUTE_MS = 60_000
REFUSALS_A_MINUTE = 60


def only_watches() -> PolicyRefusal:
    return PolicyRefusal(
        Problem(
            code="only-watching",
            what="This session was opened only to watch; nothing can be done with it.",
            todo="Log in at the console itself to do something.",
            exit_code=ExitCode.POLICY,
        )
    )


@dataclass(eq=False)
class Session:
    """One person on one connection. roles: those she acts in; granted: all that the roster gives her."""

    uid: str
    connection: str
    source: str
    person: Person
    granted: tuple[Role, ...]
    certificate: x509.Certificate
    nonce: str
    roles: tuple[Role, ...] = ()
    logged_on: bool = False
    step_up: bool = False
    watch: bool = False
    ended: str = ""
    last_ms: int = 0
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        self.fingerprint = certificate_sha256(self.certificate)

    @property
    def actor(self) -> Actor:
        """Who acts, as the log names her."""
        return Actor(
            uid=self.person.uid,
            name=self.person.name,
            roles=self.roles or self.granted,
            session_uid=self.uid,
            certificate_sha256=self.fingerprint,
        )

    @property
    def not_after_ms(self) -> int:
        return profiles.time_ms(self.certificate.not_valid_after_utc)

    def require_logged_on(self) -> None:
        """Raises PolicyRefusal `session-ended` or `not-logged-on`."""
        if self.ended:
            raise PolicyRefusal(
                Problem(
                    code="session-ended",
                    what=f"The session of {self.person.name} has ended ({self.ended}).",
                    todo="Log in again.",
                    exit_code=ExitCode.POLICY,
                )
            )
        if not self.logged_on:
            raise PolicyRefusal(
                Problem(
                    code="not-logged-on",
                    what=f"{self.person.name} is connected, but has not logged on.",
                    todo="Log on first: POST /v1/session.",
                    exit_code=ExitCode.POLICY,
                )
            )


class Sessions:
    """All live sessions. Thread-safe. drop: cuts a connection by its uid."""

    def __init__(self, log: AuditLog, rosters: RosterBook, clock: Clock, *, idle_minutes: int) -> None:
        self._log = log
        self._rosters = rosters
        self._clock = clock
        self._idle_ms = idle_minutes * 60_000
        self._lock = threading.Lock()
        self._by_connection: dict[str, Session] = {}
        self._flood = Flood(REFUSALS_A_MINUTE)
        self.drop: Callable[[str], None] = lambda _uid: None

    @property
    def live(self) -> tuple[Session, ...]:
        """Those who are logged on now."""
        with self._lock:
            return tuple(s for s in self._by_connection.values() if s.logged_on and not s.ended)

    def identify(self, connection: str, peer_der: bytes, source: str, *, watching: bool = False) -> Session:
        """The session of a connection; the first request makes it. watching: a screen polls, nobody acts.

        Raises PolicyRefusal `certificate-not-ours`, `not-on-roster`, `revoked-in-roster`; each is recorded.
        """
        with self._lock:
            session = self._by_connection.get(connection)
        if session is None:
            session = self._meet(connection, peer_der, source)
            with self._lock:
                session = self._by_connection.setdefault(connection, session)
        if not watching or session.last_ms == 0:
            session.last_ms = self._clock.now().time_ms
        return session

    def _meet(self, connection: str, peer_der: bytes, source: str) -> Session:
        certificate = x509.load_der_x509_certificate(peer_der)
        uid = profiles.user_id(certificate)
        if uid is None:
            raise self._refuse("certificate-not-ours", certificate, "", source)
        entry = self._rosters.current.by_key(spki_sha256(certificate))
        if entry is None or entry.person.uid != uid or entry.serial != serial_hex(certificate):
            raise self._refuse("not-on-roster", certificate, uid, source)
        if entry.revoked:
            raise self._refuse("revoked-in-roster", certificate, uid, source)
        return Session(
            uid=uuid7(),
            connection=connection,
            source=source,
            person=entry.person,
            granted=entry.roles,
            certificate=certificate,
            nonce=secrets.token_hex(NONCE_BYTES),
        )

    def _refuse(self, code: str, certificate: x509.Certificate, uid: str, source: str) -> PolicyRefusal:
        problem = refusals.problem(code, clock_ms=self._clock.now().time_ms)
        event = ev.LogOnRefused(
            reason=code,
            text=problem.what,
            certificate_sha256=certificate_sha256(certificate),
            claimed_uid=_claim(uid),
        )
        self._log.append([Draft(event=event, src=source)])
        return PolicyRefusal(problem)

    def log_on(self, session: Session, wish: LogOn) -> None:
        """Begin to act. Raises PolicyRefusal `role-not-granted` (recorded). Logging on twice changes nothing."""
        if wish.role is not None and wish.role not in session.granted:
            raise self._refuse("role-not-granted", session.certificate, session.person.uid, session.source)
        if session.logged_on or session.ended:
            session.require_logged_on()
            return
        session.roles = (wish.role,) if wish.role is not None else session.granted
        session.step_up, session.watch = wish.step_up, wish.watch
        event = ev.LoggedOn(
            roles=session.roles, certificate_serial=serial_hex(session.certificate), step_up=wish.step_up
        )
        self._log.append([Draft(event=event, actor=session.actor, src=session.source)])
        session.logged_on = True

    def log_off(self, session: Session, reason: str) -> None:
        """End a session; recorded once. reason: see `LoggedOff`."""
        with self._lock:
            if session.ended:
                return
            session.ended = reason  # it stays known: whoever wants to come back proves herself with a new handshake
        if session.logged_on:
            draft = Draft(event=ev.LoggedOff(reason=reason), actor=session.actor, src=session.source, critical=True)
            self._log.append([draft])

    def connection_closed(self, connection: str) -> None:
        """The transport says that a connection is gone."""
        with self._lock:
            session = self._by_connection.pop(connection, None)
        if session is not None:
            self.log_off(session, "connection-lost")

    def end_person(self, uid: str) -> None:
        """A revoked person is out at once: her sessions end and her connections are cut."""
        with self._lock:
            hers = [s for s in self._by_connection.values() if s.person.uid == uid]
        for session in hers:
            self.log_off(session, "revoked")
            self.drop(session.connection)

    def end_all(self, reason: str) -> None:
        with self._lock:
            everyone = list(self._by_connection.values())
        for session in everyone:
            self.log_off(session, reason)

    def tick(self) -> None:
        """Ends sessions that were idle too long."""
        now = self._clock.now().time_ms
        for session in self.live:
            if not session.watch and 0 < session.last_ms < now - self._idle_ms:
                self.log_off(session, "idle")
                self.drop(session.connection)

    def handshake_refused(self, refused: Refused) -> None:
        """A certificate that TLS itself refused: recorded with the exact reason. Noise without a certificate is not.

        Whoever can connect can be refused as often as she likes; beyond a rate they are counted, not written one by
        one, so that a program that probes the port does not storm the log.
        """
        if not refused.certificate_sha256 and refused.reason in ("client-went-away", "handshake-too-slow"):
            return
        unwritten = self._flood.admit(self._clock.now().boottime_ms)
        if unwritten is None:
            return
        more = f" {unwritten} more refusals before it were not recorded one by one." if unwritten else ""
        event = ev.LogOnRefused(
            reason=refused.reason,
            text=refused.problem.what + more,
            verify_code=refused.verify_code,
            certificate_sha256=refused.certificate_sha256,
            claimed_uid=_claim(refused.claimed_uid),
        )
        self._log.append([Draft(event=event, src=refused.src)])


class Flood:
    """Lets so many through in a minute and counts the others. Thread-safe."""

    def __init__(self, a_minute: int) -> None:
        self._a_minute = a_minute
        self._lock = threading.Lock()
        self._since_ms = 0
        self._count = 0
        self._unwritten = 0

    def admit(self, now_ms: int) -> int | None:
        """How many were counted since the last one that was let through; None: this one is only counted."""
        with self._lock:
            if now_ms - self._since_ms >= MINUTE_MS:
                self._since_ms, self._count = now_ms, 0
            self._count += 1
            if self._count > self._a_minute:
                self._unwritten += 1
                return None
            unwritten, self._unwritten = self._unwritten, 0
            return unwritten


def _claim(uid: str) -> str:
    """What a stranger's certificate says, as it may stand in the log: printable ASCII, short."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in uid[:128])
