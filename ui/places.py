"""Places beside the ceremonies: the log, the keys, the people, the module."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from hsm_console.client import device, keys, people
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.people import Enrol, PersonView
from hsm_console.domain.messages.session import DeviceState
from hsm_console.domain.people import Role
from ui.audit.page import AuditPage
from ui.desk import Desk
from ui.devices.page import DevicePage
from ui.keys.page import KeysPage
from ui.overview import unlock
from ui.people.page import EnrolPage, PeoplePage, RevokePage
from ui.shell.window import Window
from ui.typed import taking

if TYPE_CHECKING:
    from hsm_console.client.session import Session


class Places(QObject):
    home_asked = Signal()

    def __init__(self, window: Window, desk: Desk, place: str) -> None:
        super().__init__(window)
        self._window, self._desk, self._lane = window, desk, desk.lane()
        {"audit": self._audit, "keys": self._keys, "people": self._people, "device": self._device}[place]()

    def leave(self) -> None:
        self._lane.forget()
        page = self._window.page
        if isinstance(page, AuditPage):
            page.hide()

    @property
    def _session(self) -> Session:
        return self._desk.book.acting

    def _audit(self) -> None:
        self._window.show_page(AuditPage(self._session, self._desk.calls))

    def _keys(self) -> None:
        page = KeysPage()
        self._window.show_page(page)
        self._lane.call(partial(keys.listed, self._session), page.show_keys, page.tell)

    # -- people ----------------------------------------------------------------------------------------------

    def _people(self) -> None:
        page = PeoplePage(may_change=Role.ADMINISTRATOR in self._session.greeting.roles)
        page.enrol_asked.connect(self._enrol)
        page.revoke_asked.connect(taking(PersonView, self._revoke))
        self._window.show_page(page)

        def came(found: list[PersonView]) -> None:
            page.show_people(found)
            self._window.reorder()

        self._lane.call(partial(people.listed, self._session), came, page.tell)

    def _enrol(self) -> None:
        page = EnrolPage()
        page.left.connect(self._people)

        def refused(problem: Problem) -> None:
            page.main.stop()
            page.tell(problem)

        def asked(wanted: Enrol) -> None:
            self._lane.call(partial(people.enrol, self._session, wanted), lambda _person: self._people(), refused)

        page.asked.connect(taking(Enrol, asked))
        self._window.show_page(page)

    def _revoke(self, person: PersonView) -> None:
        page = RevokePage(person)
        page.left.connect(self._people)

        def refused(problem: Problem) -> None:
            page.main.stop()
            page.tell(problem)

        def asked(reason: str) -> None:
            work = partial(people.revoke, self._session, person.person.uid, reason)
            self._lane.call(work, lambda _person: self._people(), refused)

        page.asked.connect(asked)
        self._window.show_page(page)

    # -- the module ------------------------------------------------------------------------------------------

    def _device(self) -> None:
        page = DevicePage()
        page.unlock_asked.connect(partial(unlock, self._window, self._desk, self._device))
        page.lock_asked.connect(partial(self._lock, page))
        self._window.show_page(page)

        def came(state: DeviceState) -> None:
            page.show_state(state)
            self._window.reorder()

        self._lane.call(partial(device.state, self._session), came, page.tell)

    def _lock(self, page: DevicePage) -> None:
        def refused(problem: Problem) -> None:
            page.lock.stop()
            page.tell(problem)

        self._lane.call(partial(device.lock, self._session), page.show_state, refused)
