"""What a quorum decides, the statement that each custodian signs, and the count (CEREMONY 4, invariant 11).

Three things are put to the quorum: the ceremony's own approval step, another attempt after a failed or
interrupted commit step, and a deviation. Each person signs a canonical statement (RFC 8785) with her own key.
"""

from __future__ import annotations

import hmac
from typing import Any, Literal

import msgspec
import rfc8785

from hsm_console.ceremony import state as st
from hsm_console.ceremony.problems import refused
from hsm_console.ceremony.script import Step, key_of
from hsm_console.ceremony.state import State, Vote
from hsm_console.ceremony.texts import clean
from hsm_console.domain.events import Decision, Operation, Seat
from hsm_console.domain.messages.ceremony import Statement, StepKind
from hsm_console.domain.people import Actor, Role

DECISION_TYPE, SIGN_OFF_TYPE = "hsm-console/decision", "hsm-console/sign-off"
_OPERATIONS = {
    StepKind.GENERATE: Operation.GENERATE,
    StepKind.CERTIFY: Operation.CERTIFY,
    StepKind.SIGN_DOCUMENT: Operation.SIGN,
}


class Ballot(msgspec.Struct, frozen=True, kw_only=True):
    """What is being decided. subject: the step, or `deviation-n`; why: what was found or what happened, in words."""

    kind: Literal["authorise", "retry", "deviation"]
    subject: str
    attempt: int
    role: Role
    needed: int
    of: int
    why: str = ""


def ballot(state: State) -> Ballot | None:
    """The decision that is open now; None: there is nothing to vote on."""
    step = st.current(state)
    if state.status != st.OPEN or step is None:
        return None
    of = len(st.seated(state, state.quorum_role))
    deviation = st.pending_deviation(state)
    if deviation is not None:
        why = f"Expected: {deviation.expected} Happened: {deviation.happened} Decided: {deviation.decided}"
        return _made(state, "deviation", deviation.id, of, why)
    if state.blocked:
        return None
    if state.retry is not None:
        return _made(state, "retry", state.retry.step, of, state.retry.why)
    return _made(state, "authorise", step.id, of, "") if step.kind is StepKind.QUORUM else None


def _made(state: State, kind: Literal["authorise", "retry", "deviation"], subject: str, of: int, why: str) -> Ballot:
    attempt = st.attempt_of(state, subject)
    return Ballot(
        kind=kind, subject=subject, attempt=attempt, role=state.quorum_role, needed=state.needed, of=of, why=why
    )


def votes(state: State, subject: str, attempt: int) -> tuple[Vote, ...]:
    return tuple(v for v in state.votes if (v.subject, v.attempt) == (subject, attempt))


def verdict(state: State, subject: str, attempt: int) -> st.Verdict | None:
    """What the quorum said about this attempt; None: it has not decided."""
    return next((v for v in state.verdicts if (v.subject, v.attempt) == (subject, attempt)), None)


def approved_by(state: State, subject: str, attempt: int) -> tuple[Vote, ...]:
    """The approvals of an attempt, counted once for each person and once for each certificate."""
    found: list[Vote] = []
    for vote in votes(state, subject, attempt):
        twice = any(vote.uid == v.uid or vote.certificate_sha256 == v.certificate_sha256 for v in found)
        if vote.decision is Decision.APPROVE and not twice:
            found.append(vote)
    return tuple(found)


def authorised(state: State, step: Step) -> bool:
    """Whether a quorum stands behind this commit step's attempt that would begin now."""
    attempt = st.attempt_of(state, step.id)
    subject = step.id if attempt > 1 else covering(state, step)
    if not subject:
        return False
    number = attempt if attempt > 1 else st.attempt_of(state, subject)
    found = verdict(state, subject, number)
    return found is not None and found.reached and len(approved_by(state, subject, number)) >= state.needed


def covering(state: State, step: Step) -> str:
    """The approval step that a step falls under: the last one before it; empty when there is none."""
    found = ""
    for item in st.script_of(state).steps:
        if item.id == step.id:
            return found
        found = item.id if item.kind is StepKind.QUORUM else found
    return ""


def operations(state: State, now: Ballot) -> tuple[tuple[Step, dict[str, Any]], ...]:
    """The operations on the module that an approval covers, with their parameters, in the script's order."""
    script = st.script_of(state)
    steps: tuple[Step, ...] = ()
    if now.kind == "retry":
        steps = tuple(s for s in script.steps if s.id == now.subject)
    elif now.kind == "authorise":
        steps = tuple(s for s in script.steps if s.kind in _OPERATIONS and covering(state, s) == now.subject)
    return tuple((step, _operation(state, step)) for step in steps)


def _operation(state: State, step: Step) -> dict[str, Any]:
    script = st.script_of(state)
    found: dict[str, Any] = {"operation": _OPERATIONS[step.kind].value, "step": step.id}
    if script.key is not None:
        algorithm, label = key_of(script, state.parameters)
        found |= {"algorithm": algorithm.value, "label": label, "usages": [u.value for u in script.key.usages]}
    return found


