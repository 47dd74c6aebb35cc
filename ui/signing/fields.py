"""Fields that the four forms share: which key, and what it is used on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QHBoxLayout, QPlainTextEdit, QRadioButton, QVBoxLayout, QWidget

from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import SignMechanism
from hsm_console.domain.messages.ceremony import KeyView
from hsm_console.domain.messages.work import KeyDetail
from ui.files import MEGABYTE, Brought, bring, bring_digest, typed
from ui.keys import words
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import label
from ui.widgets.field import FormField, choice
from ui.widgets.file_field import FileField

MOST = 16 * MEGABYTE  # what is larger would not fit into one request to the gateway
MOST_SEALED = 12 * MEGABYTE  # encrypted, it has to fit as well
MOST_ENVELOPE = MOST + 2 * MEGABYTE


class KeyField(QWidget):
    """Only keys that may do it. What the gateway says of the chosen one comes a moment later."""

    chosen = Signal(object)  # KeyView

    def __init__(self, title: str, keys: list[KeyView], wanted: KeyView | None) -> None:
        super().__init__()
        items: list[tuple[str, object]] = [(words.called(k), k) for k in keys]
        self.field = choice(title, items)
        self._why = label("", "error")
        self._why.hide()
        self.detail: KeyDetail | None = None
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(6))
        box.addWidget(self.field)
        box.addWidget(self._why)
        self.setFocusProxy(self.field.control)
        at = next((n for n, k in enumerate(keys) if wanted is not None and k.object_id == wanted.object_id), 0)
        self._combo.setCurrentIndex(at if keys else -1)
        self._combo.currentIndexChanged.connect(lambda _index: self._changed())

    @property
    def _combo(self) -> QComboBox:
        if not isinstance(self.field.control, QComboBox):
            raise TypeError("a choice was expected")
        return self.field.control

    @property
    def key(self) -> KeyView | None:
        found = self._combo.currentData()
        return found if isinstance(found, KeyView) else None

    def show_detail(self, detail: KeyDetail, act: str) -> None:
        """Says why not, when the chosen key may not do this."""
        if self.key is None or detail.key_id != self.key.object_id:
            return  # an answer about another key, which was chosen before
        self.detail = detail
        refused = act not in detail.acts
        self._why.setText(detail.why_not.get(act, tr("This key may not do that.")) if refused else "")
        self._why.setVisible(refused)

    def refuse(self, problem: Problem) -> None:
        self._why.setText(f"{problem.what} {problem.todo}")
        self._why.show()

    def _changed(self) -> None:
        self.detail = None
        self._why.hide()
        if self.key is not None:
            self.chosen.emit(self.key)


class ContentField(QWidget):
    """A file, a text that is typed here, or the digest of a file that is too large to travel."""

    def __init__(self, title: str, *, digest: bool, most: int = MOST) -> None:
        """digest: whether a digest may stand for a file; most: octets of a file that travels whole."""
        super().__init__()
        self._most = most
        self.by_digest = QRadioButton(tr("The digest of a &large file"))
        self.by_digest.setVisible(digest)
        self.by_file = QRadioButton(tr("A &file"))
        self.by_text = QRadioButton(tr("A te&xt that I type"))
        self.by_file.setChecked(True)
        self.file = FileField(title)
        self.text = QPlainTextEdit()
        self.text.setTabChangesFocus(True)
        self.text.setFixedHeight(engine().px(120))
        self._typed = FormField(tr("Text"), self.text, hint=tr("Exactly as it stands here, as UTF-8."))
        said = tr("Its SHA-256 is computed here, and the line that “sha256sum” prints for it is what counts.")
        self._said = label(said, "hint")
        ways = one_of(self, self.by_file, self.by_text, self.by_digest)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(10))
        box.addLayout(ways)
        box.addWidget(self.file)
        box.addWidget(self._said)
        box.addWidget(self._typed)
        self._typed.hide()
        self._said.hide()
        self.by_text.toggled.connect(self._turn)
        self.by_digest.toggled.connect(self._said.setVisible)

    def _turn(self, by_text: bool) -> None:
        self._typed.setVisible(by_text)
        self.file.setVisible(not by_text)

    def source(self) -> Source | None:
        """Where it comes from; says what is missing when there is nothing."""
        self._typed.clear_error()
        if self.by_text.isChecked():
            text = self.text.toPlainText()
            if not text:
                self._typed.show_error(tr("Type the text first."))
                self.text.setFocus()
                return None
            return Source(text=text)
        path = self.file.require()
        return Source(path=path, most=self._most, digest=self.by_digest.isChecked()) if path is not None else None

    def refuse(self, problem: Problem) -> None:
        self.file.refuse(f"{problem.what} {problem.todo}")


@dataclass(frozen=True)
class Source:
    """What will be read, once: `bring` opens the file, so that the page never does. Blocks."""

    path: Path | None = None
    text: str = ""
    most: int = MOST
    digest: bool = False

    def bring(self) -> Brought:
        """Raises InputError with a code that begins with `file-`."""
        if self.path is None:
            return typed(self.text)
        return bring_digest(self.path) if self.digest else bring(self.path, self.most)


def one_of(parent: QWidget, *ways: QRadioButton) -> QHBoxLayout:
    """Side by side. Tab reaches the chosen one, the arrows the others."""
    group = QButtonGroup(parent)
    box = QHBoxLayout()
    box.setSpacing(engine().px(24))
    for way in ways:
        group.addButton(way)
        box.addWidget(way)
    box.addStretch(1)
    return box


def mechanism_field() -> FormField:
    return choice(tr("&How it is signed"), [])


def fill_mechanisms(field: FormField, found: tuple[SignMechanism, ...], *, automatic: bool = False) -> None:
    """The first is the default. automatic: the key's kind decides, when it is not known yet."""
    combo = field.control
    if not isinstance(combo, QComboBox):
        raise TypeError("a choice was expected")
    combo.clear()
    if automatic:
        combo.addItem(tr("as usual for this kind of key"), None)
    for one in found:
        combo.addItem(words.mechanism(one.value), one)


def mechanism(field: FormField) -> SignMechanism | None:
    combo = field.control
    found = combo.currentData() if isinstance(combo, QComboBox) else None
    return SignMechanism(found) if found else None
