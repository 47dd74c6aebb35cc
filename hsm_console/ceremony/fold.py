"""The fold: one event after the other into a ceremony's state. Total and pure; events of others are ignored.

The projection in the log's database and every rebuild use this one function, so that the log alone suffices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from hsm_console.ceremony import state as st
from hsm_console.ceremony.script import from_log, parse
from hsm_console.ceremony.state import State
from hsm_console.domain import events as ev
from hsm_console.domain.errors import InputError
from hsm_console.domain.events import Recorded
from hsm_console.domain.keys import Grade, KeyAttributes

STOPPING = frozenset({"they-differ", "key-not-as-asked"})
"""Misses after which nobody may simply try again: a deviation decided by the quorum, or the end."""


def apply(state: State | None, recorded: Recorded) -> State | None:
    """The state after this event; the same state when the event is not about this ceremony."""
    event = recorded.event
    if isinstance(event, ev.CeremonyOpened):
        return _opened(recorded, event) if state is None else state
    if state is None or getattr(event, "ceremony_id", "") != state.id or recorded.seq <= state.revision:
        return state
    handler = _HANDLERS.get(type(event))
    if handler is None:
        return state
    return replace(handler(state, recorded, event), revision=recorded.seq)


def ceremony_of(event: ev.AnyEvent) -> str:
    """The id of the ceremony that an event belongs to; empty for the log's other events."""
    return str(getattr(event, "ceremony_id", ""))


def _stamp(recorded: Recorded) -> dict[str, Any]:
    return {"seq": recorded.seq, "time_ms": recorded.time_ms}


def _who(recorded: Recorded) -> dict[str, Any]:
    actor = recorded.actor
    return {"uid": actor.uid if actor else "", "name": actor.name if actor else ""}


def _opened(recorded: Recorded, event: ev.CeremonyOpened) -> State:
    who = _who(recorded)
    state = State(
        id=event.ceremony_id,
        revision=recorded.seq,
        floor=recorded.seq,
        opened_seq=recorded.seq,
        opened_ms=recorded.time_ms,
        opened_by=who["uid"],
        opened_name=who["name"],
        correlation=recorded.correlation or recorded.uid,
        script=from_log(event.script),
        script_id=event.script_id,
        script_version=event.script_version,
        script_sha256=event.script_sha256,
        title=event.title,
        simulated=event.simulated,
        parameters=event.parameters,
        predecessor=event.predecessor,
    )
    try:
        quorum = parse(from_log(event.script)).quorum
    except InputError:  # written by other software: shown as it is, never guessed at
        return replace(state, status=st.UNREADABLE)
    return replace(state, needed=quorum.needed, quorum_role=quorum.role)


def _step_done(state: State, r: Recorded, event: ev.StepDone) -> State:
    if event.step in state.done:
        return state
    done = st.Done(**_stamp(r), **(_who(r) if r.actor else _author(state, event.step)), facts=event.facts)
    return replace(
        state,
        floor=r.seq,
        done={**state.done, event.step: done},
        seats=event.seats or state.seats,
        challenge=(),
        trouble=None,
    )


def _author(state: State, step: str) -> dict[str, str]:
    """Who began the operation whose outcome closed the step."""
    ending = next((e for e in reversed(state.endings) if e.intent.step == step), None)
    return {"uid": ending.intent.uid, "name": ending.intent.name} if ending else {"uid": "", "name": ""}


def _step_missed(state: State, r: Recorded, event: ev.StepMissed) -> State:
    code, why = event.facts.get("code", "answer-missed"), event.facts.get("why", "")
    return replace(
        state,
        floor=r.seq,
        misses=(*state.misses, st.Miss(**_stamp(r), **_who(r), step=event.step, facts=event.facts)),
        challenge=(),
        trouble=st.Trouble(**_stamp(r), step=event.step, code=code, why=why),
        blocked=event.step if code in STOPPING else state.blocked,
    )


def _challenge(state: State, r: Recorded, event: ev.ChallengeSet) -> State:
    return replace(state, floor=r.seq, challenge=event.positions)


def _approval(state: State, r: Recorded, event: ev.ApprovalGiven) -> State:
    vote = st.Vote(
        **_stamp(r),
        **_who(r),
        subject=event.step,
        attempt=event.attempt,
        role=event.role,
        decision=event.decision,
        statement=event.statement,
        cms=event.cms,
        certificate_sha256=r.actor.certificate_sha256 if r.actor else "",
        because=event.because,
    )
    return replace(state, votes=(*state.votes, vote))


