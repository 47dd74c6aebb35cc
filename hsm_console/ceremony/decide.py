"""Answers of people: whether they may give them now, and what follows (CEREMONY 4; invariants 5, 7, 11).

`decide` refuses with a PolicyRefusal or an InputError and then nothing has changed and nothing was lost; or it
returns the drafts of one transaction, or a plan for the gateway. Steps cannot be skipped; a stale answer is refused.
"""

# ruff: noqa: ARG001 - the handlers of one table share one signature

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from hsm_console.ceremony import ballot as bl
from hsm_console.ceremony import lint, plans, signed, steps
from hsm_console.ceremony import state as st
from hsm_console.ceremony.engine import Context, Decided, done, settled
from hsm_console.ceremony.problems import key_state, refused, stale
from hsm_console.ceremony.script import Script, check_parameters, digest, parse, quorum_words, to_log
from hsm_console.ceremony.script import Step as ScriptStep
from hsm_console.ceremony.state import State
from hsm_console.ceremony.texts import clean
from hsm_console.domain import events as ev
from hsm_console.domain.events import Draft
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.messages.ceremony import OpenCeremony, StepKind
from hsm_console.domain.people import Actor, Role
from hsm_console.policy.environment import check_token
from hsm_console.policy.roles import Action, authorise

MAX_DOCUMENT = 16 * 1024 * 1024


def open_ceremony(
    text: str,
    request: OpenCeremony,
    actor: Actor,
    context: Context,
    *,
    ceremony_id: str,
    simulated: bool,
    predecessor: str = "",
) -> tuple[Draft, ...]:
    """Begin a ceremony. text: the script; predecessor: id of the ceremony before it for the same key.

    Raises PolicyRefusal (role, environment, digest, quorum) or InputError (script, parameters).
    """
    authorise(actor, Action.OPEN_CEREMONY, context.environment)
    check_token(context.environment, simulated=simulated)
    script, sha256 = parse(text), digest(text)
    if request.script_id != script.id or request.sha256 != sha256:
        raise refused("script-changed", "The script is not the one that was shown.", "Open the script again, read it.")
    lint.check(script)
    _check_house(script, sha256, context)
    if script.continues and not predecessor:
        raise refused(
            "predecessor-missing",
            "This ceremony continues an earlier one for the same key, and that one was not found.",
            "Bring the receipt of the earlier ceremony, or choose the script that begins with a new key.",
        )
    check_parameters(script, request.parameters)
    event = ev.CeremonyOpened(
        ceremony_id=ceremony_id,
        script_id=script.id,
        script_version=script.version,
        script_sha256=sha256,
        script=to_log(text),
        title=script.title,
        simulated=simulated,
        parameters=dict(sorted(request.parameters.items())),
        predecessor=predecessor,
    )
    return (Draft(event=event, actor=actor, critical=True),)


def _check_house(script: Script, sha256: str, context: Context) -> None:
    """The script against the rules of the house: approval of its digest, least quorum."""
    house = context.environment
    approved = context.approved | set(house.ceremony.approved_sha256)
    if house.ceremony.scripts == "approved" and sha256 not in approved:
        raise refused(
            "script-not-approved",
            f"“{house.title}” runs approved scripts only, and the digest of this one is not among them.",
            "Have the script approved by its digest, or hold a rehearsal.",
        )
    if script.quorum.needed < house.quorum.needed or script.quorum.of < house.quorum.of:
        least = f"{house.quorum.needed} of {house.quorum.of}"
        raise refused(
            "quorum-too-small",
            f"The script asks for {quorum_words(script.quorum)}; “{house.title}” wants {least} at least.",
            "Choose a script with a larger quorum, or another environment.",
        )


def decide(state: State, answer: msg.AnyAnswer, actor: Actor, context: Context) -> Decided:
    """What follows from this answer by this person. Raises PolicyRefusal or InputError; then nothing has changed."""
    authorise(actor, Action.ANSWER_STEP, context.environment)
    step = _check_fresh(state, answer)
    anytime = _ANYTIME.get(type(answer))
    if anytime is not None:
        return anytime(state, step, answer, actor, context)
    if state.status == st.PAUSED:
        raise refused("ceremony-paused", "The ceremony is paused.", "Resume it, then answer.", state)
    if step is None:
        raise refused("ceremony-over", "All steps are done.", "Wait for the minutes.", state)
    if state.intent is not None:
        raise refused("working", "The module is at work.", "Wait until it has answered.", state)
    if isinstance(answer, msg.Approve):
        return signed.approve(state, answer, actor, context)
    _check_not_deciding(state, step)
    if isinstance(answer, msg.SignOffAnswer):
        return signed.sign_off(state, step, answer, actor, context)
    _check_seat(state, step, actor)
    handler = _STEPS.get((step.kind, type(answer)))
    if handler is None:
        raise refused(
            "answer-unfit",
            f"That is no answer to “{step.title}”.",
            f"The page for this step asks for: {step.button}.",
            state,
        )
    return handler(state, step, answer, actor, context)


