"""One record: what happened in words, who, when in two times, and its exact text for the witness."""

from __future__ import annotations

import datetime

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from hsm_console.domain.messages.audit import EntryDetail, EntryRow
from ui import texts
from ui.audit.kinds import kind
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import clear, label, marked, pairs, rule
from ui.widgets.busy import BusyButton
from ui.widgets.fold import technical

_NAMES = 110
_LONG_HEX = 32
_KNOWN_LINES = ("When: ", "Who: ")


class DetailPanel(QWidget):
    """Shows a row at once, and the whole record when it was asked for: reading it is recorded in the log."""

    record_asked = Signal(int)  # sequence number
    receipt_asked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._box = QVBoxLayout(self)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(engine().px(14))
        self._button: BusyButton | None = None  # the one act that the panel offers now
        self.seq = -1
        self.show_nothing()

    def show_nothing(self) -> None:
        self._renew(-1)
        self._box.addWidget(label(tr("No record is chosen"), "heading"))
        self._box.addWidget(label(tr("Choose one in the table: a click or Enter opens it."), "hint"))
        self._box.addStretch(1)

    def show_row(self, row: EntryRow, *, signed: bool) -> None:
        """What the table knows already."""
        self._renew(row.seq)
        self._head(row, row.summary, signed=signed)
        read = self._button = BusyButton(tr("Open the &record"), "")
        read.button.setAccessibleName(tr("Open record {n}", n=row.seq))
        read.pressed.connect(lambda: self.record_asked.emit(row.seq))
        self._box.addWidget(read)
        self._box.addWidget(label(tr("Opening a record is recorded, too."), "small"))
        self._box.addStretch(1)

    def show_record(self, detail: EntryDetail, *, signed: bool) -> None:
        self._renew(detail.row.seq)
        words = detail.words or (detail.row.summary,)
        self._head(detail.row, words[0], signed=signed)
        facts = [line for line in words[1:] if not line.startswith(_KNOWN_LINES)]
        if facts:
            self._box.addWidget(rule())
            self._box.addWidget(label(tr("What the record holds"), "label"))
            self._box.addWidget(_facts(facts))
        receipt = self._button = BusyButton(tr("Issue a re&ceipt"), "")
        receipt.pressed.connect(lambda: self.receipt_asked.emit(detail.row.seq))
        self._box.addWidget(receipt)
        hashes = tr(
            "SHA-256 of the record\n{entry}\n\nLeaf in the tree (RFC 6962)\n{leaf}",
            entry=texts.grouped(detail.fingerprint, 8),
            leaf=texts.grouped(detail.leaf, 8),
        )
        self._box.addWidget(technical(hashes, tr("Fingerprints"), lines=9))
        self._box.addWidget(technical(detail.body, tr("Exact record (JSON)"), lines=14))
        self._box.addStretch(1)

    def start(self) -> None:
        """What was asked for is under way."""
        if self._button is not None:
            self._button.start()

    def stop(self) -> None:
        if self._button is not None:
            self._button.stop()

    def _renew(self, seq: int) -> None:
        self.seq, self._button = seq, None
        clear(self._box)

    def _head(self, row: EntryRow, sentence: str, *, signed: bool) -> None:
        self.setAccessibleName(tr("Record {n}", n=row.seq))
        self._box.addWidget(label(tr("Record {n}", n=row.seq), "eyebrow"))
        self._box.addWidget(label(sentence, "heading", selectable=True))
        if row.status == "failure":
            self._box.addLayout(marked("alert", "bad", label(tr("This did not succeed."), "bad")))
        said = tr("A signed head of the log covers it.") if signed else tr("Not yet signed; the next signed head will.")
        icon, colour = ("check", "good") if signed else ("ring", "ink-soft")
        self._box.addWidget(
            pairs(
                [
                    (tr("Who"), row.who or tr("The workstation itself")),
                    (tr("Kind"), kind(row.kind)),
                    (tr("UTC"), utc(row.time_ms)),
                    (tr("Local time"), texts.moment(row.time_ms)),
                ],
                first_width=_NAMES,
            )
        )
        self._box.addLayout(marked(icon, colour, label(said)))


def utc(time_ms: int) -> str:
    """To the millisecond, as the record has it."""
    when = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    return f"{when:%Y-%m-%d %H:%M:%S}.{time_ms % 1000:03d} UTC"


def _facts(lines: list[str]) -> QWidget:
    holder = QWidget()
    box = QVBoxLayout(holder)
    box.setContentsMargins(0, 0, 0, 0)
    box.setSpacing(engine().px(6))
    for line in lines:
        box.addWidget(label(" ".join(_breakable(part) for part in line.split(" ")), "small", selectable=True))
    return holder


def _breakable(part: str) -> str:
    """Long hex in groups: it can be read aloud, and it wraps."""
    bare = part.rstrip(".,")
    if len(bare) >= _LONG_HEX and all(c in "0123456789abcdef" for c in bare):
        return texts.grouped(bare, 8) + part[len(bare) :]
    return part
