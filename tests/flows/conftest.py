"""A founded workspace, its gateway as a process, and people who log in through real agents."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hsm_console.client import ceremonies, device
from hsm_console.client.session import Session, log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.crypto import software
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.messages.ceremony import CeremonyView
from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import Person, Role
from hsm_console.domain.secret import Secret

SCRIPT = "executive-identity-key"
PIN = "user-pin-271828"
PASSPHRASE = "four unrelated words and {}"
PEOPLE = {
    "ada": ("Ada Lovelace", (Role.ADMINISTRATOR,)),
    "both": ("Betty Holberton", (Role.ADMINISTRATOR, Role.CUSTODIAN)),
    "claude": ("Claude Shannon", (Role.CUSTODIAN,)),
    "grace": ("Grace Hopper", (Role.CUSTODIAN,)),
    "whit": ("Whitfield Diffie", (Role.CUSTODIAN,)),
    "hedy": ("Hedy Lamarr", (Role.EXECUTIVE,)),
    "joan": ("Joan Clarke", (Role.WITNESS,)),
    "alan": ("Alan Turing", (Role.AUDITOR,)),
}
SEATS = (
    ("administrator", "ada"), ("custodian", "claude"), ("custodian", "grace"), ("custodian", "whit"),
    ("executive", "hedy"), ("witness", "joan"),
)  # fmt: skip


def spec(directory: Path) -> FoundingSpec:
    return FoundingSpec(
        directory=str(directory),
        name="House of tests",
        adapter="simulation",
        environment="development-simulation",
        token_label="tests",
        so_pin="so-pin-314159",
        pin=PIN,
        people=tuple(
            Founder(person=Person(uid=uid, name=name), roles=roles, passphrase=PASSPHRASE.format(uid))
            for uid, (name, roles) in PEOPLE.items()
        ),
        kdf_iterations=2000,
    )


@dataclasses.dataclass
class House:
    """One running workspace. `be` logs somebody in until the test is over."""

    workspace: Path
    gateway: GatewayProcess
    stack: contextlib.ExitStack

    def be(self, uid: str, role: Role | None = None, *, step_up: bool = False) -> Session:
        path = self.workspace / "credentials" / f"{uid}.p12"
        session = log_in(self.gateway.address, path, Secret(PASSPHRASE.format(uid)), role, step_up)
        self.stack.callback(session.close)
        return session

    def admin(self) -> Session:
        session = self.be("ada")
        if not device.state(session).unlocked:
            device.unlock(session, Secret(PIN))
        return session

    def open(self, session: Session, **parameters: str) -> CeremonyView:
        script = next(s for s in ceremonies.scripts(session) if s.id == SCRIPT)
        chosen = {"algorithm": "ec-p384", "label": "test key"} | parameters
        wish = msg.OpenCeremony(script_id=script.id, sha256=script.sha256, parameters=chosen)
        return ceremonies.open_ceremony(session, wish)

    def until(self, session: Session, view: CeremonyView, step: str) -> CeremonyView:
        """Play with the right people until `step` is the current one."""
        for _ in range(50):
            if view.current == step:
                return view
            assert view.current, "the ceremony ended before that step"
            view = self.turn(session, view)
        raise AssertionError(f"stuck at {view.current}: {view.problem}")

    def turn(self, session: Session, view: CeremonyView) -> CeremonyView:
        """Let the right person answer the current step."""
        if view.deciding:
            voted = {vote.uid for vote in view.quorum.approvals} if view.quorum else set()
            uid = next(u for u in ("claude", "grace", "whit") if u not in voted)
            with self.stepped_up(uid) as own:
                return approve(own, view)
        step = next(s for s in view.steps if s.id == view.current)
        if step.kind is msg.StepKind.SIGN_OFF:
            with self.stepped_up(view.sign_off_due[0].uid) as own:
                return sign_off(own, view)
        uid = {Role.ADMINISTRATOR: "ada", Role.EXECUTIVE: "hedy", Role.WITNESS: "joan"}[step.actor]
        with self.stepped_up(uid) as own:
            return ceremonies.answer(own, view.id, answer_to(view, step))

    @contextlib.contextmanager
    def stepped_up(self, uid: str) -> Iterator[Session]:
        path = self.workspace / "credentials" / f"{uid}.p12"
        with log_in(self.gateway.address, path, Secret(PASSPHRASE.format(uid)), None, True) as session:
            yield session


def approve(session: Session, view: CeremonyView, decision: Decision = Decision.APPROVE) -> CeremonyView:
    statement = ceremonies.statement(session, view.id, view.current, decision.value)
    return ceremonies.answer(
        session,
        view.id,
        msg.Approve(
            step=view.current,
            revision=view.revision,
            decision=decision,
            statement=statement.canonical,
            cms=session.sign_statement(statement.canonical),
        ),
    )


def sign_off(session: Session, view: CeremonyView, *, agrees: bool = True, because: str = "") -> CeremonyView:
    word = "agree" if agrees else "disagree"
    statement = ceremonies.statement(session, view.id, view.current, word, because)
    return ceremonies.answer(
        session,
        view.id,
        msg.SignOffAnswer(
            step=view.current,
            revision=view.revision,
            agrees=agrees,
            statement=statement.canonical,
            cms=session.sign_statement(statement.canonical),
            because=because,
        ),
    )


def seats() -> tuple[Seat, ...]:
    return tuple(Seat(role=Role(role), uid=uid, name=PEOPLE[uid][0]) for role, uid in SEATS)


def answer_to(view: CeremonyView, step: msg.StepView) -> Any:
    """The right answer to any step that one person answers."""
    common = {"step": step.id, "revision": view.revision}
    kind = msg.StepKind
    match step.kind:
        case kind.PRESENCE:
            return msg.PresenceAnswer(**common, seats=seats(), place="Room 1")
        case kind.TIME_SOURCE:
            now = time.time_ns() // 1_000_000
            return msg.TimeSourceAnswer(**common, source="wall clock", zone="UTC", reads_ms=now)
        case kind.SOFTWARE_HASH:
            # A gateway in this process knows the files as they were when it first looked; one of its own as they are.
            read = software.sha256() if view.problem else software.sha256.__wrapped__()
            return msg.Confirmed(**common, facts={"read": read[:16]})
        case kind.PREFLIGHT:
            return msg.RunChecks(**common)
        case kind.GENERATE | kind.CERTIFY | kind.READ_BACK:
            return msg.Perform(**common, confirmed=step.confirm)
        case kind.COMPARE:
            assert view.key is not None
            return msg.WordsAnswer(**common, words={str(n): view.key.words[n - 1] for n in view.challenge})
        case kind.SIGN_DOCUMENT:
            return msg.DocumentAnswer(**common, name="letter.txt", content="SGVsbG8K")
        case kind.RECEIPT:
            return msg.ScannedReceipt(**common, text=view.receipts[0].qr_text)
    return msg.Confirmed(**common)


def refusal(act: Callable[[], object]) -> str:
    """The code of the problem that `act` ends in."""
    with pytest.raises(ConsoleError) as caught:
        act()
    return caught.value.problem.code


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory, found: Callable[[FoundingSpec], Path]) -> Path:
    """One founded workspace that is never used itself, only copied."""
    return found(spec(tmp_path_factory.mktemp("founded") / "house"))


@pytest.fixture
def workspace(founded: Path, tmp_path: Path) -> Path:
    target = tmp_path / "house"
    shutil.copytree(founded, target)
    return target


@pytest.fixture
def house(workspace: Path) -> Iterator[House]:
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(GatewayProcess(workspace))
        yield House(workspace, gateway, stack)


@pytest.fixture
def helpers() -> dict[str, Callable[..., Any]]:
    """Functions that tests share; test folders are no packages."""
    return {"approve": approve, "sign_off": sign_off, "seats": seats, "answer_to": answer_to, "refusal": refusal}


@pytest.fixture
def founding() -> Callable[[Path], FoundingSpec]:
    """What a workspace of this folder is founded with, for tests that want it a little different."""
    return spec


@pytest.fixture
def house_of() -> type[House]:
    return House