def in_words(state: State, now: Ballot) -> tuple[str, ...]:
    """What an approval covers, one sentence each."""
    if now.kind == "deviation":
        return (f"Go on as decided in {now.subject.replace('-', ' ')}. {now.why}",)
    again = f" (attempt {now.attempt}; found before: {now.why})" if now.kind == "retry" else ""
    return tuple(
        f"{step.title}: {found.get('algorithm', '')} key “{found.get('label', '')}”{again}".strip()
        for step, found in operations(state, now)
    )


def role_of(state: State, actor: Actor, role: Role) -> Seat | None:
    """The actor's seat in this role, if she has it."""
    return next((s for s in st.seats_of(state, actor.uid) if s.role == role and role in actor.roles), None)


def sign_off_due(state: State) -> tuple[Seat, ...]:
    """Who must still sign off: all seated, except members of the quorum body who took no part."""
    took_part = {vote.uid for vote in state.votes}
    signed = {(s.uid, s.role) for s in state.sign_offs}
    due = (s for s in state.seats if s.role != state.quorum_role or s.uid in took_part or not took_part)
    return tuple(seat for seat in due if (seat.uid, seat.role) not in signed)


def statement(
    state: State, actor: Actor, decision: str, *, nonce: str, gateway_sha256: str, because: str = ""
) -> Statement:
    """What this person would sign now. decision: approve, decline, agree or disagree.

    Raises PolicyRefusal when there is nothing for her to decide, InputError for a reason that cannot be recorded.
    The text stays the same while others vote.
    """
    because = clean(because, "The reason", empty=True)
    if decision in (Decision.APPROVE, Decision.DECLINE):
        body, lines = _decision(state, actor)
    elif decision in ("agree", "disagree"):
        body, lines = _sign_off(state, actor)
    else:
        raise refused("decision-unknown", f"“{decision}” is no decision.", "Approve or decline, agree or disagree.")
    body |= {
        "version": 1,
        "ceremony": state.id,
        "script_sha256": state.script_sha256,
        "decision": decision,
        "because": because,
        "person": actor.uid,
        "log_size": state.floor + 1,
        "simulated": state.simulated,
        "nonce": nonce,
        "gateway_sha256": gateway_sha256,
    }
    shown = [("Ceremony", state.title), ("Decision", decision), ("Person", actor.name), *lines]
    shown += [("Reason", because)] if because else []
    shown += [("Log entries so far", str(state.floor + 1)), ("Script digest", state.script_sha256)]
    return Statement(canonical=rfc8785.dumps(body).decode(), lines=tuple(shown))


def _decision(state: State, actor: Actor) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    now = ballot(state)
    if now is None:
        raise refused("nothing-to-decide", "There is nothing to approve at this point.", "Wait for the step.", state)
    if role_of(state, actor, now.role) is None:
        raise refused(
            "not-seated",
            f"{actor.name} is not seated as {now.role.value} in this ceremony.",
            f"Only the seated {now.role.value}s decide here.",
            state,
        )
    body: dict[str, Any] = {
        "type": DECISION_TYPE,
        "about": now.kind,
        "step": now.subject,
        "attempt": now.attempt,
        "role": now.role.value,
        "found": now.why,
        "operations": [found for _, found in operations(state, now)],
        "parameters": state.parameters,
    }
    lines = [("Role", now.role.value), ("Attempt", str(now.attempt))]
    lines += [("Covers", text) for text in in_words(state, now)]
    return body, lines


def _sign_off(state: State, actor: Actor) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    step = st.current(state)
    mine = [s for s in sign_off_due(state) if s.uid == actor.uid and s.role in actor.roles]
    if step is None or step.kind is not StepKind.SIGN_OFF or not mine:
        raise refused(
            "nothing-to-sign-off",
            f"There is nothing for {actor.name} to sign off at this point.",
            "Wait for the sign-off, or see who has signed already.",
            state,
        )
    fingerprint = state.key.fingerprint if state.key else ""
    body: dict[str, Any] = {
        "type": SIGN_OFF_TYPE,
        "step": step.id,
        "role": mine[0].role.value,
        "steps_done": len(state.done),
        "deviations": len(state.deviations),
        "key_fingerprint": fingerprint,
    }
    lines = [("Role", mine[0].role.value), ("Steps done", str(len(state.done)))]
    lines += [("Deviations", str(len(state.deviations)))]
    lines += [("Key fingerprint", fingerprint)] if fingerprint else []
    return body, lines


def check_statement(
    state: State, actor: Actor, decision: str, *, text: str, nonce: str, gateway_sha256: str, because: str = ""
) -> None:
    """Raises PolicyRefusal `statement-stale` unless `text` is exactly what this person would sign now."""
    want = statement(state, actor, decision, nonce=nonce, gateway_sha256=gateway_sha256, because=because)
    if not hmac.compare_digest(want.canonical.encode(), text.encode("utf-8", "surrogatepass")):
        raise refused(
            "statement-stale",
            "The signed statement is not the one that is asked for now; it was not counted.",
            "Read the statement as it is now and sign again.",
            state,
        )
