"""Destroying a key by order, in every device that holds it: copies first, the workspace's own token last.

Every device is looked at before the first destruction; one that cannot be looked at stops the order unless the order
says that it is left. Each destruction is an operation of its own in the log and is tried once (invariants 1 and 7).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import NoReturn

from msgspec.structs import replace

from hsm_console.ceremony import recovery
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, DeviceError, EnvironmentFault, Problem
from hsm_console.domain.events import Draft, Operation, Recorded
from hsm_console.domain.keys import Grade, KeyInfo
from hsm_console.domain.messages import work as msg
from hsm_console.gateway import member_rows, projections
from hsm_console.gateway.core import Core
from hsm_console.gateway.fleet import Fleet
from hsm_console.gateway.member import Member
from hsm_console.gateway.member_rows import PRIMARY
from hsm_console.gateway.ordering import Job, OrderKind, OrderStopped
from hsm_console.gateway.services import key_parameters, work_keys
from hsm_console.gateway.services.key_parameters import refuse
from hsm_console.gateway.services.recorded import conclude, failure, perform
from hsm_console.gateway.services.work_keys import Held
from hsm_console.gateway.services.work_offers import title
from hsm_console.gateway.sessions import Session
from hsm_console.hsm.pool import Priority


class Destroying:
    """Registers the order `destroy-key`. settle: finds out what became of open intents in further devices."""

    def __init__(self, core: Core, fleet: Fleet, settle: Callable[[], None]) -> None:
        self._core = core
        self._fleet = fleet
        self._settle = settle

    def kind(self) -> OrderKind:
        return OrderKind(
            action=msg.DESTROY_KEY,
            title="Destroy a key",
            parameters=msg.ORDER_PARAMETERS[msg.DESTROY_KEY],
            check=self._check,
            check_new=self._check_names,
            summary=self._summary,
            run=self._run,
            irreversible=True,
            optional=("leave",),
        )

    def _summary(self, given: dict[str, str]) -> str:
        key = work_keys.find(self._core, given["key"])
        what = f"the key “{key.row.label}” ({title(key.algorithm)}, {key.row.object_id})"
        left = ", ".join(f"“{name}”" for name in _left(given))
        but = f" What is in {left} is left there." if left else ""
        return f"Destroy {what} for good, in every device that holds it.{but}"

    # -- before anything is destroyed -------------------------------------------------------------------------------

    def _check_names(self, given: dict[str, str], _session: Session) -> None:
        stranger = next((name for name in _left(given) if self._fleet.member(name) is None), "")
        if stranger:
            raise refuse("device-unknown", f"There is no further device “{stranger[:40]}”.", "Look at the devices.")

    def _check(self, given: dict[str, str], _session: Session) -> None:
        key_parameters.own(self._core, given["key"])
        self._require_unlocked(given)

    def _require_unlocked(self, given: dict[str, str]) -> None:
        """Nobody knows what lies in a locked device: a maker's own way may have brought a copy there."""
        locked = [member.name for member in self._asked(given) if not member.unlocked]
        if locked:
            raise EnvironmentFault(
                Problem(
                    code="device-locked",
                    what=f"A copy of the key may lie in a device that is locked: {', '.join(locked)}.",
                    key_state="Nothing was destroyed.",
                    todo="Unlock it first (or take it off the list). To destroy the key elsewhere only, ask anew and "
                    f"leave what is in {', '.join(locked)}: the custodians then sign that it is left there.",
                    contact="the administrator of the HSM",
                    details={"locked": ", ".join(locked)},
                )
            )

    def _asked(self, given: dict[str, str]) -> list[Member]:
        return [member for member in self._fleet.members if member.name not in _left(given)]

    def _holders(self, given: dict[str, str], key: Held) -> list[Member]:
        """Further devices that hold a copy now. Raises the devices' errors, and `copy-unclear`."""
        self._require_unlocked(given)
        return [member for member in self._asked(given) if self._holds(member, key)]

    def _holds(self, member: Member, key: Held) -> bool:
        found = member.look()
        with self._core.reading() as conn:
            copied = key.row.object_id in member_rows.copies(conn, member.name)
        under = [each for each in found if each.object_id == key.object_id]
        same = [each for each in found if key.spki and each.spki == key.spki]
        if all(_is_copy(each, key, copied) for each in under) and all(each in under for each in same):
            return bool(under)
        raise EnvironmentFault(
            Problem(
                code="copy-unclear",
                what=f"Whether the device “{member.name}” holds a copy of “{key.row.label}” cannot be said: it shows "
                "something else under the key's id, or the key under another id.",
                key_state="Nothing was destroyed.",
                todo="Compare the devices. What is there is destroyed with its maker's tools; or ask anew and leave "
                f"what is in “{member.name}”.",
                contact="the administrator of the HSM",
                details={"device": member.name, "key": key.row.object_id},
            )
        )

    # -- destroying -----------------------------------------------------------------------------------------------

    def _run(self, job: Job) -> dict[str, str]:
        with self._fleet.moving:  # no copy is made between the look and the last destruction
            return self._destroy(job)

    def _destroy(self, job: Job) -> dict[str, str]:
        core, given = self._core, job.order.parameters
        core.device.hsm()  # raises `device-locked`
        self._settle()  # what an earlier run left open
        key = key_parameters.own(core, given["key"])
        try:
            holders = self._holders(given, key)
        except ConsoleError as error:
            self._stop(job, f"{error.problem.what} Nothing was destroyed in this run.", ())
        still = [*(member.name for member in holders), PRIMARY]
        for number, member in enumerate(holders):
            job.progress(number, len(holders) + 1)
            if job.stopped():
                self._stop(job, "It was stopped between two devices.", still)
            try:
                self._in_member(job, member, key)
            except ConsoleError as error:
                self._stop(job, f"“{member.name}” ({error.problem.code}): {error.problem.what}", still)
            still.remove(member.name)
        job.progress(len(holders), len(holders) + 1)
        entry = self._in_primary(job, key, alone=not self._done(job))
        result = {"key": key.row.object_id, "entry": str(entry.seq), "destroyed in": ", ".join(self._done(job))}
        left = ", ".join(_left(given))
        return result | ({"left in": left} if left else {})

    def _done(self, job: Job) -> list[str]:
        """The devices in which this order has destroyed the key, in all its runs."""
        with self._core.reading() as conn:
            rows = projections.intents_of(conn, job.correlation)
        good = str(ev.OperationSucceeded.__struct_config__.tag)
        return [row.event.device or PRIMARY for row in rows if row.ending == good]

    def _stop(self, job: Job, why: str, still: Sequence[str]) -> NoReturn:
        """The run ends here and can be run again. still: where the key is, or may be."""
        done, there = ", ".join(self._done(job)) or "none", ", ".join(still) or "the others"
        text = f"{why} Destroyed in: {done}. It is, or may be, still in: {there}. Run the order again to go on."
        raise OrderStopped(text, {"destroyed in": done, "still in": there})

    def _in_primary(self, job: Job, key: Held, *, alone: bool) -> Recorded:
        """alone: no copy was destroyed before; then its failure is the order's."""
        core = self._core

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, None]:
            try:
                core.device.run("destroy", key.object_id)
            except DeviceError as error:
                if error.problem.code != "object-missing":  # lost before, or a wrapping key of two others: none is left
                    raise
            return work_keys.outcome(announced, key), None

        try:
            recorded, _ = perform(core, job.session, _intent(key), act, correlation=job.correlation, critical=True)
        except ConsoleError as error:
            if alone:
                raise
            core.device.failed(error)
            self._stop(job, f"{PRIMARY} ({error.problem.code}): {error.problem.what}", (PRIMARY,))
        return recorded

    def _in_member(self, job: Job, member: Member, key: Held) -> None:
        """One destruction. After a failure the device is looked at; when it cannot be, the intent stays open."""
        core, session = self._core, job.session
        draft = Draft(
            event=_intent(key, member.name), actor=session.actor, src=session.source, correlation=job.correlation
        )
        (announced,) = core.log.append([draft])
        member.forget((key.row.object_id,))  # nobody's call goes there from now on
        try:
            member.run("destroy", key.object_id, priority=Priority.CEREMONY)
        except ConsoleError as error:
            if not member.unlocked:
                raise  # the intent stays open: what is there now is found out at the next unlock
            found = member.run("find", object_id=key.object_id, priority=Priority.CEREMONY)
            if found and all(each.attributes.token is not None for each in found):
                conclude(core, session, announced, failure(announced, error), critical=True)
                raise
            ending = ended(announced, found)
            conclude(core, session, announced, ending, critical=True)
            if isinstance(ending, ev.OperationInterrupted):
                raise
            return
        done = replace(work_keys.outcome(announced, key), device=member.name)
        conclude(core, session, announced, done, critical=True)


def ended(announced: Recorded, found: tuple[KeyInfo, ...]) -> recovery.Ending:
    """How an announced destruction in a further device ended, by what is under the key's id there."""
    intent = announced.event
    assert isinstance(intent, ev.OperationIntended)  # noqa: S101 - its caller announced it
    ending = recovery.classify(announced, found, grade=Grade.D)  # a destruction has no grade
    return replace(ending, device=intent.device) if isinstance(ending, ev.OperationSucceeded) else ending


def _intent(key: Held, device: str = "") -> ev.OperationIntended:
    return ev.OperationIntended(
        operation=Operation.DESTROY,
        algorithm=key.algorithm,
        label=key.row.label,
        key_id=key.row.object_id,
        device=device,
    )


def _left(given: dict[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in given.get("leave", "").split(",") if name.strip()))


def _is_copy(found: KeyInfo, key: Held, copied: bool) -> bool:
    """copied: the log says that it was copied there; then half of it is a remainder of this very key."""
    if key.algorithm.is_pair and found.spki:
        return base64.b64encode(found.spki).decode() == key.row.spki
    return copied and found.algorithm is key.algorithm