def _quorum_reached(state: State, r: Recorded, event: ev.QuorumReached) -> State:
    verdict = st.Verdict(**_stamp(r), subject=event.step, attempt=event.attempt, reached=True, by=event.by)
    state = replace(state, floor=r.seq, verdicts=(*state.verdicts, verdict))
    if event.step.startswith("deviation-"):
        return _settled(state, event.step, "accepted")
    if state.retry and (state.retry.step, state.retry.attempt) == (event.step, event.attempt):
        return replace(state, retry=None, trouble=None)
    return state


def _quorum_declined(state: State, r: Recorded, event: ev.QuorumDeclined) -> State:
    verdict = st.Verdict(**_stamp(r), subject=event.step, attempt=event.attempt, reached=False, by=event.by)
    trouble = st.Trouble(**_stamp(r), step=event.step, code="quorum-declined", why="")
    state = replace(state, floor=r.seq, verdicts=(*state.verdicts, verdict), trouble=trouble)
    if event.step.startswith("deviation-"):
        state = _settled(state, event.step, "declined")
    return replace(state, blocked=state.blocked or event.step)


def _settled(state: State, deviation: str, verdict: str) -> State:
    """The quorum has decided about a deviation; an accepted one opens the way that was blocked, as a new attempt."""
    deviations = tuple(replace(d, verdict=verdict) if d.id == deviation else d for d in state.deviations)
    state = replace(state, deviations=deviations)
    if verdict != "accepted":
        return state
    subject = state.blocked
    state = replace(state, blocked="", trouble=None)
    if not any(v.subject == subject and not v.reached for v in state.verdicts) or subject.startswith("deviation-"):
        return state
    attempt = st.attempt_of(state, subject) + 1
    retry = replace(state.retry, attempt=attempt) if state.retry and state.retry.step == subject else state.retry
    return replace(state, attempts={**state.attempts, subject: attempt}, retry=retry)


def _retry(state: State, r: Recorded, event: ev.RetryNeeded) -> State:
    retry = st.Retry(**_stamp(r), step=event.step, attempt=event.attempt, why=event.why)
    return replace(state, floor=r.seq, retry=retry, attempts={**state.attempts, event.step: event.attempt})


def _deviation(state: State, r: Recorded, event: ev.DeviationRecorded) -> State:
    sits = state.needed and len(st.seated(state, state.quorum_role)) >= state.needed
    deviation = st.Deviation(
        **_stamp(r),
        **_who(r),
        id=f"deviation-{len(state.deviations) + 1}",
        step=event.step,
        expected=event.expected,
        happened=event.happened,
        decided=event.decided,
        verdict="pending" if sits else "noted",
    )
    return replace(state, floor=r.seq, deviations=(*state.deviations, deviation))


def _intended(state: State, r: Recorded, event: ev.OperationIntended) -> State:
    intent = st.Intent(
        **_stamp(r),
        **_who(r),
        fingerprint=r.fingerprint,
        operation=event.operation,
        step=event.step,
        attempt=event.attempt,
        algorithm=event.algorithm,
        label=event.label,
        usages=event.usages,
        key_id=event.key_id,
        mechanism=event.mechanism,
        input_sha256=event.input_sha256,
        input_name=event.input_name,
    )
    return replace(state, floor=r.seq, intent=intent, trouble=None)


def _ended(state: State, r: Recorded, code: str, text: str, output: str = "") -> State:
    intent = state.intent
    if intent is None or getattr(r.event, "intent", -1) != intent.seq:
        return state
    ending = st.Ending(**_stamp(r), intent=intent, code=code, text=text, output_sha256=output)
    return replace(state, floor=r.seq, intent=None, endings=(*state.endings, ending))


def _succeeded(state: State, r: Recorded, event: ev.OperationSucceeded) -> State:
    intent = state.intent
    state = _ended(state, r, "recovered" if event.recovered else "succeeded", "", event.output_sha256)
    if intent is None or state.intent is not None:
        return state
    if event.operation is ev.Operation.GENERATE and event.algorithm is not None:
        return replace(state, key=_key(r, event, intent))
    if event.operation is ev.Operation.CERTIFY:
        return replace(state, certificate=event.certificate)
    if event.operation is ev.Operation.SIGN and event.certificate:
        return replace(state, request=event.certificate)
    if event.operation is ev.Operation.SIGN:
        document = st.Document(
            **_stamp(r),
            name=intent.input_name,
            sha256=intent.input_sha256,
            mechanism=intent.mechanism,
            signature=event.signature,
        )
        return replace(state, documents=(*state.documents, document))
    return state


