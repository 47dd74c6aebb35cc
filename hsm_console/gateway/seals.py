"""Sealing in a running gateway: which key seals what is logged now, and who reads what was sealed (ADR 0011).

A run, an unlock and a lock begin a new data key, wrapped for a key pair in the token. So a locked gateway can seal and
holds nothing that opens what was sealed before.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from contextlib import AbstractContextManager, suppress

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from hsm_console.audit import opened, seal
from hsm_console.audit.log import AuditLog
from hsm_console.audit.opened import Opener
from hsm_console.audit.seal import DataKey, Sealer
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, DeviceError, EnvironmentFault, ExitCode, Problem
from hsm_console.domain.events import Draft, Operation
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, Grade, KeyInfo, KeySpec, Usage
from hsm_console.gateway import projections
from hsm_console.gateway.device import Device
from hsm_console.hsm.port import Hsm
from hsm_console.policy.environment import Environment

ALGORITHM = Algorithm.EC_P384
STARTED, UNLOCKED, LOCKED, WORN = "the gateway was started", "the device was unlocked", "the device was locked", "worn"


class Seals:
    """Thread-safe. `opener` reads what was sealed while the token is unlocked; `closed` never does."""

    def __init__(self, log: AuditLog, environment: Environment, device: Device) -> None:
        self._log = log
        self._classes = environment.log.confidential
        self._device = device
        self.opener = Opener(self._reading, log.chain_uid)
        self.closed = Opener(self._reading, log.chain_uid)
        device.on_lock = self._locked

    def _reading(self) -> AbstractContextManager[sqlite3.Connection]:
        return self._log.query().borrow()

    # -- the life of a run --------------------------------------------------------------------------------

    def begin(self) -> None:
        """After the entry of the start, before anything confidential can be logged."""
        if self._recipient() is not None:
            self._new_data_key(STARTED)

    def unlocked(self) -> None:
        """First thing after an unlock: what was sealed can be read, and a new key seals."""
        recipient = self._recipient()
        self.opener.unlock(self._unwrap)
        if recipient is not None:
            self._new_data_key(UNLOCKED)

    def settle(self) -> None:
        """After what a crash left open was found out: a log whose rules seal now gets its key in the token."""
        if not self._classes or self._recipient() is not None:
            return
        made = self._made() or self._make()
        event = ev.SealKeyInForce(key_id=made.object_id.hex(), spki=base64.b64encode(made.spki).decode())
        self._log.append([Draft(event=event, critical=True)])
        self._new_data_key(UNLOCKED)

    def tick(self) -> None:
        """Once a second: a data key that sealed very much is followed by a new one."""
        sealer = self._log.sealer
        if sealer is not None and sealer.used >= seal.VALUES_PER_KEY:
            self._new_data_key(WORN)

    def _locked(self, *, ending: bool) -> None:
        """Told by the device. ending: the gateway stops, nothing more is logged."""
        self.opener.lock()
        if not ending and self._log.sealer is not None:
            with suppress(ConsoleError):  # the log says by itself that it cannot be written
                self._new_data_key(LOCKED)

    # -- keys ---------------------------------------------------------------------------------------------

    def _recipient(self) -> tuple[str, bytes] | None:
        if not self._classes:
            return None
        with self._reading() as conn:
            return opened.key_in_force(conn)

    def _new_data_key(self, why: str) -> None:
        recipient = self._recipient()
        if recipient is None:
            return
        key, event = data_key(self._log.chain_uid, *recipient, why)
        self._log.append([Draft(event=event)])
        if self._log.sealer is None:
            self._log.sealer = Sealer(self._log.chain_uid, self._classes)
        self._log.sealer.use(key)
        self.opener.remember(key)

    def _unwrap(self, uid: str, wrapped: bytes, recipient: str) -> DataKey:
        with self._reading() as conn:
            row = conn.execute("SELECT spki FROM seal_key WHERE key_id = ?", (recipient,)).fetchone()
        spki = base64.b64decode(row[0]) if row else b""

        def derive(point: bytes) -> bytes:
            return self._device.hsm().derive(bytes.fromhex(recipient), point, seal.SHARED_BYTES)

        return seal.unwrap(uid, wrapped, self._log.chain_uid, spki, derive)

    def _made(self) -> KeyInfo | None:
        """A key that was made for this and not put in force before a crash."""
        label = label_for(self._log.chain_uid)
        with self._reading() as conn:
            rows = [row for row in projections.keys(conn) if row.label == label and row.state == "active"]
        return KeyInfo(
            object_id=bytes.fromhex(rows[0].object_id), label=label, algorithm=ALGORITHM,
            spki=base64.b64decode(rows[0].spki),
        ) if rows else None  # fmt: skip

    def _make(self) -> KeyInfo:
        """Intent, key, outcome (invariants 1 and 2)."""
        label = label_for(self._log.chain_uid)
        intent = ev.OperationIntended(
            operation=Operation.GENERATE, algorithm=ALGORITHM, label=label, usages=(Usage.DERIVE,)
        )
        (announced,) = self._log.append([Draft(event=intent)])
        hsm = self._device.hsm()
        try:
            made = make(hsm, object_id(bytes.fromhex(announced.fingerprint)), label)
            attributes = hsm.attributes(made.object_id)
        except ConsoleError as error:
            if self._device.unlocked:
                problem = error.problem
                failed = ev.OperationFailed(
                    intent=announced.seq, operation=Operation.GENERATE, code=problem.code, text=problem.what,
                    ckr=problem.details.get("ckr", ""),
                )  # fmt: skip
                self._log.append([Draft(event=failed, correlation=announced.correlation)])
            raise
        info = self._device.info
        done = ev.OperationSucceeded(
            intent=announced.seq,
            operation=Operation.GENERATE,
            key_id=made.object_id.hex(),
            label=label,
            algorithm=ALGORITHM,
            spki=base64.b64encode(made.spki).decode(),
            fingerprint=hashlib.sha256(made.spki).hexdigest(),
            attributes=attributes,
            grade=Grade.D if info is None or info.simulated else Grade.C,
        )
        self._log.append([Draft(event=done, correlation=announced.correlation, critical=True)])
        return made


def label_for(chain_uid: str) -> str:
    """Label of the key pair in the token that data keys are wrapped for."""
    return f"seal {chain_uid[-12:]}"


def make(hsm: Hsm, wanted: bytes, label: str) -> KeyInfo:
    """The key pair in the token, tried out. Raises DeviceError `seal-unsupported`, what the device raises."""
    made = hsm.generate(KeySpec(algorithm=ALGORITHM, label=label, object_id=wanted, usages=(Usage.DERIVE,)))
    try_out(hsm, made)
    return made


def try_out(hsm: Hsm, made: KeyInfo) -> None:
    """One agreement with the token, compared with the same one in software. Raises DeviceError `seal-unsupported`."""
    public = load_der_public_key(made.spki)
    assert isinstance(public, ec.EllipticCurvePublicKey)  # noqa: S101 - it was asked for
    other = ec.generate_private_key(ec.SECP384R1())
    point = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    if hsm.derive(made.object_id, point, seal.SHARED_BYTES) != other.exchange(ec.ECDH(), public):
        raise DeviceError(
            Problem(
                code="seal-unsupported",
                what="The device agreed on a secret that is not the right one: it cannot hold the key for sealing.",
                key_state="The key was made and is not used.",
                todo="Choose a device that does ECDH on P-384, or an environment that seals nothing.",
                exit_code=ExitCode.ENVIRONMENT,
            )
        )


def check_device(environment: Environment, algorithms: tuple[Algorithm, ...]) -> None:
    """Raises EnvironmentFault `seal-unsupported` when the rules seal and the device has no P-384."""
    if environment.log.confidential and ALGORITHM not in algorithms:
        raise EnvironmentFault(
            Problem(
                code="seal-unsupported",
                what=f"The rules “{environment.title}” seal confidential values, and the device has no P-384 keys.",
                todo="Choose a device that has them, or an environment that seals nothing.",
            )
        )


def data_key(chain_uid: str, key_id: str, spki: bytes, why: str) -> tuple[DataKey, ev.DataKeyMade]:
    """A new data key, and the event that must be durable before it is used. Needs no device."""
    key = seal.new_data_key()
    wrapped = base64.b64encode(seal.wrap(key, chain_uid, spki)).decode()
    return key, ev.DataKeyMade(data_key=key.uid, recipient=key_id, wrapped=wrapped, why=why)
