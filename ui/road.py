"""What the roads of the work pages share: asking through a lane, saving copies, showing a receipt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from hsm_console.client import audit
from hsm_console.domain.messages.ceremony import ReceiptView
from ui.desk import Desk
from ui.receipts import ReceiptPage
from ui.saving import write
from ui.shell.page import Page
from ui.shell.window import Window
from ui.typed import checked

if TYPE_CHECKING:
    from hsm_console.client.session import Session


class Road(QObject):
    """One place of the window: which page, and what it asks. Pages know nothing of the client."""

    home_asked = Signal()
    go_asked = Signal(str, object)  # another place, and what about it

    def __init__(self, window: Window, desk: Desk) -> None:
        super().__init__(window)
        self._window, self._desk, self._lane = window, desk, desk.lane()

    def leave(self) -> None:
        self._lane.forget()

    def look(self) -> None:
        """The log grew."""

    def beat(self) -> None:
        """Somebody is at the screen, and a moment has passed: for what changes without an entry in the log."""

    @property
    def _session(self) -> Session:
        return self._desk.book.acting

    def _save(
        self, page: Page, then: Callable[[Path], None], data: bytes | str, path: object, private: bool = False
    ) -> None:
        """private: it is nobody else's to read."""
        octets = data.encode() if isinstance(data, str) else data
        self._lane.call(partial(write, checked(Path, path), octets, private=private), then, page.tell)

    def _receipt(self, entry: int) -> None:
        """Make a receipt for an entry and show it over the present page."""
        page = self._window.page
        self._lane.call(partial(audit.make_receipt, self._session, entry), self._show_receipt, page.tell)

    def _show_receipt(self, found: ReceiptView) -> None:
        page = ReceiptPage(found)
        page.left.connect(self._window.back)

        def save(entry: int, form: str, path: object) -> None:
            session, where = self._session, checked(Path, path)
            self._lane.call(lambda: write(where, audit.receipt_file(session, entry, form)), page.panel.saved, page.tell)

        page.panel.save_asked.connect(save)
        self._window.show_over(page)
