"""A workspace to try things out: a token that protects nothing, seven invented people, one passphrase for all."""

from __future__ import annotations

import tempfile
import tomllib
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
TOKEN_LABEL = "demonstration"  # noqa: S105 - a label
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

    def __init__(
        self, window: Window, desk: Desk, console: Console, *, out: Path | None = None, adapter: str = "simulation"
    ) -> None:
        """out: where everything is left; a demonstration that lies there goes on. None: a temporary folder."""
        super().__init__(window)
        self._console, self._lane = console, desk.lane()
        folder = out or Path(tempfile.mkdtemp(prefix="hsm-console-demo-")) / "workspace"
        if (folder / "workspace.toml").is_file():
            self._ready(str(folder))
            return
        page = ProgressPage()
        self._progress.connect(taking(FoundingProgress, page.show_progress), Qt.ConnectionType.QueuedConnection)
        window.show_page(page)
        spec = specification(folder, adapter)

        def work() -> str:
            from hsm_console.client import setup

            setup.run(spec, self._progress.emit)
            return str(folder)

        self._lane.call(work, self._made, page.refuse)

    def _made(self, folder: str) -> None:
        self._progress.disconnect()
        self._ready(folder)

    def _ready(self, folder: str) -> None:
        self._console.desk.workspace = Path(folder)
        self._console.login(_told(folder))


def _told(folder: str) -> str:
    """What the people may know. Another demonstration than ours (one without a screen) has passphrases of its own."""
    here = tr("Everything is left in {folder}.", folder=folder)
    try:
        label = tomllib.loads((Path(folder) / "workspace.toml").read_text("utf-8"))["token"]["label"]
    except (OSError, ValueError, KeyError, TypeError):
        label = ""  # the gateway says what is wrong with it
    if label != TOKEN_LABEL:
        return (
            tr("A workspace that was there already is opened. Its people have passphrases of their own.") + f" {here}"
        )
    told = tr("Demonstration. Everybody's passphrase: {phrase}. PIN of the module: {pin}.", phrase=PASSPHRASE, pin=PIN)
    return f"{told} {here}"


def specification(folder: Path, adapter: str = "simulation") -> FoundingSpec:
    return FoundingSpec(
        directory=str(folder),
        name=tr("Demonstration"),
        adapter=adapter,
        environment="rehearsal",
        token_label=TOKEN_LABEL,
        so_pin=SO_PIN,
        pin=PIN,
        people=tuple(
            Founder(person=Person(uid=uid, name=name), roles=(role,), passphrase=PASSPHRASE)
            for uid, name, role in PEOPLE
        ),
        kdf_iterations=ITERATIONS,
    )
