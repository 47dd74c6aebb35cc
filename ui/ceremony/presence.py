"""Who is in the room, in which role: one line for each person on the roster."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QComboBox, QGridLayout, QWidget

from hsm_console.domain.events import Seat
from hsm_console.domain.messages.ceremony import PresenceAnswer
from hsm_console.domain.messages.people import PersonView
from ui import texts
from ui.ceremony.step_page import StepPage
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import card, clear, label
from ui.widgets.field import line


class PresencePage(StepPage):
    """Tick whoever answered; nobody is ticked in advance."""

    def build(self) -> None:
        frame, box = card()
        box.addWidget(label(tr("Tick each person who has answered"), "label"))
        holder = QWidget()
        self._grid = QGridLayout(holder)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(engine().px(24))
        self._grid.setVerticalSpacing(engine().px(6))
        self._grid.setColumnStretch(0, 1)
        box.addWidget(holder)
        self._count = label(tr("Nobody is seated yet."), "hint")
        box.addWidget(self._count)
        self.add(frame)
        self.place = line(tr("&Place"), hint=tr("Room and building, as they shall stand in the minutes."))
        self.add(self.place)
        self.lines: list[tuple[QCheckBox, QComboBox, PersonView]] = []

    def set_people(self, people: list[PersonView]) -> None:
        """The roster; revoked people are left out."""
        clear(self._grid)
        self.lines = []
        for n, person in enumerate(p for p in people if not p.revoked):
            tick = QCheckBox(person.person.name)
            tick.setAccessibleName(tr("{name} is present", name=person.person.name))
            combo = QComboBox()
            for role in person.roles:
                combo.addItem(texts.role(role), role)
            combo.setAccessibleName(tr("Seat of {name}", name=person.person.name))
            tick.toggled.connect(self._counted)
            self._grid.addWidget(tick, n, 0)
            self._grid.addWidget(combo, n, 1)
            self.lines.append((tick, combo, person))
        if self.lines and self.isVisible():
            self.lines[0][0].setFocus()

    def give(self) -> None:
        seats = self._seats()
        self.answered.emit(
            PresenceAnswer(step=self.step.id, revision=self.view.revision, seats=seats, place=self.place.text().strip())
        )

    def _seats(self) -> tuple[Seat, ...]:
        return tuple(
            Seat(role=combo.currentData(), uid=person.person.uid, name=person.person.name)
            for tick, combo, person in self.lines
            if tick.isChecked()
        )

    def _counted(self) -> None:
        seated = len(self._seats())
        self._count.setText(tr("{n} of {m} are seated.", n=seated, m=len(self.lines)))
