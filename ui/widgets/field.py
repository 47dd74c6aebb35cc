"""Label, hint, control and error as one thing, for eyes and for screen readers alike."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLineEdit, QVBoxLayout, QWidget

from hsm_console.domain.secret import Secret
from ui.texts import tr
from ui.theme.engine import engine
from ui.widgets.basics import label, restyle


class FormField(QWidget):
    """A control with its label above, its hint and its error below.

    The error stays until `clear_error`: typing does not take away what one has to read. Screen readers hear it in the
    control's name and description, because Qt has no state for an invalid entry on every platform.
    """

    edited = Signal()  # the person changed the value

    def __init__(self, title: str, control: QWidget, *, hint: str = "") -> None:
        super().__init__()
        self.control = control
        self._title, self._hint_text = title.replace("&", ""), hint
        self._label = label(title, "label")
        self._label.setBuddy(control)
        self._hint = label(hint, "hint")
        self._hint.setVisible(bool(hint))
        self._error = label("", "error")
        self._error.setVisible(False)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(engine().px(5))
        for part in (self._label, self._hint, control, self._error):
            box.addWidget(part)
        self.setFocusProxy(control)
        if isinstance(control, QLineEdit):
            control.textEdited.connect(lambda _text: self.edited.emit())
        elif isinstance(control, QComboBox):
            control.activated.connect(lambda _index: self.edited.emit())
        self._describe("")

    @property
    def error(self) -> str:
        return self._error.text()

    def show_error(self, text: str) -> None:
        self._error.setText(text)
        self._error.setVisible(True)
        self._mark(True)
        self._describe(text)

    def clear_error(self) -> None:
        self._error.setVisible(False)
        self._error.setText("")
        self._mark(False)
        self._describe("")

    def set_hint(self, text: str) -> None:
        self._hint_text = text
        self._hint.setText(text)
        self._hint.setVisible(bool(text))
        self._describe(self.error)

    def text(self) -> str:
        if isinstance(self.control, QLineEdit):
            return self.control.text()
        if isinstance(self.control, QComboBox):
            return self.control.currentText()
        raise TypeError("this field has no text")

    def set_text(self, text: str) -> None:
        if isinstance(self.control, QLineEdit):
            self.control.setText(text)

    def take_secret(self) -> Secret:
        """The typed secret; the control forgets it."""
        if not isinstance(self.control, QLineEdit):
            raise TypeError("this field has no text")
        secret = Secret(self.control.text())
        self.control.clear()
        return secret

    def _mark(self, wrong: bool) -> None:
        self.control.setProperty("wrong", "true" if wrong else "false")
        restyle(self.control)

    def _describe(self, error: str) -> None:
        self.control.setAccessibleName(self._title + (tr(", invalid entry") if error else ""))
        self.control.setAccessibleDescription(" ".join(part for part in (error, self._hint_text) if part))


def line(title: str, *, hint: str = "", text: str = "", placeholder: str = "") -> FormField:
    """A field for one line of text."""
    edit = QLineEdit(text)
    edit.setPlaceholderText(placeholder)
    return FormField(title, edit, hint=hint)


def secret(title: str, *, hint: str = "") -> FormField:
    """A field for a passphrase or PIN: dots on the screen, nothing on the clipboard, nothing for an input method."""
    edit = QLineEdit()
    edit.setEchoMode(QLineEdit.EchoMode.Password)
    edit.setDragEnabled(False)
    return FormField(title, edit, hint=hint)


def choice(title: str, items: list[tuple[str, object]], *, hint: str = "") -> FormField:
    """A field to choose one of some. items: text and value."""
    combo = QComboBox()
    for text, value in items:
        combo.addItem(text, value)
    return FormField(title, combo, hint=hint)
