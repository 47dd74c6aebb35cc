"""What the screen works with: one workspace, its gateway, the people logged in, background calls.

Everything here that blocks says so; it is called through a Lane, never from a slot.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices

from hsm_console.domain import places
from hsm_console.domain.errors import Problem
from hsm_console.domain.people import Role, Roster
from hsm_console.domain.secret import Secret
from ui.calls import Calls, Lane
from ui.sessions import SessionBook

if TYPE_CHECKING:
    from hsm_console.client.rendezvous import GatewayAddress
    from hsm_console.client.session import Session
    from hsm_console.client.transport import GatewayProcess
    from ui.login.over import End

_GONE_SECONDS = 5.0


class Desk(QObject):
    session_ended = Signal(object, object)  # Session, Problem; on the screen's thread
    _ended = Signal(object, object)  # the same, from the agent's thread

    def __init__(self, calls: Calls, workspace: Path | None = None) -> None:
        super().__init__(calls)
        self.calls = calls
        self.book = SessionBook()
        self.workspace = workspace
        self._gateway: GatewayProcess | None = None
        self._starting = threading.Lock()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._ended.connect(self.session_ended, Qt.ConnectionType.QueuedConnection)

    def lane(self) -> Lane:
        return Lane(self.calls)

    def credentials(self) -> list[Path]:
        """Credential files of the workspace, by name."""
        if self.workspace is None:
            return []
        folder = self.workspace / places.CREDENTIALS
        return sorted(folder.glob("*.p12")) if folder.is_dir() else []

    # -- blocking: through a lane ----------------------------------------------------------------------------

    def gateway(self) -> GatewayAddress:
        """The running gateway of the workspace; the embedded one is started when there is none. Blocks."""
        from hsm_console.client import elsewhere, rendezvous
        from hsm_console.client.transport import GatewayProcess

        with self._starting:
            workspace = self._workspace()
            if elsewhere.stands_here(workspace):
                return elsewhere.address(workspace)
            if self._gateway is not None and self._gateway.running:
                return self._gateway.address
            found = rendezvous.running(workspace)
            if found is not None:
                return rendezvous.for_workspace(workspace, found.listen)
            if self._gateway is not None:
                self._gateway.stop()
            self._gateway = GatewayProcess(workspace)
            return self._gateway.address

    def log_in(
        self, credential: Path, passphrase: Secret, role: Role | None, *, step_up: bool, watch: bool = False
    ) -> Session:
        """Prove a person to the gateway. Blocks; wipes the passphrase. Raises ConsoleError with the exact reason.

        watch: the session can only read, and no pause ends it.
        """
        from hsm_console.client.session import log_in

        try:
            session = log_in(self.gateway(), credential, passphrase, role, step_up, watch=watch)
        finally:
            passphrase.wipe()
        session.on_closed = lambda problem: self._ended.emit(session, problem)
        return session

    @staticmethod
    def log_off(session: Session) -> None:
        """Blocks for up to some seconds. Never raises."""
        session.on_closed = None
        session.close()

    def how_ended(self, session: Session, problem: Problem, quiet_ms: int) -> End:
        """Why a session is over, from what this machine can know. Blocks for up to a second."""
        from ui.login.over import classify

        greeting = session.greeting
        revoked = self._revoked(greeting.person.uid, session.opened.certificate_sha256)
        return classify(problem, gateway_runs=self._gateway_runs(), revoked=revoked, quiet_ms=quiet_ms)

    def _gateway_runs(self) -> bool:
        """A process that was killed closes its sockets before it can be waited for: look for a while, and no longer
        than until it answers."""
        from hsm_console.client import elsewhere, rendezvous

        if self.elsewhere:
            return elsewhere.answers(elsewhere.address(self._workspace()).listen)
        workspace, end = self._workspace(), time.monotonic() + _GONE_SECONDS
        while time.monotonic() < end:
            gateway = self._gateway
            found = rendezvous.running(workspace)
            if not (gateway.running if gateway is not None else found is not None):
                return False
            if found is not None and elsewhere.answers(found.listen):
                return True
            time.sleep(0.1)
        return True

    def _revoked(self, uid: str, certificate_sha256: str) -> bool:
        """What the roster on this disk says. Only words follow from it: the gateway is who lets people in."""
        import msgspec

        try:
            data = (self._workspace() / places.ROSTER).read_bytes()
            roster = msgspec.json.decode(data, type=Roster)
        except (OSError, msgspec.DecodeError):
            return False
        hers = [e for e in roster.entries if e.person.uid == uid and e.certificate_sha256 == certificate_sha256]
        return any(e.revoked for e in hers)

    def stop(self) -> None:
        """At the end: everybody off, then the gateway. Blocks."""
        for session in self.book.clear():
            self.log_off(session)
        with self._starting:
            if self._gateway is not None:
                self._gateway.stop()
                self._gateway = None
        if self._scratch is not None:
            self._scratch.cleanup()

    # -- at once ---------------------------------------------------------------------------------------------

    @property
    def embedded(self) -> bool:
        """Whether the gateway is a child of this application."""
        return self._gateway is not None

    @property
    def elsewhere(self) -> bool:
        """Whether the gateway is on another machine, with the log, the roster and the evidence."""
        return self.workspace is not None and (self.workspace / places.ELSEWHERE).is_file()

    def records(self, ceremony_id: str) -> str:
        """The folder where a ceremony's evidence lies; empty when it is on another machine."""
        return "" if self.workspace is None or self.elsewhere else str(self.workspace / "evidence" / ceremony_id)

    def leave(self, session: Session) -> None:
        """Log off in the background."""
        self.book.remove(session)
        self.calls.start(lambda: self.log_off(session), lambda _outcome: None)

    def show_paper(self, name: str, data: bytes) -> None:
        """Open a document with the machine's own viewer, for printing."""
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="hsm-console-paper-")
        path = Path(self._scratch.name) / Path(name).name
        path.write_bytes(data)
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def _workspace(self) -> Path:
        if self.workspace is None:
            raise LookupError("no workspace is open")
        return self.workspace


def told(result: object) -> Problem:
    """What came through a signal as a Problem. Raises TypeError otherwise."""
    if not isinstance(result, Problem):
        raise TypeError("a problem was expected")
    return result
