"""One module: how it is, what it is, what is known of its PIN, what it was asked and how long that took."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.messages.devices import DeviceRow
from hsm_console.domain.messages.session import DeviceState
from ui.devices import fleet_words as words
from ui.devices.words import pin_state, self_description
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, pairs
from ui.widgets.busy import BusyButton
from ui.widgets.facts import Facts
from ui.widgets.fold import technical
from ui.widgets.problem import ProblemPanel, notice

_LINES = 12


class DevicePage(Page):
    """It is told again and again while it is shown: texts change in place, folds stay open, no focus moves."""

    unlock_asked = Signal()
    lock_asked = Signal()
    probe_asked = Signal()
    remove_asked = Signal()
    add_asked = Signal()
    compare_asked = Signal()
    left = Signal()

    def __init__(self, row: DeviceRow, *, alone: bool, may: frozenset[str], news: str = "") -> None:
        """alone: the workspace has no other module; may: of change, lock, compare. The gateway checks it again."""
        lead = tr("The hardware that holds the keys, as it is known now.")
        super().__init__(words.title(row), lead, eyebrow=tr("Module"))
        self.row, self._alone, self._may = row, alone, may
        self._state: DeviceState | None = None
        if news:
            self.add(notice(news, look="done", icon="check", colour="good"))
        self._above, self._trouble, self._pin = QVBoxLayout(), QVBoxLayout(), QVBoxLayout()
        for part in (self._above, self._trouble, self._pin):
            self.add(part)
        frame, box = card()
        self.facts = Facts()
        box.addWidget(self.facts)
        self._calls = technical("", tr("What it was asked, and how long that took"), lines=_LINES)
        self._figures = self._calls.findChild(QPlainTextEdit)
        if isinstance(self._figures, QPlainTextEdit):
            self._figures.setFixedHeight(engine().px(22 * _LINES))
        box.addWidget(self._calls)
        self.add(frame)
        self._own = QVBoxLayout()
        self.add(self._own)
        self._told: tuple[object, ...] = ()
        self._acts()
        self.show_row(row)

    @property
    def name(self) -> str:
        """Its name on the wire."""
        return self.row.name

    def show_row(self, row: DeviceRow) -> None:
        """How it is now."""
        for working in (self.lock, self.probe):
            working.stop()
        self.row = row
        told = (words.state(row), row.problem, row.simulated, row.untested_on_hardware)
        if told != self._told:
            self._told = told
            self._tell_above()
        self.facts.tell(words.facts(row))
        figures = words.metrics(row.calls)
        if isinstance(self._figures, QPlainTextEdit) and self._figures.toPlainText() != figures:
            self._figures.setPlainText(figures)
        self._tell_pin()
        self._offer()

    def show_state(self, state: DeviceState) -> None:
        """What it says of itself, and of its PIN; only the first module is asked for that much."""
        if state == self._state:
            return
        self._state = state
        clear(self._own)
        if state.device is not None:
            self._describe(state.device)
        self._tell_pin()
        self._offer()

    def refuse(self, problem: Problem) -> None:
        for working in (self.lock, self.probe):
            working.stop()
        self.tell(problem)

    # -- parts -----------------------------------------------------------------------------------------------

    def _acts(self) -> None:
        self.back = button(tr("&Back to the modules"))
        self.back.clicked.connect(self.left)
        self.more = button(tr("Add another &module…"))
        self.more.clicked.connect(self.add_asked)
        self.compare = button(tr("&Compare its keys…"))
        self.compare.clicked.connect(self.compare_asked)
        self.remove = button(tr("&Take it off the list…"))
        self.remove.clicked.connect(self.remove_asked)
        self.probe = BusyButton(tr("&Ask it now"), "")
        self.probe.pressed.connect(lambda: self._begin(self.probe))
        self.lock = BusyButton(tr("&Lock it"), "")
        self.lock.pressed.connect(lambda: self._begin(self.lock))
        self.unlock = button(tr("&Unlock it…"), "act")
        self.unlock.clicked.connect(self.unlock_asked)
        self.aside(self.back, self.more, self.compare)
        self.act(self.remove, self.probe, self.lock, self.unlock)
        self.back.setVisible(not self._alone)
        self.more.setVisible(self._alone and "change" in self._may)
        self.compare.setVisible(self._alone and "compare" in self._may)
        self.remove.setVisible("change" in self._may and not self.row.primary)
        self.probe.setVisible("lock" in self._may)
        self.first = self._where_to_begin()

    def _where_to_begin(self) -> QWidget | None:
        """In the bar, which is always seen: a page that began at its fold would be scrolled past what it tells."""
        if "lock" in self._may:
            return self.probe
        if not self.row.unlocked:
            return self.unlock
        return self.back if not self._alone else self.compare if "compare" in self._may else None

    def _begin(self, pressed: BusyButton) -> None:
        self.problem.clear()
        pressed.start()
        (self.probe_asked if pressed is self.probe else self.lock_asked).emit()

    def _tell_above(self) -> None:
        clear(self._above)
        clear(self._trouble)
        said = words.state(self.row)
        self._above.addWidget(notice(said.words, look=said.look, icon=said.icon, colour=said.colour))
        if self.row.simulated:
            text = tr("This is a simulation. What it makes are not real keys, and its evidence is of grade D.")
            self._above.addWidget(notice(text, icon="simulation"))
        if self.row.untested_on_hardware:
            text = tr("The adapter for this kind of module has not been tried on the hardware itself yet.")
            self._above.addWidget(notice(text))
        if self.row.problem is not None:
            panel = ProblemPanel()
            panel.tell(self.row.problem)
            self._trouble.addWidget(panel)

    def _tell_pin(self) -> None:
        """Before anybody types it."""
        clear(self._pin)
        if self._state is None or self._state.device is None:
            return
        pin = pin_state(self._state.device)
        if not self.row.unlocked or pin.locked:
            self._pin.addWidget(notice(pin.words, look=pin.look, icon=pin.icon, colour=pin.colour))

    def _offer(self) -> None:
        device = self._state.device if self._state is not None else None
        with self.focus_kept():
            self.unlock.setVisible(not self.row.unlocked)
            self.first = self._where_to_begin()
            self.unlock.setEnabled(device is None or not device.user_pin_locked)
            self.lock.setVisible(self.row.unlocked and "lock" in self._may)
            self.lock.set_allowed(not self.row.busy_with)

    def _describe(self, device: DeviceInfo) -> None:
        frame, box = card()
        box.addWidget(label(tr("What it says of itself"), "heading"))
        box.addWidget(pairs(self_description(device)))
        for remark in device.remarks:
            box.addWidget(label(remark, "hint"))
        limits = "\n".join(f"{name}: {value}" for name, value in sorted(device.limits.items()))
        details = f"adapter: {device.adapter}\n{limits}\n\n" + "\n".join(sorted(device.mechanisms))
        box.addWidget(technical(details.strip(), tr("Mechanisms and limits"), lines=10))
        self._own.addWidget(frame)
