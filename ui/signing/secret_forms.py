"""Forms whose result is a secret: one that is agreed on with somebody, and octets that nobody can guess."""

from __future__ import annotations

from PySide6.QtCore import Signal

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import INFO_BYTES, RANDOM_OCTETS, SECRET_OCTETS
from ui.shell.page import Page
from ui.signing.fields import Source
from ui.signing.forms import UseForm, Wish
from ui.texts import tr
from ui.widgets.basics import button, card
from ui.widgets.busy import BusyButton
from ui.widgets.field import FormField, line
from ui.widgets.file_field import FileField
from ui.widgets.fold import Fold

USUAL = 32  # octets: 256 bits, enough for any key
MOST_PUBLIC = 64 * 1024
_AT_FILE = ("file-", "public-key-")


class DeriveForm(UseForm):
    deed = "derive"

    def __init__(self, keys: list[KeyView], wanted: KeyView | None = None) -> None:
        lead = tr(
            "The module computes a secret from a key here and somebody's public key; the key itself stays inside."
        )
        super().__init__(tr("Agree on a secret"), lead, tr("&Compute it"), keys, wanted)

    def build(self) -> None:
        self.public = FileField(
            tr("The &other side's public key"), hint=tr("PEM, of the same kind as the key here, as its owner sent it.")
        )
        self.length = _length(SECRET_OCTETS)
        self.context = line(tr("Conte&xt"), hint=tr("Both sides give the same, else they get different secrets."))
        self.box.addWidget(self.key)
        self.box.addWidget(self.public)
        self.box.addWidget(self.length)
        self.box.addWidget(Fold(tr("Technical details"), self.context))
        self.first = self.public

    def wish(self) -> Wish | None:
        self.context.clear_error()
        path = self.public.require()
        octets = _number(self.length, SECRET_OCTETS) if path is not None else None
        if path is None or octets is None or self.key.key is None:
            return None
        info = self.context.text().encode()
        if len(info) > INFO_BYTES:
            self.context.show_error(tr("At most {most} bytes; give a digest of it.", most=INFO_BYTES))
            return None
        return Wish(self.deed, self.key.key, Source(path=path, most=MOST_PUBLIC), bound=info, length=octets)

    def _at_field(self, problem: Problem) -> bool:
        if problem.code.startswith(_AT_FILE):
            self.public.refuse(f"{problem.what} {problem.todo}")
            return True
        return False


class RandomForm(Page):
    """It takes no key: the module's own generator is asked, and mixed with the operating system's."""

    asked = Signal(int)  # octets
    left = Signal()

    def __init__(self) -> None:
        lead = tr("They are drawn in the module, tested, and mixed with those of the operating system: good as long as "
                  "one of the two is.")  # fmt: skip
        super().__init__(tr("Draw random bytes"), lead, eyebrow=tr("Use a key"))
        frame, box = card(margins=26, spacing=20)
        self.length = _length(RANDOM_OCTETS)
        box.addWidget(self.length)
        self.add(frame)
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(tr("&Draw them"))
        self.main.pressed.connect(self._go)
        self.aside(self.back)
        self.act(self.main)
        self.first = self.length.control

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _go(self) -> None:
        self.problem.clear()
        octets = _number(self.length, RANDOM_OCTETS)
        if octets is not None:
            self.main.start()
            self.asked.emit(octets)


def _length(between: tuple[int, int]) -> FormField:
    least, most = between
    hint = tr("{least} to {most}; {usual} bytes are 256 bits, enough for any key.", least=least, most=most, usual=USUAL)
    return line(tr("How &many bytes?"), text=str(USUAL), hint=hint)


def _number(field: FormField, between: tuple[int, int]) -> int | None:
    """What stands there; says what is wrong when it is no such number."""
    least, most = between
    field.clear_error()
    text = field.text().strip()
    if text.isascii() and text.isdecimal() and len(text) < 9 and least <= int(text) <= most:
        return int(text)
    field.show_error(tr("Type a number from {least} to {most}.", least=least, most=most))
    field.setFocus()
    return None
