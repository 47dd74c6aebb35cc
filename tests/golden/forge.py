"""Makes logs with fixed keys, fixed clocks and fixed identifiers; `python tests/golden/forge.py` rewrites the vectors.

The keys here are for tests only and are public by being here.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hsm_console.audit.checkpoint import Vkey
from hsm_console.audit.log import AuditLog, create_log
from hsm_console.domain import events as e
from hsm_console.domain.clock import Instant
from hsm_console.domain.keys import Algorithm, DeviceInfo, Grade, KeyAttributes, Usage
from hsm_console.domain.people import Actor, Role

GOLDEN = Path(__file__).parent
ORIGIN = "example.org/ceremony-room"
CHAIN_UID = "01920000-0000-7000-8000-00000000c0de"
GOLDEN_ENTRIES = 400
START_MS = 1_790_000_000_000
SHA = "5a" * 32
DEVICE = DeviceInfo(
    adapter="simulation",
    vendor="HSM Console",
    model="Simulation",
    serial="SIM0001",
    label="rehearsal",
    firmware="1.0",
    simulated=True,
)
ALICE = Actor(
    uid="a.turing", name="Alan Türing", roles=(Role.CUSTODIAN,), session_uid="s-1", certificate_sha256="ab" * 32
)
GRACE = Actor(
    uid="g.hopper",
    name="Grace Hopper",
    roles=(Role.ADMINISTRATOR, Role.WITNESS),
    session_uid="s-2",
    certificate_sha256="cd" * 32,
)


class FixedClock:
    """A clock that tests move by hand; each look takes one millisecond."""

    def __init__(self, time_ms: int = START_MS, boot_id: str = "boot-1", boottime_ms: int = 1_000_000) -> None:
        self.time_ms = time_ms
        self.boot_id = boot_id
        self.boottime_ms = boottime_ms

    def now(self) -> Instant:
        self.pass_ms(1)
        return Instant(self.time_ms, self.boot_id, self.boottime_ms)

    def pass_ms(self, amount: int) -> None:
        self.time_ms += amount
        self.boottime_ms += amount

    def step(self, amount_ms: int) -> None:
        """Somebody sets the wall clock."""
        self.time_ms += amount_ms

    def reboot(self) -> None:
        self.boot_id += "+"
        self.boottime_ms = 20_000
        self.time_ms += 60_000


class Signer:
    """A log key in memory, from a seed."""

    def __init__(self, seed: bytes = b"golden log key, for tests only!!") -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key_bytes = self._key.public_key().public_bytes_raw()
        self.calls = 0

    def sign(self, message: bytes) -> bytes:
        self.calls += 1
        return self._key.sign(message)

    def vkey(self, origin: str = ORIGIN) -> Vkey:
        return Vkey(origin, self.public_key_bytes)


def genesis(origin: str = ORIGIN, chain_uid: str = CHAIN_UID) -> tuple[e.LogCreated, e.PolicyInForce]:
    created = e.LogCreated(
        origin=origin,
        chain_uid=chain_uid,
        software="HSM Console",
        software_version="0.1.0",
        software_sha256=SHA,
        founding="{}",
        keys=(),
        device=DEVICE,
    )
    return created, e.PolicyInForce(environment="rehearsal", production=False, policy_sha256=SHA)


def new_log(folder: Path, clock: FixedClock, origin: str = ORIGIN, chain_uid: str = CHAIN_UID) -> AuditLog:
    return create_log(folder / "audit.db", chain_uid=chain_uid, clock=clock, genesis=genesis(origin, chain_uid))


def draft(event: e.AnyEvent, actor: Actor | None = None, *, critical: bool = False, src: str = "") -> e.Draft:
    return e.Draft(event=event, actor=actor, critical=critical, src=src)


def start(previous: str = "none") -> e.Draft:
    return draft(e.GatewayStarted(run_uid="r-1", software_version="0.1.0", previous_end=previous, listen="unix"))


def stop() -> e.Draft:
    return draft(e.GatewayStopped(run_uid="r-1", reason="asked"))


def unlocked() -> e.Draft:
    return draft(e.DeviceUnlocked(device=DEVICE), GRACE, critical=True, src="unix")


def view(number: int = 0) -> e.Draft:
    return draft(e.LogViewed(first=0, last=number), GRACE, src="unix")


def intent(label: str = "root") -> e.Draft:
    event = e.OperationIntended(
        operation=e.Operation.GENERATE, algorithm=Algorithm.EC_P384, label=label, ceremony_id="c-1"
    )
    return draft(event, ALICE, src="unix")


def success(intent_seq: int, label: str = "root") -> e.Draft:
    event = e.OperationSucceeded(
        intent=intent_seq,
        operation=e.Operation.GENERATE,
        key_id="11" * 16,
        label=label,
        algorithm=Algorithm.EC_P384,
        spki="MHYw",
        fingerprint=SHA,
        grade=Grade.D,
        attributes=KeyAttributes(sensitive=True, extractable=False, usages=(Usage.SIGN,)),
        ceremony_id="c-1",
        step="generate",
    )
    return draft(event, ALICE, critical=True, src="unix")


def samples() -> list[e.AnyEvent]:
    """One event of every kind, with every sort of value in it."""
    seat = e.Seat(role=Role.WITNESS, uid="g.hopper", name="Grace Hopper")
    place = {"ceremony_id": "c-1", "step": "generate"}
    created, policy = genesis()
    key = e.FoundingKey(
        purpose="log",
        object_id="22" * 16,
        label="log",
        algorithm=Algorithm.ED25519,
        spki="MCow",
        attributes=KeyAttributes(),
    )
    return [
        e.LogCreated(**{**_fields(created), "keys": (key,)}),
        policy,
        start().event,
        stop().event,
        e.LogViewed(first=0, last=9, filter="kind=logged-on"),
        e.LogVerified(result="OK entries=3", size=3, findings=("CLOCK",)),
        e.LogExported(what="bundle", size=3, root=SHA, sha256=SHA),
        e.ReceiptIssued(index=2, size=3, medium="pdf", ceremony_id="c-1"),
        e.TimeChangeDeclared(shift_ms=-3_600_000, source="radio clock", why="wrong zone"),
        e.AlertRaised(rule="pin-failures", title="Three wrong PINs", level="high", first=1, last=3, rules_sha256=SHA),
        e.LoggedOn(roles=(Role.CUSTODIAN,), certificate_serial="0a", step_up=True),
        e.LogOnRefused(
            reason="certificate-expired", text="The certificate has expired", verify_code=10, claimed_uid="x"
        ),
        e.LoggedOff(reason="asked"),
        e.ActionRefused(
            action="open", code="role-missing", text="Only an administrator may do this", ceremony_id="c-1"
        ),
        e.DeviceUnlocked(device=DEVICE),
        e.DeviceUnlockRefused(reason="pin-incorrect", text="The PIN is wrong", ckr="CKR_PIN_INCORRECT"),
        e.DeviceDown(reason="device-hung", text="The module did not answer"),
        e.PersonEnrolled(
            uid="n.n", name="Ñandú Ōe", roles=(Role.AUDITOR,), spki_sha256=SHA, certificate_sha256=SHA, serial="0b"
        ),
        e.PersonRevoked(uid="n.n", serial="0b", spki_sha256=SHA, reason="keyCompromise"),
        e.RosterIssued(version=2, sha256=SHA),
        e.CrlIssued(number=2, sha256=SHA, next_update_ms=START_MS, revoked=("0b",)),
        intent().event,
        success(21).event,
        e.OperationFailed(
            intent=21,
            operation=e.Operation.SIGN,
            code="device-failed",
            text="It failed",
            ckr="CKR_DEVICE_ERROR",
            **place,
        ),
        e.OperationInterrupted(intent=21, operation=e.Operation.GENERATE, found="partial", text="Half a pair", **place),
        e.CeremonyOpened(
            ceremony_id="c-1",
            script_id="root",
            script_version="1",
            script_sha256=SHA,
            script='id = "root"\n[[step]]\nsay = "Lies vor: „Grüße“"\n',
            title="Root key",
            simulated=True,
            parameters={"algorithm": "ec-p384"},
        ),
        e.StepDone(**place, step_kind="presence", phase="opening", facts={"place": "Room 1"}, seats=(seat,)),
        e.StepMissed(**place, step_kind="compare", facts={"word 3": "talon"}),
        e.ChallengeSet(**place, positions=(1, 7)),
        e.ApprovalGiven(
            **place,
            attempt=1,
            role=Role.CUSTODIAN,
            decision=e.Decision.DECLINE,
            statement="{}",
            cms="MII=",
            because="no",
        ),
        e.QuorumReached(**place, attempt=1, needed=2, of=3, by=("a.turing", "g.hopper")),
        e.QuorumDeclined(**place, attempt=1, by=("a.turing",)),
        e.RetryNeeded(**place, attempt=2, why="The module was killed"),
        e.DeviationRecorded(**place, expected="bag 1", happened="bag 2\nand no label", decided="go on"),
        e.SignedOff(**place, role=Role.WITNESS, agrees=False, statement="{}", cms="MII=", because="too fast"),
        e.CeremonyPaused(ceremony_id="c-1", why="lunch"),
        e.CeremonyResumed(ceremony_id="c-1"),
        e.MinutesWritten(ceremony_id="c-1", minutes_sha256=SHA),
        e.CeremonyClosed(ceremony_id="c-1", outcome="abandoned", text="The key exists."),
        e.HeadCosigned(
            witness="w.example/w1",
            key="w.example/w1+00+B",
            size=3,
            root=SHA,
            signed_ms=START_MS,
            note="a\n3\nb\n\n— c d\n",
        ),
        e.RootKeyMade(vkey="example.org/ceremony-room+00+B", software=True, wrapped="AAEC", wrapping_id="33" * 16),
        e.RootSigned(day="2026-09-21", size=3, root=SHA, key="00ff00ff", note="a\n3\nb\n\n— c d\n"),
        e.RulesLoaded(sha256=SHA, rules={"pin-failures": SHA}, since=2, added=("pin-failures",)),
        e.Heartbeat(run_uid="run-1", evaluated=12, next_s=300),
        e.AlertAcknowledged(alert=3, rule="pin-failures", note="A typing error"),
        e.DeviceLogCompared(
            source="device",
            serial="SIM0001",
            sha256=SHA,
            first=1,
            last=9,
            until=12,
            matched=8,
            findings=(),
            heads={"22" * 16: 3},
        ),
        e.KeysReadBack(serial="SIM0001", known=3, foreign=("stray (4455)",)),
        e.LogChecked(what="background", first=0, last=9, size=10, anchored=-1, result="NOT OK", findings=("GAP: x",)),
        e.SealKeyInForce(key_id="33" * 16, spki="MHYw"),
        e.DataKeyMade(data_key="0123456789abcdef", recipient="33" * 16, wrapped="AQID", why="the device was unlocked"),
        e.DisclosuresErased(order_id="o-1", erased=(), why="asked for"),
        e.LogRotated(
            segment=0,
            first=0,
            last=255,
            size=300,
            root=SHA,
            file="segment-000000.tar.age",
            sha256=SHA,
            octets=99,
            recipient="age1x",
        ),
        e.LogPruned(
            order_id="o-2",
            first=2,
            below=2,
            fingerprint=SHA,
            segments=(e.SegmentFile(segment=0, first=0, last=255, file="segment-000000.tar.age", sha256=SHA),),
            sealing=("names", "free-text"),
        ),
        *order_samples(),
        e.MemberAdded(
            name="zurich", adapter="luna", label="root", serial="7001", region="eu", options={"module": "/x"}
        ),
        e.MemberUnlocked(name="zurich", serial="7001", lanes=4),
        e.MemberChanged(name="zurich", serial="7001", state="down", was="up", reason="device-hung", text="No answer."),
        e.FleetCompared(members=("primary", "zurich"), keys=3, missing=("zurich: root (0a)",)),
        e.MemberRemoved(name="zurich", serial="7001"),
    ]


def order_samples() -> list[e.AnyEvent]:
    """An order from its first entry to its last."""
    return [
        e.OrderOpened(
            order_id="o-3",
            action="generate-keys",
            summary="Make 5 keys",
            parameters={"count": "5"},
            role=Role.CUSTODIAN,
            needed=2,
            of=3,
        ),
        e.OrderDecided(order_id="o-3", decision=e.Decision.APPROVE, statement="{}", cms="MII="),
        e.OrderReady(order_id="o-3", by=("a.turing", "g.hopper")),
        e.OrderStarted(order_id="o-3", run=1),
        e.OrderEnded(order_id="o-3", outcome="done", result={"made": "5"}),
        e.OrderDeclined(order_id="o-4", by=("a.turing", "g.hopper")),
    ]


def _fields(struct: object) -> dict[str, object]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}  # type: ignore[attr-defined]


@contextmanager
def fixed_uids() -> Iterator[None]:
    """UUIDv7 values that do not change from run to run."""
    counter = iter(range(1 << 30))

    def uid(time_ms: int) -> str:
        text = hashlib.sha256(b"%d %d" % (time_ms, next(counter))).hexdigest()
        return f"{time_ms:012x}"[:8] + f"-{time_ms:012x}"[-4:] + f"-7{text[:3]}-8{text[3:6]}-{text[6:18]}"

    with mock.patch("hsm_console.audit.log.uuid7", uid):
        yield


def signed_run(log: AuditLog, clock: FixedClock, entries: int = 20) -> None:
    """A clean run: start, unlock, some traffic with an operation, stop, signed to the last entry."""
    log.append([start()])
    log.set_signer(Signer())
    log.append([unlocked()])
    for number in range(entries):
        clock.pass_ms(100)
        log.append([view(number)])
    begun = log.append([intent()])[0].seq
    log.append([success(begun)])
    log.append([stop()])
    log.checkpoint()


def make_golden(folder: Path) -> None:
    """golden.db: every kind of event once in a clean, signed run of 400 entries, one full tile."""
    clock = FixedClock()
    with fixed_uids():
        log = new_log(folder, clock)
        log.append([start()])
        log.set_signer(Signer())
        log.append([unlocked()])
        for event in samples():
            if not isinstance(event, e.GatewayStarted | e.GatewayStopped | e.TimeChangeDeclared | e.DeviceDown):
                intent_seq = log.size - 1
                log.append([draft(_with_intent(event, intent_seq), ALICE, src="127.0.0.1:5000")])
        signed_run_tail(log, clock)
        log.close()


def signed_run_tail(log: AuditLog, clock: FixedClock) -> None:
    while log.size < GOLDEN_ENTRIES - 1:
        clock.pass_ms(10)
        log.append([view(log.size)])
    log.append([stop()])
    log.checkpoint()


def _with_intent(event: e.AnyEvent, seq: int) -> e.AnyEvent:
    if hasattr(event, "intent"):
        return type(event)(**{**_fields(event), "intent": seq})
    return event


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_golden(folder)
        shutil.copyfile(folder / "audit.db", GOLDEN / "golden.db")
        (GOLDEN / "log.vkey").write_text(Signer().vkey().text + "\n")
        (GOLDEN / "golden.json").write_text(json.dumps(facts(folder / "audit.db"), indent=2) + "\n")
    return 0


def facts(database: Path) -> dict[str, object]:
    """What another implementation must find in a golden log."""
    log = AuditLog.open(database, chain_uid=CHAIN_UID, clock=FixedClock())
    try:
        return {
            "origin": ORIGIN,
            "vkey": Signer().vkey().text,
            "size": log.size,
            "root": log.root().hex(),
            "checkpoint": log.last_checkpoint,
            "entry_0_sha256": log.read(0).fingerprint,
            "leaf_10": log.detail(10).leaf,
            "inclusion_10": [item.hex() for item in log.inclusion(10, log.size)],
        }
    finally:
        log.close()


if __name__ == "__main__":
    sys.exit(main())
