"""Copying keys between the devices of a workspace, by order of a quorum: one key, all that are missing, or healing.

Two devices first agree on a wrapping key that neither gives out (`share-wrapping-key`). Under it a key that may leave
its device goes from whichever device holds it to another one (`replicate-key`). `heal-device` brings everything that
is missing in a device back from the others, and lets it agree on wrapping keys where it shares none.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from hsm_console.domain.errors import ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.keys import Custody, Usage
from hsm_console.gateway import member_rows, projections
from hsm_console.gateway.core import Core
from hsm_console.gateway.fleet import Fleet, Place
from hsm_console.gateway.member_rows import PRIMARY
from hsm_console.gateway.ordering import Job, OrderKind, OrderStopped
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.services import copy_proof
from hsm_console.gateway.services.copying import Copying
from hsm_console.hsm.pool import Priority

ALL = "all"
SHARE, REPLICATE, HEAL = "share-wrapping-key", "replicate-key", "heal-device"
_DEVICE = f"the device's name; “{PRIMARY}” is the workspace's own token"


class Replicating:
    """Registers its three kinds of order; `settle` is run after each unlock."""

    def __init__(self, core: Core, fleet: Fleet) -> None:
        self._core = core
        self._fleet = fleet
        self._copying = Copying(core, fleet)
        self.settle = self._copying.settle

    def kinds(self) -> tuple[OrderKind, ...]:
        return (
            OrderKind(
                action=SHARE,
                title="Let two devices agree on a wrapping key",
                parameters={"device": _DEVICE, "with": "the other device's name; empty: the workspace's own token"},
                check=lambda given, _session: void(self._pair(given)),
                summary=lambda given: f"Let {_name(_other(given))} and “{given['device']}” agree on a wrapping key.",
                run=self._share,
                optional=("with",),
            ),
            OrderKind(
                action=REPLICATE,
                title="Copy a key to another device",
                parameters={
                    "key": f"the key's id, or “{ALL}” for every key that may leave and is missing there",
                    "device": _DEVICE,
                    "from": "the device that gives it; empty: whichever holds it",
                    "under": "id of the wrapping key that both hold; empty: the newest",
                },
                check=lambda given, _session: self._check_replicate(given),
                summary=_replicate_summary,
                run=self._replicate,
                optional=("from", "under"),
            ),
            OrderKind(
                action=HEAL,
                title="Bring back what a device has lost",
                parameters={"device": _DEVICE},
                check=lambda given, _session: void(self._device(given["device"])),
                summary=lambda given: (
                    f"Bring every key that may leave its device and is missing in {_name(given['device'])} back there "
                    "from whichever device holds it. Where two devices share no wrapping key, they agree on one."
                ),
                run=self._heal,
            ),
        )

    # -- who gives, who takes, under what -----------------------------------------------------------------------------

    def _device(self, name: str) -> Place:
        place = self._fleet.place(name)
        if place is None:
            raise _refused("device-unknown", f"There is no device “{name[:40]}” on the list.", "Add it first.")
        return place

    def _pair(self, given: dict[str, str]) -> tuple[Place, Place]:
        """(device, the other one). Raises InputError `device-unknown`, `device-twice`."""
        device, other = self._device(given["device"]), self._device(_other(given))
        if device is other:
            raise _refused("device-twice", "A device does not agree or copy with itself.", "Name two devices.")
        return device, other

    def _places(self, target: Place, given: dict[str, str]) -> list[Place]:
        """Devices that may give keys to this one, the workspace's own token first."""
        if given.get("from"):
            source = self._device(given["from"])
            if source is target:
                raise _refused("device-twice", "A device does not agree or copy with itself.", "Name two devices.")
            return [source]
        every: list[Place] = [self._fleet.primary, *self._fleet.members]
        return [place for place in every if place is not target]

    def _shared(self, one: Place, other: Place, wanted: str = "") -> list[bytes]:
        """The wrapping keys of both by the log's word (or the one that is wanted), the newest first."""
        with self._core.reading() as conn:
            both = member_rows.copies(conn, one.name) & member_rows.copies(conn, other.name)
            rows = [row for row in projections.keys(conn) if row.object_id in both]
        usable = (row for row in rows if Usage.WRAP in row.attributes.usages and row.state == "active")
        return [bytes.fromhex(row.object_id) for row in usable if wanted in ("", row.object_id)]

    def _check_replicate(self, given: dict[str, str]) -> None:
        target = self._device(given["device"])
        places = self._places(target, given)
        if not any(self._shared(place, target, given.get("under", "")) for place in places):
            raise _unshared([place.name for place in places], target.name)
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

    # -- carrying it out --------------------------------------------------------------------------------------------

    def _share(self, job: Job) -> dict[str, str]:
        key = self._copying.agree(job, *self._pair(job.order.parameters))
        return {"key": key.object_id.hex(), "label": key.label}

    def _replicate(self, job: Job) -> dict[str, str]:
        given = job.order.parameters
        target = self._device(given["device"])
        wanted = self._missing(target) if given["key"] == ALL else (self._row(given["key"]),)
        copied, nowhere = self._bring(job, target, wanted, agree=False)
        if nowhere and given["key"] != ALL:
            raise _no_source(wanted[0], target.name)
        there = len(wanted) - copied - len(nowhere)
        result = {"copied": str(copied), "were there": str(there), "device": target.name}
        return result | ({"held by no device that can give it": _told(nowhere)} if nowhere else {})

    def _heal(self, job: Job) -> dict[str, str]:
        target = self._device(job.order.parameters["device"])
        copied, nowhere = self._bring(job, target, self._missing(target), agree=True)
        result = {"brought back": str(copied), "device": target.name}
        return result | ({"held by no device that can give it": _told(nowhere)} if nowhere else {})

    def _bring(self, job: Job, target: Place, wanted: Sequence[KeyRow], *, agree: bool) -> tuple[int, list[KeyRow]]:
        """(how many were copied, those that no unlocked device can give). agree: make wrapping keys where none is."""
        copied, nowhere = 0, []
        unders: dict[str, bytes] = {}
        for number, row in enumerate(wanted):
            job.progress(number, len(wanted))
            if job.stopped():
                raise OrderStopped(f"{copied} of {len(wanted)} keys were copied.", {"copied": str(copied)})
            with self._fleet.moving:
                now = self._row(row.object_id)  # it may have been destroyed meanwhile
                self._require_copyable(now)
                source, under = self._source(job, target, now, unders, agree=agree)
                if source is None:
                    nowhere.append(now)
                else:
                    copied += self._copying.copy(job, source, target, under, now)
        job.progress(len(wanted), len(wanted))
        return copied, nowhere

    def _source(
        self, job: Job, target: Place, row: KeyRow, unders: dict[str, bytes], *, agree: bool
    ) -> tuple[Place | None, bytes]:
        """(the device that gives the key, the wrapping key). None: no unlocked device has both.

        unders: which wrapping key was found to lie in each device and in the target, in this run.
        """
        given = job.order.parameters
        able = [place for place in self._places(target, given) if given.get("from") or place.unlocked]
        holders = [place for place in able if place.holds((row.object_id,))]
        for place in holders:
            if place.name not in unders:
                shared = self._shared(place, target, given.get("under", ""))
                unders[place.name] = next((each for each in shared if _in_both(each, place, target)), b"")
            if unders[place.name]:
                return place, unders[place.name]
        if agree and holders:
            unders[holders[0].name] = self._copying.agree(job, target, holders[0]).object_id
            return holders[0], unders[holders[0].name]
        return None, b""

    def _missing(self, target: Place) -> tuple[KeyRow, ...]:
        """The keys that may be copied and are not in the target now, oldest first. Raises the device's errors."""
        there = {key.object_id.hex() for key in target.look()}
        with self._core.reading() as conn:
            rows = projections.keys(conn)
        found = []
        for row in reversed(rows):
            with suppress(PolicyRefusal):
                self._require_copyable(row)
                if row.state == "active" and not (row.object_id in there and target.holds((row.object_id,))):
                    found.append(row)
        return tuple(found)


