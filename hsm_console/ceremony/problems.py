"""The ceremony room's failures in four things, and the sentence that says what state the key is in."""

from __future__ import annotations

from hsm_console.ceremony import state as st
from hsm_console.ceremony.state import State
from hsm_console.domain.errors import NOTHING_DONE, ExitCode, PolicyRefusal, Problem
from hsm_console.domain.events import Operation

_KEPT = " What was typed is still on the screen."


def key_state(state: State) -> str:
    """What exists now, in one or two sentences, for every problem and for the end of a ceremony."""
    if state.intent is not None and state.intent.operation is Operation.GENERATE:
        return "Key generation was announced and has not ended; whether a key exists is not known yet."
    if state.key is None:
        partial = any(e.code in ("partial", "foreign") for e in state.endings)
        return (
            "An incomplete or unknown object was found in the module; no usable key of this ceremony exists."
            if partial
            else NOTHING_DONE
        )
    certified = "and has a certificate" if state.certificate else "and has no certificate yet"
    count = len(state.documents)
    signed = f"; {'one document' if count == 1 else f'{count} documents'} signed with it" if count else ""
    return f"The key “{state.key.label}” exists in the module {certified}{signed}."


def refused(code: str, what: str, todo: str, state: State | None = None) -> PolicyRefusal:
    """A refusal ready to raise; says that nothing was lost and what state the key is in."""
    state_now = key_state(state) if state is not None else NOTHING_DONE
    return PolicyRefusal(Problem(code=code, what=what, key_state=state_now, todo=todo, exit_code=ExitCode.POLICY))


def stale(state: State) -> PolicyRefusal:
    """The person answered a page that is no longer the newest."""
    step = st.current(state)
    now = f"The ceremony is now at “{step.title}”." if step else "The ceremony is closed."
    return refused(
        "answer-stale",
        f"Something changed while this page was open, so the answer was not recorded. {now}",
        "Look at the page as it is now and answer again." + _KEPT,
        state,
    )


_TROUBLE: dict[str, tuple[str, str]] = {
    "words-wrong": (
        "The typed words do not match the fingerprint.",
        "Read the words from the printed sheet again. New positions are asked for; nothing is locked.",
    ),
    "they-differ": (
        "The fingerprint on the sheet and the key in the module differ.",
        "Do not use this key. Keep the sheet. Record a deviation, which the quorum decides on, or end the ceremony.",
    ),
    "key-not-as-asked": (
        "The key in the module is not what was asked for.",
        "Do not use this key. Record a deviation, which the quorum decides on, or end the ceremony.",
    ),
    "hash-differs": (
        "The software's hash is not the one that was read.",
        "Read it again from the release sheet. If it differs again, pause and do not continue with this software.",
    ),
    "clock-differs": (
        "The workstation's clock and the declared time source do not agree.",
        "Read the source again; if they still differ, pause, set the clock and begin the step anew.",
    ),
    "preflight-red": (
        "Not everything is ready.",
        "Correct what is marked and run the checks again. No time of the others is lost yet.",
    ),
    "receipt-wrong": (
        "The scanned receipt does not verify.",
        "Scan it again. If it fails again, print it anew and keep the failed sheet.",
    ),
    "quorum-declined": (
        "The quorum was not given.",
        "Pause, end the ceremony, or record a deviation; when the quorum accepts it, a new vote begins.",
    ),
    "operation-failed": (
        "The module answered with an error.",
        "Read what it said. A commit step begins again only after the quorum has approved another attempt.",
    ),
    "interrupted-not-done": (
        "The operation was interrupted before the module did anything.",
        "The quorum decides whether to try again. Nothing is repeated by itself.",
    ),
    "interrupted-partial": (
        "The operation was interrupted and left an incomplete object in the module.",
        "The quorum decides whether to try again; the half-made object is destroyed first. Both are recorded.",
    ),
    "interrupted-foreign": (
        "The module holds an object that this ceremony did not ask for.",
        "The quorum decides. Treat the object as unknown and do not use it.",
    ),
}


def trouble(state: State) -> Problem | None:
    """What the page must tell now, from the last answer that did not pass or the last failure."""
    now = state.trouble
    if now is None:
        return None
    what, todo = _TROUBLE.get(now.code, ("The answer did not pass.", "Look at the step again and answer once more."))
    return Problem(
        code=now.code,
        what=f"{what} {now.why}".strip(),
        key_state=key_state(state),
        todo=todo,
        details={"log entry": str(now.seq)},
        exit_code=ExitCode.POLICY,
    )
