"""What the set-up has been told so far, and the rules that can be said before anything is tried."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import MAX_WORKSPACE_NAME, Person, Role, alike, is_printed_name, is_short_name
from hsm_console.domain.secret import Secret
from ui.texts import tr

PIN_LEAST, PIN_MOST = 8, 64
DEFAULT_ENVIRONMENT = "rehearsal"
SEATS = (
    Role.ADMINISTRATOR, Role.CUSTODIAN, Role.CUSTODIAN, Role.CUSTODIAN, Role.EXECUTIVE, Role.WITNESS, Role.AUDITOR,
)  # fmt: skip


@dataclass(frozen=True)
class EnvironmentChoice:
    """One file of resources/environments, as far as the assistant talks about it."""

    id: str
    title: str
    purpose: str
    simulated_tokens: str
    passphrase_least: int
    kdf_iterations: int


@dataclass
class Member:
    """One person to enrol. passphrase: typed by herself on her own page."""

    role: Role
    name: str = ""
    uid: str = ""
    passphrase: Secret | None = None


@dataclass
class Answers:
    directory: str = ""
    name: str = ""
    adapter: str = "simulation"
    environment: str = DEFAULT_ENVIRONMENT
    token_label: str = "hsm-console"  # noqa: S105 - a label
    so_pin: Secret | None = None
    pin: Secret | None = None
    people: list[Member] = field(default_factory=lambda: [Member(role) for role in SEATS])

    def spec(self, kdf_iterations: int) -> FoundingSpec:
        """The founding's specification. Raises ValueError when a secret is missing."""
        if self.so_pin is None or self.pin is None:
            raise ValueError("the PINs are missing")
        return FoundingSpec(
            directory=self.directory,
            name=self.name,
            adapter=self.adapter,
            environment=self.environment,
            token_label=self.token_label,
            so_pin=self.so_pin.reveal(),
            pin=self.pin.reveal(),
            people=tuple(_founder(member) for member in self.people),
            kdf_iterations=kdf_iterations,
        )

    def wipe(self) -> None:
        """Forget every secret: after the founding, and when the assistant is left."""
        for secret in (self.so_pin, self.pin, *(m.passphrase for m in self.people)):
            if secret is not None:
                secret.wipe()


def _founder(member: Member) -> Founder:
    if member.passphrase is None:
        raise ValueError("a passphrase is missing")
    person = Person(uid=member.uid, name=member.name)
    return Founder(person=person, roles=(member.role,), passphrase=member.passphrase.reveal())


def environments() -> list[EnvironmentChoice]:
    """What this installation offers, the quietest first."""
    found = []
    for entry in resources.files("resources").joinpath("environments").iterdir():
        if entry.name.endswith(".toml"):
            data = tomllib.loads(entry.read_text(encoding="utf-8"))
            rule = data.get("passphrase", {})
            found.append(
                EnvironmentChoice(
                    id=data["id"],
                    title=data["title"],
                    purpose=data["purpose"],
                    simulated_tokens=data.get("simulated_tokens", "allowed"),
                    passphrase_least=rule.get("minimum_length", 12),
                    kdf_iterations=rule.get("kdf_iterations", 1_000_000),
                )
            )
    return sorted(found, key=lambda e: (e.id != DEFAULT_ENVIRONMENT, e.simulated_tokens == "refused", e.title))


def short_name(name: str) -> str:
    """A handle made from a name: `Ada Lovelace` becomes `a.lovelace`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    parts = re.findall(r"[a-z0-9]+", plain)
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 else f"{parts[0][0]}.{parts[-1]}"[:32]


def composed(name: str) -> str:
    """A name as it is kept: without blanks around it, and in Unicode's composed form whatever the keyboard sent."""
    return unicodedata.normalize("NFC", name.strip())


def workspace_name_fault(name: str) -> str:
    if not name:
        return tr("Give it a name.")
    if not is_printed_name(name, MAX_WORKSPACE_NAME):
        return tr("At most {n} ordinary characters.", n=MAX_WORKSPACE_NAME)
    return ""


def name_fault(name: str, before: Iterable[str]) -> str:
    """What is wrong with a person's name; empty when nothing is. before: the names above it."""
    if not name:
        return tr("Type the name as it shall stand in the minutes.")
    if not is_printed_name(name):
        return tr("At most 64 ordinary characters.")
    if alike(name) in {alike(other) for other in before}:
        return tr("Somebody above has this name. Add what tells the two apart, as it shall stand in the minutes.")
    return ""


def uid_fault(uid: str, before: Iterable[str]) -> str:
    """What is wrong with a short name; empty when nothing is. before: the short names above it."""
    if not is_short_name(uid):
        return tr("Small letters, digits, dots and dashes, at most 32; for example a.turing.")
    if uid in before:
        return tr("Each short name once.")
    return ""


def passphrase_fault(text: str, again: str, least: int, member: Member) -> str:
    """What is wrong with a passphrase, in words; empty when nothing is. The founding checks again."""
    if len(text) < least:
        return tr(
            "{n} of at least {m} characters. Four or five unrelated words are easy to remember.", n=len(text), m=least
        )
    if len(set(text.casefold())) < 6:
        return tr("Too few different characters.")
    parts = [p for p in re.split(r"\W+", f"{member.name} {member.uid}".casefold()) if len(p) >= 3]
    if any(p in text.casefold() and len(text) - len(p) < least - 4 for p in parts):
        return tr("It must not be built on your name.")
    if text != again:
        return tr("The two are not the same. Type both again.")
    return ""


def pin_fault(text: str, again: str) -> str:
    if not PIN_LEAST <= len(text) <= PIN_MOST or not all("!" <= c <= "~" for c in text):
        return tr("{a} to {b} letters, digits or signs without spaces.", a=PIN_LEAST, b=PIN_MOST)
    if len(set(text)) < 4:
        return tr("At least four different characters.")
    if text != again:
        return tr("The two are not the same. Type both again.")
    return ""


def place_fault(directory: str) -> str:
    """What is wrong with the folder; empty when it can be made."""
    path = Path(directory).expanduser()
    if not directory.strip() or not path.is_absolute():
        return tr("Name a folder with its whole path, for example /srv/hsm-console/main.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        return tr("This folder is not empty. Name one that does not exist yet.")
    if not path.parent.is_dir():
        return tr("The folder above it, {parent}, does not exist.", parent=path.parent)
    return ""
