"""The road of the keys: inventory, one key, and the forms that end in an order."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hsm_console.client import audit, devices, keys, orders, work
from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import Usage
from hsm_console.domain.messages.audit import EntryPage
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.devices import FleetView
from hsm_console.domain.messages.orders import OrderKindView, OrderView
from hsm_console.domain.messages.work import DESTROY_KEY, GENERATE_KEYS, UNWRAP_KEY, WRAP_KEY, KeyOffer
from hsm_console.domain.people import Role
from ui.desk import Desk
from ui.files import read
from ui.keys import certificate
from ui.keys.ending import DestroyPage
from ui.keys.key import SHOWN, KeyPage
from ui.keys.leaving import UnwrapPage, WrapPage
from ui.keys.making import MakePage
from ui.keys.page import KeysPage
from ui.orders import words
from ui.orders.check import CheckPage
from ui.road import Road
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import checked, taking

WRAPPED_MOST = 64 * 1024
USERS = {Role.ADMINISTRATOR, Role.EXECUTIVE}  # who sees the way to their use; the gateway asks its own table


class KeyRoad(Road):
    def __init__(self, window: Window, desk: Desk, about: object = None) -> None:  # noqa: ARG002 - as its sisters
        super().__init__(window, desk)
        self._keys: list[KeyView] = []
        self._may: frozenset[str] = frozenset()
        self.inventory()

    def look(self) -> None:
        page = self._window.page
        if isinstance(page, KeysPage):
            self._look_at(page)

    # -- the inventory ---------------------------------------------------------------------------------------

    def inventory(self) -> None:
        page = KeysPage()
        page.ceremonies_asked.connect(self.home_asked)
        page.refresh_asked.connect(partial(self._look_at, page))
        page.opened.connect(taking(KeyView, self._key))
        page.make_asked.connect(partial(self._make, {}))
        page.bring_asked.connect(self._bring)
        page.offer(self._may)
        self._window.show_page(page)
        self._look_at(page)
        self._lane.call(partial(orders.kinds, self._session), partial(self._offer, page), lambda _problem: None)

    def _offer(self, page: KeysPage, kinds: list[OrderKindView]) -> None:
        self._may = frozenset(kind.action for kind in kinds if kind.may_open)
        page.offer(self._may)

    def _look_at(self, page: KeysPage) -> None:
        def came(found: list[KeyView]) -> None:
            self._keys = found
            page.show_keys(found)

        self._lane.call(partial(keys.listed, self._session), came, page.refuse)

    # -- one key ---------------------------------------------------------------------------------------------

    def _key(self, key: KeyView) -> None:
        page = KeyPage(key, self._may, may_use=bool(USERS & set(self._session.greeting.roles)))
        page.left.connect(self._window.back)
        page.use_asked.connect(lambda: self.go_asked.emit("use", key))
        page.destroy_asked.connect(partial(self._destroy, key))
        page.wrap_asked.connect(partial(self._wrap, key))
        page.save_asked.connect(partial(self._save, page, page.saved))
        page.receipt_asked.connect(self._receipt)
        page.history_asked.connect(partial(self._history, page))
        self._window.show_over(page)
        session = self._session
        self._lane.call(partial(work.detail, session, key.object_id), page.show_detail, page.refuse_detail)
        if key.certificate_pem:
            self._lane.call(partial(certificate.facts, key.certificate_pem), page.show_certificate, page.tell)
        if key.fingerprint:
            self._lane.call(partial(devices.listed, session), partial(_holders, page), lambda _problem: None)

    def _history(self, page: KeyPage) -> None:
        def came(found: EntryPage) -> None:
            page.show_history(found.rows, more=found.more)

        ask = partial(audit.entries, self._session, text=page.key.label, limit=SHOWN)
        self._lane.call(ask, came, page.refuse_history)

    # -- orders ----------------------------------------------------------------------------------------------

    def _make(self, values: dict[str, str]) -> None:
        page = self._window.page

        def came(offers: list[KeyOffer]) -> None:
            form = MakePage(offers, values)
            form.left.connect(self._window.back)
            form.filled.connect(partial(self._check_making, form))
            self._window.show_over(form)

        self._lane.call(partial(work.offers, self._session), came, page.tell)

    def _check_making(self, form: MakePage, filled: object) -> None:
        values = checked(dict, filled)
        then = tr("The custodians are asked. When enough of them have approved, an administrator starts the work, and "
                  "it can be stopped and resumed.")  # fmt: skip
        self._check(form.title, GENERATE_KEYS, values, then)

    def _destroy(self, key: KeyView) -> None:
        def ask(page: DestroyPage, left_in: object) -> None:
            leave = ",".join(checked(tuple, left_in))
            self._open(DESTROY_KEY, {"key": key.object_id} | ({"leave": leave} if leave else {}), page.refuse)

        def came(fleet: FleetView) -> None:
            page = DestroyPage(key, tuple(row for row in fleet.devices if not row.primary))
            page.left.connect(self._window.back)
            page.asked.connect(partial(ask, page))
            self._window.show_over(page)

        self._lane.call(partial(devices.listed, self._session), came, self._window.page.tell)

    def _wrap(self, key: KeyView) -> None:
        form = WrapPage(key, [k for k in self._wrapping() if k.object_id != key.object_id])
        form.left.connect(self._window.back)
        then = tr("The custodians are asked. The wrapped copy is made only after they have approved.")
        form.filled.connect(lambda filled: self._check(form.title, WRAP_KEY, checked(dict, filled), then))
        self._window.show_over(form)

    def _bring(self) -> None:
        def shown(offers: list[KeyOffer]) -> None:
            form = UnwrapPage(self._wrapping(), offers)
            form.left.connect(self._window.back)
            form.filled.connect(partial(self._check_bringing, form))
            self._window.show_over(form)

        self._lane.call(partial(work.offers, self._session), shown, self._window.page.tell)

    def _check_bringing(self, form: UnwrapPage, filled: object, path: object) -> None:
        values = checked(dict, filled)
        then = tr("The custodians are asked. The key comes in only after they have approved.")

        def came(data: bytes) -> None:
            whole = values | {"wrapped": base64.b64encode(data).decode()}
            self._check(form.title, UNWRAP_KEY, whole, then)

        self._lane.call(partial(read, checked(Path, path), WRAPPED_MOST), came, form.refuse_file)

    def _wrapping(self) -> list[KeyView]:
        able = (k for k in self._keys if Usage.WRAP in k.attributes.usages and k.state == "active")
        return [k for k in able if not k.purpose]

    def _check(self, what: str, action: str, values: dict[str, str], then: str) -> None:
        labels = {key.object_id: key.label for key in self._keys}
        workspace = self._session.greeting.workspace
        where = workspace.environment + (tr(" (simulation: nothing made is a real key)") if workspace.simulated else "")
        page = CheckPage(what, words.values(values, labels), then, where=where)
        page.left.connect(self._window.back)
        page.change_asked.connect(self._window.back)
        page.confirmed.connect(lambda: self._open(action, values, page.refuse))
        self._window.show_over(page)

    def _open(self, action: str, values: dict[str, str], refused: Callable[[Problem], None]) -> None:
        def opened(order: OrderView) -> None:
            self.go_asked.emit("orders", order.id)

        self._lane.call(partial(orders.open_order, self._session, action, values), opened, refused)


def _holders(page: KeyPage, fleet: FleetView) -> None:
    found = next((k for k in fleet.keys if k.fingerprint == page.key.fingerprint), None)
    if found is not None:
        page.show_holders(found.members, found.missing)