def void(_value: object) -> None:
    """For a check whose answer nobody needs: it raises or it does not."""


def _in_both(wrapping: bytes, one: Place, other: Place) -> bool:
    """Whether neither has lost it. Raises the devices' errors."""
    return all(place.hsm(Priority.CEREMONY).find(object_id=wrapping) for place in (one, other))


def _other(given: dict[str, str]) -> str:
    return given.get("with", "") or PRIMARY


def _name(device: str) -> str:
    return "the workspace's token" if device == PRIMARY else f"“{device}”"


def _replicate_summary(given: dict[str, str]) -> str:
    what = "every key that may leave its device" if given["key"] == ALL else f"the key {given['key']}"
    where = _name(given["from"]) if given.get("from") else "whichever device holds it"
    return f"Copy {what} from {where} to {_name(given['device'])}, under a wrapping key of both."


def _told(rows: Sequence[KeyRow]) -> str:
    shown = ", ".join(f"“{row.label}”" for row in rows[:10])
    return shown if len(rows) <= 10 else f"{shown} and {len(rows) - 10} more"


def _unshared(sources: Sequence[str], target: str) -> InputError:
    what = f"{_name(target)} shares no such wrapping key with {' or '.join(_name(each) for each in sources)}."
    return _refused(
        "wrapping-key-missing",
        what[0].upper() + what[1:],
        f"Let them agree on one first, by an order “{SHARE}”.",
    )


def _no_source(row: KeyRow, target: str) -> InputError:
    return _refused(
        "copy-source-missing",
        f"No unlocked device that shares a wrapping key with {_name(target)} holds the key “{row.label}”.",
        "Unlock the device that holds it, compare the devices, or let the two agree on a wrapping key.",
    )


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
