"""A receipt for one record: the code for a camera, and three files to keep."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from hsm_console.domain.messages.ceremony import ReceiptView
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, column, label
from ui.widgets.fold import technical
from ui.widgets.problem import notice
from ui.widgets.qr import QrCard


class ReceiptPanel(QWidget):
    save_asked = Signal(int, str, object)  # sequence number, form, Path

    def __init__(self, receipt: ReceiptView) -> None:
        super().__init__()
        self.receipt = receipt
        self.setAccessibleName(tr("Receipt for record {n}", n=receipt.index))
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(14))
        box.addWidget(label(tr("Receipt for record {n}", n=receipt.index), "eyebrow"))
        box.addWidget(label(receipt.title, "heading", selectable=True))
        said = tr("It proves that record {n} stands in the log whose signed head covers {size} records.",
                  n=receipt.index, size=f"{receipt.size:,}")  # fmt: skip
        box.addWidget(label(said, "hint"))
        self.card = QrCard(receipt)
        box.addWidget(self.card)
        box.addWidget(label(tr("Keep it outside this workstation"), "label"))
        self.saves = {
            "pdf": button(tr("Save the page to &print (PDF)…")),
            "png": button(tr("Save the p&icture (PNG)…")),
            "tlog-proof": button(tr("Save the proof (&text)…")),
        }
        for form, made in self.saves.items():
            made.clicked.connect(lambda _checked=False, which=form: self._choose(which))
        box.addLayout(column(*self.saves.values(), spacing=8))
        self._done = QVBoxLayout()
        box.addLayout(self._done)
        box.addWidget(technical(receipt.qr_text, tr("Text of the code"), lines=6))
        box.addStretch(1)

    def saved(self, path: Path) -> None:
        text = tr("Saved: {path}", path=path)
        self._done.addWidget(notice(text, look="done", icon="check", colour="good"))

    def _choose(self, form: str) -> None:
        dialog = QFileDialog(self, tr("Save the receipt"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)
        dialog.setDefaultSuffix(form)
        dialog.selectFile(f"receipt-{self.receipt.index:04d}.{form}")
        dialog.fileSelected.connect(lambda name: self.save_asked.emit(self.receipt.index, form, Path(name)))
        dialog.open()
