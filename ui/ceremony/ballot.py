"""Decisions that people sign: the quorum's, another attempt's, a deviation's, and the sign-off."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.messages.ceremony import ApprovalView, CeremonyView
from ui import texts
from ui.ceremony.step_page import StepPage
from ui.texts import tr
from ui.widgets.basics import button, card, clear, label, marked, row
from ui.widgets.person import PersonChip
from ui.widgets.problem import notice


class BallotPage(StepPage):
    """Who has decided, who may still, and a way for each of them to step up."""

    step_up_asked = Signal(object)  # Seat: this person wants to decide now

    def build(self) -> None:
        self._holder = QWidget()
        self._box = QVBoxLayout(self._holder)
        self._box.setContentsMargins(0, 0, 0, 0)
        self._box.setSpacing(18)
        self.add(self._holder)
        self.step_ups: list[QWidget] = []
        self._show()

    def give(self) -> None:
        """A ballot has no act of its own: each person steps up by name."""

    def refresh(self, view: CeremonyView) -> None:
        super().refresh(view)
        self._show()
        if self.step_ups and self.isVisible():  # never out of the hands of somebody who has stepped up
            self.step_ups[0].setFocus()

    def _place_act(self) -> None:
        self.main.hide()

    def _show(self) -> None:
        clear(self._box)
        self.step_ups = []
        self._summary()
        frame, box = card()
        box.addWidget(label(self._heading(), "heading"))
        given = self._given()
        for approval in given:
            box.addLayout(_decided(approval, self._verb(approval)))
        for seat in self._waiting():
            chip = PersonChip(seat.name, seat.role, note=tr("has not answered yet"))
            up = button(tr("Step up"), "act", name=tr("{name} steps up", name=seat.name))
            up.clicked.connect(lambda _checked=False, seat=seat: self.step_up_asked.emit(seat))
            line = row(marked("ring", "ink-soft", chip), up, stretch_last=True)  # below those who have answered
            line.setStretch(0, 1)
            box.addLayout(line)
            self.step_ups.append(up)
        if not given and not self._waiting():
            box.addWidget(label(tr("Nobody is here who may decide."), "hint"))
        self._box.addWidget(frame)
        self._box.addWidget(label(tr("To decline is a proper answer. It is recorded like an approval."), "hint"))
        self.first = self.step_ups[0] if self.step_ups else self.stop_button

    def _summary(self) -> None:
        if self.view.deciding == "retry":
            text = tr("The act did not end as it should. The custodians decide whether it is tried once more.")
            self._box.addWidget(notice(text))
        elif self.view.deciding == "deviation":
            self._box.addWidget(notice(tr("A deviation was recorded. The custodians decide whether to go on with it.")))
        if self.view.approved:
            frame, box = card()
            box.addWidget(label(tr("What the decision covers"), "label"))
            for sentence in self.view.approved:
                box.addLayout(marked("right", "accent", label(sentence), size=16))
            self._box.addWidget(frame)

    def _heading(self) -> str:
        quorum = self.view.quorum
        if quorum is None:
            return tr("Decisions")
        yes = sum(a.decision is Decision.APPROVE for a in quorum.approvals)
        return tr("{yes} of {needed} needed approvals", yes=yes, needed=quorum.needed)

    def _given(self) -> tuple[ApprovalView, ...]:
        return self.view.quorum.approvals if self.view.quorum else ()

    def _waiting(self) -> tuple[Seat, ...]:
        return self.view.next_actors

    def _verb(self, approval: ApprovalView) -> str:
        return tr("approved") if approval.decision is Decision.APPROVE else tr("declined")


class SignOffPage(BallotPage):
    """Was the script followed? Everybody who took part answers, and both answers weigh the same."""

    def _heading(self) -> str:
        done, due = len(self.view.sign_offs), len(self.view.sign_off_due)
        return tr("{n} of {m} have signed", n=done, m=done + due)

    def _given(self) -> tuple[ApprovalView, ...]:
        return self.view.sign_offs

    def _waiting(self) -> tuple[Seat, ...]:
        return self.view.sign_off_due

    def _verb(self, approval: ApprovalView) -> str:
        return tr("agrees") if approval.decision is Decision.APPROVE else tr("does not agree")


def _decided(approval: ApprovalView, verb: str) -> QVBoxLayout:
    yes = approval.decision is Decision.APPROVE
    note = f"{verb}, {texts.clock(approval.time_ms)}" + (f": {approval.because}" if approval.because else "")
    box = QVBoxLayout()
    chip = PersonChip(approval.name, approval.role, note=note)
    box.addLayout(marked("check" if yes else "cross", "good" if yes else "bad", chip))
    return box
