"""The engine's door: open a ceremony, take an answer, conclude an operation. Pure; it returns what to append or do.

    decided = decide(state, answer, actor, context)     drafts to append in one transaction, or a plan
    drafts  = conclude(state, outcome, context)         after the gateway ran a plan's operation
    drafts  = follow_up(state, context)                 what the state itself asks for; empty when nothing
    plan    = due(state, actor)                         work that follows by itself (certificate after request, close)

Every returned batch is complete: what follows from an answer (quorum reached, step done, new word positions) is in
it, so that a crash finds either all of it in the log or nothing.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Callable, Sequence

from hsm_console.ceremony import ballot as bl
from hsm_console.ceremony import plans
from hsm_console.ceremony import state as st
from hsm_console.ceremony.fold import apply
from hsm_console.ceremony.plans import ChecksPlan, ClosePlan, HsmPlan, ReadBackPlan
from hsm_console.ceremony.script import Step
from hsm_console.ceremony.state import State
from hsm_console.domain import events as ev
from hsm_console.domain.events import Decision, Draft, Operation, Recorded
from hsm_console.domain.messages.ceremony import StepKind
from hsm_console.domain.people import Actor, Roster
from hsm_console.policy.environment import Environment

WORDS_OF_FINGERPRINT = 32
Decided = tuple[Draft, ...] | HsmPlan | ChecksPlan | ReadBackPlan | ClosePlan
Outcome = ev.OperationSucceeded | ev.OperationFailed | ev.OperationInterrupted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Context:
    """What the engine needs to know of the world, passed in so that it stays pure.

    now_ms: Unix time; random: 32 fresh bytes, for word positions; nonce: hex, of the actor's session.
    verify_cms(actor, statement bytes, CMS DER): raises VerificationFailed; also checks the certificate is the actor's.
    check_receipt(text): raises VerificationFailed, returns facts to record with at least `index` (decimal text).
    approved: digests of scripts that may run where the environment asks for approval.
    """

    environment: Environment
    roster: Roster
    now_ms: int
    random: bytes
    nonce: str
    gateway_sha256: str
    software_sha256: str
    software_version: str
    verify_cms: Callable[[Actor, bytes, bytes], None]
    check_receipt: Callable[[str], dict[str, str]]
    approved: frozenset[str] = frozenset()


def settled(state: State, drafts: Sequence[Draft], context: Context) -> tuple[Draft, ...]:
    """`drafts` and all that follows from them, in order."""
    batch: list[Draft] = []
    now: State | None = state
    queue = list(drafts)
    while queue and now is not None:
        for draft in queue:
            now = apply(now, _pretend(now, draft, context))
            assert now is not None  # noqa: S101 - a state never vanishes
        batch += queue
        queue = list(follow_up(now, context))
    return tuple(batch)


def _pretend(state: State | None, draft: Draft, context: Context) -> Recorded:
    seq = state.revision + 1 if state else 0
    return Recorded(
        seq=seq,
        uid="",
        correlation=draft.correlation,
        time_ms=context.now_ms,
        actor=draft.actor,
        event=draft.event,
        fingerprint="0" * 64,
    )


def follow_up(state: State, context: Context) -> tuple[Draft, ...]:
    """What the state itself asks for; the gateway also calls this once for each open ceremony when it starts."""
    step = st.current(state)
    if state.status not in (st.OPEN, st.PAUSED) or state.intent is not None or step is None:
        return ()
    counted = _count(state)
    if counted:
        return counted
    ending = _last_ending(state, step)
    if ending is not None and ending.code not in ("succeeded", "recovered"):
        return _after_failure(state, step, ending)
    facts = _finished(state, step)
    if facts is not None:
        return (done(state, step, None, facts),)
    if step.kind is StepKind.COMPARE and not state.challenge and not state.blocked and state.key:
        positions = _positions(context.random, len(state.misses), step.words)
        event = ev.ChallengeSet(ceremony_id=state.id, step=step.id, positions=positions)
        return (Draft(event=event, correlation=state.correlation),)
    return ()


def _count(state: State) -> tuple[Draft, ...]:
    """The verdict of the open ballot, as soon as the votes decide it."""
    now = bl.ballot(state)
    if now is None or bl.verdict(state, now.subject, now.attempt) is not None:
        return ()
    yes = bl.approved_by(state, now.subject, now.attempt)
    no = [v for v in bl.votes(state, now.subject, now.attempt) if v.decision is Decision.DECLINE]
    event: ev.AnyEvent
    if len(yes) >= now.needed:
        event = ev.QuorumReached(
            ceremony_id=state.id,
            step=now.subject,
            attempt=now.attempt,
            needed=now.needed,
            of=now.of,
            by=tuple(v.uid for v in yes),
        )
    elif len(no) > now.of - now.needed:
        by = tuple(v.uid for v in no)
        event = ev.QuorumDeclined(ceremony_id=state.id, step=now.subject, attempt=now.attempt, by=by)
    else:
        return ()
    return (Draft(event=event, correlation=state.correlation, critical=True),)


def _last_ending(state: State, step: Step) -> st.Ending | None:
    """How the step's newest operation ended, as far as nothing has followed from it yet."""
    mine = [e for e in state.endings if e.intent.step == step.id]
    return mine[-1] if mine and mine[-1].intent.attempt == st.attempt_of(state, step.id) else None


