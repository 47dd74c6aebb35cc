"""The people of the demonstration. Their passphrases and PINs are published: it is a rehearsal, nothing is secret."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import Person, Role

ENVIRONMENT = "development-simulation"
WORKSPACE_NAME = "Demonstration"
TOKEN_LABEL = "hsm-console-demo"  # noqa: S105 - the label of a token
SO_PIN = "demo-so-pin-2718"
PIN = "demo-pin-31415"
KDF_ITERATIONS = 100_000  # the least that the rules of this environment allow: a demonstration should not keep waiting
PLACE = "Demonstration room"
LABEL = "demo-identity-key"
DOCUMENT_NAME = "first-document.txt"
DOCUMENT = b"This is the first document that was signed with the key of the demonstration.\n"


@dataclasses.dataclass(frozen=True)
class Player:
    """One participant. role: the one she plays."""

    uid: str
    name: str
    role: Role
    passphrase: str


CAST = (
    Player("ada", "Ada Lovelace", Role.ADMINISTRATOR, "demo: analytical engine notes"),
    Player("claude", "Claude Shannon", Role.CUSTODIAN, "demo: bits through a channel"),
    Player("grace", "Grace Hopper", Role.CUSTODIAN, "demo: nanosecond of wire"),
    Player("whit", "Whitfield Diffie", Role.CUSTODIAN, "demo: new directions taken"),
    Player("hedy", "Hedy Lamarr", Role.EXECUTIVE, "demo: piano roll frequencies"),
    Player("joan", "Joan Clarke", Role.WITNESS, "demo: hut eight at night"),
    Player("alan", "Alan Turing", Role.AUDITOR, "demo: tape without an end"),
)


def player(uid: str) -> Player:
    return next(one for one in CAST if one.uid == uid)


def of_role(role: Role) -> tuple[Player, ...]:
    return tuple(one for one in CAST if one.role is role)


def founding(directory: Path, adapter: str) -> FoundingSpec:
    """The workspace of the demonstration."""
    return FoundingSpec(
        directory=str(directory),
        name=WORKSPACE_NAME,
        adapter=adapter,
        environment=ENVIRONMENT,
        token_label=TOKEN_LABEL,
        so_pin=SO_PIN,
        pin=PIN,
        people=tuple(
            Founder(person=Person(uid=p.uid, name=p.name), roles=(p.role,), passphrase=p.passphrase) for p in CAST
        ),
        kdf_iterations=KDF_ITERATIONS,
    )
