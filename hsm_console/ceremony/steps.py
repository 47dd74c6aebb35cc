"""The single steps: what each kind asks of its answer, and what of it is recorded (CEREMONY 4)."""

# ruff: noqa: ARG001 - the handlers of one table share one signature

from __future__ import annotations

import datetime
from collections import Counter

from hsm_console.ceremony import state as st
from hsm_console.ceremony.engine import Context, done, missed, settled
from hsm_console.ceremony.plans import ChecksPlan, ReadBackPlan
from hsm_console.ceremony.problems import refused
from hsm_console.ceremony.script import Step, key_of
from hsm_console.ceremony.state import KeyRecord, State
from hsm_console.ceremony.texts import clean
from hsm_console.crypto import words
from hsm_console.domain.errors import ConsoleError, InputError, VerificationFailed
from hsm_console.domain.events import Draft, Seat
from hsm_console.domain.keys import DeviceInfo, Grade, KeyAttributes, KeyInfo
from hsm_console.domain.messages.ceremony import (
    CheckItem,
    Confirmed,
    PresenceAnswer,
    ScannedReceipt,
    StepKind,
    TimeSourceAnswer,
    WordsAnswer,
)
from hsm_console.domain.people import Actor, Role
from hsm_console.policy.roles import check_seats

LEAST_HASH_DIGITS = 16
SOFTWARE_FACT = "read"
MAX_SEATS = 40
_OPERATION_WORDS = {StepKind.GENERATE: "generate", StepKind.CERTIFY: "certify", StepKind.SIGN_DOCUMENT: "sign"}


def confirm_word(step: Step) -> str:
    """The word to type before an act that cannot be undone; empty where none is asked for."""
    return _OPERATION_WORDS.get(step.kind, "") if step.commit else ""


def asked(state: State, step: Step, facts: dict[str, str]) -> dict[str, str]:
    """The facts that the step asks for, cleaned. Refuses missing and unknown ones."""
    unknown = sorted(set(facts) - set(step.facts))
    if unknown:
        raise refused(
            "fact-unknown", f"“{step.title}” does not ask for “{unknown[0]}”.", "Answer what is asked.", state
        )
    return {name: clean(facts.get(name, ""), question) for name, question in step.facts.items()}


# -- presence ------------------------------------------------------------------------------------------


def presence(state: State, step: Step, answer: PresenceAnswer, actor: Actor, context: Context) -> Draft:
    """Who is in the room, in which role: from the roster, without conflicts, enough for the script and the house."""
    if len(answer.seats) > MAX_SEATS:
        raise refused("seat-too-many", f"More than {MAX_SEATS} seats.", "Seat those who take part.", state)
    seats = tuple(_seat(state, seat, context) for seat in answer.seats)
    check_seats(seats, context.environment)
    _check_numbers(state, seats, context)
    if not any(s.uid == actor.uid and s.role == step.actor for s in seats):
        raise refused(
            "recorder-not-seated",
            f"{actor.name} records who is present and must be seated as {step.actor.value}.",
            "Add that seat.",
            state,
        )
    facts = dict(_seat_facts(seats))
    place = clean(answer.place, "The place", empty=True)
    return done(state, step, actor, facts | ({"place": place} if place else {}), seats=seats)


def _seat(state: State, seat: Seat, context: Context) -> Seat:
    entry = context.roster.by_uid(seat.uid)
    if entry is None or entry.revoked:
        raise refused("not-on-roster", f"“{seat.name}” is not on the roster, or was revoked.",
                      "Enrol the person first, or choose another.", state)  # fmt: skip
    if seat.role not in entry.roles:
        raise refused(
            "role-not-granted",
            f"The roster does not grant {entry.person.name} the role {seat.role.value}.",
            "Choose another person for this seat.",
            state,
        )
    if seat.role == state.quorum_role and seat.uid == state.opened_by:
        raise refused(
            "self-approval",
            f"{entry.person.name} opened this ceremony and cannot sit in its quorum.",
            "Choose another person for this seat.",
            state,
        )
    return Seat(role=seat.role, uid=seat.uid, name=entry.person.name)


def _check_numbers(state: State, seats: tuple[Seat, ...], context: Context) -> None:
    script, count = st.script_of(state), Counter(seat.role for seat in seats)
    need = dict.fromkeys(context.environment.seats.required, 1) | {
        role: number for role, number in script.roles.items() if number > 0
    }
    need[script.quorum.role] = max(need.get(script.quorum.role, 0), script.quorum.needed)
    for role, number in need.items():
        if count[role] < number:
            what = f"{number} {role.value}{'s are' if number > 1 else ' is'} needed; {count[role]} seated."
            raise refused("seat-missing", what, "Seat the missing people, or pause until they are here.", state)
    if count[script.quorum.role] > script.quorum.of:
        what = (
            f"The quorum's body has {script.quorum.of} {script.quorum.role.value}s; {count[script.quorum.role]} seated."
        )
        raise refused("seat-too-many", what, "Take the others off; they may watch as witnesses.", state)
    allowed = set(need) | {Role.WITNESS, Role.AUDITOR}
    extra = next((seat for seat in seats if seat.role not in allowed), None)
    if extra is not None:
        raise refused(
            "seat-unknown", f"This script has no seat for the role {extra.role.value}.", "Take it off.", state
        )


