"""Places beside the ceremonies that need no road of their own: the log and the people."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from hsm_console.client import enrolment, people
from hsm_console.domain import places
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.people import Enrol, PersonView
from hsm_console.domain.people import Role
from ui.audit.road import LogRoad
from ui.desk import Desk
from ui.people.enrol import EnrolPage, Making
from ui.people.page import PeoplePage
from ui.people.revoke import RevokePage
from ui.saving import write
from ui.setup.answers import environments
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import checked, taking

if TYPE_CHECKING:
    from hsm_console.client.session import Session


class Places(QObject):
    home_asked = Signal()
    go_asked = Signal(str, object)  # another place, and what about it

    def __init__(self, window: Window, desk: Desk, place: str) -> None:
        super().__init__(window)
        self._window, self._desk, self._lane = window, desk, desk.lane()
        self._log: LogRoad | None = None
        {"audit": self._audit, "people": self._people}[place]()

    def leave(self) -> None:
        self._lane.forget()
        if self._log is not None:
            self._window.page.hide()  # pages of the log ask by themselves while they are shown

    @property
    def _session(self) -> Session:
        return self._desk.book.acting

    def _audit(self) -> None:
        self._log = LogRoad(self._window, self._desk)
        self._log.order_asked.connect(lambda order_id: self.go_asked.emit("orders", order_id))
        self._log.records()

    def _save(self, page: PeoplePage, text: str, path: object) -> None:
        work = partial(write, checked(Path, path), text.encode())
        self._lane.call(work, page.saved, page.tell)

    # -- people ----------------------------------------------------------------------------------------------

    def _people(self, news: str = "") -> None:
        here = self._session.greeting
        page = PeoplePage(news=news, may_change=Role.ADMINISTRATOR in here.roles, own_uid=here.person.uid)
        page.save_asked.connect(partial(self._save, page))
        page.enrol_asked.connect(self._enrol)
        page.revoke_asked.connect(taking(PersonView, self._revoke))

        def look() -> None:
            self._lane.call(partial(people.listed, self._session), page.show_people, partial(_told, page))

        page.refresh_asked.connect(look)
        self._window.show_page(page)
        look()

    def _enrol(self) -> None:
        page = EnrolPage(least=self._least())
        page.making_asked.connect(taking(Making, partial(self._make, page)))
        page.left.connect(self._people)

        def asked(wanted: Enrol) -> None:
            self._lane.call(partial(people.enrol, self._session, wanted), lambda _person: self._people(), page.refuse)

        page.asked.connect(taking(Enrol, asked))
        self._window.show_page(page)

    def _least(self) -> int:
        """Characters of a passphrase, as the workspace's environment demands."""
        wanted = self._session.greeting.workspace.environment
        return next((e.passphrase_least for e in environments() if wanted in (e.id, e.title)), 12)

    def _make(self, page: EnrolPage, wanted: Making) -> None:
        """Her key, her certificate and her credential file, which stands beside the others."""
        workspace, session = self._desk.workspace, self._session
        if workspace is None:
            raise LookupError("no workspace is open")
        credential = workspace / places.CREDENTIALS / f"{wanted.person.uid}.p12"

        def work() -> PersonView:
            try:
                return enrolment.enrol(
                    session, wanted.person, wanted.roles, credential=credential, passphrase=wanted.passphrase
                )
            finally:
                wanted.passphrase.wipe()

        def made(_person: PersonView) -> None:
            self._people(
                tr("{name} is enrolled. Her credential file: {path}", name=wanted.person.name, path=credential)
            )

        guard = tr("A credential is being made; that cannot be interrupted.")
        self._lane.call(work, made, page.refuse, guard=guard)

    def _revoke(self, person: PersonView) -> None:
        page = RevokePage(person)
        page.left.connect(self._people)

        def asked(reason: str) -> None:
            work = partial(people.revoke, self._session, person.person.uid, reason)
            self._lane.call(work, lambda _person: self._people(), page.refuse)

        page.asked.connect(asked)
        self._window.show_page(page)


def _told(page: PeoplePage, problem: Problem) -> None:
    page.refresh.stop()
    page.tell(problem)
