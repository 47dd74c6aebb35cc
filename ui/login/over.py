"""When a session ended without being asked: which end it was, and the page that says so."""

from __future__ import annotations

import enum

from PySide6.QtCore import Signal

from hsm_console.domain.errors import Problem
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import card, pairs
from ui.widgets.busy import BusyButton

QUIET_MS = 5 * 60_000  # no gateway logs anybody off earlier; who was quiet for so long was most likely idle


class End(enum.Enum):
    GATEWAY = "gateway"  # its process is gone
    IDLE = "idle"
    REVOKED = "revoked"
    CONNECTION = "connection"  # the gateway runs; nobody said why


def classify(problem: Problem, *, gateway_runs: bool, revoked: bool, quiet_ms: int) -> End:
    """What is known decides, the strongest first. quiet_ms: since when this person asked the gateway for nothing."""
    if not gateway_runs:
        return End.GATEWAY
    if revoked or "(revoked)" in problem.what:
        return End.REVOKED
    if "(idle)" in problem.what or quiet_ms >= QUIET_MS:
        return End.IDLE
    return End.CONNECTION


def told_end(end: End, name: str, problem: Problem, *, elsewhere: bool = False) -> Problem:
    """The end of one person's session in four things. elsewhere: the gateway is on another machine."""
    what, todo = {
        End.GATEWAY: _gone(elsewhere=elsewhere),
        End.IDLE: (
            tr("The gateway logged {name} off, because nothing was asked for some time.", name=name),
            tr("Log in again; nothing else is needed."),
        ),
        End.REVOKED: (
            tr("The certificate of {name} was revoked; that ended the session at once.", name=name),
            tr("If that was not intended, ask the administrator to enrol {name} anew.", name=name),
        ),
        End.CONNECTION: (
            tr("The connection of {name} to the gateway ended; the gateway itself runs.", name=name),
            tr("Log in again. If the gateway refuses, it says the exact reason then."),
        ),
    }[end]
    return Problem(
        code="session-ended",
        what=what,
        key_state=tr("What was not confirmed on the screen may or may not have been done; the log tells."),
        todo=todo,
        contact=tr("the administrator of this workstation"),
        details={"end": end.value, "told": f"{problem.code}: {problem.what}"},
    )


def _gone(*, elsewhere: bool) -> tuple[str, str]:
    if elsewhere:
        return (
            tr("The gateway on the other machine does not answer any more."),
            tr("Look at that machine and at the cable between the two; then connect again and log in."),
        )
    return tr("The gateway's process has ended."), tr("Start it again and log in.")


class SessionOverPage(Page):
    """Nobody is logged in any more: what ended, the state of things, and one way forward."""

    restart_asked = Signal()

    def __init__(self, end: End, problem: Problem, *, where: str, embedded: bool, elsewhere: bool = False) -> None:
        title, lead = _heading(end, elsewhere=elsewhere)
        super().__init__(title, lead)
        self.problem.tell(problem)
        frame, box = card()
        act = tr("If one was under way, the gateway looks it up in the token now.")
        running = tr("If one was under way, it goes on; the step shows how it ended.")
        after = tr("You log in again, and the same step is shown.")
        others = tr("Somebody else logs in; the ceremony stands at the same step.")
        box.addWidget(
            pairs(
                [
                    (tr("Where you were"), where or tr("at the overview")),
                    (tr("An act of the module"), act if end is End.GATEWAY else running),
                    (tr("What happens next"), others if end is End.REVOKED else after),
                ]
            )
        )
        self.add(frame)
        start = tr("&Start the gateway again") if embedded else tr("&Connect again")
        self.main = BusyButton(start if end is End.GATEWAY else tr("&Go to log-in"))
        self.main.pressed.connect(self._go)
        self.act(self.main)
        self.first = self.main.button

    def _go(self) -> None:
        self.main.start()
        self.restart_asked.emit()

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)


def _heading(end: End, *, elsewhere: bool) -> tuple[str, str]:
    safe = tr("What was recorded is in the log on this disk; nothing of it was lost.")
    if elsewhere:
        safe = tr("What was recorded is in the log on the gateway's machine.")
    return {
        End.GATEWAY: (tr("The gateway is not there any more"), f"{tr('Nobody is logged in now.')} {safe}"),
        End.IDLE: (tr("You were logged off after a pause"), f"{tr('The gateway runs.')} {safe}"),
        End.REVOKED: (tr("This certificate was revoked"), f"{tr('The gateway runs.')} {safe}"),
        End.CONNECTION: (tr("The connection ended"), f"{tr('The gateway runs.')} {safe}"),
    }[end]