def _seat_facts(seats: tuple[Seat, ...]) -> list[tuple[str, str]]:
    found = []
    for role in Role:
        names = [seat.name for seat in seats if seat.role == role]
        if names:
            found.append((role.value, ", ".join(names)))
    return found


# -- time, software, preflight ----------------------------------------------------------------------------


def time_source(state: State, step: Step, answer: TimeSourceAnswer, actor: Actor, context: Context) -> Draft:
    """The declared source of time against the workstation's clock (clause R2)."""
    source, zone = clean(answer.source, "The time source"), clean(answer.zone, "The time zone", longest=64)
    difference = abs(answer.reads_ms - context.now_ms) // 1000
    facts = {"source": source, "zone": zone, "source reads": utc(answer.reads_ms), "clock reads": utc(context.now_ms)}
    facts["difference in seconds"] = str(difference)
    tolerance = context.environment.session.clock_tolerance_s
    if difference > tolerance:
        why = f"They differ by {difference} s; {tolerance} s are allowed."
        return missed(state, step, actor, "clock-differs", facts | {"why": why})
    return done(state, step, actor, facts)


def utc(time_ms: int) -> str:
    """ISO 8601 in UTC, to the second; a time out of range is told as such."""
    try:
        return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return "out of range"


def software_hash(state: State, step: Step, answer: Confirmed, actor: Actor, context: Context) -> Draft:
    """What was read from the release sheet (hex digits or words) against the running software's hash (clause R3)."""
    read = clean(answer.facts.get(SOFTWARE_FACT, ""), "The hash that was read")
    others = asked(state, step, {k: v for k, v in answer.facts.items() if k in step.facts} | {SOFTWARE_FACT: read})
    facts = others | {"software": context.software_version, "sha256": context.software_sha256}
    if _same_digest(read, context.software_sha256):
        return done(state, step, actor, facts)
    why = f"Read: {read[:100]}."
    return missed(state, step, actor, "hash-differs", facts | {"why": why})


def _same_digest(read: str, sha256: str) -> bool:
    """At least 16 hex digits, or 8 words, from the beginning."""
    digits = "".join(read.lower().split())
    if all(c in "0123456789abcdef" for c in digits):
        return len(digits) >= LEAST_HASH_DIGITS and sha256.startswith(digits)
    try:
        spoken = words.decode(read)
    except InputError:
        return False
    return len(spoken) * 2 >= LEAST_HASH_DIGITS and bytes.fromhex(sha256).startswith(spoken)


def run_checks(state: State, step: Step, answer: object, actor: Actor, context: Context) -> ChecksPlan:
    """The gateway looks; what it finds comes back through `checked`."""
    script = st.script_of(state)
    if script.key is None:
        return ChecksPlan(step=step.id)
    algorithm, label = key_of(script, state.parameters)
    return ChecksPlan(step=step.id, algorithm=algorithm, label=label)


def checked(state: State, items: tuple[CheckItem, ...], actor: Actor, context: Context) -> tuple[Draft, ...]:
    """What the preflight found: all green, or the step stays open and says what is not (clause S4)."""
    step = st.current(state)
    if step is None or step.kind is not StepKind.PREFLIGHT:
        raise refused("answer-stale", "The preflight is not the current step.", "Look at the page as it is now.", state)
    facts: dict[str, str] = {}
    for item in items:
        name = "".join(c if c.isascii() and c.isprintable() else "-" for c in item.name)
        found = item.found if item.problem is None else item.problem.what
        facts[name] = clean(found, item.name, empty=True)
        if item.problem is not None:
            facts[f"{name} / what to do"] = clean(item.problem.todo, item.name)
    red = [item.name for item in items if item.problem is not None]
    if red or not items:
        why = f"{len(red)} of {len(items)} not ready: {', '.join(red)}."
        return settled(state, (missed(state, step, actor, "preflight-red", facts | {"why": why}),), context)
    return settled(state, (done(state, step, actor, facts),), context)


# -- the key: read back, compare, receipt -----------------------------------------------------------------


def start_read_back(state: State, step: Step, answer: object, actor: Actor, context: Context) -> ReadBackPlan:
    """The gateway reads the attributes; they come back through `read_back`."""
    return ReadBackPlan(step=step.id, key_id=_key(state).object_id)


def _key(state: State) -> KeyRecord:
    if state.key is None:
        raise refused(
            "key-missing", "This ceremony has made no key.", "End the ceremony, or record a deviation.", state
        )
    return state.key


def grade(device: DeviceInfo | None) -> Grade:
    """The grade of evidence that reading back can give (CEREMONY 4): C from a module; D from the simulation, and from
    a device that has not said what it is."""
    return Grade.D if device is None or device.simulated else Grade.C


