"""What each role may do, and which roles one person may not hold at once (invariants 5 and 11).

The gateway asks here before everything. The table is data: a role and the actions it grants. What a person
may do at a step of a ceremony is decided by her seat in it, in the ceremony room.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from hsm_console.domain.errors import ExitCode, PolicyRefusal, Problem
from hsm_console.domain.events import Seat
from hsm_console.domain.people import Actor, Role
from hsm_console.policy.environment import Environment


class Action(enum.StrEnum):
    """What somebody may ask of the gateway outside a step of a ceremony."""

    OPEN_CEREMONY = "open-ceremony"
    ANSWER_STEP = "answer-step"
    READ_CEREMONY = "read-ceremony"
    UNLOCK_DEVICE = "unlock-device"
    LOCK_DEVICE = "lock-device"
    READ_KEYS = "read-keys"
    ENROL = "enrol"
    REVOKE = "revoke"
    READ_PEOPLE = "read-people"
    READ_LOG = "read-log"
    READ_SEALED = "read-sealed"
    VERIFY_LOG = "verify-log"
    ISSUE_RECEIPT = "issue-receipt"
    EXPORT_EVIDENCE = "export-evidence"
    COSIGN_HEAD = "cosign-head"
    SIGN_SHEET = "sign-sheet"
    READ_ORDERS = "read-orders"
    TAKE_PART_IN_ORDERS = "take-part-in-orders"
    READ_ALERTS = "read-alerts"
    ACKNOWLEDGE_ALERT = "acknowledge-alert"
    COMPARE_DEVICE_LOG = "compare-device-log"
    USE_KEYS = "use-keys"
    VERIFY_SIGNATURE = "verify-signature"
    MANAGE_DEVICES = "manage-devices"


_READING = frozenset(
    {
        Action.READ_CEREMONY,
        Action.READ_KEYS,
        Action.READ_PEOPLE,
        Action.ISSUE_RECEIPT,
        Action.READ_ALERTS,
        Action.READ_ORDERS,
        Action.VERIFY_SIGNATURE,
    }
)
_ORDERING = frozenset({Action.TAKE_PART_IN_ORDERS})  # who may ask for what, and who decides, is said by each order
_GRANTS: dict[Role, frozenset[Action]] = {
    Role.ADMINISTRATOR: _READING
    | _ORDERING
    | {
        Action.OPEN_CEREMONY,
        Action.ANSWER_STEP,
        Action.LOCK_DEVICE,
        Action.ENROL,
        Action.REVOKE,
        Action.READ_LOG,
        Action.READ_SEALED,
        Action.VERIFY_LOG,
        Action.EXPORT_EVIDENCE,
        Action.COSIGN_HEAD,
        Action.SIGN_SHEET,
        Action.ACKNOWLEDGE_ALERT,
        Action.COMPARE_DEVICE_LOG,
        Action.USE_KEYS,
        Action.MANAGE_DEVICES,
    },
    Role.CUSTODIAN: _READING | _ORDERING | {Action.ANSWER_STEP, Action.LOCK_DEVICE},
    Role.EXECUTIVE: _READING | _ORDERING | {Action.ANSWER_STEP, Action.VERIFY_LOG, Action.USE_KEYS},
    Role.WITNESS: _READING | {Action.ANSWER_STEP, Action.READ_LOG, Action.VERIFY_LOG, Action.COSIGN_HEAD},
    Role.AUDITOR: _READING
    | _ORDERING
    | {
        Action.ANSWER_STEP,
        Action.READ_LOG,
        Action.READ_SEALED,
        Action.VERIFY_LOG,
        Action.EXPORT_EVIDENCE,
        Action.COSIGN_HEAD,
        Action.SIGN_SHEET,
        Action.ACKNOWLEDGE_ALERT,
        Action.COMPARE_DEVICE_LOG,
    },
}

_WORDS: dict[Action, str] = {
    Action.OPEN_CEREMONY: "open a ceremony",
    Action.ANSWER_STEP: "take part in a ceremony",
    Action.READ_CEREMONY: "look at a ceremony",
    Action.UNLOCK_DEVICE: "unlock the HSM",
    Action.LOCK_DEVICE: "lock the HSM",
    Action.READ_KEYS: "look at the keys",
    Action.ENROL: "enrol people",
    Action.REVOKE: "revoke a person's certificate",
    Action.READ_PEOPLE: "look at the people",
    Action.READ_LOG: "read the audit log",
    Action.READ_SEALED: "read the confidential values of the audit log",
    Action.VERIFY_LOG: "verify the audit log",
    Action.ISSUE_RECEIPT: "print a receipt",
    Action.EXPORT_EVIDENCE: "export evidence",
    Action.COSIGN_HEAD: "bring a witness's cosignature",
    Action.SIGN_SHEET: "sign a day's root for a printed sheet",
    Action.READ_ORDERS: "look at the orders",
    Action.TAKE_PART_IN_ORDERS: "ask for or decide about an order",
    Action.READ_ALERTS: "see the alerts",
    Action.ACKNOWLEDGE_ALERT: "acknowledge an alert",
    Action.COMPARE_DEVICE_LOG: "compare the log of the HSM with this one",
    Action.USE_KEYS: "use keys",
    Action.VERIFY_SIGNATURE: "verify a signature",
    Action.MANAGE_DEVICES: "add or take off a device",
}


def granted(roles: Iterable[Role], environment: Environment) -> frozenset[Action]:
    """Every action that these roles grant here."""
    held = tuple(roles)
    found = frozenset().union(*(_GRANTS[role] for role in held)) if held else frozenset[Action]()
    return found | {Action.UNLOCK_DEVICE} if set(held) & set(environment.unlock.roles) else found


def holders(action: Action, environment: Environment) -> tuple[Role, ...]:
    """The roles that may do this here."""
    return tuple(role for role in Role if action in granted((role,), environment))


def authorise(actor: Actor, action: Action, environment: Environment) -> None:
    """Raises PolicyRefusal `role-refused` unless one of the actor's roles grants the action (clause S8)."""
    if action in granted(actor.roles, environment):
        return
    mine = " and ".join(role.value for role in actor.roles) or "no role"
    others = " or ".join(role.value for role in holders(action, environment))
    raise PolicyRefusal(
        Problem(
            code="role-refused",
            what=f"{actor.name} is here as {mine} and may not {_WORDS[action]}.",
            todo=f"Ask somebody who is logged in as {others}.",
            exit_code=ExitCode.POLICY,
            details={"action": action.value},
        )
    )


