"""The token of this workspace: unlocked by a person's PIN, held to what the log says, locked again when it fails.

What a device may do before it is trusted: say its serial, take a PIN, show the head of the log that was written into
it. Only when that head lies within this log are the log key and the other keys used (AUDIT 5; enemies B and D).
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hsm_console.audit import anchors, tree
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.log import AuditLog
from hsm_console.domain import events as ev
from hsm_console.domain.errors import (
    ConsoleError,
    DeviceError,
    EnvironmentFault,
    Problem,
)
from hsm_console.domain.events import Draft
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.messages.session import DeviceState
from hsm_console.domain.people import Actor
from hsm_console.domain.secret import Secret
from hsm_console.gateway.device_problems import down, other_history, wrong_serial
from hsm_console.gateway.log_key import LogSigner, check_held
from hsm_console.gateway.projections import KeyRow
from hsm_console.gateway.station import Opener, Station
from hsm_console.hsm.breaker import Change
from hsm_console.hsm.pool import Priority, Status
from hsm_console.hsm.port import Binding, DataObject, Hsm, Unsupported
from hsm_console.policy.environment import Environment, check_token

ANCHOR_SECONDS = 10.0
Router = Callable[[str, tuple[Any, ...], dict[str, Any], Priority], Any]
ABSENT = ("token-missing", "module-")  # what is over when the token answers again
DOWN = ("device-crashed", "device-hung", "device-removed", "device-closed", "worker-closed")


class Device:
    """The one token. Thread-safe. opener: makes the worker's client; recover: run once after each unlock."""

    def __init__(
        self, binding: Binding, log: AuditLog, environment: Environment, log_key: KeyRow, *, opener: Opener
    ) -> None:
        self._binding = binding
        self.opener = opener
        self._log = log
        self._environment = environment
        self._log_key = log_key
        self._lock = threading.RLock()
        self.station = Station(
            binding, opener, on_end=self._ended, on_change=self._changed, on_breaker=self._breaker_moved
        )
        self._info: DeviceInfo | None = None
        self._problem: Problem | None = None
        self._unlocked = False
        self._anchored = -1
        self._holds_heads = True
        self._anchor_due = 0.0
        self._busy = ""
        self.recover: Callable[[], None] = lambda: None
        self.on_lock: Callable[..., None] = lambda **_: None  # ending: nothing is logged any more
        self.on_health: Callable[[Status], None] = lambda _: None
        self.on_breaker: Callable[[Change], None] = lambda _: None
        self.router: Router | None = None  # set when there are more devices than this one
        self.elsewhere: Callable[[], bool] = lambda: False  # whether one of those is unlocked
        self.served_by: Callable[[], str] = lambda: ""  # which of those answered this thread's last call

    @property
    def unlocked(self) -> bool:
        return self._unlocked

    @property
    def info(self) -> DeviceInfo | None:
        return self._info

    def state(self) -> DeviceState:
        return DeviceState(unlocked=self._unlocked, device=self._info, problem=self._problem, busy_with=self._busy)

    def hsm(self) -> Hsm:
        """The unlocked token; its calls go before others. Raises EnvironmentFault `device-locked`."""
        return self._calls(Priority.CEREMONY)

    def _calls(self, priority: Priority) -> Hsm:
        if self._unlocked and not self.station.alive:
            self._ended()  # no call waits for a new worker: it would be locked
        if not self._unlocked:
            raise EnvironmentFault(
                self._problem
                or Problem(
                    code="device-locked",
                    what="The HSM is locked.",
                    todo="Somebody whom policy names unlocks it with the PIN, then do the step again.",
                )
            )
        return self.station.hsm(priority)

    def run(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Any:
        """One call of the port by its name, outside a ceremony. Raises what the call raises, and `device-locked`.

        What may be repeated goes to any device that holds the key, and to another one when that one fails.
        """
        if self.router is not None:
            return self.router(method, arguments, named, priority)
        return self.run_here(method, *arguments, priority=priority, **named)

    def require_open(self) -> None:
        """Raises EnvironmentFault `device-locked` unless this device or a further one is unlocked."""
        if not self.elsewhere():
            self._calls(Priority.SIGNING)

    def run_here(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Any:
        """The same on this very device."""
        try:
            return getattr(self._calls(priority), method)(*arguments, **named)
        except ConsoleError as error:
            self.failed(error)
            raise

    def look(self) -> DeviceState:
        """The state with what the token says of itself now, its PIN flags above all. Never waits for a busy device."""
        if self._unlocked and not self.station.alive:
            self.tick()  # the worker is gone: that is told before a new one is asked
        elif not self._busy and not self._crowded() and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self.state()

    def _crowded(self) -> bool:
        pool = self.station.pool
        return pool is not None and pool.status.waiting > 4 * pool.lanes

    def _look(self) -> None:
        try:
            self._info = self.station.describe()
        except ConsoleError as error:
            self.failed(error)
            if not self._unlocked:
                self._problem = error.problem
            return
        if self._problem is not None and self._problem.code.startswith(ABSENT):
            self._problem = None

    def probe(self) -> None:
        """At the start: look who is there, without a PIN. A missing token is a state, not a failure to start."""
        with self._lock:
            try:
                self._info = self.station.describe()
                self._problem = None
            except ConsoleError as error:
                self._problem = error.problem

    def unlock(self, actor: Actor | None, pin: Secret, source: str = "") -> DeviceState:
        """Open the token with a PIN. Never retried. Every refusal is recorded. actor None: the owner of the folder.

        Raises the device's errors (pin-incorrect, pin-locked, …), `token-wrong-serial`, `simulated-token-refused`,
        and VerificationFailed: `log-key-lost`, `log-key-foreign` when it cannot go on with this log, `log-rolled-back`
        or `log-forked` when it remembers another history.
        """
        with self._lock:
            if self._unlocked:
                return self.state()
            try:
                self._admit(pin)
            except ConsoleError as error:
                self._refused(actor, source, error)
                self._recount()
                raise
            self._log.append([Draft(event=ev.DeviceUnlocked(device=self._known()), actor=actor, src=source)])
            self._begin()
        self.recover()
        self._log.checkpoint()
        self.anchor()
        return self.state()

    def _admit(self, pin: Secret) -> None:
        self._info = self.station.describe(by_person=True)
        hsm = self.station.hsm(Priority.CEREMONY)
        if self._binding.serial and self._info.serial != self._binding.serial:
            raise wrong_serial(self._binding.serial, self._info.serial)
        check_token(self._environment, simulated=self._info.simulated)
        hsm.log_in(pin)
        try:
            check_held(hsm, bytes.fromhex(self._log_key.object_id), _der(self._log_key))
            self._check_head(hsm)
        except BaseException:
            hsm.log_out()
            raise

    def _begin(self) -> None:
        hsm = self.station.hsm(Priority.CEREMONY)
        signer = LogSigner(self.station.hsm(Priority.LOG), bytes.fromhex(self._log_key.object_id), _der(self._log_key))
        try:
            self._log.set_signer(signer)
        except ConsoleError:
            hsm.log_out()
            raise
        self._unlocked, self._problem = True, None

    def _refused(self, actor: Actor | None, source: str, error: ConsoleError) -> None:
        self._problem = error.problem if error.problem.code not in ("pin-incorrect",) else None
        with suppress(ConsoleError):
            self._info = self.station.describe()  # how many tries are left is told by the token's flags
        event = ev.DeviceUnlockRefused(
            reason=error.problem.code, text=error.problem.what, ckr=error.problem.details.get("ckr", "")
        )
        self._log.append([Draft(event=event, actor=actor, src=source, critical=True)])

    def _recount(self) -> None:
        """After a refused PIN the token counts anew: few attempts left are told before the next one."""
        with suppress(ConsoleError):
            self._info = self.station.describe()

    def _known(self) -> DeviceInfo:
        if self._info is None:
            raise EnvironmentFault(Problem(code="token-missing", what="No token is there.", todo="Connect it."))
        return self._info

    def _check_head(self, hsm: Hsm) -> None:
        """The head that the token remembers must lie within this log (enemies B and D)."""
        label = anchors.head_label(self._log.chain_uid)
        try:
            found = hsm.read_data(anchors.APPLICATION, label)
        except Unsupported:  # this kind of device holds no data: other anchors stand for it
            self._holds_heads = False
            return
        for item in found:
            head = anchors.decode_head(item.value)
            if head.size > self._log.size:
                raise other_history(
                    "log-rolled-back",
                    f"ROLLED-BACK: the token remembers {head.size} entries, but this log has {self._log.size}.",
                )
            if tree.subtree(self._log.nodes(), 0, head.size) != head.root:
                raise other_history(
                    "log-forked", f"FORK: the first {head.size} entries are not those the token remembers."
                )

    @property
    def anchored(self) -> int:
        """Size of the head that this run wrote into the token; -1: none yet."""
        return self._anchored

    def public_head(self) -> bytes | None:
        """The head that the token remembers, asked without a PIN (the object is public). Raises the device's errors."""
        with self._lock, suppress(Unsupported):
            found = self.station.hsm(Priority.SIGNING).read_data(
                anchors.APPLICATION, anchors.head_label(self._log.chain_uid)
            )
            return found[-1].value if found else None
        return None

    def token_head(self) -> bytes | None:
        """The head that the token remembers, for the verifier; None while it cannot be read."""
        if not self._unlocked:
            return None
        try:
            found = self.hsm().read_data(anchors.APPLICATION, anchors.head_label(self._log.chain_uid))
        except ConsoleError as error:
            self.failed(error)
            return None
        return found[-1].value if found else None

    def lock(self, actor: Actor | None, source: str = "") -> DeviceState:
        """Lock the token: last checkpoint, head into the token, log out. actor None: the gateway stops."""
        with self._lock:
            if not self._unlocked:
                return self.state()
            if actor is not None:
                event = ev.DeviceDown(reason="locked", text=f"{actor.name} locked the device.")
                self._log.append([Draft(event=event, actor=actor, src=source)])
            self.on_lock(ending=actor is None)
            with suppress(ConsoleError):
                self._log.checkpoint()
                self.anchor()
            self._end()
            return self.state()

    def withdraw(self, error: ConsoleError) -> None:
        """Lock the token again: it was unlocked, and the rules cannot be kept with it. The log says why."""
        with self._lock:
            if not self._unlocked:
                return
            self._problem = error.problem
            self._log.append([Draft(event=ev.DeviceDown(reason=error.problem.code, text=error.problem.what))])
            self.on_lock(ending=False)
            with suppress(ConsoleError):
                self._log.checkpoint()
            self._end()

    def _end(self) -> None:
        self._log.set_signer(None)
        self._unlocked = False
        if self.station.alive:
            with suppress(ConsoleError):
                self.station.hsm(Priority.CEREMONY).log_out()

    def anchor(self) -> None:
        """Write the newest signed head into the token (AUDIT 5.1). Raises the device's errors."""
        size = self._log.signed_size
        if not self._unlocked or not self._holds_heads or size == self._anchored or not self._log.last_checkpoint:
            return
        head = parse_note(self._log.last_checkpoint).checkpoint
        value = anchors.encode_head(head, time.time_ns() // 1_000_000)
        label = anchors.head_label(self._log.chain_uid)
        with self._lock:
            self._calls(Priority.LOG).write_data(DataObject(application=anchors.APPLICATION, label=label, value=value))
            self._anchored = size

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Say what the device is busy with, for as long as the block runs; nobody else's calls come between."""
        self._busy = what
        try:
            with self.station.lease(what):
                yield
        finally:
            self._busy = ""

    def failed(self, error: ConsoleError) -> None:
        """A call failed: when the worker is gone, the device is locked and the log says so."""
        with self._lock:
            station = self.station
            if not self._unlocked or (error.problem.code not in DOWN and station.alive):
                return
            if station.alive and station.logged_in:
                return  # it speaks of a worker before this one
            self._unlocked = False
            self._log.set_signer(None)
            self._problem = down(error.problem)
            self._log.append([Draft(event=ev.DeviceDown(reason=error.problem.code, text=error.problem.what))])
            self.on_lock(ending=False)

    def _ended(self) -> None:
        """Told by the station's watch, at once."""
        self.failed(
            DeviceError(
                Problem(
                    code="device-crashed",
                    what="The process that talks to the HSM has ended.",
                    todo="Unlock the device again.",
                )
            )
        )

    def _changed(self, status: Status) -> None:
        self.on_health(status)

    def _breaker_moved(self, change: Change) -> None:
        self.on_breaker(change)

    def tick(self) -> None:
        """Once a second: notice a worker that ended by itself, and carry new heads into the token."""
        if self._unlocked and not self.station.alive:
            self._ended()
            return
        if self._unlocked and not self._busy and time.monotonic() >= self._anchor_due:
            self.try_anchor()

    def try_anchor(self) -> None:
        """Write the head into the token if that works now; when the worker is gone, say so. Never raises for the token.

        A token's memory wears: between the ends of ceremonies it is written to every ten seconds at most.
        """
        self._anchor_due = time.monotonic() + ANCHOR_SECONDS
        try:
            self.anchor()
        except ConsoleError as error:
            self.failed(error)

    def close(self) -> None:
        """End the worker. Never raises."""
        with self._lock:
            self._end()
        self.station.close()


def _der(row: KeyRow) -> bytes:
    return base64.b64decode(row.spki)
