"""The module: what it is, whether it is unlocked, what is known of its PIN."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout

from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.messages.session import DeviceState
from ui.devices.words import facts, pin_state
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, pairs
from ui.widgets.busy import BusyButton
from ui.widgets.fold import technical
from ui.widgets.problem import ProblemPanel, notice


class DevicePage(Page):
    unlock_asked = Signal()
    lock_asked = Signal()
    refresh_asked = Signal()

    def __init__(self) -> None:
        super().__init__(tr("The module"), tr("The hardware that holds the keys, as it describes itself now."))
        self._box = QVBoxLayout()
        self._box.setSpacing(engine().px(18))
        self.add(self._box)
        self.refresh = BusyButton(tr("Look &again"), "")
        self.refresh.pressed.connect(self._look_again)
        self.unlock = button(tr("&Unlock…"), "act")
        self.unlock.clicked.connect(self.unlock_asked)
        self.lock = BusyButton(tr("&Lock the module"), "")
        self.lock.pressed.connect(self._lock)
        self.aside(self.refresh)
        self.act(self.lock, self.unlock)
        self.first = self.refresh
        self.show_state(None)

    def show_state(self, state: DeviceState | None) -> None:
        """state None: nobody has answered yet."""
        for working in (self.lock, self.refresh):
            working.stop()
        self.problem.clear()
        clear(self._box)
        self._offer(state)
        if state is None:
            self._box.addWidget(label(tr("Asking the gateway."), "hint"))
            return
        said = tr("Unlocked: keys can be used.") if state.unlocked else tr("Locked: no key can be used.")
        look, colour = ("done", "good") if state.unlocked else ("notice", "warn")
        self._box.addWidget(notice(said, look=look, icon="unlock" if state.unlocked else "lock", colour=colour))
        if state.problem is not None:
            panel = ProblemPanel()
            panel.tell(state.problem)
            self._box.addWidget(panel)
        if state.device is None:
            text = tr("No module has described itself. Connect it, then look again.")
            self._box.addWidget(label(text, "hint"))
            return
        self._describe(state.device, state.busy_with, unlocked=state.unlocked)

    def _offer(self, state: DeviceState | None) -> None:
        unlocked = state is not None and state.unlocked
        usable = state is not None and not (state.device is not None and state.device.user_pin_locked)
        self.unlock.setVisible(state is not None and not unlocked)
        self.unlock.setEnabled(usable)
        self.lock.setVisible(unlocked)
        self.lock.set_allowed(state is not None and not state.busy_with)

    def _describe(self, device: DeviceInfo, busy: str, *, unlocked: bool) -> None:
        if device.simulated:
            text = tr("This is a simulation. What it makes are not real keys, and its evidence is of grade D.")
            self._box.addWidget(notice(text, icon="simulation"))
        pin = pin_state(device)
        if not unlocked or pin.locked:
            self._box.addWidget(notice(pin.words, look=pin.look, icon=pin.icon, colour=pin.colour))
        frame, box = card()
        box.addWidget(pairs(facts(device, busy)))
        for remark in device.remarks:
            box.addWidget(label(remark, "hint"))
        if device.untested_on_hardware:
            text = tr("The adapter for this kind of module has not been tried on the hardware itself yet.")
            box.addWidget(label(text, "hint"))
        limits = "\n".join(f"{name}: {value}" for name, value in sorted(device.limits.items()))
        names = "\n".join(sorted(device.mechanisms))
        details = f"adapter: {device.adapter}\n{limits}\n\n{names}".strip()
        box.addWidget(technical(details, tr("Mechanisms and limits"), lines=10))
        self._box.addWidget(frame)

    def _lock(self) -> None:
        self.lock.start()
        self.lock_asked.emit()

    def _look_again(self) -> None:
        self.refresh.start()
        self.refresh_asked.emit()
