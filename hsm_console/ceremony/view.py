"""What a page shows of a ceremony: the whole road, who acts next, what the quorum decides, what went wrong."""

from __future__ import annotations

import base64
import textwrap

from hsm_console.ceremony import ballot as bl
from hsm_console.ceremony import state as st
from hsm_console.ceremony.problems import trouble
from hsm_console.ceremony.script import Step, spoken
from hsm_console.ceremony.state import State
from hsm_console.ceremony.steps import confirm_word
from hsm_console.ceremony.texts import fill
from hsm_console.crypto import words
from hsm_console.domain.errors import ExitCode, Problem
from hsm_console.domain.events import Decision, Operation, Seat
from hsm_console.domain.messages.ceremony import (
    ApprovalView,
    CeremonySummary,
    CeremonyView,
    CheckItem,
    KeyView,
    QuorumView,
    StepKind,
    StepStatus,
    StepView,
)

_TODO = " / what to do"


def pem(kind: str, base64_der: str) -> str:
    """PEM (RFC 7468) of base64 DER; empty for nothing."""
    if not base64_der:
        return ""
    lines = "\n".join(textwrap.wrap(base64.b64encode(base64.b64decode(base64_der)).decode(), 64))
    return f"-----BEGIN {kind}-----\n{lines}\n-----END {kind}-----\n"


def summary(state: State) -> CeremonySummary:
    """One line of the list of ceremonies."""
    steps = () if state.status == st.UNREADABLE else st.script_of(state).steps
    step = st.current(state)
    return CeremonySummary(
        id=state.id,
        title=state.title,
        status=state.status,
        simulated=state.simulated,
        opened_ms=state.opened_ms,
        opened_by=state.opened_name,
        current_title=step.title if step else "",
        position=steps.index(step) + 1 if step else len(steps),
        of=len(steps),
    )


def view(state: State, *, environment: str, log_size: int = 0, log_root: str = "") -> CeremonyView:
    """All that a page needs. environment: its title; log_size and log_root: the newest signed head."""
    readable = state.status != st.UNREADABLE
    script = st.script_of(state) if readable else None
    steps = script.steps if script else ()
    step, now = st.current(state), bl.ballot(state)
    return CeremonyView(
        id=state.id,
        revision=state.revision,
        script_id=state.script_id,
        script_version=state.script_version,
        script_sha256=state.script_sha256,
        script_words=spoken(state.script_sha256),
        title=state.title,
        purpose=script.purpose if script else "",
        environment=environment,
        simulated=state.simulated,
        status=state.status,
        opened_ms=state.opened_ms,
        opened_by=state.opened_name,
        parameters=state.parameters,
        seats=state.seats,
        phases=script.phases if script else (),
        steps=tuple(_step(state, item, step) for item in steps),
        current=step.id if step else "",
        position=steps.index(step) + 1 if step else len(steps),
        minutes_left=sum(item.minutes for item in steps if item.id not in state.done),
        next_actors=next_actors(state),
        quorum=_quorum(state, now),
        challenge=state.challenge,
        preflight=preflight(state),
        key=key_view(state),
        sign_offs=_sign_offs(state),
        deviations=tuple(_deviation(d) for d in state.deviations),
        deciding=now.kind if now else "",
        sign_off_due=bl.sign_off_due(state) if step and step.kind is StepKind.SIGN_OFF else (),
        approved=bl.in_words(state, now) if now else (),
        problem=trouble(state),
        log_size=log_size,
        log_root=log_root,
    )


def next_actors(state: State) -> tuple[Seat, ...]:
    """Who may answer now. Before the seats are recorded: a seat without a name for the role that acts."""
    step, now = st.current(state), bl.ballot(state)
    if step is None or state.intent is not None or state.status != st.OPEN:
        return ()
    if now is not None:
        voted = {v.uid for v in bl.votes(state, now.subject, now.attempt)}
        return tuple(s for s in st.seated(state, now.role) if s.uid not in voted and s.uid != state.opened_by)
    if step.kind is StepKind.SIGN_OFF:
        return bl.sign_off_due(state)
    return st.seated(state, step.actor) if state.seats else (Seat(role=step.actor, uid="", name=""),)


