"""What cannot happen: a script is refused before anybody gives it an afternoon (CEREMONY 2 and 5).

Each check is a function from a script to findings; each finding has a name that tests and people can cite, the step,
and one sentence. `check` raises with all of them at once, so that an author corrects the file in one go.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from hsm_console.ceremony.script import Script, Step
from hsm_console.ceremony.texts import unknown_placeholders
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.keys import Algorithm
from hsm_console.domain.messages.ceremony import StepKind
from hsm_console.domain.people import Role
from hsm_console.policy import clauses

PROFILES = ("identity",)  # what the ceremony authority issues: digitalSignature, named after its holder
_NAME = re.compile(r"[a-z][a-z0-9-]{1,62}")
_EMPTY_BUTTONS = {"ok", "okay", "yes", "no", "next", "continue", "go", "done", "submit", "accept", "proceed"}
_ON_A_KEY = (StepKind.READ_BACK, StepKind.COMPARE, StepKind.CERTIFY, StepKind.SIGN_DOCUMENT)
_ON_THE_MODULE = (StepKind.GENERATE, StepKind.CERTIFY, StepKind.SIGN_DOCUMENT)
_BEFORE_COMMIT = {
    StepKind.PRESENCE: ("no-presence", "nobody has recorded who is present"),
    StepKind.TIME_SOURCE: ("no-time-source", "no time source was declared"),
    StepKind.SOFTWARE_HASH: ("no-software-hash", "the software's hash was not checked"),
    StepKind.PREFLIGHT: ("no-preflight", "nobody has looked whether everything is ready"),
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """name: stable, kebab-case; step: id, or empty when it concerns the whole script."""

    name: str
    text: str
    step: str = ""


def findings(script: Script) -> tuple[Finding, ...]:
    """Everything that cannot happen in this script; empty: it can be held."""
    return tuple(finding for check in _CHECKS for finding in check(script))


def check(script: Script) -> None:
    """Raises InputError `script-cannot-happen` with every finding."""
    found = findings(script)
    if found:
        raise InputError(
            Problem(
                code="script-cannot-happen",
                what=f"The ceremony “{script.title}” cannot be held as it is written: "
                + " ".join(f"[{f.name}] {f.text}" for f in found),
                todo="Correct the script and run `hsm-console ceremony lint` on it again.",
                contact="the author of the script",
                details={f"{n}": f.name for n, f in enumerate(found, 1)},
                exit_code=ExitCode.USAGE,
            )
        )


def _first_commit(script: Script) -> int | None:
    """Index of the first step that cannot be undone."""
    return next((n for n, s in enumerate(script.steps) if s.commit or s.kind is StepKind.GENERATE), None)


def _of(script: Script, *kinds: StepKind) -> list[tuple[int, Step]]:
    return [(n, s) for n, s in enumerate(script.steps) if s.kind in kinds]


# -- form ------------------------------------------------------------------------------------------------


def _names(script: Script) -> Iterator[Finding]:
    if not _NAME.fullmatch(script.id):
        yield Finding(name="bad-id", text=f"The id “{script.id}” is not lower-case words joined by hyphens.")
    if not script.version or not script.title or not script.purpose:
        yield Finding(name="empty-text", text="Version, title and purpose must say something.")
    for step_id, count in Counter(s.id for s in script.steps).items():
        if count > 1:
            yield Finding(name="duplicate-step", step=step_id, text=f"{count} steps have the id “{step_id}”.")
        if not _NAME.fullmatch(step_id) or step_id.startswith("deviation-"):
            yield Finding(name="bad-id", step=step_id, text=f"A step cannot have the id “{step_id}”.")


def _phases(script: Script) -> Iterator[Finding]:
    if len(set(script.phases)) != len(script.phases):
        yield Finding(name="duplicate-phase", text="Two phases have the same name.")
    last = 0
    for step in script.steps:
        if step.phase not in script.phases:
            yield Finding(
                name="unknown-phase",
                step=step.id,
                text=f"“{step.title}” is in a phase “{step.phase}” that is not listed.",
            )
            continue
        at = script.phases.index(step.phase)
        if at < last:
            yield Finding(
                name="phase-order", step=step.id, text=f"“{step.title}” goes back to the phase “{step.phase}”."
            )
        last = max(last, at)
    for phase in script.phases:
        if all(step.phase != phase for step in script.steps):
            yield Finding(name="empty-phase", text=f"The phase “{phase}” has no step.")


def _words(script: Script) -> Iterator[Finding]:
    for step in script.steps:
        for name in ("title", "say", "expect", "button"):
            if not getattr(step, name).strip():
                yield Finding(name="empty-text", step=step.id, text=f"`{name}` of step “{step.id}” says nothing.")
        if step.button.strip().lower() in _EMPTY_BUTTONS:
            yield Finding(
                name="button-says-nothing",
                step=step.id,
                text=f"The button of “{step.title}” says “{step.button}”; it must say the act.",
            )
        for unknown in unknown_placeholders(f"{step.title} {step.say} {step.expect}", script):
            yield Finding(
                name="unknown-placeholder", step=step.id, text=f"Nothing fills in {{{unknown}}} in “{step.title}”."
            )
        if not 1 <= step.minutes <= 240:
            yield Finding(
                name="minutes",
                step=step.id,
                text=f"“{step.title}” takes {step.minutes} minutes; 1 to 240 are believed.",
            )


def _clauses(script: Script) -> Iterator[Finding]:
    for step in script.steps:
        for clause in step.clauses:
            if clauses.table().by_id(clause) is None:
                yield Finding(
                    name="unknown-clause",
                    step=step.id,
                    text=f"“{step.title}” names a clause “{clause}” that is not known.",
                )


def _parameters(script: Script) -> Iterator[Finding]:
    for name, item in script.parameters.items():
        if bool(item.choices) == bool(item.pattern):
            yield Finding(name="parameter-open", text=f"Parameter “{name}” needs either choices or a pattern.")
        if item.choices or not item.pattern:
            continue
        try:
            fits = re.fullmatch(item.pattern, item.example)
        except re.error:
            yield Finding(name="parameter-pattern", text=f"The pattern of “{name}” is no regular expression.")
            continue
        if not fits:
            yield Finding(name="parameter-example", text=f"The example of “{name}” does not fit its own pattern.")


def _facts(script: Script) -> Iterator[Finding]:
    for step in script.steps:
        if step.facts and step.kind not in (StepKind.READ_ALOUD, StepKind.SOFTWARE_HASH):
            yield Finding(name="facts-unasked", step=step.id, text=f"“{step.title}” has no place to type facts.")
        if any(not name.isascii() or not question.strip() for name, question in step.facts.items()):
            yield Finding(
                name="bad-fact", step=step.id, text=f"A fact of “{step.title}” has no plain name or question."
            )
        if step.kind is StepKind.SOFTWARE_HASH and "read" not in step.facts:
            yield Finding(name="hash-unasked", step=step.id, text=f"“{step.title}” must ask for the fact `read`.")
        if step.kind is StepKind.COMPARE and not 3 <= step.words <= 32:
            yield Finding(name="too-few-words", step=step.id, text="A comparison asks for 3 to 32 words.")


# -- people ----------------------------------------------------------------------------------------------


def _quorum(script: Script) -> Iterator[Finding]:
    quorum = script.quorum
    if not 1 <= quorum.needed <= quorum.of:
        yield Finding(name="quorum-unreachable", text=f"{quorum.needed} of {quorum.of} can never be reached.")
    seated = script.roles.get(quorum.role, 0)
    if seated < quorum.needed:
        yield Finding(
            name="quorum-unreachable",
            text=f"{quorum.needed} {quorum.role.value}s must approve, but the script seats only {seated}.",
        )
    if seated > quorum.of:
        yield Finding(
            name="quorum-overfull", text=f"The script seats {seated} {quorum.role.value}s in a body of {quorum.of}."
        )
    for _, step in _of(script, StepKind.QUORUM):
        if step.actor is not quorum.role:
            yield Finding(
                name="conflicting-roles",
                step=step.id,
                text=f"“{step.title}” is for the {quorum.role.value}s to decide.",
            )


def _roles(script: Script) -> Iterator[Finding]:
    for role, count in script.roles.items():
        if not 1 <= count <= 20:
            yield Finding(name="seats", text=f"{count} seats for {role.value}: 1 to 20 are possible.")
    for step in script.steps:
        if script.roles.get(step.actor, 0) < 1:
            yield Finding(
                name="actor-not-seated",
                step=step.id,
                text=f"“{step.title}” is for the {step.actor.value}, who has no seat.",
            )
        if step.commit and step.actor is script.quorum.role:
            yield Finding(
                name="conflicting-roles",
                step=step.id,
                text=f"The {step.actor.value}s approve “{step.title}” and cannot also do it.",
            )
        if step.commit and script.roles.get(Role.WITNESS, 0) < 1:
            yield Finding(
                name="no-witness", step=step.id, text=f"“{step.title}” cannot be undone, and no witness is seated."
            )
    for _, step in _of(script, StepKind.PRESENCE):
        if step.actor is not Role.ADMINISTRATOR:
            yield Finding(
                name="presence-actor", step=step.id, text="The administrator records who is present, nobody else."
            )


# -- order -----------------------------------------------------------------------------------------------


def _before_commit(script: Script) -> Iterator[Finding]:
    first = _first_commit(script)
    if first is None:
        return
    before = {step.kind for step in script.steps[:first]}
    for kind, (name, text) in _BEFORE_COMMIT.items():
        if kind not in before:
            yield Finding(name=name, step=script.steps[first].id, text=f"Before “{script.steps[first].title}” {text}.")


def _under_quorum(script: Script) -> Iterator[Finding]:
    seated = approved = False
    for step in script.steps:
        seated = seated or step.kind is StepKind.PRESENCE
        if step.kind is StepKind.QUORUM:
            approved = True
            if not seated:
                yield Finding(
                    name="quorum-before-presence", step=step.id, text="The quorum decides before it is seated."
                )
        if (step.commit or step.kind is StepKind.GENERATE) and not approved:
            yield Finding(
                name="no-quorum",
                step=step.id,
                text=f"“{step.title}” cannot be undone, and no quorum decides before it.",
            )
        if step.commit and step.kind not in _ON_THE_MODULE:
            yield Finding(
                name="commit-unfit", step=step.id, text=f"“{step.title}” does nothing that could be committed."
            )
    if len(_of(script, StepKind.PRESENCE)) > 1:
        yield Finding(name="duplicate-presence", text="Who is present is recorded once; later changes are deviations.")


def _key(script: Script) -> Iterator[Finding]:
    made = _of(script, StepKind.GENERATE)
    first = made[0][0] if made else len(script.steps)
    for at, step in _of(script, *_ON_A_KEY):
        if at < first:
            yield Finding(
                name="key-not-yet", step=step.id, text=f"“{step.title}” needs a key that is not made before it."
            )
    if not made:
        return
    step = made[0][1]
    if len(made) > 1:
        yield Finding(name="two-keys", step=made[1][1].id, text="One ceremony makes one key.")
    if not step.commit:
        yield Finding(name="generate-not-commit", step=step.id, text=f"“{step.title}” must say commit = true.")
    after = script.steps[first + 1 :]
    for kind, name, text in (
        (StepKind.READ_BACK, "no-read-back", "nobody reads its properties back"),
        (StepKind.COMPARE, "no-compare", "nobody compares its fingerprint"),
        (StepKind.RECEIPT, "no-receipt", "nobody takes a receipt"),
    ):
        if all(later.kind is not kind for later in after):
            yield Finding(name=name, step=step.id, text=f"A key is made, and {text}.")
    for later in after:
        if later.kind is StepKind.COMPARE and later.actor is step.actor:
            yield Finding(
                name="own-check", step=later.id, text="Whoever makes the key cannot be the one who compares it."
            )
    yield from _key_wish(script)


def _key_wish(script: Script) -> Iterator[Finding]:
    wish = script.key
    if wish is None:
        yield Finding(name="no-key-table", text="A key is made, and the script has no [key] table.")
        return
    if not wish.usages:
        yield Finding(name="no-usage", text="The key may do nothing: [key] usages is empty.")
    offered = (wish.algorithm,) if wish.algorithm else _choices(script, "algorithm")
    known = {a.value for a in Algorithm if a.is_pair}
    if not offered or any(name not in known for name in offered):
        yield Finding(name="algorithm", text="The algorithm is not fixed in [key] nor chosen from known key pairs.")
    if not wish.label and "label" not in script.parameters:
        yield Finding(name="label", text="The key has no label, neither in [key] nor as a parameter.")


def _choices(script: Script, name: str) -> tuple[str, ...]:
    item = script.parameters.get(name)
    return item.choices if item else ()


def _certificate(script: Script) -> Iterator[Finding]:
    wish, steps = script.certificate, _of(script, StepKind.CERTIFY)
    if steps and wish is None:
        yield Finding(name="no-certificate-table", step=steps[0][1].id, text="There is no [certificate] table.")
    if wish is None:
        return
    if not steps:
        yield Finding(name="certificate-unused", text="[certificate] is never used: no step certifies.")
    if len(steps) > 1:
        yield Finding(name="two-certificates", step=steps[1][1].id, text="One ceremony issues one certificate.")
    if wish.profile not in PROFILES:
        yield Finding(
            name="certificate-profile", text=f"The profile “{wish.profile}” is not one of {', '.join(PROFILES)}."
        )
    if not 1 <= wish.days <= 3650:
        yield Finding(name="certificate-days", text=f"A certificate of {wish.days} days is not issued (1 to 3650).")
    for unknown in unknown_placeholders(wish.subject, script):
        yield Finding(name="unknown-placeholder", text=f"Nothing fills in {{{unknown}}} in the certificate's subject.")


def _sign_off(script: Script) -> Iterator[Finding]:
    found = _of(script, StepKind.SIGN_OFF)
    if not script.steps or not found:
        yield Finding(name="no-sign-off", text="Nobody signs off at the end.")
    elif found[0][0] != len(script.steps) - 1:
        yield Finding(
            name="sign-off-not-last", step=found[0][1].id, text="The sign-off must be the last step, and once."
        )


_CHECKS: tuple[Callable[[Script], Iterator[Finding]], ...] = (
    _names,
    _phases,
    _words,
    _clauses,
    _parameters,
    _facts,
    _quorum,
    _roles,
    _before_commit,
    _under_quorum,
    _key,
    _certificate,
    _sign_off,
)
