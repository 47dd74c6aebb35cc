"""The forms for signing, verifying, encrypting, decrypting. Each emits what it was given; nothing is read here.

Those whose result is a secret stand in `secret_forms`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QRadioButton, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import SignMechanism
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import KeyDetail
from ui.shell.page import Page
from ui.signing.fields import (
    MOST_ENVELOPE,
    MOST_SEALED,
    ContentField,
    KeyField,
    Source,
    fill_mechanisms,
    mechanism,
    mechanism_field,
    one_of,
)
from ui.texts import tr
from ui.widgets.basics import button, card, label
from ui.widgets.busy import BusyButton
from ui.widgets.field import FormField, line
from ui.widgets.file_field import FileField
from ui.widgets.fold import Fold


@dataclass(frozen=True)
class Wish:
    """What the form was given. key None: the public key lies in `public`. bound: octets that belong to it, unhidden;
    of a secret, the context on which both sides agree.
    """

    deed: str
    key: KeyView | None
    content: Source
    mechanism: SignMechanism | None = None
    signature: Path | None = None
    public: Path | None = None
    bound: bytes = b""
    length: int = 0  # octets of a secret


class UseForm(Page):
    deed = ""  # an act of domain.keyuse
    asked = Signal(object)  # Wish
    key_chosen = Signal(object)  # KeyView
    left = Signal()

    def __init__(self, title: str, lead: str, button_text: str, keys: list[KeyView], wanted: KeyView | None) -> None:
        super().__init__(title, lead, eyebrow=tr("Use a key"))
        self._keys = keys
        frame, self.box = card(margins=26, spacing=20)
        self.key = KeyField(tr("&Key"), keys, wanted)
        self.key.chosen.connect(self.key_chosen)
        if not keys:
            self.box.addWidget(label(self._no_key()))
        self.build()
        self.add(frame)
        self.back = button(tr("&Back"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(button_text)
        self.main.pressed.connect(self._go)
        self.aside(self.back)
        self.act(self.main)

    def build(self) -> None:
        """Fill the card; set `first`."""
        raise NotImplementedError

    def wish(self) -> Wish | None:
        """What was given; None after the field that lacks something has said so."""
        raise NotImplementedError

    def show_detail(self, detail: KeyDetail) -> None:
        self.key.show_detail(detail, self.deed)

    def refuse(self, problem: Problem) -> None:
        """A file that cannot be read is said at its field, all else on top; everything typed stays."""
        self.main.stop()
        if not self._at_field(problem):
            self.tell(problem)

    def begin(self) -> None:
        """The page is shown: ask about the key that is chosen already."""
        if self.key.key is not None:
            self.key_chosen.emit(self.key.key)

    def _at_field(self, problem: Problem) -> bool:
        """Say it at the field that it is about, and whether there was one."""
        raise NotImplementedError

    def _no_key(self) -> str:
        return tr("There is no key here that may do this. It is made on the page of the keys: “Make keys…”.")

    def _go(self) -> None:
        self.problem.clear()
        given = self.wish()
        if given is not None:
            self.main.start()
            self.asked.emit(given)


class SignForm(UseForm):
    deed = "sign"

    def __init__(self, keys: list[KeyView], wanted: KeyView | None = None) -> None:
        lead = tr("You check everything on the next page; nothing is signed before.")
        super().__init__(tr("Sign"), lead, tr("&Check it"), keys, wanted)

    def build(self) -> None:
        self.content = ContentField(tr("What is &signed"), digest=True)
        self.mechanism = mechanism_field()
        self.box.addWidget(self.key)
        self.box.addWidget(self.content)
        self.box.addWidget(Fold(tr("Technical details"), self.mechanism))
        self.first = self.content.file

    def show_detail(self, detail: KeyDetail) -> None:
        super().show_detail(detail)
        fill_mechanisms(self.mechanism, detail.mechanisms)

    def wish(self) -> Wish | None:
        source = self.content.source()
        if source is None or self.key.key is None:
            return None
        return Wish(self.deed, self.key.key, source, mechanism=mechanism(self.mechanism))

    def _at_field(self, problem: Problem) -> bool:
        return _at_content(self.content, problem)


class VerifyForm(UseForm):
    """Anybody may: with a key of this workspace, or with somebody's public key from a file."""

    deed = "verify"

    def __init__(self, keys: list[KeyView], wanted: KeyView | None = None) -> None:
        lead = tr("Whether this signature was made over exactly this file, with exactly this key.")
        super().__init__(tr("Verify a signature"), lead, tr("&Verify it"), keys, wanted)

    def build(self) -> None:
        self.content = ContentField(tr("What was &signed"), digest=True)
        self.signature = FileField(tr("The si&gnature"), hint=tr("A file, most often with .sig at its end."))
        self.own = QRadioButton(tr("A key of this &workspace"))
        self.other = QRadioButton(tr("Somebody's &public key, from a file"))
        self.public = FileField(tr("The p&ublic key"), hint=tr("PEM, as “Save the public key…” writes it."))
        self.mechanism = mechanism_field()
        fill_mechanisms(self.mechanism, tuple(SignMechanism), automatic=True)
        for part in (self.content, self.signature):
            self.box.addWidget(part)
        self.box.addLayout(one_of(self, self.own, self.other))
        holder = QWidget()
        inside = QVBoxLayout(holder)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.key)
        inside.addWidget(self.public)
        self.box.addWidget(holder)
        self.box.addWidget(Fold(tr("Technical details"), self.mechanism))
        self.other.toggled.connect(self._turn)
        (self.own if self._keys else self.other).setChecked(True)
        self._turn(not self._keys)
        self.first = self.content.file

    def wish(self) -> Wish | None:
        source = self.content.source()
        signature = self.signature.require() if source is not None else None
        if source is None or signature is None:
            return None
        way = mechanism(self.mechanism)
        if not self.other.isChecked():
            key = self.key.key
            return Wish(self.deed, key, source, way, signature) if key is not None else None
        public = self.public.require()
        return Wish(self.deed, None, source, way, signature, public) if public is not None else None

    def _turn(self, other: bool) -> None:
        self.key.setVisible(not other)
        self.public.setVisible(other)

    def _at_field(self, problem: Problem) -> bool:
        if not problem.code.startswith("file-"):
            return False
        if problem.code == "file-no-public-key":
            self.public.refuse(f"{problem.what} {problem.todo}")
            return True
        at = problem.details.get("path", "")
        for field in (self.signature, self.public):
            if field.path() is not None and str(field.path()) == at:
                field.refuse(f"{problem.what} {problem.todo}")
                return True
        return _at_content(self.content, problem)


