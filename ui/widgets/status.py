"""The line at the bottom: who is logged in, the device, the log's head, the workstation's clock."""

from __future__ import annotations

import time

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout

from hsm_console.domain.messages.audit import Head
from hsm_console.domain.messages.session import DeviceState
from ui import texts
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import label


class StatusArea(QFrame):
    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("status")
        self._people = label(tr("Nobody is logged in"))
        self._device = label("")
        self._log = label("")
        self._clock = label("")
        box = QHBoxLayout(self)
        box.setContentsMargins(engine().px(24), engine().px(7), engine().px(24), engine().px(7))
        box.setSpacing(engine().px(28))
        for part in (self._people, self._device, self._log, self._clock):
            part.setWordWrap(False)
            box.addWidget(part)
        box.insertStretch(1, 1)
        self._timer = QTimer(self)
        self._timer.setInterval(1000)
        self._timer.timeout.connect(self._tick)
        self._timer.start()
        self._tick()

    def show_people(self, people: list[str]) -> None:
        text = tr("Logged in: {names}", names=texts.names(people)) if people else tr("Nobody is logged in")
        self._people.setText(text)

    def show_device(self, state: DeviceState | None) -> None:
        if state is None:
            self._device.setText("")
        elif state.busy_with:
            self._device.setText(tr("Module at work: {what}", what=state.busy_with))
        else:
            self._device.setText(tr("Module unlocked") if state.unlocked else tr("Module locked"))

    def show_head(self, head: Head | None) -> None:
        if head is None:
            self._log.setText("")
            return
        open_tail = head.size - head.checkpoint_size
        said = tr("all signed") if open_tail <= 0 else tr("{n} not yet signed", n=open_tail)
        self._log.setText(tr("Log: {size} entries, {said}", size=head.size, said=said))

    def freeze_clock(self, text: str) -> None:
        """For pictures: one fixed time instead of the running one."""
        self._timer.stop()
        self._clock.setText(text)

    def _tick(self) -> None:
        self._clock.setText(tr("Workstation {time}", time=texts.clock(time.time_ns() // 1_000_000)))
