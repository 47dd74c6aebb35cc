"""Founding a workspace: what the assistant (screen or command line) hands to `workspace init`.

The specification goes to the founding process on its standard input, never as an argument or a file,
because it carries passphrases. Progress comes back as one JSON object a line on standard output.
"""

from __future__ import annotations

import msgspec

from hsm_console.domain.errors import Problem
from hsm_console.domain.people import Person, Role


class Founder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person to enrol, and the passphrase she chose for her credential file."""

    person: Person
    roles: tuple[Role, ...]
    passphrase: str

    def __repr__(self) -> str:
        return f"Founder({self.person!r}, {self.roles!r}, passphrase=…)"


class FoundingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """adapter: an entry point's name; environment: id of resources/environments; options: adapter settings
    (module path, slot or token label). so_pin and pin: the token is initialised with them; where its
    maker's own tool has done that, so_pin stays empty and pin is the token's."""

    directory: str
    name: str
    adapter: str
    environment: str
    token_label: str
    so_pin: str
    pin: str
    people: tuple[Founder, ...]
    options: dict[str, str] = {}
    kdf_iterations: int = 1_000_000

    def __repr__(self) -> str:
        return f"FoundingSpec({self.directory!r}, adapter={self.adapter!r}, so_pin=…, pin=…)"


class FoundingProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One line: step n of m in words; the last line has `done` or `problem`."""

    n: int
    of: int
    text: str
    done: bool = False
    problem: Problem | None = None
    credentials: dict[str, str] = {}  # uid → path of the PKCS#12 file
