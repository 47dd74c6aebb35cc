"""The background side of a device: a queue by priority, retries for what may be repeated, and a watch on its health.

One thread per pool waits on the worker (a worker answers one call at a time). Ceremonies come before signatures,
signatures before bulk work, health checks last; but nothing starves: a job's turn comes nearer with every job that
passed it. Key generation, login, destruction and writing are never repeated (DESIGN 4, invariant 7).
"""

from __future__ import annotations

import contextlib
import enum
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec
import tenacity

from hsm_console.domain.errors import ConsoleError, DeviceError, EnvironmentFault, Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.hsm.worker import HsmClient

T = TypeVar("T")

REPEATABLE = frozenset(
    {"describe", "find", "attributes", "sign", "verify", "encrypt", "decrypt", "wrap", "derive", "random", "read_data"}
)
# What another try may cure. A closed worker stays closed: nobody logs in again without a person.
_PASSING = frozenset({"device-busy", "device-failed", "session-lost"})
_HEALTH_BYTES = 32


class Priority(enum.IntEnum):
    """Smaller goes first. The distance is how many later jobs of the better kind may pass."""

    CEREMONY = 0
    SIGNING = 8
    BULK = 64
    HEALTH = 256


class Health(enum.StrEnum):
    """UP: the last check passed. DEGRADED: one check failed, or the device is slow. DOWN: no worker, or two failed."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the device. checked_ms: Unix time of the last check; took_ms: how long it took."""

    health: Health
    logged_in: bool
    waiting: int
    checked_ms: int = 0
    took_ms: float = 0.0
    info: DeviceInfo | None = None
    problem: Problem | None = None


class _Job:
    __slots__ = ("call", "future", "repeatable", "turn")

    def __init__(self, call: Callable[[HsmClient], Any], turn: int, *, repeatable: bool) -> None:
        self.call = call
        self.turn = turn
        self.repeatable = repeatable
        self.future: Future[Any] = Future()


class DevicePool:
    """Runs calls on one device in the background. Thread-safe.

    tries, wait_s: how often and how long apart a repeatable call is tried (exponential with jitter).
    watch_s: seconds between health checks; 0 switches the watch off (then `check` is called by the owner).
    """

    def __init__(
        self,
        client: HsmClient,
        *,
        tries: int = 3,
        wait_s: float = 0.05,
        watch_s: float = 0.0,
        slow_ms: float = 1000.0,
        on_change: Callable[[Status], None] | None = None,
    ) -> None:
        self.client = client
        self._retry = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(tries),
            wait=tenacity.wait_random_exponential(multiplier=wait_s, max=2.0),
            retry=tenacity.retry_if_exception(_may_pass),
            reraise=True,
        )
        self._slow_ms = slow_ms
        self._on_change = on_change
        self._condition = threading.Condition()
        self._jobs: list[_Job] = []
        self._numbers = itertools.count()
        self._closed = False
        self._failures = 0
        self._status = Status(health=Health.UP, logged_in=client.logged_in, waiting=0)
        self._thread = threading.Thread(target=self._work, name="device", daemon=True)
        self._thread.start()
        self._watch_s = watch_s
        if watch_s:
            threading.Thread(target=self._watch, name="device-watch", daemon=True).start()

    def submit(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Future[Any]:
        """Queue one call of the port by its name; the future has its answer or its ConsoleError.

        A job that was not begun can be cancelled. Raises DeviceError `device-closed` after `close`.
        """
        function = getattr(HsmClient, method)
        return self._queue(
            lambda client: function(client, *arguments, **named), priority, repeatable=method in REPEATABLE
        )

    def run(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Any:
        """Queue one call and wait for its answer. Raises what the call raises."""
        return self.submit(method, *arguments, priority=priority, **named).result()

    def together(self, work: Callable[[HsmClient], T], *, priority: Priority = Priority.CEREMONY) -> Future[T]:
        """Several calls that nothing may come between (generate and read back). Never repeated."""
        return self._queue(work, priority, repeatable=False)

    @property
    def status(self) -> Status:
        with self._condition:
            return msgspec.structs.replace(
                self._status, waiting=len(self._jobs), logged_in=self.client.logged_in, health=self._health()
            )

    def check(self) -> Status:
        """Describe the token and draw 32 random bytes, behind all other work. Never raises."""
        with contextlib.suppress(ConsoleError):
            self._queue(self._examine, Priority.HEALTH, repeatable=False).result()
        return self.status

    def respawn(self) -> None:
        """Start a new worker, locked. Raises what opening raises."""
        self._queue(lambda client: client.respawn(), Priority.CEREMONY, repeatable=False).result()
        self.check()

    def close(self) -> None:
        """Refuse what waits, let what runs come to its end, close the client."""
        with self._condition:
            self._closed = True
            left, self._jobs = self._jobs, []
            self._condition.notify_all()
        for job in left:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(_closed())
        self._thread.join()
        self.client.close()

    def _queue(self, call: Callable[[HsmClient], Any], priority: Priority, *, repeatable: bool) -> Future[Any]:
        with self._condition:
            if self._closed:
                raise _closed()
            job = _Job(call, next(self._numbers) + int(priority), repeatable=repeatable)
            self._jobs.append(job)
            self._condition.notify()
            return job.future

    def _next(self) -> _Job | None:
        with self._condition:
            while not self._jobs and not self._closed:
                self._condition.wait()
            if not self._jobs:
                return None
            job = min(self._jobs, key=lambda each: each.turn)
            self._jobs.remove(job)
            return job

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                answer = self._retry(job.call, self.client) if job.repeatable else job.call(self.client)
            except BaseException as error:  # noqa: BLE001  # whoever waits on the future gets it, whatever it is
                job.future.set_exception(error)
            else:
                job.future.set_result(answer)

    def _examine(self, client: HsmClient) -> None:
        began = time.monotonic()
        info, problem = self._status.info, None
        try:
            info = client.describe()
            client.random(_HEALTH_BYTES)
            self._failures = 0
        except ConsoleError as error:
            problem = error.problem
            self._failures += 1
        took_ms = (time.monotonic() - began) * 1000
        with self._condition:
            before = self._status
            self._status = msgspec.structs.replace(
                before, checked_ms=time.time_ns() // 1_000_000, took_ms=took_ms, info=info, problem=problem
            )
            self._status = msgspec.structs.replace(self._status, health=self._health())
            after = self._status
        if self._on_change and after.health is not before.health:
            self._on_change(after)

    def _health(self) -> Health:
        if not self.client.alive or self._failures > 1:
            return Health.DOWN
        if self._failures or self._status.took_ms > self._slow_ms:
            return Health.DEGRADED
        return Health.UP

    def _watch(self) -> None:
        while True:
            with self._condition:
                if self._condition.wait_for(lambda: self._closed, timeout=self._watch_s):
                    return
            self.check()


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, DeviceError | EnvironmentFault) and error.problem.code in _PASSING


def _closed() -> DeviceError:
    return DeviceError(
        Problem(
            code="device-closed",
            what="The device was disconnected before this could be done.",
            todo="Connect the device again and unlock it.",
        )
    )
