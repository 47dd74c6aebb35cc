"""A workspace to try things out: simulated token, seven invented people, one passphrase that everybody may know."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from hsm_console.domain.messages.setup import Founder, FoundingProgress, FoundingSpec
from hsm_console.domain.people import Person, Role
from ui.console import Console
from ui.desk import Desk
from ui.setup.ending import ProgressPage
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import taking

PASSPHRASE = "harbour violin copper meadow"  # noqa: S105 - public on purpose: nothing here is real
PIN, SO_PIN = "24680-demo", "13579-demo"
PEOPLE = (
    ("c.babbage", "Charlotte Babbage", Role.ADMINISTRATOR),
    ("a.turing", "Alan Turing", Role.CUSTODIAN),
    ("g.hopper", "Grace Hopper", Role.CUSTODIAN),
    ("e.noether", "Emmy Noether", Role.CUSTODIAN),
    ("a.lovelace", "Ada Lovelace", Role.EXECUTIVE),
    ("w.diffie", "Wilhelmina Diffie", Role.WITNESS),
    ("k.goedel", "Kurt Gödel", Role.AUDITOR),
)
ITERATIONS = 20_000


class Demonstration(QObject):
    _progress = Signal(object)  # FoundingProgress; from the worker

    def __init__(self, window: Window, desk: Desk, console: Console) -> None:
        super().__init__(window)
        self._console, self._lane = console, desk.lane()
        folder = Path(tempfile.mkdtemp(prefix="hsm-console-demo-")) / "workspace"
        page = ProgressPage()
        self._progress.connect(taking(FoundingProgress, page.show_progress), Qt.ConnectionType.QueuedConnection)
        window.show_page(page)
        spec = specification(folder)

        def work() -> str:
            from hsm_console.client import setup

            setup.run(spec, self._progress.emit)
            return str(folder)

        self._lane.call(work, self._ready, page.refuse)

    def _ready(self, folder: str) -> None:
        self._progress.disconnect()
        self._console.desk.workspace = Path(folder)
        told = tr(
            "Demonstration. Everybody's passphrase: {phrase}. PIN of the module: {pin}.", phrase=PASSPHRASE, pin=PIN
        )
        self._console.login(told)


def specification(folder: Path) -> FoundingSpec:
    return FoundingSpec(
        directory=str(folder),
        name=tr("Demonstration"),
        adapter="simulation",
        environment="rehearsal",
        token_label="demonstration",  # noqa: S106 - a label
        so_pin=SO_PIN,
        pin=PIN,
        people=tuple(
            Founder(person=Person(uid=uid, name=name), roles=(role,), passphrase=PASSPHRASE)
            for uid, name, role in PEOPLE
        ),
        kdf_iterations=ITERATIONS,
    )
