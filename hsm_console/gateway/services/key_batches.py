"""Many keys by one order: one intent for each go, one record for each key; stopped, cut off, and gone on with.

The object id of each key derives from the intent and its place in it (invariant 2), so that what a crash left behind is
known for certain. A go that was stopped or cut off ends its intent; the next one announces what is missing, from the
first number that no record tells of. Nothing is made twice, and nothing is passed over.
"""

from __future__ import annotations

import base64
import hashlib

from hsm_console.ceremony import recovery
from hsm_console.ceremony.steps import grade
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, DeviceError, Problem
from hsm_console.domain.events import Draft, Operation, Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Grade, KeyAttributes, KeyInfo, KeySpec
from hsm_console.gateway import projections
from hsm_console.gateway.core import Core, placed
from hsm_console.gateway.ordering import Job, OrderStopped
from hsm_console.gateway.services import key_parameters
from hsm_console.gateway.services.key_parameters import Batch
from hsm_console.gateway.services.recorded import conclude, destroyed, failure
from hsm_console.gateway.services.work_offers import title
from hsm_console.gateway.sessions import Session
from hsm_console.hsm.pool import Priority
from hsm_console.hsm.port import unsupported


class Batches:
    """Carries out the order generate-keys."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def summary(self, given: dict[str, str]) -> str:
        """The sentence that is signed. That a key would be a software key is said in it."""
        wanted = key_parameters.batch(given)
        names = wanted.names()
        what = f"the key “{names[0]}”" if len(names) == 1 else f"{len(names)} keys “{names[0]}” to “{names[-1]}”"
        uses = " and ".join(usage.value for usage in wanted.usages)
        leave = "may leave the module under a wrapping key" if wanted.extractable else "never leaving the module"
        if self._is_software(wanted):
            leave = "as software keys: stored wrapped under a key of the module, used in the driver's memory"
        return f"Make {what} ({title(wanted.algorithm)}) to {uses}, {leave}."

    def _is_software(self, wanted: Batch) -> bool:
        info = self._core.device.info
        return info is not None and wanted.algorithm in info.software_algorithms

    def check(self, given: dict[str, str], session: Session) -> None:  # noqa: ARG002
        """Raises InputError `order-parameters`, Unsupported when the device is known and does not make such keys."""
        wanted, info = key_parameters.batch(given), self._core.device.info
        if info is None:
            return
        software = self._is_software(wanted)
        if not software and wanted.algorithm not in info.algorithms:
            raise unsupported(wanted.algorithm.value, "no key of this kind can be made here")
        if software and wanted.extractable:
            raise key_parameters.refuse(
                "order-parameters", "A software key never leaves the console.", "Say “extractable: no”."
            )

    def check_names(self, given: dict[str, str], session: Session) -> None:  # noqa: ARG002
        """Raises InputError `label-taken`."""
        key_parameters.require_free(self._core, key_parameters.batch(given).names())

    def run(self, job: Job) -> dict[str, str]:
        """Make what is missing. Raises OrderStopped where it can go on later, and what the device raises."""
        try:
            return self._run(job)
        except ConsoleError as error:
            if self._core.device.unlocked or not self._earlier(job):
                raise
            done, wanted = self._made(job), key_parameters.batch(job.order.parameters)
            raise self._cut_off(done, wanted, error) from error  # an order that has begun is not over for a lock

    def _run(self, job: Job) -> dict[str, str]:
        core, wanted = self._core, key_parameters.batch(job.order.parameters)
        core.device.hsm()  # raises `device-locked`
        self._clear(job)
        done = self._made(job)
        job.progress(done, wanted.count)
        if done == wanted.count:
            return _result(done, wanted)
        key_parameters.require_free(core, wanted.names(done + 1))
        intent = ev.OperationIntended(
            operation=Operation.GENERATE,
            algorithm=wanted.algorithm,
            label=wanted.label,
            usages=wanted.usages,
            extractable=wanted.extractable,
            count=wanted.count - done,
            first=done + 1,
        )
        draft = Draft(event=intent, actor=job.session.actor, correlation=job.correlation)
        (announced,) = core.log.append([placed(draft, job.session)])
        self._go(job, wanted, announced, done)
        return _result(wanted.count, wanted)

    def _go(self, job: Job, wanted: Batch, announced: Recorded, done: int) -> None:
        for index, name in enumerate(wanted.names(done + 1)):
            if job.stopped():
                self._stopped(job, wanted, announced, done + index)
            spec = KeySpec(
                algorithm=wanted.algorithm,
                label=name,
                object_id=object_id(bytes.fromhex(announced.fingerprint), index),
                usages=wanted.usages,
                extractable=wanted.extractable,
            )
            last = done + index + 1 == wanted.count
            try:
                self._one(job, announced, spec, index, last=last)
            except ConsoleError as error:
                self._broken(job, wanted, announced, error, last=last)
            job.progress(done + index + 1, wanted.count)

    def _one(self, job: Job, announced: Recorded, spec: KeySpec, index: int, *, last: bool) -> None:
        info: KeyInfo = self._core.device.run("generate", spec, priority=Priority.BULK)  # read back in the same call
        done = made(announced, info, info.attributes, grade(self._core.device.info), index=index, last=last)
        conclude(self._core, job.session, announced, done, critical=True)

    def _stopped(self, job: Job, wanted: Batch, announced: Recorded, done: int) -> None:
        text = f"{done} of {wanted.count} keys were made; then the run was asked to stop."
        event = ev.OperationInterrupted(
            intent=announced.seq, operation=Operation.GENERATE, found="stopped" if done else "not-done", text=text
        )
        conclude(self._core, job.session, announced, event, critical=True)
        raise OrderStopped(text, _result(done, wanted))

    def _broken(self, job: Job, wanted: Batch, announced: Recorded, error: ConsoleError, *, last: bool) -> None:
        """What is known after an error is recorded. An order that has made keys stops, so that it can go on later.

        When the device is gone, or the log takes nothing, the intent stays open until that can be found out.
        """
        core = self._core
        if core.device.unlocked:
            try:
                self._find_out(job, announced, error)
            except ConsoleError as blind:
                core.device.failed(blind)
        done = self._made(job)
        if last and done == wanted.count:
            return
        if not done and core.device.unlocked:
            raise error
        raise self._cut_off(done, wanted, error) from error

    @staticmethod
    def _cut_off(done: int, wanted: Batch, error: ConsoleError) -> OrderStopped:
        text = f"{done} of {wanted.count} keys are made. Then: {error.problem.what}"
        return OrderStopped(text, {**_result(done, wanted), "because": error.problem.what})

    def _find_out(self, job: Job, announced: Recorded, error: ConsoleError | None = None) -> None:
        """Look into the token for what a call that failed left there, and record it. Raises what looking raises."""
        if not self._is_open(announced):
            return  # the device came back meanwhile, and the look after its unlock has told how it ended
        recorded, found = self._looked(announced)
        for ending in recovery.endings(announced, found, grade=grade(self._core.device.info), recorded=recorded):
            event: ev.AnyEvent = ending
            if error and isinstance(ending, ev.OperationInterrupted) and ending.found in ("not-done", "stopped"):
                event = failure(announced, error)
            conclude(self._core, job.session, announced, event, critical=True)

    def _is_open(self, announced: Recorded) -> bool:
        with self._core.reading() as conn:
            row = projections.intent(conn, announced.seq)
        return row is not None and row.ended < 0

    def _looked(self, announced: Recorded) -> tuple[frozenset[str], list[KeyInfo]]:
        """(ids that the log knows, keys in the token under the other ids)."""
        ids = recovery.expected_ids(announced)
        with self._core.reading() as conn:
            recorded = frozenset(wanted for wanted in ids if projections.key(conn, wanted) is not None)
        hsm = self._core.device.hsm()
        left = [wanted for wanted in ids if wanted not in recorded]
        return recorded, [key for wanted in left for key in hsm.find(object_id=bytes.fromhex(wanted))]

    # -- what earlier goes left -------------------------------------------------------------------------------------

    def _earlier(self, job: Job) -> list[Recorded]:
        with self._core.reading() as conn:
            rows = projections.intents_of(conn, job.correlation)
        return [self._core.log.read(row.seq) for row in rows if row.event.operation is Operation.GENERATE]

    def _made(self, job: Job) -> int:
        """How many keys of this order the log knows, destroyed ones too: their numbers are not used again."""
        ids = [wanted for intent in self._earlier(job) for wanted in recovery.expected_ids(intent)]
        with self._core.reading() as conn:
            return sum(projections.key(conn, wanted) is not None for wanted in ids)

    def _clear(self, job: Job) -> None:
        """Half a pair of an earlier go blocks its name and was never usable: it is destroyed, on the record.

        Raises DeviceError `earlier-key-found` when a whole one stands there that no record tells of.
        """
        for intent in self._earlier(job):
            self._find_out(job, intent)
            if not self._left_something(intent):
                continue
            _, found = self._looked(intent)
            for key in found:
                if key.attributes.token is not None and (key.spki or not key.algorithm.is_pair):
                    raise _earlier_key(key)
                destroyed(self._core, job.session, key.label, key.object_id, correlation=job.correlation)

    def _left_something(self, intent: Recorded) -> bool:
        with self._core.reading() as conn:
            row = projections.intent(conn, intent.seq)
        event = self._core.log.read(row.ended).event if row is not None else None
        return isinstance(event, ev.OperationInterrupted) and event.found in ("partial", "foreign")


def made(
    announced: Recorded, info: KeyInfo, attributes: KeyAttributes, proof: Grade, *, index: int = 0, last: bool = True
) -> ev.OperationSucceeded:
    """The record of one key, new or taken in, with its attributes as they were read back."""
    event = announced.event
    assert isinstance(event, ev.OperationIntended)  # noqa: S101 - its caller announced it
    return ev.OperationSucceeded(
        intent=announced.seq,
        operation=event.operation,
        key_id=info.object_id.hex(),
        label=info.label,
        algorithm=info.algorithm,
        spki=base64.b64encode(info.spki).decode(),
        fingerprint=hashlib.sha256(info.spki).hexdigest() if info.spki else "",
        attributes=attributes,
        grade=proof,
        index=index,
        last=last,
        custody=info.custody,
    )


def _result(done: int, wanted: Batch) -> dict[str, str]:
    names = wanted.names()[:done]
    found = {"made": f"{done} of {wanted.count}"}
    return found | ({"first": names[0], "last": names[-1]} if names else {})


def _earlier_key(key: KeyInfo) -> DeviceError:
    return DeviceError(
        Problem(
            code="earlier-key-found",
            what=f"The module holds a whole key “{key.label}” of an earlier run, which no record tells of.",
            key_state="A key of an earlier run exists in the module. No second one was made.",
            todo="Compare the module with the log before anything goes on.",
            contact="the administrator of the HSM and the custodians",
            details={"object id": key.object_id.hex()},
        )
    )
