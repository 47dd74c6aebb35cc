"""The overview and what begins there: unlocking the module, opening a ceremony."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from hsm_console.client import ceremonies, device, orders
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import CeremonyView, OpenCeremony, ScriptSummary
from hsm_console.domain.messages.session import DeviceState
from hsm_console.domain.secret import Secret
from ui.ceremony.opening import CheckPage, ChoosePage, DetailsPage, ParametersPage
from ui.desk import Desk
from ui.devices.few import FewAttemptsPage
from ui.devices.words import pin_state
from ui.home.page import HomePage
from ui.login.unlock import UnlockPage
from ui.shell.window import Window
from ui.typed import checked, taking


class Overview(QObject):
    ceremony_asked = Signal(str)
    opened = Signal(object)  # CeremonyView of a ceremony that was opened just now
    go_asked = Signal(str, object)  # another place, and what about it

    def __init__(self, window: Window, desk: Desk) -> None:
        super().__init__(window)
        self._window, self._desk, self._lane = window, desk, desk.lane()
        self._values: dict[str, str] = {}
        self._page: HomePage | None = None
        self.home()

    def leave(self) -> None:
        self._lane.forget()

    def look(self) -> None:
        """Something happened: the lists may be old."""
        page = self._page
        if page is None or self._window.page is not page:
            return
        session = self._desk.book.acting
        self._lane.call(partial(device.state, session), page.set_device, page.tell)
        self._lane.call(partial(ceremonies.listed, session), page.set_ceremonies, page.tell)
        self._lane.call(partial(orders.listed, session), page.set_orders, page.tell)

    def home(self) -> None:
        page = HomePage(self._desk.book.acting.greeting)
        page.ceremony_asked.connect(self.ceremony_asked)
        page.new_asked.connect(self._choose)
        page.unlock_asked.connect(self._unlock)
        page.order_asked.connect(lambda which: self.go_asked.emit("orders", which))
        self._page = page
        self._window.show_page(page)
        self.look()

    # -- the module ------------------------------------------------------------------------------------------

    def _unlock(self) -> None:
        unlock(self._window, self._desk, self.home)

    # -- a new ceremony --------------------------------------------------------------------------------------

    def _choose(self) -> None:
        page = ChoosePage()
        page.left.connect(self.home)
        page.chosen.connect(taking(ScriptSummary, self._details))
        self._window.show_page(page)
        self._lane.call(partial(ceremonies.scripts, self._desk.book.acting), page.show_scripts, page.tell)

    def _details(self, script: ScriptSummary) -> None:
        page = DetailsPage(script)
        page.left.connect(self._choose)
        page.go_on.connect(partial(self._parameters, script))
        page.paper_asked.connect(partial(self._paper, script))
        self._window.show_page(page)

    def _paper(self, script: ScriptSummary) -> None:
        work = partial(ceremonies.script_paper, self._desk.book.acting, script.id)
        self._lane.call(work, partial(self._desk.show_paper, f"{script.id}.pdf"), self._window.page.tell)

    def _parameters(self, script: ScriptSummary) -> None:
        page = ParametersPage(script, self._values)

        def filled(values: object) -> None:
            self._values = checked(dict, values)
            self._check(script)

        page.filled.connect(filled)
        page.left.connect(partial(self._details, script))
        self._window.show_page(page)

    def _check(self, script: ScriptSummary) -> None:
        workspace = self._desk.book.acting.greeting.workspace
        page = CheckPage(script, self._values, simulated=workspace.simulated, environment=workspace.environment)
        page.left.connect(partial(self._parameters, script))
        page.change_asked.connect(lambda what: self._choose() if what == "script" else self._parameters(script))
        page.confirmed.connect(taking(OpenCeremony, partial(self._open, page)))
        self._window.show_page(page)

    def _open(self, page: CheckPage, wanted: OpenCeremony) -> None:
        def came(view: CeremonyView) -> None:
            self.opened.emit(view)

        self._lane.call(partial(ceremonies.open_ceremony, self._desk.book.acting, wanted), came, page.refuse)


class Unlocking(QObject):
    """The unlock page and its one call. Whoever is not logged in proves herself, unlocks, and leaves."""

    def __init__(self, window: Window, desk: Desk, then: Callable[[], None]) -> None:
        super().__init__(window)
        self._window, self._desk, self._lane, self._then = window, desk, desk.lane(), then
        session = desk.book.acting
        self._lane.call(
            partial(device.state, session), self._ask, lambda _problem: self._ask(DeviceState(unlocked=False))
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
        page = UnlockPage([s.greeting.person for s in self._desk.book], self._desk.credentials, state.device)
        page.left.connect(self._done)
        page.asked.connect(partial(self._unlock, page))
        self._window.show_page(page)

    def _unlock(self, page: UnlockPage, uid: object, path: object, passphrase: object, pin: object) -> None:
        secret = checked(Secret, pin)

        def work() -> DeviceState:
            try:
                if uid is None:
                    session = self._desk.log_in(checked(Path, path), checked(Secret, passphrase), None, step_up=True)
                    try:
                        return device.unlock(session, secret)
                    finally:
                        self._desk.log_off(session)
                session = next(s for s in self._desk.book if s.greeting.person.uid == uid)
                return device.unlock(session, secret)
            finally:
                secret.wipe()

        def refused(problem: Problem) -> None:
            page.refuse(problem)
            if not problem.code.startswith("pin-"):
                return  # nobody tried the PIN: the person corrects what was wrong and stays
            self._lane.call(partial(device.state, self._desk.book.acting), seen, lambda _problem: None)

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


def unlock(window: Window, desk: Desk, then: Callable[[], None]) -> None:
    """then: called when the module is unlocked, or the person went back."""
    Unlocking(window, desk, then)
