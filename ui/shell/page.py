"""What every page is: a heading, one decision, and the act at the bottom right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLayout, QScrollArea, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from ui.theme.engine import engine
from ui.widgets.basics import label
from ui.widgets.problem import ProblemPanel

READING_WIDTH = 860
BEGIN = 120  # of a large control so much is enough to see where one is


class _Body(QWidget):
    """Says how high it is for the width it has. The least height of wrapped texts is that of the narrowest page: taken
    for a minimum, a page that fits would be scrolled over emptiness."""

    resized = Signal()

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), 0)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.resized.emit()


class Page(QWidget):
    """Body in a scroll area, acts in a bar below. `first` is where the keyboard starts.

    Order of creation is order of reading, and so the order of Tab.
    """

    def __init__(self, title: str, lead: str = "", *, eyebrow: str = "", width: int = READING_WIDTH) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.title = title
        self.setAccessibleName(title)
        self.first: QWidget | None = None
        self._body = _Body()
        self._body.setObjectName("body")
        self.body = QVBoxLayout()
        self.body.setSpacing(engine().px(16))
        self._lay_out_body(width)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setWidget(self._body)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area = scroll
        self._body.resized.connect(self._align_bar)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(scroll, 1)
        outer.addWidget(self._action_bar(width))
        if eyebrow:
            self.body.addWidget(label(eyebrow, "eyebrow"))
        heading = label(title, "title")
        self.body.addWidget(heading)
        if lead:
            self.body.addWidget(label(lead, "lead"))
        self.problem = ProblemPanel()
        self.body.addWidget(self.problem)

    def add(self, part: QWidget | QLayout) -> None:
        if isinstance(part, QLayout):
            self.body.addLayout(part)
        else:
            self.body.addWidget(part)

    def act(self, *parts: QWidget) -> None:
        """The acts of the page, the main one last (bottom right)."""
        for part in parts:
            self._right.addWidget(part)
        self.bar.show()

    def aside(self, *parts: QWidget) -> None:
        """Ways out of the page (bottom left)."""
        for part in parts:
            self._left.addWidget(part)
        self.bar.show()

    def tell(self, problem: Problem, *, extra: tuple[tuple[str, str], ...] = ()) -> None:
        """Show a failure; everything typed stays."""
        self.problem.tell(problem, extra=extra)
        if self.isVisible():
            self.problem.setFocus()
        QTimer.singleShot(0, self, lambda: self.area.ensureWidgetVisible(self.problem, 0, 40))

    def reveal(self, widget: QWidget) -> None:
        """Scroll so that a control of the body is seen; what stands in the bar always is."""
        if self._body.isAncestorOf(widget) and not self._is_begun(widget):
            self.area.ensureWidgetVisible(widget, 0, engine().px(60))

    def _is_begun(self, widget: QWidget) -> bool:
        """Of a table as high as the page, its first rows are enough: to show its end would hide the page's head."""
        begin, top = engine().px(BEGIN), widget.mapTo(self.area.viewport(), QPoint(0, 0)).y()
        return widget.height() > begin and 0 <= top <= self.area.viewport().height() - begin

    @contextmanager
    def focus_kept(self, *given_up: QWidget) -> Iterator[None]:
        """While parts are drawn anew: who was on one of them stays on this page, at its first act.

        given_up: controls that lose the focus to the first act as well, for example one that stood there alone.
        """
        before = self.window().focusWidget()
        inside = before is not None and self.isAncestorOf(before)
        yield
        if inside and (self.window().focusWidget() is not before or before in given_up):
            QTimer.singleShot(0, self, self._to_first)  # a new control takes the focus only when it is seen

    def _to_first(self) -> None:
        if self.isVisible() and self.first is not None:  # meanwhile another page may have come
            self.first.setFocus()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self.first is not None:
            self.first.setFocus()

    def _lay_out_body(self, width: int) -> None:
        holder = QWidget()
        holder.setObjectName("body")
        holder.setLayout(self.body)
        holder.setMaximumWidth(engine().px(width))
        self.body.setContentsMargins(0, 0, 0, 0)
        middle = QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(holder, 100)
        middle.addStretch(1)
        box = QVBoxLayout(self._body)
        edge = engine().px(40)
        box.setContentsMargins(edge, engine().px(24), edge, engine().px(32))
        box.addLayout(middle)
        box.addStretch(1)

    def _action_bar(self, width: int) -> QFrame:
        self.bar = QFrame()
        self.bar.setObjectName("actions")
        inner = QWidget()
        inner.setMaximumWidth(engine().px(width))
        box = QHBoxLayout(inner)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(8))
        self._left, self._right = QHBoxLayout(), QHBoxLayout()
        for side in (self._left, self._right):
            side.setSpacing(engine().px(12))
        box.addLayout(self._left)
        box.addStretch(1)
        box.addLayout(self._right)
        outer = QHBoxLayout(self.bar)
        outer.addStretch(1)
        outer.addWidget(inner, 100)
        outer.addStretch(1)
        self._align_bar()
        self.bar.hide()
        return self.bar

    def _align_bar(self) -> None:
        """The acts stand below the body's edges, also when a scroll bar takes room from the body."""
        edge, rise = engine().px(40), engine().px(14)
        scrolled = max(self.area.width() - self._body.width(), 0)
        box = self.bar.layout()
        if box is not None:
            box.setContentsMargins(edge, rise, edge + scrolled, rise)
