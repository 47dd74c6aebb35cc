"""The witness window's way: its own log-in, its own session that can only read, looks until it is closed."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from hsm_console.domain.errors import Problem
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret
from ui.desk import Desk, told
from ui.login.over import End, told_end
from ui.login.page import LoginPage
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import checked
from ui.witness.look import Seen, look
from ui.witness.page import WitnessPage

if TYPE_CHECKING:
    from hsm_console.client.session import Session

PAUSE_MS = 400  # between two looks: the gateway does not hold every head back when many wait
AGAIN_MS = 5000  # after a look that failed


class Witness(QObject):
    """A second window, for one person who watches. It stands in no list of those who act."""

    closed = Signal()

    def __init__(self, parent: QObject, desk: Desk) -> None:
        super().__init__(parent)
        self._desk, self._lane, self._door = desk, desk.lane(), desk.lane()
        self._session: Session | None = None
        self._size = -1
        self._may_read = True
        self._over = False
        self.window = Window(lambda: ())
        self.window.header.hide()  # no places, nobody to log off: it has one page and one act
        self.window.closing.connect(self._closed)
        desk.session_ended.connect(self._ended)
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._look)
        self._log_in()
        self.window.show()

    def raise_window(self) -> None:
        self.window.showNormal()
        self.window.raise_()
        self.window.activateWindow()

    def close(self) -> None:
        """Harmless when repeated."""
        if not self._over:
            self.window.close()

    # -- the log-in ------------------------------------------------------------------------------------------

    def _log_in(self) -> None:
        page = LoginPage(self._desk.credentials, workspace=tr("A window that only watches"), watch=True)
        page.asked.connect(partial(self._asked, page))
        page.other_asked.connect(self.close)
        self.window.show_page(page)

    def _asked(self, page: LoginPage, path: object, secret: object, role: object) -> None:
        wanted = role if isinstance(role, Role) else None
        work = partial(
            self._desk.log_in, checked(Path, path), checked(Secret, secret), wanted, step_up=False, watch=True
        )
        self._door.call(work, self._logged_in, lambda problem: None if self._over else page.refuse(problem))

    def _logged_in(self, session: Session) -> None:
        if self._over:  # closed while the gateway was asked: nobody watches, so nobody stays logged in
            self._desk.leave(session)
            return
        self._session = session
        here = session.greeting
        self.window.show_workspace(here.workspace)
        self.window.status.show_people([here.person.name])
        self._page = WitnessPage(here.person.name, workspace=here.workspace.name)
        self._page.left.connect(self.close)
        self.window.show_page(self._page)
        self._look()

    # -- looking ---------------------------------------------------------------------------------------------

    def _look(self) -> None:
        if self._session is not None:
            work = partial(look, self._session, self._size, may_read=self._may_read)
            self._lane.call(work, self._seen, self._missed)

    def _seen(self, seen: Seen) -> None:
        page = self._page
        if self._may_read:
            page.problem.clear()
        self._size = seen.head.size
        self.window.status.show_head(seen.head)
        page.show_head(seen.head)
        if seen.grew:
            page.show_view(seen.view)
            if seen.view is not None:
                self.window.rail.show_view(seen.view)
            self.window.rail.setVisible(seen.view is not None)
        if seen.rows is not None:
            page.show_rows(seen.rows, seen.head)
        if seen.refused is not None:
            self._may_read = False
            page.show_refusal(seen.refused)
        page.renewed(time.time_ns() // 1_000_000)
        self._again.start(PAUSE_MS)

    def _missed(self, problem: Problem) -> None:
        if problem.code == "session-ended":
            self._ended(self._session, problem)
            return
        self._page.tell(problem)
        self._again.start(AGAIN_MS)

    def _ended(self, session: object, problem: object) -> None:
        """The gateway is lost, the person was revoked, or the connection was cut: said once, and looking ends."""
        if self._session is None or session is not self._session:
            return
        over, self._session = self._session, None
        self._again.stop()
        self._lane.forget()
        self.window.status.show_people([])
        name = over.greeting.person.name

        def known(end: End) -> None:
            if not self._over:
                self._page.ended(told_end(end, name, told(problem), elsewhere=self._desk.elsewhere))

        self._lane.call(
            partial(self._desk.how_ended, over, told(problem), 0), known, lambda _problem: known(End.CONNECTION)
        )
        self._desk.leave(over)

    def _closed(self) -> None:
        if self._over:
            return
        self._over = True
        self._again.stop()
        self._lane.forget()
        if self._session is not None:
            self._desk.leave(self._session)
            self._session = None
        self.window.deleteLater()
        self.closed.emit()
