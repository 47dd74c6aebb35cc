"""Where a person can be, and how one gets from place to place. Pages know nothing of this."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import CeremonyView
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret
from ui import recent
from ui.desk import Desk, told
from ui.login.over import End, SessionOverPage, told_end
from ui.login.page import LoginPage
from ui.shell.quiet import Quiet
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import checked, taking

if TYPE_CHECKING:
    from hsm_console.client.rendezvous import GatewayAddress
    from hsm_console.client.session import Session
    from hsm_console.domain.messages.audit import Head
    from ui.ceremony.run import CeremonyRun
    from ui.login.connect import ConnectPage
    from ui.overview import Overview
    from ui.places import Places
    from ui.road import Road
    from ui.setup.assistant import Assistant
    from ui.witness.room import Witness

LOOK_MS = 1500
ROADS = ("keys", "orders", "use", "device")  # places with several pages


class Console(QObject):
    """Owns the road: welcome, set-up, log-in, overview, ceremony, places; and what happens when the gateway dies."""

    def __init__(self, window: Window, desk: Desk, *, kdf_iterations: int = 0) -> None:
        super().__init__(window)
        self.window, self.desk, self._lane = window, desk, desk.lane()
        self._kdf_iterations = kdf_iterations
        self._run: CeremonyRun | None = None
        self._place: Overview | Places | Road | Assistant | None = None
        self._resume = ""  # id of the ceremony to come back to after a log-in
        self._head: Head | None = None
        self._witness: Witness | None = None
        self._looking = False
        self._farewell = desk.lane()
        desk.session_ended.connect(self._ended)
        window.place_asked.connect(self.go)
        window.log_off_asked.connect(self.log_off)
        window.person_asked.connect(self._another_person)
        window.watch_asked.connect(self.watch)
        self._quiet = Quiet(window)
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)

    # -- before anybody is logged in -------------------------------------------------------------------------

    def start(self) -> None:
        if self.desk.workspace is None:
            self.welcome()
        else:
            self.login()

    def welcome(self) -> None:
        from ui.setup.ending import WelcomePage

        page = WelcomePage(recent.known())
        page.new_asked.connect(self.set_up)
        page.opened.connect(self.open_workspace)
        page.connect_asked.connect(self.connect_elsewhere)
        self.window.show_page(page)

    def set_up(self) -> None:
        from ui.setup.assistant import Assistant

        self._place = Assistant(self.window, self.desk, kdf_iterations=self._kdf_iterations)
        self._place.left.connect(self.welcome)
        self._place.finished.connect(self.open_workspace)

    def connect_elsewhere(self) -> None:
        from ui.login.connect import ConnectPage

        page = ConnectPage()
        page.left.connect(self.welcome)
        page.asked.connect(partial(self._connect, page))
        self.window.show_page(page)

    def _connect(self, page: ConnectPage, folder: str, listen: str, authority: str, digest: str) -> None:
        from hsm_console.client import elsewhere

        work = partial(elsewhere.connect, Path(folder), listen, Path(authority), digest)
        self._lane.call(work, lambda _address: self.open_workspace(folder), page.refuse)

    def open_workspace(self, directory: str) -> None:
        self._stop_watching()  # it shows another workspace
        self.desk.workspace = Path(directory)
        recent.remember(directory)
        self.login()

    def login(self, why: str = "") -> None:
        """The log-in page; the gateway is started meanwhile."""
        self._timer.stop()
        name = self.desk.workspace.name if self.desk.workspace else ""
        page = LoginPage(self.desk.credentials, workspace=name, why=why)
        page.asked.connect(partial(self._log_in, page))
        page.other_asked.connect(self.welcome)
        page.elsewhere = self.desk.elsewhere
        self.window.show_places(shown=False)
        self.window.show_page(page)

        def ready(address: GatewayAddress) -> None:
            if self.window.page is page:  # else somebody chose another workspace while it started
                page.show_gateway(address.gateway_sha256, address.listen)

        def failed(problem: Problem) -> None:
            if self.window.page is page:
                page.show_gateway_problem(problem)

        lane = self._lane
        # After the first paint: nobody waits for the gateway before she sees where to type.
        QTimer.singleShot(0, page, lambda: lane.call(self.desk.gateway, ready, failed))

    def _log_in(self, page: LoginPage, path: object, secret: object, role: object) -> None:
        wanted = role if isinstance(role, Role) else None
        work = partial(self.desk.log_in, checked(Path, path), checked(Secret, secret), wanted, step_up=False)
        self._lane.call(work, self._logged_in, page.refuse)

    def _logged_in(self, session: Session) -> None:
        self.desk.book.add(session)
        self.window.show_workspace(session.greeting.workspace)
        self.window.show_places(shown=True)
        self.window.status.show_people(self.desk.book.names)
        self._quiet.watch()
        self._timer.start()
        if self._resume:
            self.ceremony(self._resume)
        else:
            self.go("home")

    def _another_person(self) -> None:
        """Somebody else logs in beside those who are here."""
        self._leave_place()
        self.window.show_place("")
        page = LoginPage(
            self.desk.credentials, workspace=tr("{names} stay logged in", names=", ".join(self.desk.book.names))
        )
        page.asked.connect(partial(self._log_in, page))
        page.other.setText(tr("&Back"))
        page.other_asked.connect(partial(self.go, "home"))
        self.window.show_page(page)

    def watch(self) -> None:
        """A second window whose own session can only read; there is one at a time."""
        if self._witness is not None:
            self._witness.raise_window()
            return
        from ui.witness.room import Witness

        self._witness = Witness(self, self.desk)
        self._witness.closed.connect(self._watched)

    def _watched(self) -> None:
        if self._witness is not None:
            self._witness.deleteLater()
            self._witness = None

    def _stop_watching(self) -> None:
        if self._witness is not None:
            self._witness.close()

    # -- places ----------------------------------------------------------------------------------------------

    def go(self, place: str, about: object = None) -> None:
        """One of the window's PLACES. about: what the place shows first, when it is more than a place."""
        if not len(self.desk.book):
            self.login()
            return
        self._leave_place()
        self.window.show_place(place)
        if place == "home":
            self._home()
        elif place in ROADS:
            self._place = self._road(place, about)
            self._place.home_asked.connect(partial(self.go, "home"))
            self._place.go_asked.connect(self.go)
        else:
            from ui.places import Places

            self._place = Places(self.window, self.desk, place)
            self._place.home_asked.connect(partial(self.go, "home"))
            self._place.go_asked.connect(self.go)

    def _home(self) -> None:
        from ui.overview import Overview

        self._resume = ""
        self._place = Overview(self.window, self.desk)
        self._place.ceremony_asked.connect(self.ceremony)
        self._place.opened.connect(taking(CeremonyView, self._opened))
        self._place.go_asked.connect(self.go)

    def _road(self, place: str, about: object) -> Road:
        """They are imported when somebody goes there."""
        if place == "keys":
            from ui.keys.road import KeyRoad

            return KeyRoad(self.window, self.desk, about)
        if place == "device":
            from ui.devices.road import DeviceRoad

            return DeviceRoad(self.window, self.desk, about)
        if place == "use":
            from ui.signing.road import UseRoad

            return UseRoad(self.window, self.desk, about)
        from ui.orders.road import OrderRoad

        return OrderRoad(self.window, self.desk, about)

    def ceremony(self, ceremony_id: str) -> None:
        from hsm_console.client import ceremonies

        self._resume = ceremony_id
        work = partial(ceremonies.view, self.desk.book.acting, ceremony_id)
        self._lane.call(work, self._opened, self.window.page.tell)

    def _opened(self, view: CeremonyView) -> None:
        from ui.ceremony.run import CeremonyRun

        self._leave_place()
        self.window.show_place("")
        self._resume = view.id
        self._run = CeremonyRun(self.window, self.desk, view)
        self._run.home_asked.connect(partial(self.go, "home"))

    def _leave_place(self) -> None:
        for left in (self._run, self._place):
            if left is not None:
                leave = getattr(left, "leave", None)
                if leave is not None:
                    leave()
                left.deleteLater()
        self._run = self._place = None

    def log_off(self) -> None:
        """The acting person leaves; the next one acts, or the log-in page comes."""
        if not len(self.desk.book):
            return
        self.desk.leave(self.desk.book.acting)
        self.window.status.show_people(self.desk.book.names)
        if len(self.desk.book):
            self.go("home")
            return
        self._leave_place()
        self._resume = ""
        self.window.status.show_device(None)
        self.window.status.show_head(None)
        self.login()

    # -- the world moves on ----------------------------------------------------------------------------------

    def _look(self) -> None:
        """The log's head, now and then; a ceremony or the overview looks again when it grew."""
        if self._looking or not len(self.desk.book) or self._quiet.away:
            return
        from hsm_console.client import audit, device

        self._looking = True
        self.desk.book.touched(self.desk.book.acting)
        session = self.desk.book.acting

        def seen(found: object) -> None:
            self._looking = False
            head, state = found if isinstance(found, tuple) else (None, None)
            if head is None or not len(self.desk.book):
                return
            grew = self._head is None or head.size != self._head.size
            self._head = head
            self.window.status.show_head(head)
            self.window.status.show_device(state)
            if grew and self._run is not None:
                self._run.look()
            elif self._place is not None:
                look = getattr(self._place, "look" if grew else "beat", None)
                if look is not None:
                    look()

        def missed(problem: Problem) -> None:
            self._looking = False
            if problem.code == "session-ended":  # told before the connection was cut
                self._ended(session, problem)

        self._lane.call(lambda: (audit.head(session), device.state(session)), seen, missed)

    def _ended(self, session: object, problem: object) -> None:
        """A connection is over without being asked: one person's session, or the gateway's end."""
        over = next((s for s in self.desk.book if s is session), None)
        if over is None:
            return
        quiet, acted = self.desk.book.quiet_ms(over), over is self.desk.book.acting
        self.desk.book.remove(over)
        self.desk.calls.start(partial(self.desk.log_off, over), lambda _outcome: None)
        self.window.status.show_people(self.desk.book.names)
        alone = not len(self.desk.book)
        if alone:
            self._timer.stop()
            self._looking = False
        name = over.greeting.person.name

        def known(end: End) -> None:
            fault = told_end(end, name, told(problem), elsewhere=self.desk.elsewhere)
            if alone:
                self._nobody_left(end, fault)
            elif acted and len(self.desk.book):
                self.window.page.problem.tell(fault)  # without the keyboard's focus: somebody may be typing

        def unknown(_problem: Problem) -> None:
            known(End.CONNECTION)

        self._farewell.call(partial(self.desk.how_ended, over, told(problem), quiet), known, unknown)

    def _nobody_left(self, end: End, fault: Problem) -> None:
        if len(self.desk.book):  # somebody logged in meanwhile
            return
        where = self._run.where if self._run is not None else ""
        self._leave_place()
        self.window.status.show_device(None)
        self.window.status.show_head(None)
        page = SessionOverPage(end, fault, where=where, embedded=self.desk.embedded, elsewhere=self.desk.elsewhere)
        page.restart_asked.connect(partial(self._restart, page))
        self.window.show_places(shown=False)
        self.window.show_page(page)

    def _restart(self, page: SessionOverPage) -> None:
        def ready(_address: object) -> None:
            self.login(tr("You come back to the same step.") if self._resume else "")

        self._lane.call(self.desk.gateway, ready, page.refuse)

    def stop(self) -> None:
        self._timer.stop()
        self._stop_watching()
        self._lane.forget()
        self._farewell.forget()
        with contextlib.suppress(RuntimeError):
            self._leave_place()
