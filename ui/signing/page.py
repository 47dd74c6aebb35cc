"""What one can do with a key: four doors."""

from __future__ import annotations

from PySide6.QtCore import Signal

from hsm_console.domain.messages.session import DeviceState
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.problem import notice
from ui.widgets.tile import Tile

ACTS = ("sign", "verify", "encrypt", "decrypt")


class UsePage(Page):
    chosen = Signal(str)  # sign, verify, encrypt or decrypt

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
        for act in ACTS if may_use else ("verify",):
            title, below, icon = _words(act)
            tile = Tile(title, below, icon=icon)
            tile.clicked.connect(lambda _checked=False, which=act: self.chosen.emit(which))
            self.add(tile)
            self.tiles[act] = tile
        self.first = next(iter(self.tiles.values()))

    def show_state(self, state: DeviceState) -> None:
        self._locked.setVisible(not state.unlocked)


def _words(act: str) -> tuple[str, str, str]:
    return {
        "sign": (tr("Sign"), tr("A file or a text gets a signature that anybody can verify."), "pen"),
        "verify": (tr("Verify a signature"), tr("Whether a signature, a file and a key belong together."), "check"),
        "encrypt": (tr("Encrypt"), tr("A file that only the holder of a key can open again."), "lock"),
        "decrypt": (tr("Decrypt"), tr("Open a file that was encrypted for a key in the module."), "unlock"),
    }[act]
