"""Check and confirm: every value of what is asked for, Change beside each, before anything is recorded."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal

from hsm_console.domain.errors import Problem
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, marked, pairs, row
from ui.widgets.busy import BusyButton


class CheckPage(Page):
    confirmed = Signal()
    change_asked = Signal()
    left = Signal()

    def __init__(
        self,
        what: str,
        items: list[tuple[str, str]],
        then: str,
        *,
        ask: str = "",
        where: str = "",
        fixed: tuple[str, ...] = (),
    ) -> None:
        """items: names and values; then: what follows; ask: the main button's words; where: the environment.

        fixed: names whose values follow from others and have no Change of their own.
        """
        super().__init__(tr("Check and confirm"), tr("Nothing has been done yet."), eyebrow=what)
        frame, box = card()
        if where:
            box.addWidget(pairs([(tr("Environment"), where)]))
        for name, value in items:
            if name in fixed:
                box.addWidget(pairs([(name, value)]))
                continue
            change = button(tr("Change"), name=tr("Change: {what}", what=name))
            change.clicked.connect(self.change_asked)
            said = pairs([(name, value)])
            line = row(said, change, stretch_last=True)
            line.setAlignment(said, Qt.AlignmentFlag.AlignVCenter)
            line.setStretch(0, 1)
            box.addLayout(line)
        self.add(frame)
        self.add(marked("people" if not ask else "pen", "accent", label(then)))
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(ask or tr("&Ask the custodians"))
        self.main.pressed.connect(self._go)
        self.aside(self.back)
        self.act(self.main)
        self.first = self.back

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _go(self) -> None:
        self.main.start()
        self.confirmed.emit()
