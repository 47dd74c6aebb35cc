"""Opening a ceremony: choose the script, read what it is, fill it in, check and confirm."""

from __future__ import annotations

import re

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QVBoxLayout

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import OpenCeremony, ScriptSummary
from hsm_console.domain.people import Role
from ui import texts
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, clear, label, pairs, row
from ui.widgets.busy import BusyButton
from ui.widgets.field import FormField, choice, line
from ui.widgets.tile import Tile


class ChoosePage(Page):
    chosen = Signal(object)  # ScriptSummary
    left = Signal()

    def __init__(self) -> None:
        super().__init__(tr("Which ceremony?"), tr("Choosing opens nothing yet; the next page says what it is."))
        self._list = QVBoxLayout()
        self._list.setSpacing(12)
        self.add(self._list)
        self._list.addWidget(label(tr("Asking the gateway."), "hint"))
        self.back = button(tr("&Back to the overview"))
        self.back.clicked.connect(self.left)
        self.aside(self.back)

    def show_scripts(self, scripts: list[ScriptSummary]) -> None:
        clear(self._list)
        if not scripts:
            self._list.addWidget(label(tr("No script is installed in this workspace."), "hint"))
        for n, script in enumerate(scripts):
            told = f"{script.purpose}  ·  {texts.minutes(script.minutes)}  ·  {script.quorum}"
            tile = Tile(script.title, told, icon="ceremony")
            tile.clicked.connect(lambda _checked=False, s=script: self.chosen.emit(s))
            self._list.addWidget(tile)
            if n == 0:
                self.first = tile
                if self.isVisible():
                    tile.setFocus()


class DetailsPage(Page):
    """What it is for, who is needed, how long it takes, and the digest that was approved."""

    go_on = Signal()
    left = Signal()
    paper_asked = Signal()

    def __init__(self, script: ScriptSummary) -> None:
        super().__init__(script.title, script.purpose, eyebrow=tr("Before you begin"))
        people = "\n".join(f"{n} × {texts.role(Role(name))}" for name, n in script.roles.items())
        frame, box = card()
        box.addWidget(
            pairs(
                [
                    (tr("Who is needed"), people),
                    (tr("Who decides"), script.quorum),
                    (tr("How long it takes"), texts.minutes(script.minutes)),
                    (tr("Version"), script.version),
                ]
            )
        )
        self.add(frame)
        digest, inside = card()
        inside.addWidget(label(tr("Digest of this script, as it was approved"), "label"))
        inside.addWidget(label(script.words, "mono", selectable=True))
        inside.addWidget(label(texts.grouped(script.sha256), "mono", selectable=True))
        inside.addWidget(label(tr("Compare the words with the approved sheet. If one differs, do not go on."), "hint"))
        self.add(digest)
        paper = button(tr("&Print it for pen and ink"))
        paper.clicked.connect(self.paper_asked)
        self.add(row(paper))
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        go = button(tr("&Fill it in"), "act")
        go.clicked.connect(self.go_on)
        self.aside(self.back)
        self.act(go)
        self.first = go


class ParametersPage(Page):
    filled = Signal(object)  # dict[str, str]
    left = Signal()

    def __init__(self, script: ScriptSummary, values: dict[str, str]) -> None:
        super().__init__(tr("Fill it in"), tr("Nothing is done by this. You check everything on the next page."),
                         eyebrow=script.title)  # fmt: skip
        self._script = script
        frame, box = card(margins=26, spacing=20)
        self.fields: dict[str, FormField] = {}
        for name, permitted in script.parameters.items():
            question = script.questions.get(name, name.capitalize())
            if permitted:
                shown = [(texts.algorithm(p) if name == "algorithm" else p, p) for p in permitted]
                field = choice(question, list(shown))
                combo = field.control
                if isinstance(combo, QComboBox) and values.get(name) in permitted:
                    combo.setCurrentIndex(permitted.index(values[name]))
            else:
                example = script.examples.get(name, "")
                field = line(
                    question, text=values.get(name, ""), hint=tr("For example: {e}", e=example) if example else ""
                )
            self.fields[name] = field
            box.addWidget(field)
        self.add(frame)
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        go = button(tr("&Check it"), "act")
        go.clicked.connect(self._go)
        self.aside(self.back)
        self.act(go)
        self.first = next(iter(self.fields.values())).control if self.fields else go

    def _go(self) -> None:
        values: dict[str, str] = {}
        for name, field in self.fields.items():
            field.clear_error()
            combo = field.control
            values[name] = str(combo.currentData()) if isinstance(combo, QComboBox) else field.text().strip()
            pattern = self._script.patterns.get(name)
            if not values[name] or (pattern and not re.fullmatch(pattern, values[name])):
                example = self._script.examples.get(name, "")
                field.show_error(tr("Letters, digits, dots, dashes and spaces; for example: {e}", e=example))
                field.setFocus()
                return
        self.filled.emit(values)


class CheckPage(Page):
    """Every value, Change beside each, and the sentence that nothing has been done yet."""

    confirmed = Signal(object)  # OpenCeremony
    change_asked = Signal(str)  # parameter name, or `script`
    left = Signal()

    def __init__(self, script: ScriptSummary, values: dict[str, str], *, simulated: bool, environment: str) -> None:
        super().__init__(tr("Check and confirm"), tr("Nothing has been done yet."), eyebrow=script.title)
        self._request = OpenCeremony(script_id=script.id, sha256=script.sha256, parameters=values)
        frame, box = card()
        where = environment + (tr(" (simulation: nothing made is a real key)") if simulated else "")
        box.addWidget(pairs([(tr("Environment"), where)]))
        items = [("script", tr("Ceremony"), f"{script.title}, {tr('version {v}', v=script.version)}")]
        for name, value in values.items():
            shown = texts.algorithm(value) if name == "algorithm" else value
            items.append((name, _short(script.questions.get(name, name)), shown))
        for name, title, value in items:
            change = button(tr("Change"), name=tr("Change: {what}", what=title))
            change.clicked.connect(lambda _checked=False, n=name: self.change_asked.emit(n))
            said = pairs([(title, value)])
            change_line = row(said, change, stretch_last=True)
            change_line.setAlignment(said, Qt.AlignmentFlag.AlignVCenter)
            change_line.setStretch(0, 1)
            box.addLayout(change_line)
        box.addWidget(pairs([(tr("Digest"), script.words)]))
        self.add(frame)
        self.add(
            label(
                tr("Opening records who opened it, and when. It makes no key; that comes later, with a quorum."), "hint"
            )
        )
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(tr("&Open the ceremony"))
        self.main.pressed.connect(self._go)
        self.aside(self.back)
        self.act(self.main)
        self.first = self.back

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _go(self) -> None:
        self.main.start()
        self.confirmed.emit(self._request)


def _short(question: str) -> str:
    return question.rstrip("?")
