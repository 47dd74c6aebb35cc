"""The stage of the demonstration: its gateway and the sessions of its players, made again whenever one of them dies.

Whatever is killed, the state is in the log; the play looks at it and goes on. Only what a kill explains is put up
with; every other failure ends the play and is told.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from hsm_console.cli import demo_cast as cast
from hsm_console.client import device, setup
from hsm_console.client.session import Session, log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret

INTERRUPTIONS = frozenset(
    {
        "session-ended", "gateway-unreachable", "gateway-went-away", "gateway-died", "agent-not-started",
        "workspace-in-use", "log-in-use", "device-locked", "device-crashed", "device-hung", "device-closed",
        "founding-died", "founding-under-way", "gateway-not-running", "answer-stale", "statement-stale", "working",
        "not-logged-on", "log-key-locked", "verification-died",
    }
)  # fmt: skip
MAX_INTERRUPTIONS = 200
PATIENCE_SECONDS = 0.2

T = TypeVar("T")
Say = Callable[[str], None]


class Stage:
    """One workspace, its gateway, and who is logged in. Used as a context manager it leaves nothing running."""

    def __init__(self, workspace: Path, adapter: str, say: Say) -> None:
        self.workspace = workspace
        self._adapter = adapter
        self._say = say
        self._gateway: GatewayProcess | None = None
        self._administrator: Session | None = None
        self.interruptions = 0

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *exc: object) -> None:
        self._clear()

    def found(self) -> None:
        """The workspace, when there is none yet."""
        if not (self.workspace / "workspace.toml").exists():
            self._say("Founding the workspace: token, authority, people, log.")
            setup.run(cast.founding(self.workspace, self._adapter))

    def persist(self, act: Callable[[], T]) -> T:
        """Do `act`; when something was killed meanwhile, put the stage up again and do it anew."""
        while True:
            try:
                return act()
            except ConsoleError as error:
                self.interruptions += 1
                if error.problem.code not in INTERRUPTIONS or self.interruptions > MAX_INTERRUPTIONS:
                    raise
                self._say(f"Interrupted ({error.problem.code}); looking at the log and going on.")
                self._recover()

    def _recover(self) -> None:
        session, self._administrator = self._administrator, None
        if session is not None:
            session.close()
        if self._gateway is not None and not self._gateway.running:
            self._gateway.stop()
            self._gateway = None
        time.sleep(PATIENCE_SECONDS)

    def gateway(self) -> GatewayProcess:
        if self._gateway is None or not self._gateway.running:
            self._say("Starting the gateway.")
            self._gateway = GatewayProcess(self.workspace)
        return self._gateway

    def administrator(self) -> Session:
        """The administrator's session, which stays open; she unlocks the token."""
        if self._administrator is None or self._administrator.closed:
            ada = cast.of_role(Role.ADMINISTRATOR)[0]
            self._administrator = self._log_in(ada, step_up=False)
        if not device.state(self._administrator).unlocked:
            self._say("Ada Lovelace unlocks the token.")
            with Secret(cast.PIN) as pin:
                device.unlock(self._administrator, pin)
        return self._administrator

    @contextlib.contextmanager
    def on_stage(self, player: cast.Player) -> Iterator[Session]:
        """A player steps up with her own credential, acts, and leaves. The administrator is there already."""
        if player.role is Role.ADMINISTRATOR:
            yield self.administrator()
            return
        session = self._log_in(player, step_up=True)
        try:
            yield session
        finally:
            session.close()

    def _log_in(self, player: cast.Player, *, step_up: bool) -> Session:
        address = self.gateway().address
        credential = self.workspace / "credentials" / f"{player.uid}.p12"
        with Secret(player.passphrase) as passphrase:
            return log_in(address, credential, passphrase, player.role, step_up)

    def _clear(self) -> None:
        if self._administrator is not None:
            self._administrator.close()
            self._administrator = None
        if self._gateway is not None:
            self._gateway.stop()
            self._gateway = None
