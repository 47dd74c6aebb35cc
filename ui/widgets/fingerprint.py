"""A fingerprint for eyes and for voices: grouped hex, a picture and PGP words, in the layout of every screen."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QVBoxLayout, QWidget

from ui.texts import grouped, tr
from ui.theme.engine import engine
from ui.widgets.basics import label, row, rule
from ui.widgets.picture import FingerprintPicture

WORDS_IN_A_ROW = 4
GROUPS_IN_A_ROW = 4


class Fingerprint(QFrame):
    """hex: lower-case digits; words: PGP words, one for each octet. Rows of four words, numbered as on paper."""

    def __init__(self, hex_text: str, words: tuple[str, ...], *, title: str = "") -> None:
        super().__init__()
        self.setProperty("look", "card")
        box = QVBoxLayout(self)
        edge = engine().px(18)
        box.setContentsMargins(edge, edge, edge, edge)
        box.setSpacing(engine().px(12))
        box.addWidget(label(title or tr("Fingerprint (SHA-256 of the public key)"), "label"))
        seen = row(_hex(hex_text), FingerprintPicture(hex_text), spacing=24, stretch_last=True)
        seen.setStretch(0, 1)
        box.addLayout(seen)
        if words:
            box.addWidget(rule())
            box.addWidget(_words(words))
        self.setAccessibleName(tr("Fingerprint"))
        self.setAccessibleDescription(f"{grouped(hex_text)}. {' '.join(words)}")


def _hex(text: str) -> QWidget:
    holder = QWidget()
    grid = QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(engine().px(18))
    grid.setVerticalSpacing(engine().px(4))
    for n, group in enumerate(grouped(text).split()):
        made = label(group, "mono", selectable=True)
        made.setWordWrap(False)
        grid.addWidget(made, n // GROUPS_IN_A_ROW, n % GROUPS_IN_A_ROW)
    grid.setColumnStretch(GROUPS_IN_A_ROW, 1)
    grid.setRowStretch(grid.rowCount(), 1)
    return holder


def _words(words: tuple[str, ...]) -> QWidget:
    holder = QWidget()
    grid = QGridLayout(holder)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(engine().px(8))
    grid.setVerticalSpacing(engine().px(4))
    for n, word in enumerate(words):
        line, place = divmod(n, WORDS_IN_A_ROW)
        number = label(str(n + 1), "hint")
        number.setWordWrap(False)
        number.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        spoken = label(word, "mono")
        spoken.setWordWrap(False)
        grid.addWidget(number, line, place * 2)
        grid.addWidget(spoken, line, place * 2 + 1)
        grid.setColumnStretch(place * 2 + 1, 1)
    return holder
