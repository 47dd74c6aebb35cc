"""The right side of the log's page: the record, the verification, the receipt, one of them at a time."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QButtonGroup, QFrame, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import ReceiptView
from ui.audit.detail import DetailPanel
from ui.audit.receipt import ReceiptPanel
from ui.audit.verification import VerificationPanel
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, row
from ui.widgets.problem import ProblemPanel

RECORD, VERIFICATION, RECEIPT = range(3)


class SidePanel(QFrame):
    def __init__(self) -> None:
        super().__init__()
        self.setProperty("look", "card")
        self.detail = DetailPanel()
        self.verification = VerificationPanel()
        self.receipt: ReceiptPanel | None = None
        self.problem = ProblemPanel()
        self._stack = QStackedWidget()
        self._areas = [_scrolled(self.detail), _scrolled(self.verification), _scrolled(QWidget())]
        for area in self._areas:
            self._stack.addWidget(area)
        self._tabs = QButtonGroup(self)
        self._links = [button(text, "link") for text in (tr("Record"), tr("Verification"), tr("Receipt"))]
        for number, link in enumerate(self._links):
            link.setCheckable(True)
            self._tabs.addButton(link, number)
        self._tabs.idClicked.connect(self.turn)
        box = QVBoxLayout(self)
        edge = engine().px(18)
        box.setContentsMargins(edge, engine().px(10), engine().px(8), engine().px(10))
        box.addLayout(row(*self._links, spacing=4))
        box.addWidget(self.problem)
        box.addWidget(self._stack, 1)
        for link in self._links[VERIFICATION:]:
            link.hide()
        self._links[RECORD].hide()
        self.turn(RECORD)

    @property
    def shown(self) -> int:
        return self._stack.currentIndex()

    def turn(self, side: int) -> None:
        """side: RECORD, VERIFICATION or RECEIPT."""
        self._stack.setCurrentIndex(side)
        if side != RECORD:
            self._links[RECORD].show()
            self._links[side].show()
        for number, link in enumerate(self._links):
            link.setChecked(number == side)
            name = link.text()
            link.setAccessibleName(tr("{name}, shown", name=name) if number == side else name)

    def show_receipt(self, receipt: ReceiptView) -> ReceiptPanel:
        self.receipt = ReceiptPanel(receipt)
        _fill(self._areas[RECEIPT], self.receipt)
        self.turn(RECEIPT)
        return self.receipt

    def tell(self, problem: Problem) -> None:
        self.problem.tell(problem)
        self.problem.setFocus()


def _scrolled(content: QWidget) -> QScrollArea:
    """Scrolls up and down only; what it holds is as wide as it is."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setAccessibleName(tr("Details"))
    _fill(area, content)
    return area


def _fill(area: QScrollArea, content: QWidget) -> None:
    content.setObjectName("inset")
    area.setWidget(content)
    area.viewport().setAutoFillBackground(False)
    content.setAutoFillBackground(False)