def _step(state: State, item: Step, current: Step | None) -> StepView:
    done = state.done.get(item.id)
    facts = done.facts if done else {}
    return StepView(
        id=item.id,
        kind=item.kind,
        phase=item.phase,
        title=fill(item.title, state),
        say=fill(item.say, state),
        expect=fill(item.expect, state),
        actor=item.actor,
        button=item.button,
        commit=item.commit,
        minutes=item.minutes,
        status=_status(state, item, current),
        clauses=item.clauses,
        facts=facts,
        done_by=done.name if done else "",
        done_ms=done.time_ms if done else 0,
        asks=item.facts,
        evidence=item.evidence,
        confirm=confirm_word(item),
    )


def _status(state: State, item: Step, current: Step | None) -> StepStatus:
    if item.id in state.done:
        return StepStatus.DONE
    if current is None or item.id != current.id:
        return StepStatus.SKIPPED if state.status in (st.ABANDONED, st.COMPLETED) else StepStatus.WAITING
    if state.intent is not None:
        return StepStatus.WORKING
    if state.blocked or state.retry is not None or st.pending_deviation(state) is not None:
        return StepStatus.DECIDE
    return StepStatus.CURRENT


def _quorum(state: State, now: bl.Ballot | None) -> QuorumView | None:
    """The open ballot; else the newest one that was decided; None before the first."""
    if now is not None:
        return QuorumView(
            needed=now.needed,
            of=now.of,
            attempt=now.attempt,
            approvals=_votes(bl.votes(state, now.subject, now.attempt)),
        )
    if not state.verdicts:
        return None
    last = state.verdicts[-1]
    return QuorumView(
        needed=state.needed,
        of=len(st.seated(state, state.quorum_role)),
        attempt=last.attempt,
        approvals=_votes(bl.votes(state, last.subject, last.attempt)),
    )


def _votes(votes: tuple[st.Vote, ...]) -> tuple[ApprovalView, ...]:
    return tuple(
        ApprovalView(uid=v.uid, name=v.name, role=v.role, decision=v.decision, time_ms=v.time_ms, because=v.because)
        for v in votes
    )


def _sign_offs(state: State) -> tuple[ApprovalView, ...]:
    return tuple(
        ApprovalView(
            uid=s.uid,
            name=s.name,
            role=s.role,
            decision=Decision.APPROVE if s.agrees else Decision.DECLINE,
            time_ms=s.time_ms,
            because=s.because,
        )
        for s in state.sign_offs
    )


def _deviation(item: st.Deviation) -> str:
    return (
        f"Expected: {item.expected} Happened: {item.happened} Decided: {item.decided} "
        f"(recorded by {item.name}; {item.verdict})"
    )


def preflight(state: State) -> tuple[CheckItem, ...]:
    """The newest look at everything, from what the log says of it."""
    if state.status == st.UNREADABLE:
        return ()
    step = next((s for s in st.script_of(state).steps if s.kind is StepKind.PREFLIGHT), None)
    if step is None:
        return ()
    done = state.done.get(step.id)
    last = next((m for m in reversed(state.misses) if m.step == step.id), None)
    facts = done.facts if done else last.facts if last else {}
    return tuple(_check(name, facts) for name in facts if name not in ("code", "why") and not name.endswith(_TODO))


def _check(name: str, facts: dict[str, str]) -> CheckItem:
    todo = facts.get(name + _TODO)
    problem = None
    if todo is not None:
        problem = Problem(code="preflight-red", what=facts[name], todo=todo, exit_code=ExitCode.ENVIRONMENT)
    return CheckItem(name=name, found=facts[name], problem=problem)


def key_view(state: State) -> KeyView | None:
    """The ceremony's key, its fingerprint in words, and what the evidence does not prove."""
    key = state.key
    if key is None:
        return None
    return KeyView(
        object_id=key.object_id,
        label=key.label,
        algorithm=key.algorithm.value,
        fingerprint=key.fingerprint,
        words=words.encode(bytes.fromhex(key.fingerprint)) if key.fingerprint else (),
        spki_pem=pem("PUBLIC KEY", key.spki),
        attributes=key.attributes,
        grade=key.grade,
        grade_meaning=key.grade.meaning,
        does_not_prove=key.grade.does_not_prove,
        ceremony_id=state.id,
        created_ms=key.time_ms,
        certificate_pem=pem("CERTIFICATE", state.certificate),
        state="unclear" if _unclear(state) else "active",
    )


def _unclear(state: State) -> bool:
    """Whether something about the key waits for a decision: it must not be used."""
    retried = state.retry is not None and any(
        e.intent.operation is Operation.GENERATE and e.intent.step == state.retry.step for e in state.endings
    )
    return bool(state.blocked) or retried
