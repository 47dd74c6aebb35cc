"""A secret that somebody asked for: covered until she wants to see it, and gone when she leaves the page."""

from __future__ import annotations

import contextlib
from functools import partial

from PySide6.QtCore import QByteArray, QEvent, QMimeData, QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QHideEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from hsm_console.domain.secret import Secret
from ui.texts import grouped, tr
from ui.widgets.basics import button, card, label, row

SECONDS = 30  # how long it is seen, and how long it stays on the clipboard
MOST_SHOWN = 256  # bytes; nobody reads or pastes more
_A_LINE = 16
_HINT = "x-kde-passwordManagerHint"  # histories of clipboards that honour it keep nothing


class Disclosed(QWidget):
    """Octets as hexadecimal digits: shown or copied on request, each for half a minute.

    They are covered when the window is left or another page comes over it. When this is destroyed the clipboard is
    emptied (unless something else is there by then) and the octets are overwritten; what Qt copied is out of reach.
    """

    def __init__(self, title: str, octets: bytes) -> None:
        super().__init__()
        self._secret = Secret(octets)
        self._loan = Loan()
        frame, box = card()
        box.addWidget(label(title, "heading"))
        self._dots = label("", "mono")
        self._dots.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        box.addWidget(self._dots)
        self.show_it = button(tr("S&how it"))
        self.show_it.setCheckable(True)
        self.show_it.toggled.connect(self._turn)
        self.copy = button(tr("&Copy it"))
        self.copy.clicked.connect(self._copy)
        self._said = label("", "hint")
        box.addLayout(row(self.show_it, self.copy))
        for way in (self.show_it, self.copy):
            way.setVisible(len(octets) <= MOST_SHOWN)
        box.addWidget(self._said)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.cover)
        self._cover_words(len(octets))
        self.destroyed.connect(partial(_forget, self._secret, self._loan))

    @property
    def seen(self) -> bool:
        return self.show_it.isChecked()

    def cover(self) -> None:
        self.show_it.setChecked(False)

    def hideEvent(self, event: QHideEvent) -> None:
        self.cover()
        super().hideEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() is QEvent.Type.ActivationChange and not self.isActiveWindow():
            self.cover()
        super().changeEvent(event)

    def _turn(self, shown: bool) -> None:
        self.show_it.setText(tr("&Hide it") if shown else tr("S&how it"))
        self.show_it.setAccessibleName(self.show_it.text().replace("&", ""))
        if not shown:
            self._timer.stop()
            self._cover_words(len(self._secret))
            return
        digits = self._secret.reveal_bytes().hex()
        lines = [digits[at : at + 2 * _A_LINE] for at in range(0, len(digits), 2 * _A_LINE)]
        self._dots.setText("\n".join(grouped(line) for line in lines))
        self._dots.setAccessibleName(tr("The secret, as hexadecimal digits"))
        self._said.setText(tr("It is covered again after {n} seconds, or when you leave this window.", n=SECONDS))
        self._timer.start(int(SECONDS * 1000))

    def _cover_words(self, octets: int) -> None:
        self._dots.setText("•" * min(2 * octets, 48))
        self._dots.setAccessibleName(tr("The secret is covered"))
        long = tr("Too long to be read or pasted: save it in a file.")
        short = tr("Nobody sees it yet. It is in no record; when you leave this page, it is gone.")
        self._said.setText(short if octets <= MOST_SHOWN else long)

    def _copy(self) -> None:
        self._loan.lend(self._secret.reveal_bytes().hex())
        said = tr(
            "It is on the clipboard, as hexadecimal digits, for {n} seconds or until you leave this page.", n=SECONDS
        )
        self._said.setText(said)


class Loan(QObject):
    """One text on the clipboard for a while. What somebody puts there meanwhile is left alone."""

    def __init__(self) -> None:
        super().__init__()
        self._text = Secret("")
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.end)

    def lend(self, text: str) -> None:
        self._text = Secret(text)
        data = QMimeData()
        data.setText(text)
        data.setData(_HINT, QByteArray(b"secret"))
        QGuiApplication.clipboard().setMimeData(data)
        self._timer.start(int(SECONDS * 1000))

    def end(self) -> None:
        if self._text and QGuiApplication.clipboard().text() == self._text.reveal():
            QGuiApplication.clipboard().clear()
        self._text.wipe()
        self._timer.stop()


def _forget(secret: Secret, loan: Loan, _gone: QObject | None = None) -> None:
    secret.wipe()
    with contextlib.suppress(RuntimeError):  # the application ends, and Qt has taken the loan's timer first
        loan.end()
