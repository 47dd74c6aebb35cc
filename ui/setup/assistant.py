"""The road of the set-up: page after page, back without loss, one confirmation, then the founding process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.setup import FoundingProgress
from ui.desk import Desk
from ui.setup import ending, pages
from ui.setup.answers import Answers, EnvironmentChoice, environments
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import taking

CHANGES = {"name": 0, "token": 1, "people": 2, "passphrases": 3}


class Assistant(QObject):
    """Nothing is written before the check page is confirmed; every secret is forgotten at the end."""

    finished = Signal(str)  # folder of the new workspace
    left = Signal()
    _progress = Signal(object)  # FoundingProgress; from the worker

    def __init__(self, window: Window, desk: Desk, *, kdf_iterations: int = 0) -> None:
        """kdf_iterations: 0 takes the environment's own number."""
        super().__init__(window)
        self._window, self._desk, self._lane = window, desk, desk.lane()
        self._kdf_iterations = kdf_iterations
        self._environments = environments()
        self.answers = Answers()
        self._at = 0
        self._changing = False
        self._show()

    def _chosen(self) -> EnvironmentChoice:
        return next(e for e in self._environments if e.id == self.answers.environment)

    def _makers(self) -> list[Callable[[], pages.SetupPage]]:
        answers = self.answers
        return [
            lambda: pages.PlacePage(answers),
            lambda: pages.TokenPage(answers, self._environments),
            lambda: pages.PeoplePage(answers),
            *(partial(pages.PassphrasePage, answers, m, self._chosen().passphrase_least) for m in answers.people),
            lambda: pages.PinsPage(answers),
            lambda: ending.CheckPage(answers, self._chosen()),
        ]

    def _show(self) -> None:
        page = self._makers()[self._at]()
        page.done.connect(self._next)
        page.left.connect(self._back)
        if isinstance(page, ending.CheckPage):
            self._changing = False
            page.change_asked.connect(self._change)
        self._window.show_page(page)

    def _next(self) -> None:
        last = len(self._makers()) - 1
        if self._at == last:
            self._found()
            return
        first, after = CHANGES["passphrases"], CHANGES["passphrases"] + len(self.answers.people)
        among_passphrases = first <= self._at < after - 1
        self._at = last if self._changing and not among_passphrases else self._at + 1
        self._show()

    def _back(self) -> None:
        if self._at == 0:
            self.answers.wipe()
            self.left.emit()
            return
        self._at -= 1
        self._show()

    def _change(self, place: str) -> None:
        self._at = CHANGES.get(place, len(self._makers()) - 2)
        self._changing = True
        self._show()

    def _found(self) -> None:
        page = ending.ProgressPage()
        page.left.connect(self._show)
        self._progress.connect(taking(FoundingProgress, page.show_progress), Qt.ConnectionType.QueuedConnection)
        self._window.show_page(page)
        spec = self.answers.spec(self._kdf_iterations or self._chosen().kdf_iterations)

        def work() -> dict[str, str]:
            from hsm_console.client import setup

            return setup.run(spec, self._progress.emit)

        def refused(problem: Problem) -> None:
            self._progress.disconnect()
            page.refuse(problem)

        self._lane.call(work, self._made, refused, guard=tr("The workspace is being made; that cannot be interrupted."))

    def _made(self, credentials: dict[str, str]) -> None:
        self.answers.wipe()
        page = ending.FinishPage(self.answers, credentials)
        page.go_on.connect(lambda: self.finished.emit(str(Path(self.answers.directory))))
        self._window.show_page(page)