def _after_failure(state: State, step: Step, ending: st.Ending) -> tuple[Draft, ...]:
    """A commit step begins again only by the quorum's decision; another step may simply be asked for again."""
    if not step.commit:
        return ()
    attempt = st.attempt_of(state, step.id) + 1
    why = f"Attempt {ending.intent.attempt} ended as “{ending.code}”. {ending.text}".strip()
    event = ev.RetryNeeded(ceremony_id=state.id, step=step.id, attempt=attempt, why=why)
    return (Draft(event=event, correlation=state.correlation, critical=True),)


def _finished(state: State, step: Step) -> dict[str, str] | None:
    """The facts of a step that the last events have completed; None when it is not complete."""
    if step.kind is StepKind.QUORUM:
        found = bl.verdict(state, step.id, st.attempt_of(state, step.id))
        if found is None or not found.reached:
            return None
        names = [v.name for v in bl.approved_by(state, step.id, found.attempt)]
        return {"approved by": ", ".join(names), "quorum": f"{state.needed} needed, {len(names)} approved"}
    if step.kind is StepKind.GENERATE and state.key is not None:
        key = state.key
        found_again = {"recovered": "found after an interruption"} if key.recovered else {}
        facts = {"label": key.label, "algorithm": key.algorithm.value, "object id": key.object_id}
        return facts | {"fingerprint": key.fingerprint, "grade": key.grade.value} | found_again
    if step.kind is StepKind.CERTIFY and state.certificate:
        return {"certificate": "issued by the ceremony authority", "certificate sha256": _sha256(state.certificate)}
    if step.kind is StepKind.SIGN_DOCUMENT:
        ending = _last_ending(state, step)
        if ending is None or ending.code not in ("succeeded", "recovered") or not state.documents:
            return None
        last = state.documents[-1]
        return {"document": last.name, "document sha256": last.sha256, "mechanism": last.mechanism}
    if step.kind is StepKind.SIGN_OFF and state.sign_offs and not bl.sign_off_due(state):
        agreed = sum(s.agrees for s in state.sign_offs)
        return {"agree": str(agreed), "do not agree": str(len(state.sign_offs) - agreed)}
    return None


def _sha256(base64_text: str) -> str:
    return hashlib.sha256(base64.b64decode(base64_text)).hexdigest()


def _positions(random: bytes, salt: int, count: int) -> tuple[int, ...]:
    """`count` distinct positions from 1 to 32, in order, drawn from the random bytes."""
    pool = list(range(1, WORDS_OF_FINGERPRINT + 1))
    chosen = []
    for index in range(min(count, len(pool))):
        drawn = hashlib.sha256(random + salt.to_bytes(4, "big") + bytes([index])).digest()
        chosen.append(pool.pop(int.from_bytes(drawn, "big") % len(pool)))
    return tuple(sorted(chosen))


def done(
    state: State, step: Step, actor: Actor | None, facts: dict[str, str], *, seats: tuple[ev.Seat, ...] = ()
) -> Draft:
    """The step's StepDone; critical (checkpointed) when it ends a phase."""
    steps = st.script_of(state).steps
    after = steps[steps.index(step) + 1 :]
    event = ev.StepDone(
        ceremony_id=state.id, step=step.id, step_kind=step.kind.value, phase=step.phase, facts=facts, seats=seats
    )
    ends_phase = not after or after[0].phase != step.phase
    return Draft(event=event, actor=actor, correlation=state.correlation, critical=ends_phase)


def missed(state: State, step: Step, actor: Actor, code: str, facts: dict[str, str]) -> Draft:
    """The step's StepMissed: recorded, the step stays open. code: see `problems`."""
    event = ev.StepMissed(ceremony_id=state.id, step=step.id, step_kind=step.kind.value, facts={"code": code, **facts})
    return Draft(event=event, actor=actor, correlation=state.correlation)


def conclude(state: State, outcome: Outcome, context: Context, actor: Actor | None = None) -> tuple[Draft, ...]:
    """The outcome of the open intent and all that follows from it. actor: who asked; None after a crash."""
    changed = isinstance(outcome, ev.OperationSucceeded) and outcome.operation is not Operation.SIGN
    critical = changed or isinstance(outcome, ev.OperationInterrupted)
    draft = Draft(event=outcome, actor=actor, correlation=state.correlation, critical=critical)
    return settled(state, (draft,), context)


def due(state: State, actor: Actor | None) -> HsmPlan | ClosePlan | None:
    """Work that follows without another answer: the certificate after its request; the minutes after the sign-off."""
    if state.status != st.OPEN or state.intent is not None:
        return None
    step = st.current(state)
    if step is None:
        return plans.closing(state, actor)
    waits = state.retry is not None or state.blocked or bl.ballot(state) is not None
    ending = _last_ending(state, step)
    fresh = ending is not None and ending.code == "succeeded" and ending.seq == state.floor  # nothing came between
    if step.kind is StepKind.CERTIFY and state.request and not state.certificate and fresh and not waits and actor:
        return plans.certify(state, step, actor)
    return None
