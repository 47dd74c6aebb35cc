"""Sealing in a running gateway: which key seals what is logged now, and who reads what was sealed (ADR 0011).

A run, an unlock and a lock begin a new data key, wrapped for a key pair in the token. So a locked gateway can seal and
holds nothing that opens what was sealed before.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from contextlib import AbstractContextManager, suppress

from hsm_console.audit import opened, seal
from hsm_console.audit.log import AuditLog
from hsm_console.audit.opened import Opener
from hsm_console.audit.seal import DataKey, Recipient, Sealer
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Draft, Operation
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, Grade, KeyInfo
from hsm_console.gateway import projections
from hsm_console.gateway.device import Device
from hsm_console.gateway.seal_keys import data_key, holder, in_force, plan_for, recipient_of
from hsm_console.policy.environment import Environment

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
        self._log.append([Draft(event=in_force(recipient_of(self._device.hsm(), made)), critical=True)])
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

    def _recipient(self) -> Recipient | None:
        if not self._classes:
            return None
        with self._reading() as conn:
            return opened.key_in_force(conn)

    def _new_data_key(self, why: str) -> None:
        recipient = self._recipient()
        if recipient is None:
            return
        key, event = data_key(self._log.chain_uid, recipient, why)
        self._log.append([Draft(event=event)])
        if self._log.sealer is None:
            self._log.sealer = Sealer(self._log.chain_uid, self._classes)
        self._log.sealer.use(key)
        self.opener.remember(key)

    def _unwrap(self, uid: str, wrapped: bytes, recipient: str) -> DataKey:
        with self._reading() as conn:
            known = opened.recipient(conn, recipient)
        spki, hsm = known.spki if known else b"", self._device.hsm()
        return seal.unwrap(uid, wrapped, self._log.chain_uid, spki, holder(hsm, bytes.fromhex(recipient)))

    def _made(self) -> KeyInfo | None:
        """A key that was made for this and not put in force before a crash."""
        label = label_for(self._log.chain_uid)
        with self._reading() as conn:
            rows = [row for row in projections.keys(conn) if row.label == label and row.state == "active"]
        return KeyInfo(
            object_id=bytes.fromhex(rows[0].object_id), label=label, algorithm=Algorithm(rows[0].algorithm),
            spki=base64.b64decode(rows[0].spki),
        ) if rows else None  # fmt: skip

    def _make(self) -> KeyInfo:
        """Intent, key, outcome (invariants 1 and 2)."""
        label, hsm = label_for(self._log.chain_uid), self._device.hsm()
        plan = plan_for(hsm.describe())
        intent = ev.OperationIntended(
            operation=Operation.GENERATE, algorithm=plan.algorithm, label=label, usages=(plan.usage,)
        )
        (announced,) = self._log.append([Draft(event=intent)])
        try:
            made = hsm.generate(plan.spec(label, object_id(bytes.fromhex(announced.fingerprint))))
            recipient_of(hsm, made)
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
            algorithm=plan.algorithm,
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