def _check_fresh(state: State, answer: msg.Answer) -> ScriptStep | None:
    if state.status == st.UNREADABLE:
        raise refused("ceremony-unreadable", "This ceremony's script cannot be read by this software.",
                      "Read its entries in the audit log.", state)  # fmt: skip
    if state.status in (st.COMPLETED, st.ABANDONED):
        raise refused("ceremony-closed", f"This ceremony is closed ({state.status}).", "Open a new one.", state)
    step = st.current(state)
    if answer.step != (step.id if step else "") or not state.floor <= answer.revision <= state.revision:
        raise stale(state)
    return step


def _check_not_deciding(state: State, step: ScriptStep) -> None:
    now = bl.ballot(state)
    if now is not None and now.kind != "authorise":
        what = "another attempt" if now.kind == "retry" else "the deviation"
        todo = f"{now.needed} of {now.of} {now.role.value}s decide, each with their own certificate."
        raise refused("quorum-decides", f"The quorum decides about {what} first. {now.why}", todo, state)
    if state.blocked:
        todo = "Record a deviation for the quorum to decide on, pause, or end the ceremony."
        raise refused("step-blocked", f"“{step.title}” cannot go on as it is.", todo, state)


def _check_seat(state: State, step: ScriptStep, actor: Actor) -> None:
    if state.seats:
        if bl.role_of(state, actor, step.actor) is not None:
            return
        names = " or ".join(seat.name for seat in st.seated(state, step.actor)) or f"the {step.actor.value}"
        what = f"This step is for the {step.actor.value}, and {actor.name} is not seated as such."
    else:
        if step.actor in actor.roles:
            return
        names = f"the {step.actor.value}"
        what = f"This step is for the {step.actor.value}; {actor.name} is not logged in as such."
    raise refused("wrong-seat", what, f"{names} answers this step.", state)


# -- answers that are possible at every step -------------------------------------------------------------


def _check_present(state: State, actor: Actor) -> None:
    if state.seats and not st.seats_of(state, actor.uid):
        raise refused("not-seated", f"{actor.name} has no seat in this ceremony.", "Ask somebody who is seated.", state)
    if not state.seats and Role.ADMINISTRATOR not in actor.roles:
        raise refused("not-seated", "Nobody is seated yet.", "The administrator answers until then.", state)


def _acts_as(state: State, actor: Actor, *roles: Role) -> bool:
    """Whether she is here in one of these roles: by her seat, or before seats are recorded by her log-on."""
    if state.seats:
        return any(bl.role_of(state, actor, role) is not None for role in roles)
    return bool(set(roles) & set(actor.roles))


def _deviation(
    state: State, step: ScriptStep | None, answer: msg.DeviationAnswer, actor: Actor, context: Context
) -> tuple[Draft, ...]:
    _check_present(state, actor)
    if st.pending_deviation(state) is not None:
        raise refused("deviation-open", "The quorum has not yet decided about the last deviation.",
                      "Let it decide, then record the next one.", state)  # fmt: skip
    if state.status == st.PAUSED:
        raise refused("ceremony-paused", "The ceremony is paused.", "Resume it, then record the deviation.", state)
    event = ev.DeviationRecorded(
        ceremony_id=state.id,
        step=step.id if step else "",
        expected=clean(answer.expected, "What was expected"),
        happened=clean(answer.happened, "What happened"),
        decided=clean(answer.decided, "What was decided"),
    )
    return settled(state, (Draft(event=event, actor=actor, correlation=state.correlation, critical=True),), context)


def _pause(
    state: State, step: ScriptStep | None, answer: msg.Pause, actor: Actor, context: Context
) -> tuple[Draft, ...]:
    _check_present(state, actor)
    if state.status == st.PAUSED:
        raise refused("ceremony-paused", "The ceremony is paused already.", "Resume it when all are back.", state)
    event = ev.CeremonyPaused(ceremony_id=state.id, why=clean(answer.why, "The reason"))
    return (Draft(event=event, actor=actor, correlation=state.correlation, critical=True),)


def _resume(
    state: State, step: ScriptStep | None, answer: msg.Resume, actor: Actor, context: Context
) -> tuple[Draft, ...]:
    _check_present(state, actor)
    if state.status != st.PAUSED:
        raise refused("not-paused", "The ceremony is not paused.", "Answer the step.", state)
    if not _acts_as(state, actor, Role.ADMINISTRATOR):
        raise refused("wrong-seat", "The administrator resumes a ceremony.", "Ask the administrator.", state)
    event = ev.CeremonyResumed(ceremony_id=state.id)
    return settled(state, (Draft(event=event, actor=actor, correlation=state.correlation),), context)


