"""One key from one device to another under a wrapping key of both, and how two devices come to share such a key.

Either of the two may be the workspace's own token. A copy is announced before it is made, and counts only when it has
proven to be the key. What a crash left open is found out when both devices are unlocked again.
"""

from __future__ import annotations

import base64
from contextlib import suppress

from msgspec.structs import replace

from hsm_console.ceremony.steps import grade
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Draft, Operation, Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, KeyInfo, KeySpec, Usage
from hsm_console.gateway import member_rows, projections
from hsm_console.gateway.core import Core
from hsm_console.gateway.device_problems import other_keys
from hsm_console.gateway.fleet import Fleet, Place
from hsm_console.gateway.member_rows import PRIMARY
from hsm_console.gateway.ordering import Job
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.services import agreement, comparing, copy_proof, destroying
from hsm_console.gateway.services.recorded import conclude, failure, perform
from hsm_console.hsm.pool import Priority


class Copying:
    """Carried out for orders (`replicating`); `settle` is run after each unlock."""

    def __init__(self, core: Core, fleet: Fleet) -> None:
        self._core = core
        self._fleet = fleet

    def agree(self, job: Job, device: Place, other: Place) -> KeyInfo:
        """A new wrapping key in both, which neither gives out. Raises what the devices raise, `copy-not-same`."""
        core = self._core
        device, other = (other, device) if device.name == PRIMARY else (device, other)
        places = (other, device)
        intent = ev.OperationIntended(
            operation=Operation.AGREE,
            algorithm=Algorithm.AES_256,
            label=f"wrap {_between(device, other)} {job.order.id[-8:]}-{job.order.runs}",
            usages=(Usage.WRAP,),
            device=device.name,
            source=_source(other),
        )
        devices = (other.hsm(Priority.CEREMONY), device.hsm(Priority.CEREMONY))

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, KeyInfo]:
            made = agreement.agreed(announced, intent.label, devices)
            for place, key in zip(places, made.keys, strict=True):
                place.took(key)
            done = ev.OperationSucceeded(
                intent=announced.seq,
                operation=Operation.AGREE,
                key_id=made.keys[0].object_id.hex(),
                label=made.keys[0].label,
                algorithm=made.keys[0].algorithm,
                attributes=made.keys[0].attributes,
                grade=grade(other.station.info),
                device=intent.device,
                source=intent.source,
                kdf=made.kdf,
            )
            return done, made.keys[0]

        return perform(core, job.session, intent, act, correlation=job.correlation, critical=True)[1]

    def copy(self, job: Job, source: Place, target: Place, under: bytes, row: KeyRow) -> bool:
        """One key; False when it is there already. Raises `device-other-keys` when another one is in its place.

        The intent stays open when the target cannot be looked at afterwards.
        """
        core, wanted = self._core, bytes.fromhex(row.object_id)
        copy = target.hsm(Priority.CEREMONY)
        if self._there(target, row):
            return False
        intent = ev.OperationIntended(
            operation=Operation.REPLICATE,
            algorithm=Algorithm(row.algorithm),
            label=row.label,
            usages=row.attributes.usages,
            key_id=row.object_id,
            under=under.hex(),
            device=target.name,
            source=_source(source),
        )
        draft = Draft(event=intent, actor=job.session.actor, src=job.session.source, correlation=job.correlation)
        (announced,) = core.log.append([draft])
        try:
            made = copy.unwrap(under, _wrapped(source, under, wanted), _spec(row))
            self._prove(row, source, target)
        except ConsoleError as error:
            target.failed(error)
            source.failed(error)
            if target.unlocked and self._removed(target, row):
                conclude(core, job.session, announced, failure(announced, error))
            raise
        conclude(core, job.session, announced, _succeeded(announced, row, made, target), critical=True)
        target.took(made)
        return True

    def _there(self, target: Place, row: KeyRow) -> bool:
        """Whether the key itself lies in the target now. Raises VerificationFailed `device-other-keys`."""
        found = target.hsm(Priority.CEREMONY).find(object_id=bytes.fromhex(row.object_id))
        if not found:
            target.forget((row.object_id,))
            return False
        with self._core.reading() as conn:
            trusted = target.name == PRIMARY or row.object_id in member_rows.copies(conn, target.name)
        if len(found) > 1 or not comparing.same(found[0], row, trusted=trusted):
            raise other_keys(target.name, row.label, row.object_id)
        target.took(found[0])
        return True

    def _prove(self, row: KeyRow, source: Place, target: Place) -> None:
        copy = target.hsm(Priority.CEREMONY)
        found = copy.find(object_id=bytes.fromhex(row.object_id))
        if len(found) != 1 or found[0].spki != base64.b64decode(row.spki):
            raise copy_proof.different(row.label, "the device shows something else in its place")
        copy_proof.prove(row, source.hsm(Priority.CEREMONY), copy)

    @staticmethod
    def _removed(target: Place, row: KeyRow) -> bool:
        """Take away what a failed copy left. It was made by this very intent: the key itself is where it was."""
        try:
            copy = target.hsm(Priority.CEREMONY)
            if copy.find(object_id=bytes.fromhex(row.object_id)):
                copy.destroy(bytes.fromhex(row.object_id))
        except ConsoleError as error:
            target.failed(error)
            return False
        return True

    # -- after a crash ------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Find out what became of open intents between devices that are all unlocked now. Copies nothing."""
        if not self._core.device.unlocked:
            return
        with self._core.reading() as conn:
            waiting = [row for row in projections.open_intents(conn) if row.event.device]
        for row in waiting:
            target, source = self._fleet.place(row.event.device), self._fleet.place(row.event.source or PRIMARY)
            announced = self._core.log.read(row.seq)
            if target is None or source is None:
                gone = row.event.device if target is None else row.event.source
                self._end(announced, "partial", f"The device “{gone}” is on the list no more.")
            elif target.unlocked and source.unlocked:
                with suppress(ConsoleError):
                    self._settle_one(announced, row.event, source, target)

    def _settle_one(self, announced: Recorded, intent: ev.OperationIntended, source: Place, target: Place) -> None:
        hsm = target.hsm(Priority.CEREMONY)
        if intent.operation is Operation.AGREE:
            ids = [object_id(bytes.fromhex(announced.fingerprint), index) for index in range(3)]
            left = [i for each in (source.hsm(Priority.CEREMONY), hsm) for i in ids if each.find(object_id=i)]
            text = "Parts of the agreement are left in the devices; nothing uses them." if left else "Nothing is left."
            return self._end(announced, "partial" if left else "not-done", text)
        found = hsm.find(object_id=bytes.fromhex(intent.key_id))
        if intent.operation is Operation.DESTROY:
            ending = destroying.ended(announced, found)
            self._core.log.append([Draft(event=ending, correlation=announced.correlation, critical=True)])
            return None
        if not found:
            return self._end(announced, "not-done", f"“{target.name}” holds no copy of the key.")
        with self._core.reading() as conn:
            row = projections.key(conn, intent.key_id)
        try:
            if row is None:
                raise copy_proof.different(intent.label, "the log knows no such key")
            self._prove(row, source, target)
        except ConsoleError:
            if row is not None and self._removed(target, row):
                self._end(announced, "not-done", f"The copy in “{target.name}” was not whole and was removed.")
            return None
        (made,) = found
        done = replace(_succeeded(announced, row, made, target), recovered=True)
        self._core.log.append([Draft(event=done, correlation=announced.correlation, critical=True)])
        return target.took(made)

    def _end(self, announced: Recorded, found: str, text: str) -> None:
        intent = announced.event
        assert isinstance(intent, ev.OperationIntended)  # noqa: S101 - the projection says so
        event = ev.OperationInterrupted(intent=announced.seq, operation=intent.operation, found=found, text=text)  # type: ignore[arg-type]
        self._core.log.append([Draft(event=event, correlation=announced.correlation, critical=True)])


def _source(place: Place) -> str:
    return "" if place.name == PRIMARY else place.name


def _between(device: Place, other: Place) -> str:
    """For the label of a wrapping key; a label has 64 characters at most."""
    return device.name if other.name == PRIMARY else f"{device.name[:16]}+{other.name[:16]}"


def _wrapped(source: Place, under: bytes, wanted: bytes) -> bytes:
    try:
        return source.hsm(Priority.CEREMONY).wrap(under, wanted)
    except ConsoleError as error:
        if error.problem.code == "object-missing":
            source.forget((wanted.hex(),))  # the next copy is asked of another device
        raise


def _spec(row: KeyRow) -> KeySpec:
    return KeySpec(
        algorithm=Algorithm(row.algorithm),
        label=row.label,
        object_id=bytes.fromhex(row.object_id),
        usages=row.attributes.usages,
        extractable=True,
        spki=base64.b64decode(row.spki),
    )


def _succeeded(announced: Recorded, row: KeyRow, made: KeyInfo, target: Place) -> ev.OperationSucceeded:
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
        grade=grade(target.station.info),
        device=intent.device,
        source=intent.source,
    )
