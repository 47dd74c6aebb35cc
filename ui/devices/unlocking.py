"""Unlocking a module: what is known of its PIN first, then one try, by whoever knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from hsm_console.client import device, devices
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.session import DeviceState
from hsm_console.domain.secret import Secret
from ui.desk import Desk
from ui.devices.few import FewAttemptsPage
from ui.devices.words import pin_state
from ui.login.unlock import UnlockPage
from ui.shell.window import Window
from ui.typed import checked

if TYPE_CHECKING:
    from hsm_console.client.session import Session


@dataclass(frozen=True)
class Door:
    """Which module: how its state is asked, and how it is opened. name: what people call it; empty for the only one."""

    state: Callable[[Session], DeviceState]
    open: Callable[[Session, Secret], object]
    name: str = ""


FIRST = Door(device.state, device.unlock)


def member(name: str) -> Door:
    """A further module. It tells nothing of its PIN before it is opened."""
    return Door(lambda _session: DeviceState(unlocked=False), lambda s, pin: devices.unlock(s, name, pin), name)


class Unlocking(QObject):
    """The unlock page and its one call. Whoever is not logged in proves herself, unlocks, and leaves."""

    def __init__(self, window: Window, desk: Desk, door: Door, then: Callable[[], None]) -> None:
        super().__init__(window)
        self._window, self._desk, self._lane, self._door, self._then = window, desk, desk.lane(), door, then
        session = desk.book.acting
        self._lane.call(
            partial(door.state, session), self._ask, lambda _problem: self._ask(DeviceState(unlocked=False))
        )

    def _ask(self, state: DeviceState) -> None:
        """Two attempts left or fewer: a page of its own comes first."""
        pin = pin_state(state.device)
        if not pin.few:
            self._form(state)
            return
        page = FewAttemptsPage(pin)
        page.left.connect(self._done)
        page.go_asked.connect(partial(self._form, state))
        self._window.show_page(page)

    def _form(self, state: DeviceState) -> None:
        people = [s.greeting.person for s in self._desk.book]
        page = UnlockPage(people, self._desk.credentials, state.device, name=self._door.name)
        page.left.connect(self._done)
        page.asked.connect(partial(self._unlock, page))
        self._window.show_page(page)

    def _unlock(self, page: UnlockPage, uid: object, path: object, passphrase: object, pin: object) -> None:
        secret = checked(Secret, pin)

        def work() -> object:
            try:
                if uid is None:
                    session = self._desk.log_in(checked(Path, path), checked(Secret, passphrase), None, step_up=True)
                    try:
                        return self._door.open(session, secret)
                    finally:
                        self._desk.log_off(session)
                session = next(s for s in self._desk.book if s.greeting.person.uid == uid)
                return self._door.open(session, secret)
            finally:
                secret.wipe()

        def refused(problem: Problem) -> None:
            page.refuse(problem)
            if not problem.code.startswith("pin-"):
                return  # nobody tried the PIN: the person corrects what was wrong and stays
            self._lane.call(partial(self._door.state, self._desk.book.acting), seen, lambda _problem: None)

        def seen(state: DeviceState) -> None:
            pin = pin_state(state.device)
            if pin.few or pin.locked:
                told = page.problem.problem
                self._ask(state)
                if told is not None:
                    self._window.page.tell(told)

        self._lane.call(work, lambda _state: self._done(), refused)

    def _done(self) -> None:
        self._lane.forget()
        self._then()
        self.deleteLater()


def unlock(window: Window, desk: Desk, then: Callable[[], None], door: Door = FIRST) -> None:
    """then: called when the module is unlocked, or the person went back."""
    Unlocking(window, desk, door, then)
