"""A module comes to the workspace, or is taken off its list. Neither touches a key."""

from __future__ import annotations

import re
from importlib import metadata

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QPlainTextEdit

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.devices import AddDevice, DeviceRow
from ui.devices import fleet_words
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import button, card, label
from ui.widgets.busy import BusyButton
from ui.widgets.facts import Facts
from ui.widgets.field import FormField, choice, line
from ui.widgets.fold import Fold

MOST_WEIGHT = 1000
_LABEL = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_KINDS = {"simulation": "Simulation", "softhsm": "SoftHSM", "pkcs11": "PKCS#11"}


def kinds() -> list[tuple[str, object]]:
    """Adapters that are installed here, by name; nothing of them is loaded."""
    names = sorted({found.name for found in metadata.entry_points(group="hsm_console.adapters")})
    return [(_KINDS.get(name, name), name) for name in names]


class AddPage(Page):
    """What is typed stays when the module does not answer."""

    asked = Signal(object)  # AddDevice
    left = Signal()

    def __init__(self, adapter: str) -> None:
        """adapter: of the first module; the others are most often of the same kind."""
        lead = tr("It has to answer now; from then on it is held to the serial number that it tells. No key moves.")
        super().__init__(tr("Add a module"), lead, eyebrow=tr("Modules"))
        frame, box = card(margins=26, spacing=20)
        self.name = line(tr("&Name"), hint=tr("Small letters, digits and hyphens, for example: zurich-2"))
        self.kind = choice(tr("&Kind"), kinds())
        self.label = line(tr("Label of its &token"), hint=tr("As it was initialised."))
        self.serial = line(tr("&Serial number"), hint=tr("May stay empty: then the one that answers now is taken."))
        self.region = line(tr("&Region"), hint=tr("May stay empty. Modules of the gateway's own region are preferred."))
        self.weight = line(tr("Share of the &work"), text="1",
                           hint=tr("0 to {most}; 0: only when no other can.", most=MOST_WEIGHT))  # fmt: skip
        self.options = QPlainTextEdit()
        self.options.setTabChangesFocus(True)
        self.options.setFixedHeight(engine().px(90))
        said = tr("One in a line: name=value, for example module=/usr/lib/softhsm/libsofthsm2.so")
        self._options = FormField(tr("Settings of its driver"), self.options, hint=said)
        for part in (self.name, self.kind, self.label, self.serial, self.region, self.weight):
            box.addWidget(part)
        box.addWidget(Fold(tr("Technical details"), self._options))
        self.add(frame)
        back = button(tr("&Back"))
        back.clicked.connect(self.left)
        self.main = BusyButton(tr("&Add it"))
        self.main.pressed.connect(self._go)
        self.aside(back)
        self.act(self.main)
        self.first = self.name.control
        combo = self.kind.control
        if isinstance(combo, QComboBox):
            combo.setCurrentIndex(max(combo.findData(adapter), 0))

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _go(self) -> None:
        self.problem.clear()
        wish = self._wish()
        if wish is not None:
            self.main.start()
            self.asked.emit(wish)

    def _wish(self) -> AddDevice | None:
        """None after the first field that is wrong has said so."""
        for field in (self.name, self.label, self.weight, self._options):
            field.clear_error()
        options = _options(self.options.toPlainText())
        wrong = self._wrong(options)
        if wrong is not None or options is None:
            field, text = wrong or (self._options, "")
            field.show_error(text)
            field.setFocus()
            return None
        combo = self.kind.control
        kind = combo.currentData() if isinstance(combo, QComboBox) else ""
        return AddDevice(
            name=self.name.text().strip(),
            adapter=str(kind),
            label=self.label.text().strip(),
            serial=self.serial.text().strip(),
            region=self.region.text().strip(),
            weight=int(self.weight.text()),
            options=options,
        )

    def _wrong(self, options: dict[str, str] | None) -> tuple[FormField, str] | None:
        """The first field that cannot be as it is, and why."""
        token, weight = self.label.text().strip(), self.weight.text().strip()
        if not _NAME.fullmatch(self.name.text().strip()):
            return self.name, tr("Small letters, digits and hyphens; 1 to 32 of them.")
        if not token or len(token) > _LABEL:
            return self.label, tr("Type the token's label; at most {n} characters.", n=_LABEL)
        if not (weight.isascii() and weight.isdecimal() and int(weight) <= MOST_WEIGHT):
            return self.weight, tr("Type a number from 0 to {most}.", most=MOST_WEIGHT)
        return (self._options, tr("Each line is name=value.")) if options is None else None


class RemovePage(Page):
    """It can be added again; still other people may count on it, so it has a page of its own."""

    asked = Signal()
    left = Signal()

    def __init__(self, row: DeviceRow) -> None:
        super().__init__(tr("Take “{name}” off the list", name=fleet_words.title(row)), eyebrow=tr("Modules"))
        text = tr("The workspace sends it no more work, and what lies only there cannot be used any more. Its keys "
                  "stay in it, untouched; it can be added again.")  # fmt: skip
        self.add(label(text, "lead"))
        frame, box = card()
        facts = Facts()
        facts.tell(fleet_words.facts(row))
        box.addWidget(facts)
        self.add(frame)
        self.safe = button(tr("&Keep it on the list"))
        self.safe.clicked.connect(self.left)
        self.main = BusyButton(tr("&Take it off the list"), "commit")
        self.main.pressed.connect(self._go)
        self.act(self.safe, self.main)
        self.first = self.safe

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _go(self) -> None:
        self.main.start()
        self.asked.emit()


def _options(text: str) -> dict[str, str] | None:
    """None when a line is no `name=value`."""
    found = {}
    for written in text.splitlines():
        name, equals, value = written.strip().partition("=")
        if not written.strip():
            continue
        if not equals or not name.strip():
            return None
        found[name.strip()] = value.strip()
    return found
