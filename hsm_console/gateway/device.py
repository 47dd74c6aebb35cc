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
    ExitCode,
    Problem,
    VerificationFailed,
)
from hsm_console.domain.events import Draft
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.messages.session import DeviceState
from hsm_console.domain.people import Actor
from hsm_console.domain.secret import Secret
from hsm_console.gateway.log_key import LogSigner
from hsm_console.gateway.projections import KeyRow
from hsm_console.hsm.pool import Priority
from hsm_console.hsm.port import Binding, DataObject, Hsm
from hsm_console.policy.environment import Environment, check_token

ANCHOR_SECONDS = 10.0
Opener = Callable[[Binding], Hsm]
ABSENT = ("token-missing", "module-")  # what is over when the token answers again
DOWN = ("device-crashed", "device-hung", "device-removed", "device-closed", "worker-closed")


class Device:
    """The one token. Thread-safe. opener: makes the worker's client; recover: run once after each unlock."""

    def __init__(
        self, binding: Binding, log: AuditLog, environment: Environment, log_key: KeyRow, *, opener: Opener
    ) -> None:
        self._binding = binding
        self._log = log
        self._environment = environment
        self._log_key = log_key
        self._opener = opener
        self._lock = threading.RLock()
        self._hsm: Hsm | None = None
        self._info: DeviceInfo | None = None
        self._problem: Problem | None = None
        self._unlocked = False
        self._anchored = -1
        self._anchor_due = 0.0
        self._busy = ""
        self.recover: Callable[[], None] = lambda: None

    @property
    def unlocked(self) -> bool:
        return self._unlocked

    @property
    def info(self) -> DeviceInfo | None:
        return self._info

    def state(self) -> DeviceState:
        return DeviceState(unlocked=self._unlocked, device=self._info, problem=self._problem, busy_with=self._busy)

    def hsm(self) -> Hsm:
        """The unlocked token. Raises EnvironmentFault `device-locked`."""
        hsm = self._hsm
        if hsm is None or not self._unlocked:
            raise EnvironmentFault(
                self._problem
                or Problem(
                    code="device-locked",
                    what="The HSM is locked.",
                    todo="Somebody whom policy names unlocks it with the PIN, then do the step again.",
                )
            )
        return hsm

    def run(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Any:
        """One call of the port by its name, outside a ceremony. Raises what the call raises, and `device-locked`."""
        del priority  # one worker answers one call after the other
        try:
            return getattr(self.hsm(), method)(*arguments, **named)
        except ConsoleError as error:
            self.failed(error)
            raise

    def look(self) -> DeviceState:
        """The state with what the token says of itself now, its PIN flags above all. Never waits for a busy device."""
        if self._unlocked and not getattr(self._hsm, "alive", True):
            self.tick()  # the worker is gone: that is told before a new one is asked
        elif not self._busy and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._lock.release()
        return self.state()

    def _look(self) -> None:
        try:
            self._info = self._open().describe()
        except ConsoleError as error:
            self.failed(error)
            if not self._unlocked:
                self._problem = error.problem
            return
        if self._problem is not None and self._problem.code.startswith(ABSENT):
            self._problem = None

    def _open(self) -> Hsm:
        """The token's client; after a crash a new worker, locked."""
        if self._hsm is not None and not getattr(self._hsm, "alive", True):
            self._hsm.close()
            self._hsm = None
        if self._hsm is None:
            self._hsm = self._opener(self._binding)
        return self._hsm

    def probe(self) -> None:
        """At the start: look who is there, without a PIN. A missing token is a state, not a failure to start."""
        with self._lock:
            try:
                self._info = self._open().describe()
                self._problem = None
            except ConsoleError as error:
                self._problem = error.problem

    def unlock(self, actor: Actor | None, pin: Secret, source: str = "") -> DeviceState:
        """Open the token with a PIN. Never retried. Every refusal is recorded. actor None: the owner of the folder.

        Raises the device's errors (pin-incorrect, pin-locked, …), `token-wrong-serial`, `simulated-token-refused`,
        and VerificationFailed `log-rolled-back` or `log-forked` when the token remembers another history.
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
        hsm = self._open()
        self._info = hsm.describe()
        if self._binding.serial and self._info.serial != self._binding.serial:
            raise _wrong_serial(self._binding.serial, self._info.serial)
        check_token(self._environment, simulated=self._info.simulated)
        hsm.log_in(pin)
        try:
            self._check_head(hsm)
        except BaseException:
            hsm.log_out()
            raise

    def _begin(self) -> None:
        hsm = self._open()
        signer = LogSigner(hsm, bytes.fromhex(self._log_key.object_id), _der(self._log_key))
        try:
            self._log.set_signer(signer)
        except ConsoleError:
            hsm.log_out()
            raise
        self._unlocked, self._problem = True, None

    def _refused(self, actor: Actor | None, source: str, error: ConsoleError) -> None:
        self._problem = error.problem if error.problem.code not in ("pin-incorrect",) else None
        with suppress(ConsoleError):
            self._info = self._open().describe()  # how many tries are left is told by the token's flags
        event = ev.DeviceUnlockRefused(
            reason=error.problem.code, text=error.problem.what, ckr=error.problem.details.get("ckr", "")
        )
        self._log.append([Draft(event=event, actor=actor, src=source, critical=True)])

    def _recount(self) -> None:
        """After a refused PIN the token counts anew: few attempts left are told before the next one."""
        with suppress(ConsoleError):
            self._info = self._open().describe()

    def _known(self) -> DeviceInfo:
        if self._info is None:
            raise EnvironmentFault(Problem(code="token-missing", what="No token is there.", todo="Connect it."))
        return self._info

    def _check_head(self, hsm: Hsm) -> None:
        """The head that the token remembers must lie within this log (enemies B and D)."""
        label = anchors.head_label(self._log.chain_uid)
        for item in hsm.read_data(anchors.APPLICATION, label):
            head = anchors.decode_head(item.value)
            if head.size > self._log.size:
                raise _history(
                    "log-rolled-back",
                    f"ROLLED-BACK: the token remembers {head.size} entries, but this log has {self._log.size}.",
                )
            if tree.subtree(self._log.nodes(), 0, head.size) != head.root:
                raise _history("log-forked", f"FORK: the first {head.size} entries are not those the token remembers.")

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
            with suppress(ConsoleError):
                self._log.checkpoint()
                self.anchor()
            self._end()
            return self.state()

    def _end(self) -> None:
        self._log.set_signer(None)
        self._unlocked = False
        if self._hsm is not None:
            with suppress(ConsoleError):
                self._hsm.log_out()

    def anchor(self) -> None:
        """Write the newest signed head into the token (AUDIT 5.1). Raises the device's errors."""
        size = self._log.signed_size
        if not self._unlocked or size == self._anchored or not self._log.last_checkpoint:
            return
        head = parse_note(self._log.last_checkpoint).checkpoint
        value = anchors.encode_head(head, time.time_ns() // 1_000_000)
        label = anchors.head_label(self._log.chain_uid)
        with self._lock:
            self.hsm().write_data(DataObject(application=anchors.APPLICATION, label=label, value=value))
            self._anchored = size

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Say what the device is busy with, for as long as the block runs."""
        self._busy = what
        try:
            yield
        finally:
            self._busy = ""

    def failed(self, error: ConsoleError) -> None:
        """A call failed: when the worker is gone, the device is locked and the log says so."""
        with self._lock:
            if not self._unlocked or (error.problem.code not in DOWN and getattr(self._hsm, "alive", True)):
                return
            self._unlocked = False
            self._log.set_signer(None)
            self._problem = _down(error.problem)
            self._log.append([Draft(event=ev.DeviceDown(reason=error.problem.code, text=error.problem.what))])

    def tick(self) -> None:
        """Once a second: notice a worker that ended by itself, and carry new heads into the token."""
        hsm = self._hsm
        if self._unlocked and hsm is not None and not getattr(hsm, "alive", True):
            self.failed(
                DeviceError(
                    Problem(
                        code="device-crashed",
                        what="The process that talks to the HSM has ended.",
                        todo="Unlock the device again.",
                    )
                )
            )
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
            if self._hsm is not None:
                self._hsm.close()
                self._hsm = None


def _der(row: KeyRow) -> bytes:
    return base64.b64decode(row.spki)


def _down(problem: Problem) -> Problem:
    return Problem(
        code=problem.code,
        what=f"{problem.what} The device is locked now.",
        key_state=problem.key_state,
        todo="Unlock the device again; what was under way is then looked up in the token and told.",
        contact=problem.contact,
        details=problem.details,
    )


def _wrong_serial(expected: str, found: str) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="token-wrong-serial",
            what=f"The token that is connected (serial {found}) is not the one of this workspace ({expected}).",
            todo="Connect the right one; compare the serial on its case with the founding record.",
            details={"expected": expected, "found": found},
        )
    )


def _history(code: str, what: str) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code=code,
            what=what,
            todo="Do not act. Keep this folder as it is, find the newer copy, and run `hsm-console audit verify`.",
            contact="the auditor and the security officer",
            exit_code=ExitCode.VERIFICATION,
        )
    )
