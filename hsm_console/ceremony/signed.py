"""Answers that carry a signature: a custodian's decision and a participant's sign-off (invariant 11)."""

from __future__ import annotations

import base64
import binascii

from hsm_console.ceremony import ballot as bl
from hsm_console.ceremony.engine import Context, settled
from hsm_console.ceremony.problems import refused
from hsm_console.ceremony.script import Step as ScriptStep
from hsm_console.ceremony.state import State
from hsm_console.ceremony.texts import clean
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.messages.ceremony import StepKind
from hsm_console.domain.people import Actor


def _cms(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InputError(
            Problem(
                code="cms-unreadable",
                what="The signature is not base64.",
                todo="Sign the statement again.",
                exit_code=ExitCode.USAGE,
            )
        ) from None


def approve(state: State, answer: msg.Approve, actor: Actor, context: Context) -> tuple[Draft, ...]:
    """One custodian's decision, and the verdict when it decides it. Raises PolicyRefusal, VerificationFailed."""
    because = clean(answer.because, "The reason", empty=True)
    now = bl.ballot(state)
    if now is not None:
        _check_voter(state, now, actor)
    bl.check_statement(
        state,
        actor,
        answer.decision.value,
        text=answer.statement,
        nonce=context.nonce,
        gateway_sha256=context.gateway_sha256,
        because=because,
    )
    assert now is not None  # noqa: S101 - check_statement has refused
    context.verify_cms(actor, answer.statement.encode(), _cms(answer.cms))
    event = ev.ApprovalGiven(
        ceremony_id=state.id,
        step=now.subject,
        attempt=now.attempt,
        role=now.role,
        decision=answer.decision,
        statement=answer.statement,
        cms=answer.cms,
        because=because,
    )
    return settled(state, (Draft(event=event, actor=actor, correlation=state.correlation),), context)


def _check_voter(state: State, now: bl.Ballot, actor: Actor) -> None:
    """Distinct persons, distinct certificates, not the opener (invariant 11)."""
    if actor.uid == state.opened_by:
        raise refused(
            "self-approval",
            f"{actor.name} opened this ceremony and cannot approve it.",
            f"Another {now.role.value} decides.",
            state,
        )
    for vote in bl.votes(state, now.subject, now.attempt):
        if vote.uid == actor.uid:
            raise refused("voted-already", f"{actor.name} has decided already ({vote.decision.value}).",
                          f"Another {now.role.value} decides.", state)  # fmt: skip
        if vote.certificate_sha256 == actor.certificate_sha256:
            raise refused(
                "certificate-used-twice",
                f"{vote.name} has decided with this same certificate.",
                "Each member of the quorum uses a certificate of their own.",
                state,
            )


def sign_off(
    state: State, step: ScriptStep, answer: msg.SignOffAnswer, actor: Actor, context: Context
) -> tuple[Draft, ...]:
    """One participant's answer at the end. A dissent needs its reason and does not block the others."""
    if step.kind is not StepKind.SIGN_OFF:
        raise refused("answer-unfit", "It is not time for the sign-off yet.", f"Do “{step.title}” first.", state)
    because = clean(answer.because, "The reason", empty=answer.agrees)
    decision = "agree" if answer.agrees else "disagree"
    bl.check_statement(
        state,
        actor,
        decision,
        text=answer.statement,
        nonce=context.nonce,
        gateway_sha256=context.gateway_sha256,
        because=because,
    )
    context.verify_cms(actor, answer.statement.encode(), _cms(answer.cms))
    seat = next(s for s in bl.sign_off_due(state) if s.uid == actor.uid and s.role in actor.roles)
    event = ev.SignedOff(
        ceremony_id=state.id,
        step=step.id,
        role=seat.role,
        agrees=answer.agrees,
        statement=answer.statement,
        cms=answer.cms,
        because=because,
    )
    return settled(state, (Draft(event=event, actor=actor, correlation=state.correlation),), context)
