"""What a witness sees: the step, who acts next, the newest records, the newest signed head. Nothing is done here."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractSlider, QFrame, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.audit import EntryRow, Head
from hsm_console.domain.messages.ceremony import CeremonyView
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, clear, label, marked, restyle, row, rule
from ui.widgets.rail import Rail, next_names
from ui.witness.look import signed_root

WIDTH = 1200
_NUMBER, _TIME = 76, 104
_SCROLLING: dict[int, QAbstractSlider.SliderAction] = {
    Qt.Key.Key_PageDown: QAbstractSlider.SliderAction.SliderPageStepAdd,
    Qt.Key.Key_PageUp: QAbstractSlider.SliderAction.SliderPageStepSub,
}


class WitnessPage(Page):
    left = Signal()

    def __init__(self, name: str, *, workspace: str) -> None:
        """name: of the person who watches."""
        super().__init__(
            tr("What the log has recorded"),
            eyebrow=tr("{workspace}, watched by {name}", workspace=workspace, name=name),
            width=WIDTH,
        )
        self._rows: tuple[EntryRow, ...] = ()
        self._looked = ""
        self.body.setSpacing(engine().px(12))
        self.state = label(tr("Asking the gateway."), "far-soft")
        self.add(self.state)
        self._now = self._part(tr("The ceremony"))
        self._head = self._part(tr("The newest signed head"))
        self._entries = self._part(tr("The newest records"))
        self.main = button(tr("Close this &window"))
        self.main.clicked.connect(self.left)
        self.act(self.main)
        self.first = self.main

    def show_view(self, view: CeremonyView | None) -> None:
        _anew(self._now)
        if view is None:
            self._now.addWidget(label(tr("No ceremony was opened yet."), "afar"))
            return
        here = next((step for step in view.steps if step.id == view.current), None)
        if here is None:
            self._now.addWidget(label(Rail.spoken(view), "afar"))
            return
        self._now.addWidget(label(view.title, "far"))
        step = tr("Step {n} of {m}: {title}", n=view.position, m=len(view.steps), title=here.title)
        self._now.addWidget(label(step, "afar"))
        paused = tr("The ceremony is paused.")
        self._now.addWidget(
            label(paused if view.status == "paused" else tr("Next: {who}", who=next_names(view)), "far")
        )

    def show_rows(self, rows: tuple[EntryRow, ...], head: Head) -> None:
        """Newest first. Which are signed follows from the head, which may come later than the record."""
        self._rows = rows
        _anew(self._entries)
        for n, entry in enumerate(rows):
            if n:
                self._entries.addWidget(rule())
            self._entries.addWidget(_line(entry, signed=entry.seq < head.checkpoint_size))

    def show_refusal(self, problem: Problem) -> None:
        """The records may not be read by this person; the rest of the page goes on."""
        _anew(self._entries)
        self._entries.addWidget(label(tr("The records are not shown."), "far"))
        self.tell(problem)

    def show_head(self, head: Head) -> None:
        _anew(self._head)
        root = signed_root(head.checkpoint)
        if not root:
            self._head.addWidget(label(tr("No head was signed yet."), "far"))
        else:
            size = tr("{n} records are signed", n=f"{head.checkpoint_size:,}")
            later = head.size - head.checkpoint_size
            if later > 0:
                size = tr("{size}; {n} newer ones wait for the next signature", size=size, n=later)
            shown = label(texts.digest(root), "far-mono", selectable=True)
            shown.setAccessibleName(tr("Root of the signed head: {root}", root=texts.grouped(root)))
            self._head.addWidget(label(size, "far"))
            self._head.addWidget(shown)
        if self._rows:
            self.show_rows(self._rows, head)

    def renewed(self, time_ms: int) -> None:
        self._looked = texts.clock(time_ms)
        self.state.setText(tr("This window follows the log by itself. Last looked at {time}.", time=self._looked))

    def ended(self, problem: Problem) -> None:
        """The session is over: what stands here stays, and is said to be old."""
        self.tell(problem)
        old = tr("This window does not follow the log any more. Close it, and open a new one.")
        since = tr("What stands here was seen at {time}.", time=self._looked) if self._looked else ""
        self.state.setText(f"{old} {since}".rstrip())
        self.state.setProperty("look", "far-bad")
        restyle(self.state)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Nothing of the page takes the focus but its one act: these keys reach what does not fit a small screen."""
        action = _SCROLLING.get(event.key())
        if action is None:
            super().keyPressEvent(event)
        else:
            self.area.verticalScrollBar().triggerAction(action)

    def _part(self, title: str) -> QVBoxLayout:
        frame, box = card(margins=14, spacing=6)
        frame.setAccessibleName(title)
        box.addWidget(label(title, "eyebrow"))
        inside = QVBoxLayout()
        inside.setSpacing(engine().px(4))
        box.addLayout(inside)
        self.add(frame)
        frame.hide()  # until the gateway has told what stands in it
        return inside


def _anew(inside: QVBoxLayout) -> None:
    """Empty a part of the page and show it: something is told there from now on."""
    clear(inside)
    frame = inside.parentWidget()
    if frame is not None:
        frame.show()


def _line(entry: EntryRow, *, signed: bool) -> QWidget:
    frame = QFrame()
    frame.setProperty("look", "plain")
    number, clock = label(str(entry.seq), "far-mono"), label(texts.clock(entry.time_ms), "far-soft")
    for part, width in ((number, _NUMBER), (clock, _TIME)):
        part.setWordWrap(False)
        part.setMinimumWidth(engine().px(width))
    failed = entry.status == "failure"
    said = label(entry.summary, "far")
    mark = ("alert", "bad") if failed else ("check", "good") if signed else ("clock", "ink-soft")
    line = row(number, clock, marked(*mark, said, size=24), stretch_last=True)
    line.setStretch(2, 1)
    frame.setLayout(line)
    state = tr("signed") if signed else tr("not yet signed")
    if failed:
        state = tr("failed, {state}", state=state)
    frame.setAccessibleName(tr("Record {n}: {words} ({state})", n=entry.seq, words=entry.summary, state=state))
    return frame
