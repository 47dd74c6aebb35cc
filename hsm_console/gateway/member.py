"""A further device: its own PIN, its own worker and queue, and the keys that were read back from it.

Nothing of it is trusted by name. Its serial is held to the one that the log knows, and a key is used in it only when
the public key that it tells is the one of the log (a secret key: when the log says that it was copied there).
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.keys import KeyInfo
from hsm_console.domain.people import Actor
from hsm_console.domain.secret import Secret
from hsm_console.gateway.device import DOWN
from hsm_console.gateway.device_problems import down, other_keys, wrong_serial
from hsm_console.gateway.member_rows import MemberRow
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.station import Opener, Station
from hsm_console.hsm.breaker import Change
from hsm_console.hsm.health import Health, Status
from hsm_console.hsm.pool import Priority
from hsm_console.hsm.port import Binding, Hsm
from hsm_console.policy.environment import Environment, check_token

Append = Callable[[list[Draft]], object]
Known = Callable[[str], tuple[Mapping[str, KeyRow], frozenset[str]]]
"""For a device's name: the keys of the log by id, and the ids of those that were copied to it."""
_NOT_THIS_ONE = ("token-", "module-", "device-other", "device-not-started")
_LOCKED = (*DOWN, "not-logged-in")


class Member:
    """Thread-safe. append: writes the log; note: the same, and never raises; known: what the log says of keys."""

    def __init__(
        self,
        row: MemberRow,
        binding: Binding,
        environment: Environment,
        *,
        opener: Opener,
        append: Append,
        note: Append,
        known: Known,
    ) -> None:
        self.row = row
        self.name, self.region, self.weight = row.name, row.region, row.weight
        self._environment = environment
        self._append, self._noting, self._known = append, note, known
        self._lock = threading.RLock()
        self._told = "locked"
        self._refused = 0
        self.unlocked = False
        self.problem: Problem | None = None
        self.keys: dict[str, KeyInfo] = {}
        self.station = Station(
            binding, opener, on_end=self._ended, on_change=self._changed, on_breaker=self._breaker_moved
        )

    # -- for routing ----------------------------------------------------------------------------------------------

    @property
    def health(self) -> Health:
        return self.station.health

    @property
    def lanes(self) -> int:
        pool = self.station.pool
        return pool.lanes if pool is not None else 1

    def holds(self, ids: tuple[str, ...]) -> bool:
        """Whether every one of these keys was read back here as the log knows it."""
        return all(each in self.keys for each in ids)

    def forget(self, ids: tuple[str, ...]) -> None:
        """A key was not found here after all."""
        for each in ids:
            self.keys.pop(each, None)

    def run(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Any:
        """One call of the port by its name. Raises what the call raises, and `device-locked`."""
        try:
            return getattr(self.hsm(priority), method)(*arguments, **named)
        except ConsoleError as error:
            self.failed(error)
            raise

    def hsm(self, priority: Priority) -> Hsm:
        """Its calls, each waiting its turn. Raises EnvironmentFault `device-locked`, or why it is.

        No call waits for a new worker: without one the device is locked, and another device can answer at once.
        """
        if self.unlocked and not self.station.alive:
            self._ended()
        if not self.unlocked:
            raise EnvironmentFault(
                self.problem
                or Problem(
                    code="device-locked",
                    what=f"The device “{self.name}” is locked.",
                    todo="Somebody whom policy names unlocks it with its own PIN.",
                )
            )
        return self.station.hsm(priority)

    # -- for people -----------------------------------------------------------------------------------------------

    def probe(self, *, by_person: bool = False) -> None:
        """Look who is there, without a PIN. An absent device is a state, not an error."""
        try:
            self._check_serial(by_person=by_person)
        except ConsoleError as error:
            self.problem = error.problem
            self.failed(error)
        else:
            if not self.unlocked:
                self.problem = None
        self.note()

    def _check_serial(self, *, by_person: bool) -> None:
        info = self.station.describe(by_person=by_person)
        if info.serial != self.row.serial:
            raise wrong_serial(self.row.serial, info.serial, self.name)

    def unlock(self, actor: Actor, pin: Secret, source: str = "") -> None:
        """Open it with its own PIN. Never retried. Every refusal is recorded.

        Raises the device's errors, `token-wrong-serial`, `simulated-token-refused`, `device-other-keys`.
        """
        with self._lock:
            if self.unlocked:
                return
            try:
                found = self._admit(pin)
            except ConsoleError as error:
                self.problem = error.problem if error.problem.code != "pin-incorrect" else None
                text = f"Device “{self.name}”: {error.problem.what}"
                event = ev.DeviceUnlockRefused(
                    reason=error.problem.code, text=text, ckr=error.problem.details.get("ckr", "")
                )
                self._append([Draft(event=event, actor=actor, src=source, critical=True)])
                with suppress(ConsoleError):
                    self.station.describe()  # how many tries are left is told by the token's flags
                raise
            opened = ev.MemberUnlocked(name=self.name, serial=self.row.serial, lanes=self.lanes)
            try:
                self._append([Draft(event=opened, actor=actor, src=source)])
            except BaseException:
                self._log_out()
                raise
            self.keys, self.problem, self.unlocked = found, None, True
            self._told = "up"
        self.note()

    def _admit(self, pin: Secret) -> dict[str, KeyInfo]:
        self._check_serial(by_person=True)
        info = self.station.info
        check_token(self._environment, simulated=info is not None and info.simulated)
        hsm = self.station.hsm(Priority.CEREMONY)
        hsm.log_in(pin)
        try:
            return self._held(hsm.find(), strict=True)
        except BaseException:
            self._log_out()
            raise

    def _log_out(self) -> None:
        if self.station.alive:
            with suppress(ConsoleError):
                self.station.hsm(Priority.CEREMONY).log_out()

    def look(self) -> tuple[KeyInfo, ...]:
        """Every key in it now; what may be used of them is known anew. Raises the device's errors."""
        found: tuple[KeyInfo, ...] = self.run("find", priority=Priority.BULK)
        self.keys = self._held(found, strict=False)
        return found

    def _held(self, found: tuple[KeyInfo, ...], *, strict: bool) -> dict[str, KeyInfo]:
        """The keys that are those of the log. strict: another key under an id of the log is refused."""
        mine: dict[str, KeyInfo] = {}
        inventory, copied = self._known(self.name)
        for key in found:
            wanted = inventory.get(key.object_id.hex())
            if wanted is None or wanted.state != "active":
                continue
            same = key.algorithm.value == wanted.algorithm
            if key.algorithm.is_pair:
                same = same and key.spki == base64.b64decode(wanted.spki)
                if strict and not same and key.spki:
                    raise other_keys(self.name, wanted.label, wanted.object_id)
            elif wanted.object_id not in copied:
                same = False  # a secret key tells nothing by which it could be known
            if same and key.attributes.token is not None:
                mine[wanted.object_id] = key
        return mine

    def took(self, key: KeyInfo) -> None:
        """A key was copied here and read back."""
        self.keys[key.object_id.hex()] = key

    def lock(self, actor: Actor | None, source: str = "") -> None:
        """Log out. actor None: the gateway stops, and says so itself."""
        with self._lock:
            if not self.unlocked:
                return
            self.unlocked, self.keys = False, {}
            self._log_out()
            if actor is not None:
                self._record("locked", "locked", f"{actor.name} locked it", actor, source)

    def close(self) -> None:
        """End the worker. Never raises."""
        self.lock(None)
        self.station.close()

    # -- its state in the log: one entry a change -------------------------------------------------------------------

    @property
    def state(self) -> str:
        """up, degraded, down, latched; `locked` where it answers and waits for its PIN."""
        absent = self.problem is not None and self.problem.code.startswith(_NOT_THIS_ONE)
        if self.station.pool is None or (absent and not self.unlocked):
            return Health.DOWN
        health = self.station.health
        return "locked" if health is Health.UP and not self.unlocked else health.value

    def failed(self, error: ConsoleError) -> None:
        """A call failed: when the login is gone, the device is locked and the log says so once."""
        with self._lock:
            station = self.station
            if not self.unlocked or (error.problem.code not in _LOCKED and station.alive):
                return
            if station.alive and station.logged_in:
                return  # it speaks of a worker before this one
            self.unlocked, self.keys = False, {}
            self.problem = down(error.problem)
            self._record(Health.DOWN, error.problem.code, error.problem.what)

    def note(self) -> None:
        """Write the state down when it is another one than the last that was written."""
        with self._lock:
            problem = self.problem
            status = self.station.pool.status if self.station.pool is not None else None
            if status is not None and status.problem is not None:
                problem = status.problem
            self._record(self.state, problem.code if problem else "", problem.what if problem else "")

    def _record(self, state: str, reason: str, text: str, actor: Actor | None = None, source: str = "") -> None:
        was, self._told = self._told, state
        if was == state:
            return
        event = ev.MemberChanged(
            name=self.name,
            serial=self.row.serial,
            state=state,
            was=was,
            reason=reason,
            text=text,
            refused=self._refused,
        )
        self._refused = 0
        self._noting([Draft(event=event, actor=actor, src=source)])

    def tick(self) -> None:
        """Once a second: a login that is gone, a worker that is back."""
        if self.unlocked and not self.station.logged_in:
            self._ended()
        elif self.station.pool is not None:
            self.note()

    def _ended(self) -> None:
        self.failed(
            EnvironmentFault(
                Problem(
                    code="device-crashed",
                    what=f"The process that talks to the device “{self.name}” has ended, or its login is gone.",
                    todo="Unlock the device again.",
                )
            )
        )

    def _changed(self, _status: Status) -> None:
        self.note()

    def _breaker_moved(self, change: Change) -> None:
        self._refused += change.refused
