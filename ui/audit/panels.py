"""The right side of the log's page: the record, the verification, the receipt, one of them at a time."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QFrame, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

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
_LEAST = 160


class SidePanel(QFrame):
    def __init__(self) -> None:
        super().__init__()
        self.setProperty("look", "card")
        self.detail = DetailPanel()
        self.verification = VerificationPanel()
        self.receipt: ReceiptPanel | None = None
        self.problem = ProblemPanel()
        self._stack = QStackedWidget()
        self._areas = [_Area(self.detail), _Area(self.verification), _Area(QWidget())]
        for area in self._areas:
            self._stack.addWidget(area)
        self._links = [
            button(text, "link")
            for text in (tr("Back to the record"), tr("Show the verification"), tr("Show the receipt"))
        ]
        for side, link in enumerate(self._links):
            link.clicked.connect(partial(self._follow, side))
        self._there = {RECORD}
        box = QVBoxLayout(self)
        edge = engine().px(18)
        box.setContentsMargins(edge, engine().px(10), engine().px(8), engine().px(10))
        box.addLayout(row(*self._links, spacing=4))
        box.addWidget(self.problem)
        box.addWidget(self._stack, 1)
        self.turn(RECORD)

    @property
    def shown(self) -> int:
        return self._stack.currentIndex()

    def turn(self, side: int) -> None:
        """side: RECORD, VERIFICATION or RECEIPT."""
        self._stack.setCurrentIndex(side)
        self._there.add(side)
        for number, link in enumerate(self._links):
            link.setVisible(number in self._there and number != side)

    def show_receipt(self, receipt: ReceiptView) -> ReceiptPanel:
        self.receipt = ReceiptPanel(receipt)
        self._areas[RECEIPT].fill(self.receipt)
        self.turn(RECEIPT)
        return self.receipt

    def _follow(self, side: int, _checked: bool = False) -> None:
        self.turn(side)
        self._areas[side].setFocus()

    def tell(self, problem: Problem) -> None:
        self.problem.tell(problem)
        self.problem.setFocus()


class _Area(QScrollArea):
    """What it holds is as wide as it is, and asks for no height of its own; a large code may be scrolled."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setObjectName("inset")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setAccessibleName(tr("Details"))
        self.setStyleSheet("QScrollArea#inset, QWidget#inside { background: transparent; border: none; }")
        self.fill(content)

    def fill(self, content: QWidget) -> None:
        content.setObjectName("inside")
        edges = content.layout()
        if edges is not None:
            edges.setContentsMargins(0, 0, engine().px(12), 0)
        self.setWidget(content)

    def sizeHint(self) -> QSize:
        return QSize(engine().px(_LEAST), engine().px(_LEAST))
