"""Before and after the assistant: the first page of a new machine, the check, the making, the finish."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QProgressBar

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.setup import FoundingProgress
from ui import texts
from ui.recent import can_be_opened
from ui.setup.answers import Answers, EnvironmentChoice
from ui.setup.pages import SetupPage
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, label, marked, pairs, row
from ui.widgets.field import line
from ui.widgets.problem import notice
from ui.widgets.tile import Tile


class CheckPage(SetupPage):
    """Every value, Change beside each. Nothing has been done yet."""

    change_asked = Signal(str)  # name, token, people, passphrases, pins

    def __init__(self, answers: Answers, environment: EnvironmentChoice) -> None:
        self._environment = environment
        super().__init__(
            6, tr("Check and confirm"), tr("Nothing has been done yet."), answers, act=tr("&Make the workspace")
        )
        self.first = self.back

    def build(self) -> None:
        frame, box = card()
        adapter = {"simulation": tr("Simulation"), "softhsm": "SoftHSM"}.get(self.answers.adapter, self.answers.adapter)
        people = "\n".join(f"{m.name} ({m.uid}), {texts.role(m.role)}" for m in self.answers.people)
        items = [
            ("name", tr("Name"), self.answers.name),
            ("name", tr("Folder"), self.answers.directory),
            ("token", tr("Module"), tr("{adapter}: keys made with it are not real", adapter=adapter)),
            ("token", tr("Environment"), self._environment.title),
            ("people", tr("People"), people),
            ("passphrases", tr("Passphrases"), tr("{n} typed, each by its owner", n=len(self.answers.people))),
            ("pins", tr("PINs"), tr("both typed")),
        ]
        for place, title, value in items:
            change = button(tr("Change"), name=tr("Change: {what}", what=title))
            change.clicked.connect(lambda _checked=False, p=place: self.change_asked.emit(p))
            said = pairs([(title, value)], first_width=150)
            item = row(said, change, stretch_last=True)
            item.setAlignment(said, Qt.AlignmentFlag.AlignVCenter)
            item.setStretch(0, 1)
            box.addLayout(item)
        self.add(frame)
        self.add(
            label(
                tr("Making it takes about a minute: keys are made in the module, and one credential for each person."),
                "hint",
            )
        )

    def take(self) -> bool:
        return True


class ProgressPage(Page):
    """Step n of m, in words, as the founding tells it."""

    left = Signal()

    def __init__(self) -> None:
        super().__init__(
            tr("The workspace is being made"), tr("Please leave the machine running. This cannot be interrupted.")
        )
        self._bar = QProgressBar()
        self._bar.setAccessibleName(tr("Progress of the set-up"))
        self._bar.setTextVisible(False)
        self._bar.setRange(0, 0)
        self._said = label(tr("Starting."), "label")
        self._list = label("", "hint")
        for part in (self._bar, self._said, self._list):
            self.add(part)
        self.back = button(tr("&Back to check"))
        self.back.clicked.connect(self.left)
        self.aside(self.back)
        self.bar.hide()
        self._lines: list[str] = []

    def show_progress(self, progress: FoundingProgress) -> None:
        self._bar.setRange(0, max(progress.of, 1))
        self._bar.setValue(progress.n)
        self._said.setText(tr("{n} of {m}: {text}", n=progress.n, m=progress.of, text=progress.text))

    def refuse(self, problem: Problem) -> None:
        self._bar.hide()
        self.tell(problem)
        self.bar.show()
        self.back.setFocus()


class FinishPage(Page):
    go_on = Signal()

    def __init__(self, answers: Answers, credentials: dict[str, str]) -> None:
        super().__init__(
            tr("The workspace is ready"),
            tr("Everything was made and recorded. This is where things are, and what is next."),
        )
        frame, box = card()
        box.addWidget(label(tr("Credentials: one file for each person"), "heading"))
        by_uid = {m.uid: m for m in answers.people}
        items = [(by_uid[uid].name if uid in by_uid else uid, path) for uid, path in credentials.items()]
        box.addWidget(pairs(items))
        self.add(frame)
        nexts = (
            tr("Each person copies her own file to a medium that she keeps; the passphrase stays in her head."),
            tr("Print the key of the log (log.vkey) and give it to the auditor: with it anybody can check the log."),
            tr("Log in as administrator, then hold a rehearsal of the first ceremony."),
        )
        for text in nexts:
            self.add(marked("right", "accent", label(text), size=18))
        self.add(notice(tr("Workspace: {folder}", folder=answers.directory), look="done", icon="check", colour="good"))
        go = button(tr("&Go to log-in"), "act")
        go.clicked.connect(self.go_on)
        self.act(go)
        self.first = go


class WelcomePage(Page):
    """The first page of a machine without a workspace."""

    new_asked = Signal()
    connect_asked = Signal()
    opened = Signal(str)

    def __init__(self, recent: list[str]) -> None:
        super().__init__(
            tr("Welcome"),
            tr("HSM Console leads people through key ceremonies and leaves evidence that a stranger can check."),
            width=760,
        )
        new = Tile(tr("Set up a new workspace"), tr("Name, module, people, passphrases; about ten minutes."))
        new.clicked.connect(self.new_asked)
        self.add(new)
        frame, box = card()
        self.directory = line(
            tr("&Open a workspace"), text=recent[0] if recent else "", hint=tr("The folder of the workspace.")
        )
        open_ = button(tr("Op&en it"))
        open_.clicked.connect(self._open)
        box.addWidget(self.directory)
        box.addLayout(row(open_))
        self.add(frame)
        far = Tile(tr("Connect to a gateway by address"), tr("It runs beside an HSM on another machine."))
        far.clicked.connect(self.connect_asked)
        self.add(far)
        self.first = new

    def _open(self) -> None:
        path = Path(self.directory.text().strip()).expanduser()
        self.directory.clear_error()
        if not can_be_opened(path):
            self.directory.show_error(tr("There is no workspace in this folder (no workspace.toml)."))
            self.directory.setFocus()
            return
        self.opened.emit(str(path))
