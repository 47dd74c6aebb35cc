"""The overview and what begins there: unlocking the module, opening a ceremony."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QObject, Signal

from hsm_console.client import ceremonies, device, orders
from hsm_console.domain.messages.ceremony import CeremonyView, OpenCeremony, ScriptSummary
from ui.ceremony.opening import CheckPage, ChoosePage, DetailsPage, ParametersPage
from ui.desk import Desk
from ui.devices.unlocking import unlock
from ui.home.page import HomePage
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
