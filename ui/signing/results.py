"""How it ended: what, with which key, who, when, under which number in the log; and what to take along."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ui import saving
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, marked, pairs, row
from ui.widgets.fingerprint import Fingerprint
from ui.widgets.fold import technical
from ui.widgets.problem import notice


@dataclass(frozen=True)
class Take:
    """One file that may be saved. text: the button's words; private: what nobody else may read."""

    text: str
    name: str
    data: bytes
    private: bool = False


class ResultPage(Page):
    """good: whether it is as one hopes. A bad result is a result, told in words, with a mark and a colour."""

    again_asked = Signal()
    left = Signal()
    save_asked = Signal(object, object, bool)  # bytes, Path, whether it is private
    receipt_asked = Signal(int)

    def __init__(
        self,
        title: str,
        sentence: str,
        *,
        good: bool,
        facts: list[tuple[str, str]],
        takes: tuple[Take, ...] = (),
        entry: int = -1,
        fingerprint: tuple[str, tuple[str, ...]] = ("", ()),
        details: str = "",
    ) -> None:
        super().__init__(title, eyebrow=tr("Result"))
        frame, inside = card("done" if good else "problem")
        icon, colour = ("check", "good") if good else ("cross", "bad")
        inside.addLayout(marked(icon, colour, label(sentence, "heading", selectable=True), size=28))
        self.add(frame)
        self._news = QVBoxLayout()
        self.add(self._news)
        self._held = QVBoxLayout()
        self.add(self._held)
        ways = [self._way(take, first=n == 0) for n, take in enumerate(takes)]
        if entry >= 0:
            receipt = button(tr("&Receipt of record {n}…", n=entry))
            receipt.clicked.connect(lambda _checked=False: self.receipt_asked.emit(entry))
            ways.append(receipt)
        if ways:
            self.add(row(*ways))
        around, box = card()
        box.addWidget(pairs(facts))
        self.add(around)
        if fingerprint[0]:
            self.add(Fingerprint(*fingerprint))
        if details:
            self.add(technical(details))
        again = button(tr("&Once more"))
        again.clicked.connect(self.again_asked)
        done = button(tr("&Done"))
        done.clicked.connect(self.left)
        self.aside(again)
        self.act(done)
        self.first = ways[0] if ways else done

    def hold(self, widget: QWidget, *controls: QWidget) -> None:
        """What came out stands before the ways to take it along. controls: in it, in the order of Tab."""
        self._held.addWidget(widget)
        if self.first is not None:
            for before, after in pairwise((*controls, self.first)):
                QWidget.setTabOrder(before, after)

    def saved(self, path: Path) -> None:
        self._news.addWidget(notice(tr("Saved: {path}", path=path), look="done", icon="check", colour="good"))
        self.area.ensureVisible(0, 0)

    def _way(self, take: Take, *, first: bool) -> QPushButton:
        made = button(take.text, "act" if first else "")
        made.clicked.connect(lambda _checked=False: self._save(take))
        return made

    def _save(self, take: Take) -> None:
        saving.choose(self, tr("Save it"), take.name, lambda path: self.save_asked.emit(take.data, path, take.private))
