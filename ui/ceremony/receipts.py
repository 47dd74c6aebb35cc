"""The receipt: shown, printed, and read back, so that what is on paper is what is in the log."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from hsm_console.domain.messages.ceremony import Confirmed, ReceiptView, ScannedReceipt
from ui.ceremony.step_page import StepPage
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, label, row
from ui.widgets.field import FormField
from ui.widgets.fold import technical
from ui.widgets.problem import notice
from ui.widgets.qr import QrCard


class ReceiptCard(QWidget):
    """One receipt: picture, words, where its files lie, printing."""

    paper_asked = Signal(int)  # open the PDF of the receipt for this entry
    copy_asked = Signal(int)  # save a copy elsewhere

    def __init__(self, receipt: ReceiptView) -> None:
        super().__init__()
        frame, box = card()
        box.addWidget(label(receipt.title, "heading"))
        said = tr("Entry {n} of the log, under the signed head of {size} entries.", n=receipt.index, size=receipt.size)
        box.addWidget(label(said, "hint"))
        box.addWidget(QrCard(receipt))
        paper, copy = button(tr("Open the page to print")), button(tr("Save a copy…"))
        paper.clicked.connect(lambda: self.paper_asked.emit(receipt.index))
        copy.clicked.connect(lambda: self.copy_asked.emit(receipt.index))
        box.addLayout(row(paper, copy))
        if receipt.files:
            box.addWidget(label(tr("Files: {names}", names=", ".join(receipt.files)), "small", selectable=True))
        box.addWidget(technical(receipt.qr_text, tr("Text of the code"), lines=4))
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)


class ReceiptPage(StepPage):
    paper_asked = Signal(int)
    copy_asked = Signal(int)

    def build(self) -> None:
        area = QPlainTextEdit()
        area.setTabChangesFocus(True)
        area.setFixedHeight(engine().px(96))
        area.setPlaceholderText("HSM1:…")
        self.scanned = FormField(
            tr("&Read the paper back"),
            area,
            hint=tr("First print the page below. Then hold its code under the scanner; it types the text here."),
        )
        self._area = area
        self.add(self.scanned)
        if not self.view.receipts:
            self.add(notice(tr("No receipt is here yet: the log's head must be signed first. Unlock the module.")))
        for receipt in self.view.receipts:
            shown = ReceiptCard(receipt)
            shown.paper_asked.connect(self.paper_asked)
            shown.copy_asked.connect(self.copy_asked)
            self.add(shown)
        self.without = button(tr("&Go on without reading back"))
        self.without.clicked.connect(self._skip)
        self.first = area

    def give(self) -> None:
        # A space is a digit of Base45 (RFC 9285): only line ends, which a scanner adds, are taken away.
        text = self._area.toPlainText().lstrip().replace("\r", "").replace("\n", "")
        self.scanned.clear_error()
        if not text.startswith("HSM1:"):
            self.scanned.show_error(tr("This is no receipt: it must begin with HSM1 and a colon."))
            self.scanned.setFocus()
            return
        self.answered.emit(ScannedReceipt(step=self.step.id, revision=self.view.revision, text=text))

    def _place_act(self) -> None:
        self.act(self.without, self.main)

    def _skip(self) -> None:
        self.answered.emit(Confirmed(step=self.step.id, revision=self.view.revision))
