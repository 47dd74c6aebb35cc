"""Several devices as one: who may answer a call, in which order they are asked, and what is never moved.

Only what may be repeated goes to another device, and only to one in which the very same key was read back. Making
keys, logging in and destroying stay where they were asked (invariant 7).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.keys import KeyInfo
from hsm_console.gateway import member_rows, projections
from hsm_console.gateway.core import Core
from hsm_console.gateway.device import Device
from hsm_console.gateway.member import Member
from hsm_console.gateway.member_rows import PRIMARY, MemberRow
from hsm_console.gateway.station import Station
from hsm_console.hsm.breaker import Change
from hsm_console.hsm.health import Health, Status
from hsm_console.hsm.pool import Priority
from hsm_console.hsm.port import Hsm

# Of a call of the port: which of its arguments name keys. What is not here is asked of the first device only.
KEYS_OF = {
    "sign": (0,), "verify": (0,), "encrypt": (0,), "decrypt": (0,), "derive": (0,), "oaep_decrypt": (0,),
    "decapsulate": (0,), "attributes": (0,), "wrap": (0, 1), "random": (),
}  # fmt: skip
# What another device may not share. A wrong signature, a refused template or a missing usage would be the same there.
ELSEWHERE = frozenset(
    {"device-busy", "device-failed", "device-hung", "device-crashed", "device-removed", "device-closed",
     "device-resting", "device-latched", "device-locked", "device-not-started", "session-lost", "not-logged-in",
     "token-missing", "object-missing", "worker-closed"}
)  # fmt: skip
_RANKS = {Health.UP: 0, Health.DEGRADED: 1, Health.DOWN: 2, Health.LATCHED: 3}


class Place(Protocol):
    """A device that calls can go to."""

    name: str
    region: str
    weight: int

    @property
    def unlocked(self) -> bool: ...
    @property
    def health(self) -> Health: ...
    @property
    def lanes(self) -> int: ...
    @property
    def station(self) -> Station: ...
    def holds(self, ids: tuple[str, ...]) -> bool: ...
    def forget(self, ids: tuple[str, ...]) -> None: ...
    def took(self, key: KeyInfo) -> None: ...
    def look(self) -> tuple[KeyInfo, ...]: ...
    def hsm(self, priority: Priority) -> Hsm: ...
    def failed(self, error: ConsoleError) -> None: ...
    def run(self, method: str, *arguments: Any, priority: Priority, **named: Any) -> Any: ...


class Primary:
    """The workspace's own token among the others. It holds what the log says, by the founding and by each intent,
    until it was asked for a key and did not find it."""

    name = PRIMARY

    def __init__(self, device: Device, region: str) -> None:
        self._device = device
        self._lost: set[str] = set()
        self.region, self.weight = region, 1

    @property
    def unlocked(self) -> bool:
        return self._device.unlocked

    @property
    def health(self) -> Health:
        return self.station.health

    @property
    def lanes(self) -> int:
        pool = self.station.pool
        return pool.lanes if pool is not None else 1

    @property
    def station(self) -> Station:
        return self._device.station

    def holds(self, ids: tuple[str, ...]) -> bool:
        return self._lost.isdisjoint(ids)

    def forget(self, ids: tuple[str, ...]) -> None:
        """A key was not found here: it is asked of the others first, until somebody has looked again."""
        self._lost.update(ids)

    def took(self, key: KeyInfo) -> None:
        """A key was brought back here and read back."""
        self._lost.discard(key.object_id.hex())

    def look(self) -> tuple[KeyInfo, ...]:
        """Every key in it now. Raises the device's errors."""
        found: tuple[KeyInfo, ...] = self._device.run_here("find", priority=Priority.BULK)
        self._lost.difference_update(key.object_id.hex() for key in found)
        return found

    def hsm(self, priority: Priority) -> Hsm:  # noqa: ARG002 - what is asked of it by name goes before other work
        """Its calls, each waiting its turn. Raises EnvironmentFault `device-locked`."""
        return self._device.hsm()

    def failed(self, error: ConsoleError) -> None:
        self._device.failed(error)

    def run(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Any:
        return self._device.run_here(method, *arguments, priority=priority, **named)


class Shares:
    """Whose turn it is: each device gets calls in proportion to its weight, a busy one less. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passes: dict[str, float] = {}
        self._under_way: dict[str, int] = {}

    def order(self, places: Sequence[Place], region: str) -> list[Place]:
        """The order in which these are asked: health, region, weight 0 last, then whose turn it is."""
        with self._lock:
            least = max((self._passes.get(place.name, 0.0) for place in places), default=0.0) - 1.0
            for place in places:  # who was away does not get everything until it has caught up
                self._passes[place.name] = max(self._passes.get(place.name, least), least)
            return sorted(places, key=lambda place: self._rank(place, region))

    def _rank(self, place: Place, region: str) -> tuple[Any, ...]:
        far = bool(region) and place.region != region
        crowd = self._under_way.get(place.name, 0) // max(1, place.lanes)
        return _RANKS[place.health], far, place.weight <= 0, crowd, self._passes[place.name], place.name

    def begin(self, place: Place) -> None:
        with self._lock:
            self._passes[place.name] = self._passes.get(place.name, 0.0) + 1 / max(1, place.weight)
            self._under_way[place.name] = self._under_way.get(place.name, 0) + 1

    def end(self, place: Place) -> None:
        with self._lock:
            self._under_way[place.name] -= 1


class Fleet:
    """The devices of a workspace. Made once, in `compose`; `start` looks at them in the background."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.region = core.file.region
        self.primary = Primary(core.device, self.region)
        self.moving = threading.Lock()
        """Held while a key is copied, and while one is destroyed wherever it lies: not both at once."""
        self._members: dict[str, Member] = {}
        self._shares = Shares()
        self._served = threading.local()
        self._lock = threading.Lock()
        self._told = Health.UP
        self._refused = 0
        with core.reading() as conn:
            rows = member_rows.members(conn)
        for row in rows:
            self._members[row.name] = self.made(row)
        self._write_down()
        core.device.router, core.device.served_by = self.route, self.served_by
        core.device.elsewhere = lambda: any(member.unlocked for member in self.members)
        core.device.on_health, core.device.on_breaker = self._primary_changed, self._primary_moved

    # -- who there is ---------------------------------------------------------------------------------------------

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(self._members.values())

    def member(self, name: str) -> Member | None:
        return self._members.get(name)

    def place(self, name: str) -> Place | None:
        return self.primary if name == PRIMARY else self._members.get(name)

    def made(self, row: MemberRow) -> Member:
        """A device of this row, not on the list yet."""
        core = self.core
        return Member(
            row,
            core.home.member_binding(row.table()),
            core.environment,
            opener=core.device.opener,
            append=core.log.append,
            note=self._append,
            known=self._known,
        )

    def join(self, member: Member) -> None:
        self._members[member.name] = member
        self._write_down()

    def leave(self, name: str) -> Member:
        member = self._members.pop(name)
        self._write_down()
        return member

    def _write_down(self) -> None:
        """workspace.toml gets a copy of the list; the log is what counts."""
        core = self.core
        tables = tuple(member.row.table() for member in self._members.values())
        file = core.home.load()
        if file.devices != tables:
            core.home.save(msgspec.structs.replace(file, devices=tables))

    def _known(self, name: str) -> tuple[dict[str, projections.KeyRow], frozenset[str]]:
        with self.core.reading() as conn:
            copying = {row.event.key_id for row in projections.open_intents(conn) if row.event.device == name}
            keys = {row.object_id: row for row in projections.keys(conn) if row.object_id not in copying}
            return keys, member_rows.copies(conn, name)

    def _append(self, drafts: list[Draft]) -> None:
        """For threads that nobody waits for: a log that takes nothing is told elsewhere."""
        try:
            self.core.log.append(drafts)
        except ConsoleError as error:
            self.core.incidents.note("fleet: an entry could not be written", error)

    # -- routing --------------------------------------------------------------------------------------------------

    def route(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any], priority: Priority) -> Any:
        """One call, on the first device that can answer it. Raises what the last one raised, and who was asked."""
        self._served.name = ""
        ids = keys_of(method, arguments, named)
        places = self._candidates(ids) if ids is not None else []
        if len(places) < 2 and (not places or places[0] is self.primary):
            return self.core.device.run_here(method, *arguments, priority=priority, **named)
        return self._ask(places, ids or (), lambda place: place.run(method, *arguments, priority=priority, **named))

    def _candidates(self, ids: tuple[str, ...]) -> list[Place]:
        every: list[Place] = [self.primary, *self._members.values()]
        able = [place for place in every if place.unlocked and place.holds(ids)]
        return self._shares.order(able, self.region) if len(able) > 1 else able

    def _ask(self, places: list[Place], ids: tuple[str, ...], act: Callable[[Place], Any]) -> Any:
        asked: list[str] = []
        for place in places:
            self._shares.begin(place)
            try:
                answer = act(place)
            except ConsoleError as error:
                code = error.problem.code
                asked.append(f"{place.name}: {code}")
                if code == "object-missing":
                    place.forget(ids)
                if code not in ELSEWHERE or place is places[-1]:
                    raise told(error, asked) from error
            else:
                self._served.name = "" if place is self.primary else place.name
                return answer
            finally:
                self._shares.end(place)
        raise AssertionError("no device was asked")  # pragma: no cover - places is never empty

    def served_by(self) -> str:
        """Which further device answered this thread's last call; empty: the workspace's own token. Told once."""
        name, self._served.name = str(getattr(self._served, "name", "")), ""
        return name

    # -- the primary's state in the log: one entry a change ---------------------------------------------------------

    def _primary_changed(self, status: Status) -> None:
        with self._lock:
            was, self._told, refused = self._told, status.health, self._refused
            self._refused = 0
        if was is status.health:
            return
        problem, info = status.problem, self.core.device.info
        self._append(
            [
                Draft(
                    event=ev.MemberChanged(
                        name=PRIMARY,
                        serial=info.serial if info else "",
                        state=status.health.value,
                        was=was.value,
                        reason=problem.code if problem else "",
                        text=problem.what if problem else "",
                        refused=refused,
                    )
                )
            ]
        )

    def _primary_moved(self, change: Change) -> None:
        with self._lock:
            self._refused += change.refused

    # -- its life -------------------------------------------------------------------------------------------------

    def problems(self) -> tuple[Problem, ...]:
        """What everybody is to know: fewer devices work than the environment asks for."""
        least = self.core.environment.devices.least
        places: list[Place] = [self.primary, *self.members]
        able = [place.name for place in places if place.unlocked and place.health in (Health.UP, Health.DEGRADED)]
        if least < 2 or len(able) >= least:
            return ()
        return (
            Problem(
                code="devices-too-few",
                what=f"Of the {least} devices that should be unlocked, {len(able)} are: {', '.join(able) or 'none'}.",
                key_state="No key was touched. One more failure stops the work with keys.",
                todo="Unlock or repair the others (page “Modules”, or `hsm-console device list`).",
                contact="the administrator of the HSM",
            ),
        )

    def start(self) -> None:
        """Look at every device, in the background."""
        for member in self.members:
            threading.Thread(target=member.probe, name=f"probe-{member.name}", daemon=True).start()

    def tick(self) -> None:
        for member in self.members:
            member.tick()

    def close(self) -> None:
        """End every worker. Never raises."""
        for member in self.members:
            member.close()


def keys_of(method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[str, ...] | None:
    """Hex CKA_IDs that a call names; None for a call that is not moved."""
    places = KEYS_OF.get(method)
    if places is None:
        return None
    names = {0: "wrapping_id" if method == "wrap" else "object_id", 1: "object_id"}
    return tuple((arguments[at] if at < len(arguments) else named[names[at]]).hex() for at in places)


def told(error: ConsoleError, asked: list[str]) -> ConsoleError:
    """The same failure with who was asked, where it was more than one."""
    if len(asked) < 2:
        return error
    details = {**error.problem.details, "asked": "; ".join(asked)}
    return type(error)(msgspec.structs.replace(error.problem, details=details))
