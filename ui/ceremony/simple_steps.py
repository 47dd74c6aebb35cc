"""Steps that people do and the gateway records: read aloud, software hash, time source."""

from __future__ import annotations

import datetime

from PySide6.QtCore import QTimeZone

from hsm_console.domain.messages.ceremony import Confirmed, TimeSourceAnswer
from ui.ceremony.step_page import StepPage
from ui.texts import tr
from ui.widgets.basics import label
from ui.widgets.field import FormField, choice, line

UTC = "UTC"


class ReadAloudPage(StepPage):
    """Read, then say so. Facts that the script asks for are typed here."""

    def build(self) -> None:
        self.fields: dict[str, FormField] = {}
        for name, question in self.step.asks.items():
            field = line(question)
            self.fields[name] = field
            self.add(field)
            self.first = self.first or field.control

    def give(self) -> None:
        if not _all_filled(self.fields):
            return
        facts = {name: field.text() for name, field in self.fields.items()}
        self.answered.emit(Confirmed(step=self.step.id, revision=self.view.revision, facts=facts))


class SoftwareHashPage(ReadAloudPage):
    """The witness types from the printed release sheet. The running hash is not shown: it would be copied from here."""

    def build(self) -> None:
        super().build()
        if not self.fields:
            self.fields["read"] = line(tr("What the release sheet says"))
            self.add(self.fields["read"])
        first = next(iter(self.fields.values()))
        first.set_hint(tr("At least sixteen digits or eight words, from paper. Spaces do not matter."))
        first.control.setProperty("look", "word")
        self.first = first.control


class TimeSourcePage(StepPage):
    """The independent clock against the workstation's."""

    def build(self) -> None:
        self.source = line(
            tr("&Which clock is it?"), hint=tr("For example: radio clock on the wall, serial number on its back.")
        )
        own = bytes(QTimeZone.systemTimeZoneId().data()).decode() or UTC
        zones = [UTC, own] if own != UTC else [UTC]
        self.zone = choice(tr("&Time zone of that clock"), [(z, z) for z in zones])
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
        self.reads = line(
            tr("It will &read"),
            text=now.strftime("%Y-%m-%d %H:%M:%S"),
            hint=tr("Type a time a few seconds ahead; press the button when the clock shows exactly this."),
        )
        for field in (self.source, self.zone, self.reads):
            self.add(field)
        self.first = self.source.control

    def give(self) -> None:
        self.source.clear_error()
        self.reads.clear_error()
        if not self.source.text().strip():
            self.source.show_error(tr("Say which clock it is; it stands in the minutes."))
            self.source.setFocus()
            return
        reads_ms = self._milliseconds()
        if reads_ms is None:
            self.reads.show_error(tr("This is no time. Write it as 2026-11-24 14:05:00."))
            self.reads.setFocus()
            return
        self.answered.emit(
            TimeSourceAnswer(
                step=self.step.id,
                revision=self.view.revision,
                source=self.source.text().strip(),
                zone=self.zone.text(),
                reads_ms=reads_ms,
            )
        )

    def _milliseconds(self) -> int | None:
        try:
            read = datetime.datetime.fromisoformat(self.reads.text().strip())
        except ValueError:
            return None
        if read.tzinfo is None:
            read = read.replace(tzinfo=datetime.UTC) if self.zone.text() == UTC else read.astimezone()
        return int(read.timestamp() * 1000)


class UnknownPage(StepPage):
    """A kind of step that this version of the screen does not know: told, not guessed."""

    def build(self) -> None:
        self.add(
            label(tr("This version of the screen has no page for this step. Use the version named in the script."))
        )
        self.main.set_allowed(False)
        self.first = self.stop_button

    def give(self) -> None:
        """Nothing can be answered here."""


def _all_filled(fields: dict[str, FormField]) -> bool:
    wrong = [field for field in fields.values() if not field.text().strip()]
    for field in fields.values():
        field.clear_error()
    for field in wrong:
        field.show_error(tr("Fill this in; it stands in the minutes."))
    if wrong:
        wrong[0].setFocus()
    return not wrong
