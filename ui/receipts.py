"""A page with one receipt, from wherever somebody wants proof of what was done."""

from __future__ import annotations

from PySide6.QtCore import Signal

from hsm_console.domain.messages.ceremony import ReceiptView
from ui.audit.receipt import ReceiptPanel
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button


class ReceiptPage(Page):
    left = Signal()

    def __init__(self, receipt: ReceiptView) -> None:
        super().__init__(tr("Receipt"), tr("Take it with you: it proves what was recorded, without this workstation."))
        self.panel = ReceiptPanel(receipt)
        self.add(self.panel)
        back = button(tr("&Back"))
        back.clicked.connect(self.left)
        self.aside(back)
        self.first = back
