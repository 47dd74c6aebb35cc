"""Tables of the rules page: the rules that watch, and what is usual for keys or people. One row is told in full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Qt

from hsm_console.domain.messages.alerts import RuleView, Usual
from ui import texts
from ui.audit import rules_words as words
from ui.audit.alerts import level_word
from ui.texts import tr
from ui.theme import icons
from ui.theme.engine import engine
from ui.widgets.tables import Index, RowModel

RULE_WIDTHS = (84, 330, 86, 92, 108)
USUAL_WIDTHS = (200, 140, 140, 110, 118)


@dataclass(frozen=True)
class Line:
    """cells: texts of the columns; icon: name and colour in the first of them; spoken: the row in one breath."""

    cells: tuple[str, ...]
    spoken: str
    icon: tuple[str, str] | None = None


def rule_titles() -> tuple[str, ...]:
    return (tr("State"), tr("What is looked for"), tr("Level"), tr("It fired"), tr("Last time"))


def rule_line(rule: RuleView) -> Line:
    icon = ("alert", "bad") if rule.fault else ("check", "good")
    level, fired = level_word(rule.level), words.fired(rule)
    cells = (words.state(rule), rule.title, level, fired, texts.day(rule.last_ms) if rule.fired else "")
    return Line(cells, f"{rule.title}, {words.state(rule)}, {level}, {tr('it fired')} {fired}", icon)


def usual_titles() -> tuple[str, ...]:
    return (tr("Name"), tr("Working days"), tr("Weekends"), tr("At most"), tr("Known for"))


def usual_line(one: Usual) -> Line:
    cells = (
        words.name(one),
        words.hours(one.working),
        words.hours(one.weekend),
        tr("{n} a minute", n=f"{one.peak:,}"),
        words.history(one),
    )
    return Line(cells, f"{words.name(one)}, {cells[1]}, {words.history(one)}")


class Lines(RowModel):
    """Rows of texts."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []

    def tell(self, titles: tuple[str, ...], lines: list[Line]) -> None:
        self.beginResetModel()
        self._lines = lines
        self.fill(len(lines), titles)
        self.endResetModel()

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        line = self._lines[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return line.cells[index.column()]
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0 and line.icon is not None:
            name, colour = line.icon
            return icons.chosen(name, engine().theme[colour], engine().theme["accent-ink"])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return line.spoken
        return None
