"""The window: banner, header with places, one page (with the road beside it in a ceremony), status line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMainWindow, QPushButton, QVBoxLayout, QWidget

from hsm_console.domain.messages.session import Workspace
from ui.shell.focus import neighbour
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.theme.tokens import SCALES
from ui.widgets.banner import Banner
from ui.widgets.basics import button, label, restyle
from ui.widgets.rail import Rail
from ui.widgets.status import StatusArea

SIZE = (1280, 860)
PLACES = (
    "home",
    "audit",
    "keys",
    "use",
    "orders",
    "people",
    "device",
)  # in the order of their tabs, Control 1 and so on


class Window(QMainWindow):
    """It shows pages and knows none of them."""

    place_asked = Signal(str)  # one of PLACES
    log_off_asked = Signal()
    person_asked = Signal()  # somebody else logs in beside those who are here
    watch_asked = Signal()  # a second window that only watches
    closing = Signal()  # accepted; the application ends

    def __init__(self, reasons_to_stay: Callable[[], tuple[str, ...]]) -> None:
        super().__init__()
        self._reasons_to_stay = reasons_to_stay
        self.setWindowTitle("HSM Console")
        self.resize(*SIZE)
        self.banner, self.status, self.rail = Banner(), StatusArea(), Rail()
        self._page: Page | None = None
        self._under: list[Page] = []
        self.header = self._make_header()
        middle = QHBoxLayout()
        middle.setContentsMargins(0, 0, 0, 0)
        middle.setSpacing(0)
        middle.addWidget(self.rail)
        self._place = QVBoxLayout()
        self._place.setContentsMargins(0, 0, 0, 0)
        middle.addLayout(self._place, 1)
        root = QWidget()
        root.setObjectName("window")
        box = QVBoxLayout(root)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(0)
        for part in (self.banner, self.header):
            box.addWidget(part)
        box.addLayout(middle, 1)
        box.addWidget(self.status)
        self.setCentralWidget(root)
        self.rail.hide()
        self.show_places(shown=False)
        self._shortcuts()

    @property
    def page(self) -> Page:
        """Raises LookupError before the first page."""
        if self._page is None:
            raise LookupError("no page is shown yet")
        return self._page

    def show_page(self, page: Page, *, rail: bool = False) -> None:
        """Put a page in place of all that were shown, which are deleted."""
        gone = [p for p in (*self._under, self._page) if p is not None and p is not page]
        self._under = []
        self.rail.setVisible(rail)
        self._put(page)
        for old in gone:
            self._place.removeWidget(old)
            old.hide()
            old.deleteLater()

    def show_over(self, page: Page) -> None:
        """Put a page over the present one, which keeps everything that was typed into it."""
        self._under.append(self.page)
        self.page.hide()
        self._put(page)

    def back(self) -> None:
        """Take the uppermost page away; harmless when there is only one."""
        if not self._under:
            return
        top, below = self.page, self._under.pop()
        self._place.removeWidget(top)
        top.hide()
        top.deleteLater()
        self._put(below)

    def back_to_bottom(self) -> None:
        while self._under:
            self.back()

    def _put(self, page: Page) -> None:
        self._page = page
        self._place.addWidget(page)
        page.show()
        self.setWindowTitle(f"{page.title} – HSM Console")
        first = page.first
        if first is not None:
            first.setFocus()
            QTimer.singleShot(0, page, lambda: page.reveal(first))

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab follows the reading order of what is shown now, however the page came to look like this."""
        root = self.centralWidget()
        found = neighbour(root, self.focusWidget(), forward=forward) if root is not None else None
        if found is None:
            return False
        found.setFocus(Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason)
        if self._page is not None:
            self._page.reveal(found)
        return True

    def show_workspace(self, workspace: Workspace) -> None:
        self.banner.tell(workspace)
        self._name.setText(workspace.name)

    def show_places(self, *, shown: bool) -> None:
        for made in self._places.values():
            made.setVisible(shown)
        self._witness.setVisible(shown)
        self._other.setVisible(shown)
        self._off.setVisible(shown)

    def show_place(self, place: str) -> None:
        """Mark the tab of the place where one is; empty: none of them."""
        for name, made in self._places.items():
            here = name == place
            made.setProperty("here", "true" if here else "false")
            made.setAccessibleDescription(tr("You are here.") if here else "")
            restyle(made)

    def closeEvent(self, event: QCloseEvent) -> None:
        """While something irreversible runs the window stays, and says why."""
        reasons = self._reasons_to_stay()
        if reasons:
            event.ignore()
            from hsm_console.domain.errors import Problem

            self.page.tell(
                Problem(
                    code="window-stays",
                    what=tr("The window stays open now."),
                    key_state=" ".join(reasons),
                    todo=tr("Wait until the module has answered; then close it."),
                )
            )
            return
        event.accept()
        self.closing.emit()

    def _make_header(self) -> QFrame:
        """Whose workspace and who may leave it; below, the places. Two lines, so that large text fits a screen."""
        frame = QFrame()
        frame.setObjectName("header")
        self._name = label("HSM Console", "label")
        self._name.setWordWrap(False)
        self._theme = button(tr("Theme"), "link", name=tr("Next theme, Control T"))
        self._theme.clicked.connect(engine().next_theme)
        self._witness = button(tr("Witness window"), "link", name=tr("Open a witness window, Control O"))
        self._witness.clicked.connect(self.watch_asked)
        self._other = button(tr("Another person"), "link", name=tr("Another person logs in, Control N"))
        self._other.clicked.connect(self.person_asked)
        self._off = button(tr("Log off"), "link", name=tr("Log off, Control L"))
        self._off.clicked.connect(self.log_off_asked)
        above = QHBoxLayout()
        above.addSpacing(engine().px(12))  # as much as a tab has around its words
        above.addWidget(self._name)
        above.addStretch(1)
        for made in (self._theme, self._witness, self._other, self._off):
            above.addWidget(made)
        tabs = self._make_tabs()
        box = QVBoxLayout(frame)
        box.setContentsMargins(engine().px(12), engine().px(6), engine().px(16), 0)
        box.setSpacing(engine().px(2))
        box.addLayout(above)
        box.addLayout(tabs)
        return frame

    def _make_tabs(self) -> QHBoxLayout:
        titles = {
            "home": tr("Overview"),
            "audit": tr("Log"),
            "keys": tr("Keys"),
            "use": tr("Use a key"),
            "orders": tr("Orders"),
            "people": tr("People"),
            "device": tr("Modules"),
        }
        self._places: dict[str, QPushButton] = {}
        tabs = QHBoxLayout()
        tabs.setContentsMargins(0, 0, 0, 0)
        tabs.setSpacing(engine().px(4))
        for n, name in enumerate(PLACES, 1):
            made = button(titles[name], "tab", name=tr("{title}, Control {n}", title=titles[name], n=n))
            made.clicked.connect(lambda _checked=False, name=name: self.place_asked.emit(name))
            self._places[name] = made
            tabs.addWidget(made)
        tabs.addStretch(1)
        return tabs

    def _shortcuts(self) -> None:
        keys: dict[str, Callable[[], object]] = {
            f"Ctrl+{n}": partial(self._go, name) for n, name in enumerate(self._places, 1)
        }
        keys["Ctrl+T"] = engine().next_theme
        keys["Ctrl+L"] = self._log_off
        keys["Ctrl+N"] = self._another
        keys["Ctrl+O"] = self._watch
        keys["Ctrl++"] = lambda: self._zoom(+1)
        keys["Ctrl+="] = lambda: self._zoom(+1)
        keys["Ctrl+-"] = lambda: self._zoom(-1)
        for sequence, act in keys.items():
            QShortcut(QKeySequence(sequence), self).activated.connect(act)

    def _go(self, name: str) -> None:
        if not self._places[name].isHidden():
            self.place_asked.emit(name)

    def _another(self) -> None:
        if not self._other.isHidden():
            self.person_asked.emit()

    def _watch(self) -> None:
        if not self._witness.isHidden():
            self.watch_asked.emit()

    def _log_off(self) -> None:
        if not self._off.isHidden():
            self.log_off_asked.emit()

    def _zoom(self, by: int) -> None:
        at = SCALES.index(engine().scale) + by
        if 0 <= at < len(SCALES):
            engine().zoom(SCALES[at])