def _abandon(
    state: State, step: ScriptStep | None, answer: msg.Abandon, actor: Actor, context: Context
) -> plans.ClosePlan:
    _check_present(state, actor)
    if not _acts_as(state, actor, Role.ADMINISTRATOR, Role.EXECUTIVE):
        raise refused("wrong-seat", "The administrator or the executive ends a ceremony.", "Ask them, or pause.", state)
    if state.intent is not None:
        raise refused("working", "The module is at work.", "Wait until it has answered, then end it.", state)
    why = clean(answer.why, "The reason")
    place = f"at “{step.title}”" if step else "after the last step"
    text = f"Ended by {actor.name} {place}: {why} What exists now: {key_state(state)}"
    return plans.ClosePlan(outcome="abandoned", text=text, actor=actor)


_ANYTIME: dict[type, Callable[[State, ScriptStep | None, Any, Actor, Context], Decided]] = {
    msg.DeviationAnswer: _deviation,
    msg.Pause: _pause,
    msg.Resume: _resume,
    msg.Abandon: _abandon,
}


# -- operations on the module -------------------------------------------------------------------------------


def _perform(state: State, step: ScriptStep, answer: msg.Perform, actor: Actor, context: Context) -> plans.HsmPlan:
    if not bl.authorised(state, step) and (step.commit or step.kind is StepKind.GENERATE):
        raise refused("no-quorum", f"No quorum stands behind “{step.title}”.", "Let the quorum decide first.", state)
    word = steps.confirm_word(step)
    if word and answer.confirmed.strip().lower() != word:
        raise refused("not-confirmed", "The act was not confirmed.", f"Type the word “{word}”, then confirm.", state)
    if step.kind is StepKind.GENERATE:
        if state.key is not None:
            raise refused("key-exists", "This ceremony has made its key.", "Go on with the next step.", state)
        return plans.generate(state, step, actor)
    if state.key is None or st.script_of(state).certificate is None:
        raise refused("key-missing", "There is no key to certify.", "Record a deviation, or end the ceremony.", state)
    return plans.certify(state, step, actor)


def _document(
    state: State, step: ScriptStep, answer: msg.DocumentAnswer, actor: Actor, context: Context
) -> plans.HsmPlan:
    name = clean(answer.name, "The document's name", longest=200)
    try:
        data = base64.b64decode(answer.content, validate=True)
    except (binascii.Error, ValueError):
        raise refused("document-unreadable", "The document did not arrive whole.", "Choose it again.", state) from None
    if not data or len(data) > MAX_DOCUMENT:
        raise refused("document-size", "The document is empty or larger than 16 MiB.", "Choose another one.", state)
    if state.key is None:
        raise refused("key-missing", "There is no key to sign with.", "Record a deviation, or end the ceremony.", state)
    if step.commit and not bl.authorised(state, step):
        raise refused("no-quorum", f"No quorum stands behind “{step.title}”.", "Let the quorum decide first.", state)
    return plans.sign_document(state, step, actor, name=name, data=data)


def _one(build: Callable[..., Draft]) -> Callable[..., Decided]:
    """A step whose answer is settled at once: its draft and what follows."""

    def handler(state: State, step: ScriptStep, answer: Any, actor: Actor, context: Context) -> Decided:
        return settled(state, (build(state, step, answer, actor, context),), context)

    return handler


def _confirmed(state: State, step: ScriptStep, answer: msg.Confirmed, actor: Actor, context: Context) -> Draft:
    return done(state, step, actor, steps.asked(state, step, answer.facts))


_STEPS: dict[tuple[StepKind, type], Callable[..., Decided]] = {
    (StepKind.READ_ALOUD, msg.Confirmed): _one(_confirmed),
    (StepKind.PRESENCE, msg.PresenceAnswer): _one(steps.presence),
    (StepKind.TIME_SOURCE, msg.TimeSourceAnswer): _one(steps.time_source),
    (StepKind.SOFTWARE_HASH, msg.Confirmed): _one(steps.software_hash),
    (StepKind.PREFLIGHT, msg.RunChecks): steps.run_checks,
    (StepKind.GENERATE, msg.Perform): _perform,
    (StepKind.CERTIFY, msg.Perform): _perform,
    (StepKind.READ_BACK, msg.Perform): steps.start_read_back,
    (StepKind.READ_BACK, msg.Confirmed): steps.start_read_back,
    (StepKind.COMPARE, msg.WordsAnswer): _one(steps.compare),
    (StepKind.SIGN_DOCUMENT, msg.DocumentAnswer): _document,
    (StepKind.RECEIPT, msg.ScannedReceipt): _one(steps.receipt),
    (StepKind.RECEIPT, msg.Confirmed): _one(steps.receipt),
}
