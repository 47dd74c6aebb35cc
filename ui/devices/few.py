"""Before a PIN is typed when two attempts or fewer are left: stop, or know what one does."""

from __future__ import annotations

from PySide6.QtCore import Signal

from ui.ceremony.step_page import commit_warning
from ui.devices.words import PinState
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, label
from ui.widgets.problem import notice
from ui.widgets.typed_word import TypedWord


class FewAttemptsPage(Page):
    """The safe answer has the focus, Enter does nothing in the word, and going on needs the word."""

    go_asked = Signal()
    left = Signal()

    def __init__(self, pin: PinState) -> None:
        super().__init__(tr("Stop before you type the PIN"), eyebrow=tr("Unlock the module"), width=680)
        self.add(notice(pin.words, look=pin.look, icon=pin.icon, colour=pin.colour))
        text = tr("When the last attempt is wrong, the module locks itself: no key in it can be used until the "
                  "security officer sets a new PIN, and some modules erase themselves.")  # fmt: skip
        self.add(commit_warning(text))
        self.add(label(tr("Whoever knows the PIN types it. Nobody tries PINs out.")))
        self.word = TypedWord(tr("certain"))
        self.add(self.word)
        self.back = button(tr("&Leave it locked"))
        self.back.clicked.connect(self.left)
        self.go = button(tr("&Go on to the PIN"), "commit")
        self.go.setEnabled(False)
        self.go.clicked.connect(self.go_asked)
        self.word.matched.connect(self.go.setEnabled)
        self.act(self.back, self.go)
        self.first = self.back
