"""Which page shows which view: one entry for each kind of step."""

from __future__ import annotations

from hsm_console.domain.messages.ceremony import CeremonyView, StepKind, StepStatus
from ui.ceremony.acts import CommitPage, ReadBackPage
from ui.ceremony.ballot import BallotPage, SignOffPage
from ui.ceremony.compare import ComparePage
from ui.ceremony.document import DocumentPage
from ui.ceremony.preflight import PreflightPage
from ui.ceremony.presence import PresencePage
from ui.ceremony.receipts import ReceiptPage
from ui.ceremony.simple_steps import ReadAloudPage, SoftwareHashPage, TimeSourcePage, UnknownPage
from ui.ceremony.states import BlockedPage, PausedPage, WorkingPage
from ui.ceremony.step_page import StepPage, step_of
from ui.shell.page import Page

PAGES: dict[StepKind, type[StepPage]] = {
    StepKind.READ_ALOUD: ReadAloudPage,
    StepKind.PRESENCE: PresencePage,
    StepKind.TIME_SOURCE: TimeSourcePage,
    StepKind.SOFTWARE_HASH: SoftwareHashPage,
    StepKind.PREFLIGHT: PreflightPage,
    StepKind.QUORUM: BallotPage,
    StepKind.GENERATE: CommitPage,
    StepKind.READ_BACK: ReadBackPage,
    StepKind.COMPARE: ComparePage,
    StepKind.CERTIFY: CommitPage,
    StepKind.SIGN_DOCUMENT: DocumentPage,
    StepKind.RECEIPT: ReceiptPage,
    StepKind.SIGN_OFF: SignOffPage,
}


def page_for(view: CeremonyView) -> Page:
    """The page of an open or paused ceremony. Raises StopIteration for a closed one."""
    if view.status == "paused":
        return PausedPage(view)
    step = step_of(view)
    if step.status is StepStatus.WORKING:
        return WorkingPage(view)
    if view.deciding and view.deciding != "authorise":
        return BallotPage(view)
    if step.status is StepStatus.DECIDE:
        return BlockedPage(view)
    return PAGES.get(step.kind, UnknownPage)(view)


def page_key(view: CeremonyView) -> tuple[object, ...]:
    """Views with the same key are shown by the same page, so that what was typed stays."""
    if not view.current:
        return (view.status,)
    step = step_of(view)
    return (view.status, step.id, step.status, view.deciding, view.challenge, bool(view.receipts))
