"""A QR code on a white card in every theme: quiet zone, size control, the same in words below. Never a secret."""

from __future__ import annotations

import base64

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from hsm_console.domain.messages.ceremony import ReceiptView
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, label, row

SIZES = (240, 340, 480)
QUIET = 16


class QrCard(QWidget):
    """Shows a receipt's picture as the gateway drew and read it back; it scales without smoothing."""

    def __init__(self, receipt: ReceiptView) -> None:
        super().__init__()
        self._pixmap = QPixmap()
        self._pixmap.loadFromData(base64.b64decode(receipt.png))
        self._size = 1
        frame = QFrame()
        frame.setObjectName("qr")
        inner = QVBoxLayout(frame)
        edge = engine().px(QUIET)
        inner.setContentsMargins(edge, edge, edge, edge)
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._picture.setAccessibleName(tr("QR code of the receipt: {title}", title=receipt.title))
        inner.addWidget(self._picture)
        self.smaller = button(tr("Smaller"))
        self.larger = button(tr("Larger"))
        self.smaller.clicked.connect(lambda: self._resize(-1))
        self.larger.clicked.connect(lambda: self._resize(+1))
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(10))
        box.addWidget(frame, 0, Qt.AlignmentFlag.AlignLeft)
        box.addLayout(row(self.smaller, self.larger, label(tr("Part 1 of 1"), "hint")))
        box.addWidget(label(receipt.text, "small", selectable=True))
        self._resize(0)

    def _resize(self, by: int) -> None:
        self._size = min(max(self._size + by, 0), len(SIZES) - 1)
        edge = engine().px(SIZES[self._size])
        self._picture.setPixmap(
            self._pixmap.scaled(
                edge, edge, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.FastTransformation
            )
        )
        self.smaller.setEnabled(self._size > 0)
        self.larger.setEnabled(self._size < len(SIZES) - 1)
