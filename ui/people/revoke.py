"""Revoking: a revoked certificate never comes back, so the page asks for a reason and a typed word."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.people import PersonView
from ui import texts
from ui.ceremony.step_page import commit_warning
from ui.people.page import valid_until
from ui.shell.page import Page
from ui.texts import tr
from ui.widgets.basics import button, card, pairs
from ui.widgets.busy import BusyButton
from ui.widgets.field import choice
from ui.widgets.typed_word import TypedWord

# CRLReason of RFC 5280 5.3.1; the others say nothing of a person's certificate, or can be taken back.
REASONS = ("keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "unspecified")


class RevokePage(Page):
    """Irreversible: a revoked certificate never comes back."""

    asked = Signal(str)  # CRLReason name
    left = Signal()

    def __init__(self, person: PersonView) -> None:
        super().__init__(tr("Revoke {name}", name=person.person.name))
        self.add(
            commit_warning(
                tr(
                    "{name} cannot log in any more, from this moment, and open sessions end. "
                    "Coming back needs a new key and a new enrolment.",
                    name=person.person.name,
                )
            )
        )
        frame, box = card()
        box.addWidget(pairs(_facts(person)))
        self.add(frame)
        names = (
            tr("Her key may be known to others"),
            tr("She has left, or changed her duty"),
            tr("A newer one replaces it"),
            tr("It is no longer needed"),
            tr("Without a reason given"),
        )
        self.reason = choice(tr("&Reason"), [(tr("Choose…"), ""), *zip(names, REASONS, strict=True)])
        self.word = TypedWord(tr("revoke"))
        self.add(self.reason)
        self.add(self.word)
        self.back = button(tr("&Do nothing"))
        self.back.clicked.connect(self.left)
        self.main = BusyButton(tr("Revoke this &certificate"), "commit")
        self.main.set_allowed(False)
        self.word.matched.connect(self.main.set_allowed)
        self.main.pressed.connect(self._go)
        self.act(self.back, self.main)
        self.first = self.back

    def refuse(self, problem: Problem) -> None:
        self.main.stop()
        self.tell(problem)

    def _go(self) -> None:
        combo = self.reason.control
        self.reason.clear_error()
        if isinstance(combo, QComboBox) and not combo.currentData():
            self.reason.show_error(tr("Choose why; it stands in the list of revoked certificates for everybody."))
            self.reason.setFocus()
        elif self.word.is_right and isinstance(combo, QComboBox):
            self.main.start()
            self.asked.emit(str(combo.currentData()))


def _facts(person: PersonView) -> list[tuple[str, str]]:
    return [
        (tr("Person"), f"{person.person.name} ({person.person.uid})"),
        (tr("Roles that end"), texts.roles(person.roles)),
        (tr("Certificate"), texts.grouped(person.serial)),
        (tr("Valid until"), valid_until(person)),
    ]
