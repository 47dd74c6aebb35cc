"""What one can do with a key, or with the module's generator: a door for each."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout

from hsm_console.domain.messages.session import DeviceState
from ui.shell.page import Page
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.problem import notice
from ui.widgets.tile import Tile

ACTS = ("sign", "verify", "encrypt", "decrypt", "derive", "random")
COLUMNS = 2


class UsePage(Page):
    chosen = Signal(str)  # one of ACTS

    def __init__(self, *, may_use: bool, unlocked: bool) -> None:
        """may_use: this person may use keys here; everybody may verify. The gateway checks it again."""
        lead = tr("Choosing does nothing yet. What is done with a key is recorded before and after.")
        super().__init__(tr("Use a key"), lead)
        text = tr("The module is locked: until it is unlocked, only signatures can be verified.")
        self._locked = notice(text, icon="lock")
        self.add(self._locked)
        self._locked.setVisible(not unlocked)
        if not may_use:
            self.add(notice(tr("In your role you can verify signatures. An administrator or an executive uses keys.")))
        self.tiles: dict[str, Tile] = {}
        doors = QGridLayout()
        doors.setSpacing(engine().px(16))
        for number, act in enumerate(ACTS if may_use else ("verify",)):
            title, below, icon = _words(act)
            tile = Tile(title, below, icon=icon)
            tile.clicked.connect(lambda _checked=False, which=act: self.chosen.emit(which))
            doors.addWidget(tile, number // COLUMNS, number % COLUMNS)
            self.tiles[act] = tile
        self.add(doors)
        self.first = next(iter(self.tiles.values()))

    def show_state(self, state: DeviceState) -> None:
        self._locked.setVisible(not state.unlocked)


def _words(act: str) -> tuple[str, str, str]:
    return {
        "sign": (tr("Sign"), tr("A file or a text gets a signature that anybody can verify."), "pen"),
        "verify": (tr("Verify a signature"), tr("Whether a signature, a file and a key belong together."), "check"),
        "encrypt": (tr("Encrypt"), tr("A file that only the holder of a key can open again."), "lock"),
        "decrypt": (tr("Decrypt"), tr("Open a file that was encrypted for a key in the module."), "unlock"),
        "derive": (tr("Agree on a secret"), tr("Both sides compute it; nobody else can."), "people"),
        "random": (
            tr("Draw random bytes"),
            tr("Nobody can guess them; the module is tested first."),
            "dice",
        ),
    }[act]
