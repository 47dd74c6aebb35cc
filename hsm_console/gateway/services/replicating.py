"""Copying keys from the workspace's token to a further device, by order of a quorum.

Both devices first agree on a wrapping key that neither gives out (`share-wrapping-key`); under it a key that may
leave its device is wrapped in one and unwrapped in the other (`replicate-key`), under the same id, and is used there
only when it has proven to be the same. What a crash left open is found out when both devices are unlocked again.
"""

from __future__ import annotations

import base64
from contextlib import suppress

from msgspec.structs import replace

from hsm_console.ceremony.steps import grade
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.events import Draft, Operation, Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, Custody, KeyInfo, KeySpec, Usage
from hsm_console.gateway import member_rows, projections
from hsm_console.gateway.core import Core
from hsm_console.gateway.fleet import Fleet
from hsm_console.gateway.member import Member
from hsm_console.gateway.ordering import Job, OrderKind, OrderStopped
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.services import agreement, copy_proof, destroying
from hsm_console.gateway.services.recorded import conclude, failure, perform
from hsm_console.gateway.sessions import Session
from hsm_console.hsm.pool import Priority

ALL = "all"
SHARE, REPLICATE = "share-wrapping-key", "replicate-key"


class Replicating:
    """Registers its two kinds of order; `settle` is run after each unlock."""

    def __init__(self, core: Core, fleet: Fleet) -> None:
        self._core = core
        self._fleet = fleet

    def kinds(self) -> tuple[OrderKind, ...]:
        return (
            OrderKind(
                action=SHARE,
                title="Let two devices agree on a wrapping key",
                parameters={"device": "the further device's name"},
                check=self._check_share,
                summary=lambda given: f"Let the workspace's token and “{given['device']}” agree on a wrapping key.",
                run=self._share,
            ),
            OrderKind(
                action=REPLICATE,
                title="Copy a key to another device",
                parameters={
                    "key": f"the key's id, or “{ALL}” for every key that may leave and is missing there",
                    "device": "the further device's name",
                    "under": "id of the wrapping key that both hold; empty: the newest",
                },
                check=self._check_replicate,
                summary=self._summary,
                run=self._replicate,
                optional=("under",),
            ),
        )

    def _summary(self, given: dict[str, str]) -> str:
        what = "every key that may leave it" if given["key"] == ALL else f"the key {given['key']}"
        return f"Copy {what} from the workspace's token to “{given['device']}”, under a wrapping key of both."

    # -- before ---------------------------------------------------------------------------------------------------

    def _check_share(self, given: dict[str, str], _session: Session) -> None:
        self._check_device(given)

    def _check_device(self, given: dict[str, str]) -> Member:
        member = self._fleet.member(given["device"])
        if member is None:
            raise _refused("device-unknown", f"There is no further device “{given['device'][:40]}”.",
                           "Add it first.")  # fmt: skip
        return member

    def _check_replicate(self, given: dict[str, str], _session: Session) -> None:
        self._check_device(given)
        self._wrapping(given)
        if given["key"] != ALL:
            self._require_copyable(self._row(given["key"]))

    def _row(self, key_id: str) -> KeyRow:
        with self._core.reading() as conn:
            row = projections.key(conn, key_id)
        if row is None or row.state != "active":
            raise _refused(
                "object-missing", f"The log knows no such key: “{key_id[:64]}”.", "Look at the list of keys."
            )
        return row

    def _wrapping(self, given: dict[str, str]) -> bytes:
        """The wrapping key that both devices hold. Raises InputError `wrapping-key-missing`."""
        with self._core.reading() as conn:
            shared = [
                row for row in projections.keys(conn) if row.object_id in member_rows.copies(conn, given["device"])
            ]
        usable = [row for row in shared if Usage.WRAP in row.attributes.usages and row.state == "active"]
        wanted = given.get("under", "")
        chosen = next((row for row in usable if wanted in ("", row.object_id)), None)
        if chosen is None:
            raise _refused(
                "wrapping-key-missing",
                f"The workspace's token and “{given['device']}” share no such wrapping key.",
                f"Let them agree on one first, by an order “{SHARE}”.",
            )
        return bytes.fromhex(chosen.object_id)

    def _require_copyable(self, row: KeyRow) -> None:
        why = ""
        if row.purpose:
            why = "it belongs to the console itself and has one place"
        elif row.custody is Custody.SOFTWARE_WRAPPED:
            why = "it is a software key; make one on each device"
        elif not row.attributes.extractable:
            why = "it cannot leave its device; use the maker's own way (cloning, backup), or make a key on each device"
        elif not copy_proof.provable(row):
            why = "there is no way to try whether the copy is the same key"
        if why:
            raise PolicyRefusal(
                Problem(
                    code="key-not-replicable",
                    what=f"The key “{row.label}” is not copied: {why}.",
                    todo="Choose another key, or make a new one that may leave its device under a wrapping key.",
                    exit_code=ExitCode.POLICY,
                )
            )

    # -- agreeing on a wrapping key ---------------------------------------------------------------------------------

    def _share(self, job: Job) -> dict[str, str]:
        core, member = self._core, self._check_device(job.order.parameters)
        devices = (core.device.hsm(), member.hsm(Priority.CEREMONY))
        intent = ev.OperationIntended(
            operation=Operation.AGREE,
            algorithm=Algorithm.AES_256,
            label=f"wrap {member.name} {job.order.id[-8:]}-{job.order.runs}",
            usages=(Usage.WRAP,),
            device=member.name,
        )

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, KeyInfo]:
            made, copy = agreement.agreed(announced, intent.label, devices)
            member.took(copy)
            done = ev.OperationSucceeded(
                intent=announced.seq,
                operation=Operation.AGREE,
                key_id=made.object_id.hex(),
                label=made.label,
                algorithm=made.algorithm,
                attributes=made.attributes,
                grade=grade(core.device.info),
                device=member.name,
            )
            return done, made

        _, key = perform(core, job.session, intent, act, correlation=job.correlation, critical=True)
        return {"key": key.object_id.hex(), "label": key.label}

    # -- copying ----------------------------------------------------------------------------------------------------

    def _replicate(self, job: Job) -> dict[str, str]:
        given = job.order.parameters
        member, under = self._check_device(given), self._wrapping(given)
        wanted = self._missing(member) if given["key"] == ALL else (self._row(given["key"]),)
        copied = 0
        for number, row in enumerate(wanted):
            job.progress(number, len(wanted))
            if job.stopped():
                raise OrderStopped(f"{copied} of {len(wanted)} keys were copied.", {"copied": str(copied)})
            with self._fleet.moving:
                copied += self._copy(job, member, under, self._row(row.object_id))
        job.progress(len(wanted), len(wanted))
        return {"copied": str(copied), "were there": str(len(wanted) - copied), "device": member.name}

    def _missing(self, member: Member) -> tuple[KeyRow, ...]:
        with self._core.reading() as conn:
            rows = projections.keys(conn)
        found = []
        for row in reversed(rows):
            with suppress(PolicyRefusal):
                self._require_copyable(row)
                if row.state == "active" and not member.holds((row.object_id,)):
                    found.append(row)
        return tuple(found)

    def _copy(self, job: Job, member: Member, under: bytes, row: KeyRow) -> bool:
        """One key; False when it is there already. Raises `device-other-keys` when another one is in its place."""
        core = self._core
        self._require_copyable(row)
        if member.holds((row.object_id,)):
            return False
        original, copy = core.device.hsm(), member.hsm(Priority.CEREMONY)
        member.require_free(row)
        intent = ev.OperationIntended(
            operation=Operation.REPLICATE,
            algorithm=Algorithm(row.algorithm),
            label=row.label,
            usages=row.attributes.usages,
            key_id=row.object_id,
            under=under.hex(),
            device=member.name,
        )
        draft = Draft(event=intent, actor=job.session.actor, src=job.session.source, correlation=job.correlation)
        (announced,) = core.log.append([draft])
        try:
            wrapped = original.wrap(under, bytes.fromhex(row.object_id))
            made = copy.unwrap(under, wrapped, _spec(row))
            self._prove(row, member)
        except ConsoleError as error:
            member.failed(error)
            core.device.failed(error)
            if member.unlocked and self._removed(member, row):
                conclude(core, job.session, announced, failure(announced, error))
            raise  # otherwise the intent stays open: what is there now is found out at the next unlock
        conclude(core, job.session, announced, _succeeded(announced, row, made, member), critical=True)
        member.took(made)
        return True

    def _prove(self, row: KeyRow, member: Member) -> None:
        copy = member.hsm(Priority.CEREMONY)
        found = copy.find(object_id=bytes.fromhex(row.object_id))
        if len(found) != 1 or found[0].spki != base64.b64decode(row.spki):
            raise copy_proof.different(row.label, "the device shows something else in its place")
        copy_proof.prove(row, self._core.device.hsm(), copy)

    @staticmethod
    def _removed(member: Member, row: KeyRow) -> bool:
        """Take away what a failed copy left. It was made by this very intent: the key itself is where it was."""
        try:
            copy = member.hsm(Priority.CEREMONY)
            if copy.find(object_id=bytes.fromhex(row.object_id)):
                copy.destroy(bytes.fromhex(row.object_id))
        except ConsoleError as error:
            member.failed(error)
            return False
        return True

    # -- after a crash ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Find out what became of open intents between two devices that are both unlocked now. Copies nothing."""
        if not self._core.device.unlocked:
            return
        with self._core.reading() as conn:
            waiting = [row for row in projections.open_intents(conn) if row.event.device]
        for row in waiting:
            member = self._fleet.member(row.event.device)
            announced = self._core.log.read(row.seq)
            if member is None:
                self._end(announced, "partial", f"The device “{row.event.device}” is on the list no more.")
            elif member.unlocked:
                with suppress(ConsoleError):
                    self._settle_one(announced, row.event, member)

    def _settle_one(self, announced: Recorded, intent: ev.OperationIntended, member: Member) -> None:
        if intent.operation is Operation.AGREE:
            ids = [object_id(bytes.fromhex(announced.fingerprint), index) for index in range(3)]
            left = [i for hsm in (self._core.device.hsm(), member.hsm(Priority.CEREMONY)) for i in ids
                    if hsm.find(object_id=i)]  # fmt: skip
            text = "Parts of the agreement are left in the devices; nothing uses them." if left else "Nothing is left."
            return self._end(announced, "partial" if left else "not-done", text)
        if intent.operation is Operation.DESTROY:
            found = member.hsm(Priority.CEREMONY).find(object_id=bytes.fromhex(intent.key_id))
            ending = destroying.ended(announced, found)
            self._core.log.append([Draft(event=ending, correlation=announced.correlation, critical=True)])
            return None
        row = self._row(intent.key_id)
        if not member.hsm(Priority.CEREMONY).find(object_id=bytes.fromhex(row.object_id)):
            return self._end(announced, "not-done", f"“{member.name}” holds no copy of the key.")
        try:
            self._prove(row, member)
        except ConsoleError:
            if self._removed(member, row):
                self._end(announced, "not-done", f"The copy in “{member.name}” was not whole and was removed.")
            return None
        (made,) = member.hsm(Priority.CEREMONY).find(object_id=bytes.fromhex(row.object_id))
        done = replace(_succeeded(announced, row, made, member), recovered=True)
        self._core.log.append([Draft(event=done, correlation=announced.correlation, critical=True)])
        return member.took(made)

    def _end(self, announced: Recorded, found: str, text: str) -> None:
        intent = announced.event
        assert isinstance(intent, ev.OperationIntended)  # noqa: S101 - the projection says so
        event = ev.OperationInterrupted(intent=announced.seq, operation=intent.operation, found=found, text=text)  # type: ignore[arg-type]
        self._core.log.append([Draft(event=event, correlation=announced.correlation, critical=True)])


def _spec(row: KeyRow) -> KeySpec:
    return KeySpec(
        algorithm=Algorithm(row.algorithm),
        label=row.label,
        object_id=bytes.fromhex(row.object_id),
        usages=row.attributes.usages,
        extractable=True,
        spki=base64.b64decode(row.spki),
    )


def _succeeded(announced: Recorded, row: KeyRow, made: KeyInfo, member: Member) -> ev.OperationSucceeded:
    intent = announced.event
    assert isinstance(intent, ev.OperationIntended)  # noqa: S101 - its caller announced it
    return ev.OperationSucceeded(
        intent=announced.seq,
        operation=Operation.REPLICATE,
        key_id=row.object_id,
        label=row.label,
        algorithm=Algorithm(row.algorithm),
        spki=row.spki,
        fingerprint=row.fingerprint,
        attributes=made.attributes,
        grade=grade(member.station.info),
        device=intent.device,
    )


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
