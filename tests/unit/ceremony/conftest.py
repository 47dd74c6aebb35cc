"""A room with people in it: drives the engine the way a gateway does, without any device or file."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from hsm_console.ceremony import ballot, decide, engine, fold, plans, script, steps, view
from hsm_console.ceremony import state as st
from hsm_console.crypto import words
from hsm_console.domain import events as ev
from hsm_console.domain.errors import Problem, VerificationFailed
from hsm_console.domain.events import Decision, Draft, Operation, Recorded, Seat
from hsm_console.domain.keys import DeviceInfo, Grade, KeyAttributes, KeyInfo, Usage
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.people import Actor, Person, Role, Roster, RosterEntry
from hsm_console.policy import environment

PEOPLE = (
    ("ada", "Ada Adler", (Role.ADMINISTRATOR,)),
    ("carl", "Carl Castor", (Role.CUSTODIAN,)),
    ("cleo", "Cleo Cordis", (Role.CUSTODIAN,)),
    ("cyd", "Cyd Charon", (Role.CUSTODIAN,)),
    ("eve", "Eve Eldridge", (Role.EXECUTIVE,)),
    ("will", "Will Wren", (Role.WITNESS,)),
    ("aud", "Audrey Audley", (Role.AUDITOR,)),
    ("twin", "Twin Twofold", (Role.CUSTODIAN, Role.WITNESS)),
)
SCRIPT_ID = "executive-identity-key"
GOOD = KeyAttributes(
    token=True,
    private=True,
    sensitive=True,
    always_sensitive=True,
    extractable=False,
    never_extractable=True,
    local=True,
    modifiable=False,
    usages=(Usage.SIGN,),
)
DEVICE = DeviceInfo(
    adapter="simulation", vendor="Simulation", model="SIM-1", serial="0001", label="t", firmware="1.0", simulated=True
)
SPKI = b"a public key"
FINGERPRINT = hashlib.sha256(SPKI).hexdigest()
SOFTWARE = "5a" * 32


def refused_cms(actor: Actor, statement: bytes, cms: bytes) -> None:
    """Accepts the signature `good` only."""
    if cms != b"good":
        raise VerificationFailed(Problem(code="cms-wrong", what="The signature is wrong.", todo="Sign again."))


def checked_receipt(text: str) -> dict[str, str]:
    if not text.isdigit():
        raise VerificationFailed(Problem(code="receipt-wrong", what="Not a receipt.", todo="Scan again."))
    return {"index": text}


class Room:
    """One ceremony and its log. `now` is the state; every append folds."""

    def __init__(self, *, house: str = "development-simulation", text: str = "") -> None:
        self.text = text or script.library()[SCRIPT_ID]
        self.house = environment.load(house)
        self.people = {u: _actor(u, n, r) for u, n, r in PEOPLE}
        entries = tuple(_entry(u, n, r) for u, n, r in PEOPLE)
        self.roster = Roster(chain_uid="log", version=1, issued_ms=0, entries=entries)
        self.log: list[Recorded] = []
        self.state: st.State | None = None
        self.turn = 0
        self.approved: frozenset[str] = frozenset()

    @property
    def now(self) -> st.State:
        assert self.state is not None
        return self.state

    @property
    def step(self) -> str:
        step = st.current(self.now)
        return step.id if step else ""

    @property
    def view(self) -> msg.CeremonyView:
        return view.view(self.now, environment="Development")

    def context(self, **changes: Any) -> engine.Context:
        self.turn += 1
        base = engine.Context(
            environment=self.house,
            roster=self.roster,
            now_ms=1_800_000_000_000 + self.turn * 1000,
            random=hashlib.sha256(self.turn.to_bytes(4, "big")).digest(),
            nonce="0a0b",
            gateway_sha256="cd" * 32,
            software_sha256=SOFTWARE,
            software_version="0.1.0",
            verify_cms=refused_cms,
            check_receipt=checked_receipt,
            approved=self.approved,
        )
        return dataclasses.replace(base, **changes)

    def append(self, drafts: tuple[Draft, ...]) -> tuple[Recorded, ...]:
        return tuple(self._record(draft) for draft in drafts)

    def _record(self, draft: Draft) -> Recorded:
        seq = len(self.log) + 10
        recorded = Recorded(
            seq=seq,
            uid=f"uid-{seq}",
            correlation=draft.correlation or f"uid-{seq}",
            time_ms=1_800_000_000_000 + seq * 60_000,
            actor=draft.actor,
            event=draft.event,
            fingerprint=hashlib.sha256(str(seq).encode()).hexdigest(),
        )
        self.log.append(recorded)
        self.state = fold.apply(self.state, recorded)
        return recorded

    def open(self, who: str = "ada", simulated: bool = True, **parameters: str) -> None:
        parsed = script.parse(self.text)
        usual = (
            {"algorithm": "ec-p384", "label": "ceo-2026"}
            if parsed.id == SCRIPT_ID
            else {name: (*item.choices, item.example)[0] for name, item in parsed.parameters.items()}
        )
        request = msg.OpenCeremony(
            script_id=parsed.id, sha256=script.digest(self.text), parameters={**usual, **parameters}
        )
        self.append(
            decide.open_ceremony(
                self.text, request, self.people[who], self.context(), ceremony_id="cer-1", simulated=simulated
            )
        )

    def decide(self, who: str, kind: Callable[..., msg.AnyAnswer], **values: Any) -> engine.Decided:
        values = {"step": self.step, "revision": self.now.revision, **values}
        return decide.decide(self.now, kind(**values), self.people[who], self.context())

    def answer(self, who: str, kind: Callable[..., msg.AnyAnswer], **values: Any) -> tuple[Recorded, ...]:
        decided = self.decide(who, kind, **values)
        assert isinstance(decided, tuple)
        return self.append(decided)

    def seats(self, *uids: str) -> tuple[Seat, ...]:
        return tuple(Seat(role=self.people[u].roles[0], uid=u, name="") for u in uids)

    def vote(self, who: str, decision: str = "approve", cms: str = "", **values: Any) -> tuple[Recorded, ...]:
        """Approve or decline with a good signature over the statement as it is now."""
        text = ballot.statement(
            self.now,
            self.people[who],
            decision,
            nonce="0a0b",
            gateway_sha256="cd" * 32,
            because=values.get("because", ""),
        ).canonical
        cms = cms or base64.b64encode(b"good").decode()
        return self.answer(who, msg.Approve, decision=Decision(decision), statement=text, cms=cms, **values)

    def sign_off(self, who: str, decision: str = "agree", because: str = "") -> None:
        text = ballot.statement(
            self.now, self.people[who], decision, nonce="0a0b", gateway_sha256="cd" * 32, because=because
        ).canonical
        self.answer(
            who,
            msg.SignOffAnswer,
            agrees=decision == "agree",
            statement=text,
            cms=base64.b64encode(b"good").decode(),
            because=because,
        )

    def intend(self, plan: engine.Decided) -> Recorded:
        assert isinstance(plan, plans.HsmPlan)
        return self.append((plan.draft,))[0]

    def succeed(self, plan: engine.Decided, **more: Any) -> None:
        """Run a plan as a module would, and conclude."""
        assert isinstance(plan, plans.HsmPlan)
        intent = self.intend(plan)
        self.append(engine.conclude(self.now, outcome(plan, intent, **more), self.context(), plan.draft.actor))

    def fail(self, plan: engine.Decided, code: str = "device-failed") -> None:
        assert isinstance(plan, plans.HsmPlan)
        intent = self.intend(plan)
        failed = ev.OperationFailed(
            intent=intent.seq,
            operation=plan.operation,
            code=code,
            text="The module answered CKR_GENERAL_ERROR.",
            ceremony_id=self.now.id,
            step=plan.step,
        )
        self.append(engine.conclude(self.now, failed, self.context(), plan.draft.actor))

    def advance(self, to: str) -> None:
        """Answer well until the step `to` (empty: until all steps are done) is current."""
        while self.step != to:
            assert self.step, f"never came to {to}"
            _WELL[self.step](self)

    def refold(self) -> st.State | None:
        state: st.State | None = None
        for recorded in self.log:
            state = fold.apply(state, recorded)
        return state


def outcome(plan: plans.HsmPlan, intent: Recorded, **more: Any) -> ev.OperationSucceeded:
    values: dict[str, Any] = {
        "intent": intent.seq,
        "operation": plan.operation,
        "key_id": plan.key_id or "ab" * 16,
        "ceremony_id": "cer-1",
        "step": plan.step,
    }
    if plan.operation is Operation.GENERATE:
        values |= {"label": plan.label, "algorithm": plan.algorithm, "spki": base64.b64encode(SPKI).decode()}
        values |= {"fingerprint": FINGERPRINT, "attributes": GOOD, "grade": Grade.D}
    elif plan.certificate_request:
        values |= {"certificate": base64.b64encode(b"request").decode()}
    elif plan.operation is Operation.CERTIFY:
        values |= {"certificate": base64.b64encode(b"certificate").decode()}
    else:
        values |= {"signature": base64.b64encode(b"signature").decode()}
    return ev.OperationSucceeded(**{**values, **more})


def _actor(uid: str, name: str, roles: tuple[Role, ...]) -> Actor:
    return Actor(uid=uid, name=name, roles=roles, session_uid=f"s-{uid}", certificate_sha256=f"cert-{uid}")


def _entry(uid: str, name: str, roles: tuple[Role, ...]) -> RosterEntry:
    person = Person(uid=uid, name=name)
    return RosterEntry(person=person, roles=roles, spki_sha256=uid, certificate_sha256=f"cert-{uid}", serial=uid)


def _presence(room: Room) -> None:
    required = [room.people[u].uid for u in ("aud",) if Role.AUDITOR in room.house.seats.required]
    seats = room.seats("ada", "carl", "cleo", "cyd", "eve", "will", *required)
    room.answer("ada", msg.PresenceAnswer, seats=seats, place="Room 4")


def _preflight(room: Room) -> None:
    assert isinstance(room.decide("ada", msg.RunChecks), plans.ChecksPlan)
    green = (msg.CheckItem(name="Module", found="SIM-1"), msg.CheckItem(name="Disk", found="12 GB free"))
    room.append(steps.checked(room.now, green, room.people["ada"], room.context()))


def _read_back(room: Room) -> None:
    assert isinstance(room.decide("ada", msg.Perform), plans.ReadBackPlan)
    assert room.now.key is not None
    key = room.now.key
    found = KeyInfo(object_id=b"\xab" * 16, label=key.label, algorithm=key.algorithm, spki=SPKI, attributes=GOOD)
    room.append(steps.read_back(room.now, found, FINGERPRINT, DEVICE, room.people["ada"], room.context()))


def _compare(room: Room) -> None:
    right = words.encode(bytes.fromhex(FINGERPRINT))
    room.answer("eve", msg.WordsAnswer, words={str(n): right[n - 1].upper() for n in room.now.challenge})


def _certify(room: Room) -> None:
    room.succeed(room.decide("ada", msg.Perform, confirmed="Certify"))
    follow = engine.due(room.now, room.people["ada"])
    assert isinstance(follow, plans.HsmPlan)
    room.succeed(follow)


def _sign_off(room: Room) -> None:
    for seat in ballot.sign_off_due(room.now):
        room.sign_off(seat.uid)


def _authorise(room: Room) -> None:
    room.vote("carl")
    room.vote("cyd")


_WELL: dict[str, Callable[[Room], object]] = {
    "welcome": lambda r: r.answer("ada", msg.Confirmed),
    "presence": _presence,
    "clock": lambda r: r.answer(
        "ada", msg.TimeSourceAnswer, source="Radio clock", zone="UTC", reads_ms=1_800_000_000_000 + r.turn * 1000
    ),
    "software": lambda r: r.answer("will", msg.Confirmed, facts={"read": "5A5A 5A5A 5a5a 5a5a"}),
    "preflight": _preflight,
    "intent": lambda r: r.answer("ada", msg.Confirmed),
    "authorise": _authorise,
    "generate": lambda r: r.succeed(r.decide("ada", msg.Perform, confirmed="generate")),
    "read-back": _read_back,
    "compare": _compare,
    "certify": _certify,
    "first-document": lambda r: r.succeed(
        r.decide("eve", msg.DocumentAnswer, name="Letter.pdf", content=base64.b64encode(b"A letter").decode())
    ),
    "receipt": lambda r: r.answer("will", msg.ScannedReceipt, text=str(r.now.revision)),
    "sign-off": _sign_off,
}


@pytest.fixture
def room() -> Room:
    """A development house where the executive's ceremony has just been opened by the administrator."""
    found = Room()
    found.open()
    return found


@pytest.fixture
def new_room() -> type[Room]:
    return Room
