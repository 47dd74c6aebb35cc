"""Holding a ceremony: which page, who answers, what happened. The gateway decides; this only asks and shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog

from hsm_console.client import audit, ceremonies, people
from hsm_console.domain.errors import Problem
from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.messages.ceremony import (
    Abandon,
    Answer,
    AnyAnswer,
    Approve,
    CeremonyView,
    DeviationAnswer,
    Pause,
    Resume,
    SignOffAnswer,
    Statement,
    StepKind,
    StepStatus,
    StepView,
)
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret
from ui.ceremony import result
from ui.ceremony.ballot import BallotPage, SignOffPage
from ui.ceremony.pages import page_for, page_key
from ui.ceremony.presence import PresencePage
from ui.ceremony.receipts import ReceiptPage
from ui.ceremony.states import (
    AbandonPage,
    AnswerPage,
    BlockedPage,
    DeviationPage,
    EndPage,
    PausedPage,
    PausePage,
    StopPage,
)
from ui.ceremony.step_page import StepPage, step_of
from ui.ceremony.step_up import CHOSEN, StatementPage, StepUpPage
from ui.desk import Desk
from ui.shell.page import Page
from ui.shell.window import Window
from ui.texts import tr
from ui.typed import checked, taking

if TYPE_CHECKING:
    from hsm_console.client.session import Session

ANYTIME = (Pause, DeviationAnswer, Abandon, Resume)
STALE = ("answer-stale", "statement-stale")


class CeremonyRun(QObject):
    """One ceremony on this screen."""

    home_asked = Signal()

    def __init__(self, window: Window, desk: Desk, view: CeremonyView) -> None:
        super().__init__(window)
        self._window, self._desk, self._lane = window, desk, desk.lane()
        self.view = view
        self._key: tuple[object, ...] = ()
        self._page: Page | None = None
        self._waits = False  # a result is being read: the next page comes when it is turned
        self._busy = False
        self._turn()

    @property
    def where(self) -> str:
        """For the page that says where one was."""
        return tr("{title}, step {n} of {m}", title=self.view.title, n=self.view.position, m=len(self.view.steps))

    def leave(self) -> None:
        self._lane.forget()

    def look(self) -> None:
        """The log moved on: look again, unless an answer is under way here."""
        if self._busy or not len(self._desk.book):
            return
        session = self._desk.book.acting
        self._lane.call(lambda: ceremonies.view(session, self.view.id), self.show_view, lambda _problem: None)

    def show_view(self, view: CeremonyView) -> None:
        if view.revision < self.view.revision:
            return
        before, self.view = self.view, view
        self._window.rail.show_view(view)
        if self._waits:
            return
        done = _newly_done(before, view)
        if done is not None:
            self._waits = True
            page = result.ResultPage(view, done)
            page.turned.connect(self._turned)
            self._show(page)
            return
        if page_key(view) == self._key and self._page is not None:
            if isinstance(self._page, StepPage):
                self._page.refresh(view)
            return
        self._turn()

    # -- pages -----------------------------------------------------------------------------------------------

    def _turned(self) -> None:
        self._waits = False
        self._turn()

    def _turn(self) -> None:
        """The page of the view as it is."""
        self._window.rail.show_view(self.view)
        self._key = page_key(self.view)
        if not self.view.current and self.view.status in ("completed", "abandoned"):
            self._show(self._end())
            return
        page = page_for(self.view)
        if isinstance(page, StepPage):
            page.answered.connect(taking(Answer, self.answer))
            page.stop_asked.connect(self._stop)
        if isinstance(page, BallotPage):
            page.step_up_asked.connect(taking(Seat, self._decide))
        if isinstance(page, PausedPage):
            page.answered.connect(taking(Answer, self.answer))
        if isinstance(page, BlockedPage):
            page.stop_asked.connect(self._stop)
            page.deviation_asked.connect(lambda: self._over(DeviationPage(self.view)))
        if isinstance(page, ReceiptPage):
            page.paper_asked.connect(self._paper)
            page.copy_asked.connect(self._copy)
        self._show(page)
        if isinstance(page, PresencePage):
            self._lane.call(partial(people.listed, self._desk.book.acting), page.set_people, page.tell)

    def _show(self, page: Page) -> None:
        self._page = page
        self._window.show_page(page, rail=True)

    def _end(self) -> Page:
        page = EndPage(self.view, self._desk.records(self.view.id))
        page.home_asked.connect(self.home_asked)
        page.minutes_asked.connect(partial(self._fetch, "minutes.pdf"))
        return page

    def _stop(self) -> None:
        page = StopPage(self.view)
        page.left.connect(self._window.back)
        page.pause_asked.connect(lambda: self._over(PausePage(self.view)))
        page.deviation_asked.connect(lambda: self._over(DeviationPage(self.view)))
        page.abandon_asked.connect(lambda: self._over(AbandonPage(self.view)))
        self._window.show_over(page)

    def _over(self, page: AnswerPage) -> None:
        page.answered.connect(taking(Answer, self.answer))
        page.left.connect(self._window.back_to_bottom)
        self._window.show_over(page)

    # -- answers ---------------------------------------------------------------------------------------------

    def answer(self, given: Answer) -> None:
        """Send it in the name of somebody who may answer; if none of them is logged in, one steps up."""
        seats = self._may_answer(given)
        session = self._desk.book.seated(seats)
        if session is None and isinstance(given, (Pause, DeviationAnswer)) and len(self._desk.book):
            session = self._desk.book.acting
        if session is not None:
            self._send(session, given, leaving=False)
            return
        self._step_up(seats, step_of(self.view).title, lambda found: self._send(found, given, leaving=True))

    def _may_answer(self, given: Answer) -> tuple[Seat, ...]:
        if not isinstance(given, ANYTIME):
            return self.view.next_actors
        wanted = (Role.ADMINISTRATOR, Role.EXECUTIVE) if isinstance(given, Abandon) else (Role.ADMINISTRATOR,)
        seats = tuple(s for s in self.view.seats if s.role in wanted)
        return seats or (Seat(role=Role.ADMINISTRATOR, uid="", name=""),)

    def _send(self, session: Session, given: Answer, *, leaving: bool) -> None:
        self._set_busy(True)
        ceremony, guard = self.view.id, self._guard()

        def work() -> CeremonyView:
            try:
                return ceremonies.answer(session, ceremony, cast(AnyAnswer, given))
            finally:
                if leaving:
                    self._desk.log_off(session)

        self._lane.call(work, self._answered, self._refused, guard=guard)

    def _guard(self) -> str:
        """Why the window stays open while this answer is under way."""
        step = next((s for s in self.view.steps if s.id == self.view.current), None)
        if step is None or not (step.commit or step.kind in (StepKind.GENERATE, StepKind.CERTIFY)):
            return ""
        return tr("The module is at work at “{title}”; that cannot be interrupted.", title=step.title)

    def _answered(self, view: CeremonyView) -> None:
        self._set_busy(False)
        self._window.back_to_bottom()
        self.show_view(view)

    def _refused(self, problem: Problem) -> None:
        """Stale answers bring the newest view; the page keeps what was typed."""
        self._set_busy(False)
        self._window.back_to_bottom()
        page = self._window.page
        if isinstance(page, StepPage):
            page.refuse(problem)
        else:
            page.tell(problem)
        if problem.code in STALE or problem.code == "call-timeout":
            self.look()

    def _set_busy(self, busy: bool) -> None:
        self._busy = busy
        page = self._window.page
        if isinstance(page, StepPage):
            page.set_busy(busy)
        elif isinstance(page, (AnswerPage, PausedPage, StepUpPage)):
            (page.main.start if busy else page.main.stop)()

    # -- stepping up -----------------------------------------------------------------------------------------

    def _step_up(self, seats: tuple[Seat, ...], why: str, then: Callable[[Session], None]) -> None:
        page = StepUpPage(seats, tr("For: {why}", why=why), self._desk.credentials)
        page.left.connect(self._window.back_to_bottom)

        def proved(path: object, secret: object) -> None:
            work = partial(self._desk.log_in, checked(Path, path), checked(Secret, secret), None, step_up=True)
            self._lane.call(work, came, refused)

        def came(session: Session) -> None:
            page.main.stop()
            uid = session.greeting.person.uid
            if any(not s.uid or s.uid == uid for s in seats):
                then(session)
                return
            self._desk.leave(session)
            refused(_somebody_else(session.greeting.person.name, seats))

        def refused(problem: Problem) -> None:
            page.main.stop()
            page.tell(problem)
            page.passphrase.setFocus()

        page.proved.connect(proved)
        self._window.show_over(page)

    def _decide(self, seat: Seat) -> None:
        """A signed decision: the person proves herself anew, reads, decides, and leaves."""
        sign_off = isinstance(self._page, SignOffPage)
        self._step_up((seat,), step_of(self.view).title, lambda session: self._read(session, sign_off=sign_off))

    def _read(self, session: Session, *, sign_off: bool) -> None:
        work = partial(
            ceremonies.statement, session, self.view.id, self.view.current, _decision(True, sign_off=sign_off)
        )

        def leave(problem: Problem) -> None:
            self._desk.leave(session)
            self._refused(problem)

        self._lane.call(work, partial(self._statement, session, sign_off), leave)

    def _statement(self, session: Session, sign_off: bool, statement: Statement) -> None:
        page = StatementPage(session.greeting.person.name, statement, sign_off=sign_off)

        def left() -> None:
            self._desk.leave(session)
            self._window.back_to_bottom()

        page.left.connect(left)
        page.decided.connect(lambda yes, because: self._sign(session, statement, yes, because, sign_off=sign_off))
        self._window.show_over(page)

    def _sign(self, session: Session, read: Statement, yes: bool, because: str, *, sign_off: bool) -> None:
        self._busy = True
        view = self.view

        def work() -> CeremonyView:
            try:
                decision = _decision(yes, sign_off=sign_off)
                final = ceremonies.statement(session, view.id, view.current, decision, because)
                _same_as_read(read, final)
                cms = session.sign_statement(final.canonical)
                given = _signed(view, yes, because, final.canonical, cms, sign_off=sign_off)
                return ceremonies.answer(session, view.id, given)
            finally:
                self._desk.log_off(session)

        self._lane.call(work, self._answered, self._refused)

    # -- papers ----------------------------------------------------------------------------------------------

    def _fetch(self, name: str) -> None:
        work = partial(ceremonies.file, self._desk.book.acting, self.view.id, name)
        self._lane.call(work, partial(self._desk.show_paper, name), self._window.page.tell)

    def _paper(self, index: int) -> None:
        work = partial(audit.receipt_file, self._desk.book.acting, index, "pdf")
        self._lane.call(work, partial(self._desk.show_paper, f"receipt-{index:04}.pdf"), self._window.page.tell)

    def _copy(self, index: int) -> None:
        dialog = QFileDialog(self._window, tr("Save a copy of the receipt"), f"receipt-{index:04}.pdf")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setOption(QFileDialog.Option.DontUseNativeDialog)

        def chosen(name: str) -> None:
            work = partial(audit.receipt_file, self._desk.book.acting, index, "pdf")
            self._lane.call(lambda: Path(name).write_bytes(work()), lambda _n: None, self._window.page.tell)

        dialog.fileSelected.connect(chosen)
        dialog.open()


def _newly_done(before: CeremonyView, now: CeremonyView) -> StepView | None:
    was = {s.id for s in before.steps if s.status is StepStatus.DONE}
    new = [s for s in now.steps if s.status is StepStatus.DONE and s.id not in was and s.kind in result.SHOWN]
    return new[-1] if new else None


def _decision(yes: bool, *, sign_off: bool) -> str:
    if sign_off:
        return "agree" if yes else "disagree"
    return (Decision.APPROVE if yes else Decision.DECLINE).value


def _signed(view: CeremonyView, yes: bool, because: str, text: str, cms: str, *, sign_off: bool) -> AnyAnswer:
    if sign_off:
        return SignOffAnswer(
            step=view.current, revision=view.revision, agrees=yes, statement=text, cms=cms, because=because
        )
    return Approve(
        step=view.current,
        revision=view.revision,
        decision=Decision.APPROVE if yes else Decision.DECLINE,
        statement=text,
        cms=cms,
        because=because,
    )


def _same_as_read(read: Statement, final: Statement) -> None:
    """What is signed is what was read, but for the decision itself. Raises PolicyRefusal `statement-moved`."""
    from hsm_console.domain.errors import PolicyRefusal

    def fixed(statement: Statement) -> list[tuple[str, str]]:
        return [line for line in statement.lines if line[0] not in CHOSEN]

    if fixed(read) != fixed(final):
        raise PolicyRefusal(
            Problem(
                code="statement-moved",
                what="The statement changed while you read it. Nothing was signed.",
                todo="Step up again and read it as it is now.",
            )
        )


def _somebody_else(name: str, seats: tuple[Seat, ...]) -> Problem:
    wanted = " or ".join(s.name for s in seats)
    return Problem(
        code="somebody-else",
        what=f"This is the credential of {name}; {wanted} is asked to answer.",
        todo=f"Choose the credential of {wanted}, or go back.",
    )