def conflicts(seats: Sequence[Seat], environment: Environment) -> tuple[str, ...]:
    """Who sits on two seats that this environment does not allow together, one sentence each (clause S8)."""
    allowed = {frozenset(pair) for pair in environment.seats.may_combine}
    found = []
    for index, first in enumerate(seats):
        for second in seats[index + 1 :]:
            if first.uid != second.uid:
                continue
            if first.role == second.role:
                found.append(f"{first.name} is seated twice as {first.role.value}.")
            elif frozenset((first.role, second.role)) not in allowed:
                found.append(f"{first.name} cannot be {first.role.value} and {second.role.value} in the same ceremony.")
    return tuple(found)


def check_seats(seats: Sequence[Seat], environment: Environment) -> None:
    """Raises PolicyRefusal `seats-conflict` when one person holds conflicting seats."""
    found = conflicts(seats, environment)
    if found:
        raise PolicyRefusal(
            Problem(
                code="seats-conflict",
                what=" ".join(found),
                todo="Seat another person in one of the two roles.",
                exit_code=ExitCode.POLICY,
            )
        )


def check_passphrase(text: str, environment: Environment) -> None:
    """Raises PolicyRefusal `passphrase-too-weak`. The text is looked at and forgotten."""
    least = environment.passphrase.minimum_length
    if len(text) >= least and len(set(text)) >= min(6, least):
        return
    raise PolicyRefusal(
        Problem(
            code="passphrase-too-weak",
            what=f"The passphrase must have at least {least} characters, and not the same few again and again.",
            todo="Take four or five unrelated words, and write them on the sheet for your own safe.",
            contact="nobody: the choice is yours",
            exit_code=ExitCode.POLICY,
        )
    )
