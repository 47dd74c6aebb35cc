"""A desk in front of the gateway that answers from the memory of the test; for the roads of the window's places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import samples as s
from places import Gateway
from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QLabel

from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.secret import Secret
from ui.calls import Calls, Lane
from ui.sessions import SessionBook


def words(widget: Any) -> str:
    """Everything that stands on it, one text a line."""
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


def emitted(signal: Any) -> list[Any]:
    """What a signal carries from now on: one value as it is, several or none as a tuple."""
    found: list[Any] = []
    signal.connect(lambda *args: found.append(args[0] if len(args) == 1 else args))
    return found


def refusing(problem: Problem) -> Callable[[Any], Any]:
    """An answer of the gateway that is a refusal."""

    def refuse(_body: Any) -> Any:
        raise ConsoleError(problem)

    return refuse


class Ends(QObject):
    session_ended = Signal(object, object)


class Desk:
    """Stands where ui.desk.Desk stands. The one who acts is an administrator; custodians may step up."""

    def __init__(self, calls: Calls, gateway: Gateway) -> None:
        self.calls, self.gateway = calls, gateway
        self.book = SessionBook()
        self.book.add(gateway)  # type: ignore[arg-type]
        self.left: list[Any] = []
        self.steps: list[str] = []
        self.step_problem: Problem | None = None
        self._ends = Ends()
        self.session_ended = self._ends.session_ended
        self.elsewhere = False
        self.watched: list[str] = []

    def lane(self) -> Lane:
        return Lane(self.calls)

    def credentials(self) -> list[Path]:
        return [Path(f"/srv/hsm-console/credentials/{uid}.p12") for uid in s.PEOPLE]

    def log_in(self, credential: Path, passphrase: Secret, role: Any, *, step_up: bool, watch: bool = False) -> Any:
        assert step_up is not watch
        assert role is None
        passphrase.wipe()
        if self.step_problem is not None:
            raise ConsoleError(self.step_problem)
        (self.watched if watch else self.steps).append(credential.stem)
        return Custodian(self.gateway, credential.stem)

    def how_ended(self, _session: Any, _problem: Problem, _quiet_ms: int) -> Any:
        from ui.login.over import End

        return End.GATEWAY

    def leave(self, session: Any) -> None:
        self.left.append(session)

    def log_off(self, session: Any) -> None:
        self.left.append(session)


class Custodian:
    """A session beside the first, of somebody who decides."""

    def __init__(self, gateway: Gateway, uid: str) -> None:
        self._gateway, self.greeting = gateway, s.greeting(uid)
        self.signed: list[str] = []

    def call(self, *args: Any, **named: Any) -> Any:
        return self._gateway.call(*args, **named)

    def sign_statement(self, canonical: str) -> str:
        self.signed.append(canonical)
        return "Y21z"
