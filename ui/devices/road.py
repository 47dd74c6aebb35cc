"""The road of the modules: the list or the only one, one of them, add, take off, compare."""

from __future__ import annotations

from functools import partial

from hsm_console.client import device, devices, orders
from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.devices import AddDevice, ClusterKey, DeviceRow, FleetView
from hsm_console.domain.messages.orders import OrderView
from hsm_console.domain.people import Role
from ui.desk import Desk
from ui.devices import fleet_words, unlocking
from ui.devices.changing import AddPage, RemovePage
from ui.devices.comparing import ComparePage
from ui.devices.fleet import FleetPage
from ui.devices.page import DevicePage
from ui.orders import words
from ui.orders.check import CheckPage
from ui.road import Road
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import checked, taking

MAY = {
    "change": {Role.ADMINISTRATOR},
    "lock": {Role.ADMINISTRATOR, Role.CUSTODIAN},
    "compare": {Role.ADMINISTRATOR, Role.WITNESS, Role.AUDITOR},
}
"""Who sees which acts; the gateway asks its own table."""
REPLICATE = "replicate-key"


class DeviceRoad(Road):
    def __init__(self, window: Window, desk: Desk, about: object = None) -> None:
        """about: the name of a module to show at once."""
        super().__init__(window, desk)
        self._fleet: FleetView | None = None
        self._asking = False
        self._begin(about if isinstance(about, str) else "")

    def look(self) -> None:
        self._ask()

    def beat(self) -> None:
        self._ask()

    def _may(self) -> frozenset[str]:
        mine = set(self._session.greeting.roles)
        return frozenset(act for act, roles in MAY.items() if roles & mine)

    # -- the list, or the only one ---------------------------------------------------------------------------

    def _begin(self, name: str = "", news: str = "") -> None:
        """The list at once; where there is only one module, that one takes its place."""
        page = FleetPage(self._may(), news=news)
        page.opened.connect(self._open)
        page.refresh_asked.connect(self._ask)
        page.add_asked.connect(self._add)
        page.compare_asked.connect(self._compare)
        self._window.show_page(page)

        def came(fleet: FleetView) -> None:
            self._fleet = fleet
            if len(fleet.devices) == 1:
                self._open(fleet.devices[0].name, news=news)
                return
            page.show_fleet(fleet)
            if name:
                self._open(name)

        self._lane.call(partial(devices.listed, self._session), came, page.refuse)

    def _row(self, name: str) -> DeviceRow | None:
        return next((row for row in self._fleet.devices if row.name == name), None) if self._fleet else None

    def _ask(self) -> None:
        """How they are now. Asks no module; one question at a time."""
        if self._asking or not isinstance(self._window.page, FleetPage | DevicePage):
            return
        self._asking = True

        def missed(problem: Problem) -> None:
            self._asking = False
            page = self._window.page
            if isinstance(page, FleetPage):
                page.refuse(problem)

        self._lane.call(partial(devices.listed, self._session), self._came, missed)

    def _came(self, fleet: FleetView) -> None:
        self._asking = False
        self._fleet = fleet
        page = self._window.page
        if isinstance(page, FleetPage):
            page.show_fleet(fleet)
        elif isinstance(page, DevicePage):
            row = self._row(page.name)
            if row is None:
                self._begin(news=tr("“{name}” was taken off the list.", name=page.title))
            elif not (page.probe.working or page.lock.working):
                page.show_row(row)

    # -- one module ------------------------------------------------------------------------------------------

    def _open(self, name: str, *, news: str = "") -> None:
        row, fleet = self._row(name), self._fleet
        if row is None or fleet is None:
            return
        alone = len(fleet.devices) == 1
        page = DevicePage(row, alone=alone, may=self._may(), news=news)
        page.left.connect(self._window.back)
        page.probe_asked.connect(partial(self._act, page, partial(devices.probe, self._session, name)))
        page.lock_asked.connect(partial(self._act, page, partial(devices.lock, self._session, name)))
        page.unlock_asked.connect(partial(self._unlock, row))
        page.remove_asked.connect(partial(self._remove, page))
        page.add_asked.connect(self._add)
        page.compare_asked.connect(self._compare)
        if alone:
            self._window.show_page(page)
        else:
            self._window.show_over(page)
        if row.primary:
            self._describe(page)

    def _describe(self, page: DevicePage) -> None:
        self._lane.call(partial(device.state, self._session), page.show_state, lambda _problem: None)

    def _act(self, page: DevicePage, work: partial[DeviceRow]) -> None:
        def done(row: DeviceRow) -> None:
            page.show_row(row)
            if row.primary:
                self._describe(page)

        self._lane.call(work, done, page.refuse)

    def _unlock(self, row: DeviceRow) -> None:
        door = unlocking.FIRST if row.primary else unlocking.member(row.name)
        unlocking.unlock(self._window, self._desk, partial(self._begin, row.name), door)

    # -- the list changes ------------------------------------------------------------------------------------

    def _add(self) -> None:
        adapter = self._fleet.devices[0].adapter if self._fleet is not None and self._fleet.devices else ""
        page = AddPage(adapter)
        page.left.connect(self._window.back)

        def asked(wish: AddDevice) -> None:
            news = tr("“{name}” is on the list. Unlock it with its own PIN, then compare the keys.", name=wish.name)
            self._lane.call(partial(devices.add, self._session, wish), lambda _row: self._begin(news=news), page.refuse)

        page.asked.connect(taking(AddDevice, asked))
        self._window.show_over(page)

    def _remove(self, before: DevicePage) -> None:
        row = before.row
        page = RemovePage(row)
        page.left.connect(self._window.back)

        def done(_fleet: FleetView) -> None:
            text = tr("“{name}” was taken off the list. Its keys stay in it.", name=fleet_words.title(row))
            self._begin(news=text)

        page.asked.connect(lambda: self._lane.call(partial(devices.remove, self._session, row.name), done, page.refuse))
        self._window.show_over(page)

    def _compare(self) -> None:
        page = ComparePage(may_copy=Role.ADMINISTRATOR in self._session.greeting.roles)
        page.left.connect(self._window.back)

        def ask() -> None:
            self._lane.call(partial(devices.compare, self._session), page.show_fleet, page.refuse)

        page.compare_asked.connect(ask)
        page.copy_asked.connect(lambda key, name: self._copy(checked(ClusterKey, key), name))
        if self._fleet is not None:
            page.show_fleet(self._fleet)
        self._window.show_over(page)

    def _copy(self, key: ClusterKey, name: str) -> None:
        """Under a wrapping key that both hold: an order, which custodians decide about."""
        values = {"key": key.object_id, "device": name}
        then = tr("The custodians are asked. The key is copied only after they have approved, and read back there.")
        page = CheckPage(tr("Copy a key to another module"), words.values(values, {key.object_id: key.label}), then)
        page.left.connect(self._window.back)
        page.change_asked.connect(self._window.back)

        def opened(order: OrderView) -> None:
            self.go_asked.emit("orders", order.id)

        ask = partial(orders.open_order, self._session, REPLICATE, values)
        page.confirmed.connect(lambda: self._lane.call(ask, opened, page.refuse))
        self._window.show_over(page)