class EncryptForm(UseForm):
    deed = "encrypt"

    def __init__(self, keys: list[KeyView], wanted: KeyView | None = None) -> None:
        lead = tr("What comes out can be opened only with the key you choose here.")
        super().__init__(tr("Encrypt"), lead, tr("&Encrypt it"), keys, wanted)

    def build(self) -> None:
        self.content = ContentField(tr("What is en&crypted"), digest=False, most=MOST_SEALED)
        self.bound = _bound()
        self.box.addWidget(self.key)
        self.box.addWidget(self.content)
        self.box.addWidget(Fold(tr("Technical details"), self.bound))
        self.first = self.content.file

    def wish(self) -> Wish | None:
        source = self.content.source()
        if source is None or self.key.key is None:
            return None
        return Wish(self.deed, self.key.key, source, bound=self.bound.text().encode())

    def _at_field(self, problem: Problem) -> bool:
        return _at_content(self.content, problem)


class DecryptForm(UseForm):
    deed = "decrypt"

    def __init__(self, keys: list[KeyView], wanted: KeyView | None = None) -> None:
        lead = tr("The module opens it. What was inside is not shown here; you save it where you choose.")
        super().__init__(tr("Decrypt"), lead, tr("&Open it"), keys, wanted)

    def build(self) -> None:
        self.envelope = FileField(tr("The &encrypted file"))
        self.bound = _bound()
        self.box.addWidget(self.key)
        self.box.addWidget(self.envelope)
        self.box.addWidget(Fold(tr("Technical details"), self.bound))
        self.first = self.envelope

    def wish(self) -> Wish | None:
        path = self.envelope.require()
        if path is None or self.key.key is None:
            return None
        return Wish(self.deed, self.key.key, Source(path=path, most=MOST_ENVELOPE), bound=self.bound.text().encode())

    def _at_field(self, problem: Problem) -> bool:
        if problem.code.startswith("file-"):
            self.envelope.refuse(f"{problem.what} {problem.todo}")
            return True
        return False


def _at_content(content: ContentField, problem: Problem) -> bool:
    if not problem.code.startswith("file-"):
        return False
    content.refuse(problem)
    return True


def _bound() -> FormField:
    hint = tr("Bound to it but not hidden, for example a file number; whoever opens it must give the same.")
    return line(tr("Bo&und to it"), hint=hint)
