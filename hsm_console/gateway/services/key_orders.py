"""Orders about keys: make some, let one out under a wrapping key, take one in. Destroying one: see `destroying`.

Each run announces what it does with intents of its own, tied to the order; the quorum stands in the order.
"""

# ruff: noqa: ARG002 - all checks of an order are asked in the same way

from __future__ import annotations

import base64
import binascii
import hashlib

import msgspec

from hsm_console.ceremony.steps import grade
from hsm_console.crypto.files import write_durably
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, ExitCode, PolicyRefusal, Problem
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import KeySpec
from hsm_console.domain.messages import work as msg
from hsm_console.gateway.core import Core
from hsm_console.gateway.ordering import Job, OrderKind
from hsm_console.gateway.services import key_batches, key_parameters, key_trial, work_keys
from hsm_console.gateway.services.key_parameters import Incoming, refuse
from hsm_console.gateway.services.recorded import destroyed, perform
from hsm_console.gateway.services.work_offers import WRAPPED, title
from hsm_console.gateway.sessions import Session


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is written beside a wrapped key: whose it is. The log decides what that key is."""

    key_id: str


class KeyOrders:
    """What can be ordered about keys. `kinds` is registered at composition."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._batches = key_batches.Batches(core)

    def kinds(self) -> tuple[OrderKind, ...]:
        told = msg.ORDER_PARAMETERS
        return (
            OrderKind(
                action=msg.GENERATE_KEYS,
                title="Make keys",
                parameters=told[msg.GENERATE_KEYS],
                check=self._batches.check,
                check_new=self._batches.check_names,
                summary=self._batches.summary,
                run=self._batches.run,
                optional=("count", "usages", "extractable"),
            ),
            OrderKind(
                action=msg.WRAP_KEY,
                title="Let a key out, wrapped",
                parameters=told[msg.WRAP_KEY],
                check=self._check_wrapping,
                summary=lambda given: (
                    f"Let the key {self._named(given['key'])} out of the module, encrypted under the key "
                    f"{self._named(given['under'])}."
                ),
                run=self._wrap,
            ),
            OrderKind(
                action=msg.UNWRAP_KEY,
                title="Take a wrapped key in",
                parameters=told[msg.UNWRAP_KEY],
                check=self._check_incoming,
                check_new=self._check_incoming_name,
                summary=lambda given: (
                    f"Take the key “{given['label']}” ({given['algorithm']}) into the module, decrypted with the key "
                    f"{self._named(given['under'])}."
                ),
                run=self._unwrap,
                optional=("sha256", "wrapped", "usages"),
            ),
        )

    def _named(self, key_id: str) -> str:
        row = work_keys.find(self._core, key_id).row
        kind = title(work_keys.find(self._core, key_id).algorithm)
        return f"“{row.label}” ({kind}, {row.object_id})"

    # -- out ------------------------------------------------------------------------------------------------------

    def _check_wrapping(self, given: dict[str, str], session: Session) -> None:
        key = key_parameters.own(self._core, given["key"])
        key_parameters.wrapping(self._core, given["under"])
        if given["key"] == given["under"]:
            raise refuse("wrap-itself", "A key does not wrap itself.", "Choose another wrapping key.")
        if key.row.attributes.extractable is not True:
            raise PolicyRefusal(
                Problem(
                    code="not-extractable",
                    what=f"The key “{key.row.label}” was made so that it never leaves the module.",
                    todo="Make a new key with “extractable: yes” if one is needed outside; this one stays.",
                    exit_code=ExitCode.POLICY,
                )
            )

    def _wrap(self, job: Job) -> dict[str, str]:
        core, given = self._core, job.order.parameters
        self._check_wrapping(given, job.session)
        key, under = key_parameters.own(core, given["key"]), key_parameters.wrapping(core, given["under"])
        intent = ev.OperationIntended(
            operation=Operation.WRAP,
            algorithm=key.algorithm,
            label=key.row.label,
            key_id=key.row.object_id,
            under=under.row.object_id,
            mechanism="aes-kwp",
        )

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, str]:
            data: bytes = core.device.run("wrap", under.object_id, key.object_id)
            sha256 = hashlib.sha256(data).hexdigest()
            folder = core.home.directory / WRAPPED
            folder.mkdir(mode=0o700, exist_ok=True)
            write_durably(folder / f"{sha256}.bin", data)
            write_durably(folder / f"{sha256}.json", msgspec.json.encode(_Kept(key_id=key.row.object_id)))
            return work_keys.outcome(announced, key, output=data), sha256

        core.device.require_open()
        recorded, sha256 = perform(core, job.session, intent, act, correlation=job.correlation, critical=True)
        return {"sha256": sha256, "key": key.row.object_id, "entry": str(recorded.seq)}

    # -- in -------------------------------------------------------------------------------------------------------

    def _check_incoming(self, given: dict[str, str], session: Session) -> None:
        self._incoming(given)

    def _check_incoming_name(self, given: dict[str, str], session: Session) -> None:
        key_parameters.require_free(self._core, (given["label"],))

    def _incoming(self, given: dict[str, str]) -> Incoming:
        core = self._core
        key_parameters.wrapping(core, given["under"])
        algorithm, label, usages = key_parameters.kind(given)
        sha256, data, spki = given.get("sha256", ""), b"", b""
        if given.get("wrapped"):
            try:
                data = base64.b64decode(given["wrapped"], validate=True)
            except binascii.Error as broken:
                raise refuse("order-parameters", "The wrapped key is not base64.", "Give the file again.") from broken
        if sha256 and not data:
            data = key_parameters.kept(core.home.directory / WRAPPED, sha256)
        if not data or (sha256 and hashlib.sha256(data).hexdigest() != sha256):
            raise refuse("wrapped-missing", "The wrapped key is not here, or has another SHA-256.", "Give its file.")
        if algorithm.is_pair:
            spki = self._public_half(hashlib.sha256(data).hexdigest())
        return Incoming(algorithm, label, usages, data, spki)

    def _public_half(self, sha256: str) -> bytes:
        """Of the key that this console once let out: what the log says of it, not what lies on the disk."""
        path = self._core.home.directory / WRAPPED / f"{sha256}.json"
        try:
            key_id = msgspec.json.decode(path.read_bytes(), type=_Kept).key_id
            return work_keys.find(self._core, key_id).spki
        except (OSError, msgspec.DecodeError) as missing:
            raise refuse(
                "public-half-missing",
                "Of a pair only the private half is wrapped, and this console does not know its public half.",
                "Take in pairs that this console let out, or bring this one with the vendor's tool.",
            ) from missing

    def _unwrap(self, job: Job) -> dict[str, str]:
        core, given = self._core, job.order.parameters
        under, wanted = key_parameters.wrapping(core, given["under"]), self._incoming(given)
        key_parameters.require_free(core, (wanted.label,))
        intent = ev.OperationIntended(
            operation=Operation.UNWRAP,
            algorithm=wanted.algorithm,
            label=wanted.label,
            usages=wanted.usages,
            under=under.row.object_id,
            mechanism="aes-kwp",
            input_sha256=hashlib.sha256(wanted.data).hexdigest(),
        )

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, str]:
            spec = KeySpec(
                algorithm=wanted.algorithm,
                label=wanted.label,
                object_id=object_id(bytes.fromhex(announced.fingerprint)),
                usages=wanted.usages,
                spki=wanted.spki,
            )
            made = core.device.run("unwrap", under.object_id, wanted.data, spec)
            try:
                key_trial.require_pair(core.device, spec)
            except ConsoleError:
                destroyed(core, job.session, spec.label, spec.object_id, correlation=job.correlation)
                raise
            done = key_batches.made(
                announced, made, core.device.run("attributes", spec.object_id), grade(self._core.device.info)
            )
            return done, spec.object_id.hex()

        core.device.hsm()  # raises `device-locked`
        recorded, key_id = perform(core, job.session, intent, act, correlation=job.correlation, critical=True)
        return {"key": key_id, "entry": str(recorded.seq)}