def _key(r: Recorded, event: ev.OperationSucceeded, intent: st.Intent) -> st.KeyRecord:
    assert event.algorithm is not None  # noqa: S101 - told to mypy; the caller looked
    return st.KeyRecord(
        **_stamp(r),
        object_id=event.key_id,
        label=event.label or intent.label,
        algorithm=event.algorithm,
        spki=event.spki,
        fingerprint=event.fingerprint,
        attributes=event.attributes or KeyAttributes(),
        grade=event.grade or Grade.D,
        usages=intent.usages,
        recovered=event.recovered,
    )


def _failed(state: State, r: Recorded, event: ev.OperationFailed) -> State:
    was = state.intent
    state = _ended(state, r, event.code, event.text)
    if state.intent is was:
        return state
    return replace(state, trouble=st.Trouble(**_stamp(r), step=event.step, code="operation-failed", why=event.text))


def _interrupted(state: State, r: Recorded, event: ev.OperationInterrupted) -> State:
    was = state.intent
    state = _ended(state, r, event.found, event.text)
    if state.intent is was:
        return state
    trouble = st.Trouble(**_stamp(r), step=event.step, code=f"interrupted-{event.found}", why=event.text)
    return replace(state, trouble=trouble)


def _signed_off(state: State, r: Recorded, event: ev.SignedOff) -> State:
    sign_off = st.SignOff(
        **_stamp(r),
        **_who(r),
        role=event.role,
        agrees=event.agrees,
        statement=event.statement,
        cms=event.cms,
        certificate_sha256=r.actor.certificate_sha256 if r.actor else "",
        because=event.because,
    )
    return replace(state, sign_offs=(*state.sign_offs, sign_off))


def _paused(state: State, r: Recorded, event: ev.CeremonyPaused) -> State:
    if state.status != st.OPEN:
        return state
    pause = st.Pause(**_stamp(r), **_who(r), why=event.why)
    return replace(state, floor=r.seq, status=st.PAUSED, pauses=(*state.pauses, pause))


def _resumed(state: State, r: Recorded, event: ev.CeremonyResumed) -> State:  # noqa: ARG001
    if state.status != st.PAUSED:
        return state
    last = replace(state.pauses[-1], until_ms=r.time_ms)
    return replace(state, floor=r.seq, status=st.OPEN, pauses=(*state.pauses[:-1], last))


def _receipt(state: State, r: Recorded, event: ev.ReceiptIssued) -> State:
    receipt = st.Receipt(**_stamp(r), index=event.index, size=event.size, medium=event.medium)
    return replace(state, receipts=(*state.receipts, receipt))


def _minutes(state: State, r: Recorded, event: ev.MinutesWritten) -> State:  # noqa: ARG001
    return replace(state, minutes_sha256=event.minutes_sha256)


def _closed(state: State, r: Recorded, event: ev.CeremonyClosed) -> State:
    return replace(state, floor=r.seq, status=event.outcome, closed_ms=r.time_ms, closing=event.text)


_HANDLERS: dict[type, Callable[[State, Recorded, Any], State]] = {
    ev.StepDone: _step_done,
    ev.StepMissed: _step_missed,
    ev.ChallengeSet: _challenge,
    ev.ApprovalGiven: _approval,
    ev.QuorumReached: _quorum_reached,
    ev.QuorumDeclined: _quorum_declined,
    ev.RetryNeeded: _retry,
    ev.DeviationRecorded: _deviation,
    ev.OperationIntended: _intended,
    ev.OperationSucceeded: _succeeded,
    ev.OperationFailed: _failed,
    ev.OperationInterrupted: _interrupted,
    ev.SignedOff: _signed_off,
    ev.CeremonyPaused: _paused,
    ev.CeremonyResumed: _resumed,
    ev.ReceiptIssued: _receipt,
    ev.MinutesWritten: _minutes,
    ev.CeremonyClosed: _closed,
}
