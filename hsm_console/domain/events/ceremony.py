"""Events of a ceremony, from its opening to its minutes."""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from hsm_console.domain.events.base import Event
from hsm_console.domain.people import Role


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """One person in one role of one ceremony."""

    role: Role
    uid: str
    name: str


class CeremonyOpened(Event, frozen=True, kw_only=True, tag="ceremony-opened"):
    """script: the script's whole text, so that the log alone can replay it, with each line end as
    U+240A (entries hold no control characters); script_sha256 over the UTF-8 bytes of the file with its line ends."""

    ceremony_id: str
    script_id: str
    script_version: str
    script_sha256: str
    script: str
    title: str
    simulated: bool
    parameters: dict[str, str]
    predecessor: str = ""


class StepDone(Event, frozen=True, kw_only=True, tag="step-done"):
    """A step that needs no HSM was answered. facts: what was said or recorded, as printed in the minutes."""

    ceremony_id: str
    step: str
    step_kind: str
    phase: str
    facts: dict[str, str] = {}
    seats: tuple[Seat, ...] = ()


class StepMissed(Event, frozen=True, kw_only=True, tag="step-missed"):
    """An answer that did not pass (wrong word, different hash): recorded, the step stays open."""

    ceremony_id: str
    step: str
    step_kind: str
    facts: dict[str, str] = {}


class ChallengeSet(Event, frozen=True, kw_only=True, tag="challenge-set"):
    """Positions (from 1) of the words that the named person must type from the printed sheet."""

    ceremony_id: str
    step: str
    positions: tuple[int, ...]


class Decision(enum.StrEnum):
    APPROVE = "approve"
    DECLINE = "decline"


class ApprovalGiven(Event, frozen=True, kw_only=True, tag="approval-given"):
    """statement: canonical JSON (RFC 8785) text; cms: base64 DER, detached, over exactly those bytes."""

    ceremony_id: str
    step: str
    attempt: int
    role: Role
    decision: Decision
    statement: str
    cms: str
    because: str = ""


class QuorumReached(Event, frozen=True, kw_only=True, tag="quorum-reached"):
    ceremony_id: str
    step: str
    attempt: int
    needed: int
    of: int
    by: tuple[str, ...]


class QuorumDeclined(Event, frozen=True, kw_only=True, tag="quorum-declined"):
    """So many declined that the quorum cannot be reached any more."""

    ceremony_id: str
    step: str
    attempt: int
    by: tuple[str, ...]


class RetryNeeded(Event, frozen=True, kw_only=True, tag="retry-needed"):
    """After an interrupted or failed operation: the quorum must decide anew before `attempt` may begin."""

    ceremony_id: str
    step: str
    attempt: int
    why: str


class DeviationRecorded(Event, frozen=True, kw_only=True, tag="deviation-recorded"):
    ceremony_id: str
    step: str
    expected: str
    happened: str
    decided: str


class SignedOff(Event, frozen=True, kw_only=True, tag="signed-off"):
    """agrees: the script was followed. A dissent carries its reason and does not block the others."""

    ceremony_id: str
    step: str
    role: Role
    agrees: bool
    statement: str
    cms: str
    because: str = ""


class CeremonyPaused(Event, frozen=True, kw_only=True, tag="ceremony-paused"):
    ceremony_id: str
    why: str


class CeremonyResumed(Event, frozen=True, kw_only=True, tag="ceremony-resumed"):
    ceremony_id: str


class MinutesWritten(Event, frozen=True, kw_only=True, tag="minutes-written"):
    """digest of the canonical minutes (JSON); the PDF prints the same digest."""

    ceremony_id: str
    minutes_sha256: str


class CeremonyClosed(Event, frozen=True, kw_only=True, tag="ceremony-closed"):
    """outcome: `completed`, `abandoned` (with what exists now said in `text`)."""

    ceremony_id: str
    outcome: Literal["completed", "abandoned"]
    text: str = ""
