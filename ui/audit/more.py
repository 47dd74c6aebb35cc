"""Further filters of the log: how it ended, which ceremony, which days. Folded away until somebody wants them."""

from __future__ import annotations

import datetime

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QWidget

from hsm_console.domain.messages.ceremony import CeremonySummary
from ui import texts
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.field import FormField, choice, line

_DAY_WIDTH = 150


class MoreFilters(QWidget):
    asked = Signal()  # Enter in a field, or another choice

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName(tr("More filters"))
        ends: list[tuple[str, object]] = [
            (tr("Whatever became of it"), ""),
            (tr("Only what did not succeed"), "failure"),
            (tr("Only what succeeded"), "success"),
        ]
        self.status = choice(tr("O&utcome"), ends)
        self.ceremony = choice(tr("&Ceremony"), [(tr("Any, or none"), "")])
        self.start = line(tr("F&rom day"), placeholder=tr("year-month-day"))
        self.end = line(tr("&To day"), placeholder=tr("year-month-day"))
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(12))
        box.addWidget(self.status, 2)
        box.addWidget(self.ceremony, 3)
        for field in (self.start, self.end):
            field.setFixedWidth(engine().px(_DAY_WIDTH))
            box.addWidget(field)
            if isinstance(field.control, QLineEdit):
                field.control.returnPressed.connect(self.asked)
        for field in (self.status, self.ceremony):
            if isinstance(field.control, QComboBox):
                field.control.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
                field.control.setMinimumContentsLength(14)
                field.control.activated.connect(lambda _index: self.asked.emit())

    def show_ceremonies(self, found: list[CeremonySummary]) -> None:
        combo = self.ceremony.control
        if isinstance(combo, QComboBox):
            before = combo.currentData()
            while combo.count() > 1:
                combo.removeItem(1)
            for one in found:
                combo.addItem(f"{one.title}, {texts.day(one.opened_ms)}", one.id)
            combo.setCurrentIndex(max(0, combo.findData(before)))

    def chosen(self) -> dict[str, str] | None:
        """What is chosen, as the log is asked for it; None when a day cannot be read, which is said at the field."""
        since, until = self._day(self.start, 0), self._day(self.end, 1)
        if since is None or until is None:
            return None
        return {"status": _data(self.status), "ceremony": _data(self.ceremony), "since": since, "until": until}

    def clear(self) -> None:
        for field in (self.status, self.ceremony):
            if isinstance(field.control, QComboBox):
                field.control.setCurrentIndex(0)
        for field in (self.start, self.end):
            field.clear_error()
            field.set_text("")

    def _day(self, field: FormField, later: int) -> str | None:
        """Midnight of this workstation's zone in milliseconds, `later` days on; empty for no day."""
        field.clear_error()
        text = field.text().strip()
        if not text:
            return ""
        try:
            day = datetime.date.fromisoformat(text) + datetime.timedelta(days=later)
        except (ValueError, OverflowError):
            field.show_error(tr("Like 2026-11-24."))
            field.setFocus()
            return None
        midnight = datetime.datetime.combine(day, datetime.time.min).astimezone()
        return str(max(0, int(midnight.timestamp() * 1000)))


def _data(field: FormField) -> str:
    combo = field.control
    return str(combo.currentData() or "") if isinstance(combo, QComboBox) else ""