def attribute_facts(attributes: KeyAttributes) -> dict[str, str]:
    """Attributes as the minutes print them."""
    said = {None: "the token does not tell", True: "yes", False: "no"}
    names = ("token", "private", "sensitive", "always_sensitive", "extractable", "never_extractable", "local")
    facts = {name.replace("_", " "): said[getattr(attributes, name)] for name in (*names, "modifiable")}
    return facts | {"usages": ", ".join(sorted(u.value for u in attributes.usages)) or "none"}


def faults(attributes: KeyAttributes, key: KeyRecord) -> tuple[str, ...]:
    """What of the attributes is not as asked for: the key must live and stay in the module (clause R5)."""
    required = {"token": True, "private": True, "sensitive": True, "extractable": False}
    if_told = {"always_sensitive": True, "never_extractable": True, "local": True}
    found = [f"{n.replace('_', ' ')} is not {'yes' if v else 'no'}" for n, v in required.items()
             if getattr(attributes, n) is not v]  # fmt: skip
    found += [f"{n.replace('_', ' ')} is {'no' if v else 'yes'}" for n, v in if_told.items()
              if getattr(attributes, n) is (not v)]  # fmt: skip
    extra = set(attributes.usages) - set(key.usages)
    return (*found, *(f"it may {usage.value}, which was not asked for" for usage in sorted(extra)))


def read_back(
    state: State, found: KeyInfo | None, fingerprint: str, device: DeviceInfo, actor: Actor, context: Context
) -> tuple[Draft, ...]:
    """What was read from the module against what was made. fingerprint: hex SHA-256 of the SPKI read now."""
    step, key = st.current(state), _key(state)
    if step is None or step.kind is not StepKind.READ_BACK:
        raise refused("answer-stale", "Reading back is not the current step.", "Look at the page as it is now.", state)
    if found is None:
        wrong: tuple[str, ...] = ("the module does not find it",)
        facts: dict[str, str] = {}
    else:
        wrong = faults(found.attributes, key)
        wrong += () if fingerprint == key.fingerprint else ("its public key is another one",)
        wrong += () if found.algorithm is key.algorithm else ("its algorithm is another one",)
        facts = {"fingerprint": fingerprint, **attribute_facts(found.attributes)}
    level = grade(device)
    facts |= {"grade": level.value, "this does not prove": level.does_not_prove}
    facts |= {"device": f"{device.vendor} {device.model}, serial {device.serial}, firmware {device.firmware}"}
    facts = {name: clean(value, name, empty=True) for name, value in facts.items()}
    if wrong:
        why = f"{'; '.join(wrong)}."
        return settled(state, (missed(state, step, actor, "key-not-as-asked", facts | {"why": why}),), context)
    return settled(state, (done(state, step, actor, facts),), context)


def compare(state: State, step: Step, answer: WordsAnswer, actor: Actor, context: Context) -> Draft:
    """Words typed from the printed sheet, at positions chosen at random: proof that somebody looked."""
    right = words.encode(bytes.fromhex(_key(state).fingerprint))
    asked_for = ", ".join(map(str, state.challenge))
    if answer.differ:
        facts = {"positions": asked_for, "why": f"{actor.name} says that they differ."}
        return missed(state, step, actor, "they-differ", facts)
    typed = {position: clean(answer.words.get(str(position), ""), f"Word {position}", empty=True, longest=40)
             for position in state.challenge}  # fmt: skip
    wrong = [n for n, word in typed.items() if word.lower() != right[n - 1].lower()]
    facts = {"positions": asked_for, "misses before": str(sum(m.step == step.id for m in state.misses))}
    if wrong or not typed:
        said = ", ".join(f"{n} “{typed[n]}”" for n in wrong)
        return missed(state, step, actor, "words-wrong", facts | {"why": f"Not right: word {said}."})
    return done(state, step, actor, facts | {"words": ", ".join(right[n - 1] for n in state.challenge)})


def receipt(state: State, step: Step, answer: ScannedReceipt | Confirmed, actor: Actor, context: Context) -> Draft:
    """The receipt that was read back from paper or screen; without a scan only where the house allows it."""
    text = answer.text if isinstance(answer, ScannedReceipt) else ""
    if not text:
        if context.environment.ceremony.scan_receipt:
            raise refused("receipt-not-scanned", "This house wants the printed receipt scanned back.",
                          "Print the receipt and scan it.", state)  # fmt: skip
        return done(state, step, actor, {"receipt": "shown; not scanned back"})
    try:
        facts = context.check_receipt(text)
    except VerificationFailed as error:
        return missed(state, step, actor, "receipt-wrong", {"why": error.problem.what})
    except ConsoleError as error:
        return missed(state, step, actor, "receipt-wrong", {"why": error.problem.what})
    index = facts.get("index", "")
    if not (index.isdigit() and state.opened_seq <= int(index) <= state.revision):
        why = f"It is a receipt for entry {index or '?'}, which is not of this ceremony."
        return missed(state, step, actor, "receipt-wrong", {"why": why})
    return done(state, step, actor, {"receipt": "scanned back and verified", **facts})
