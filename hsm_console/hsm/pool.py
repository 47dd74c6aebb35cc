"""The background side of a device: a queue by priority, retries for what may be repeated, and a watch on its health.

As many threads as the worker has lanes take calls from the queue. The log's own signatures come first, then
ceremonies, signatures, bulk work, health checks; but nothing starves: a job's turn comes nearer with every job that
passed it. Who waits for the answer anyway and finds a lane free and nobody before it makes the call in its own thread:
that spares two changes of threads. Key generation, login, destruction and writing are never repeated (DESIGN 4,
invariant 7).
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

import msgspec
import tenacity

from hsm_console.domain.errors import ConsoleError, DeviceError, EnvironmentFault, Problem
from hsm_console.hsm.breaker import Breaker, Change
from hsm_console.hsm.health import Health, Status, examined, health_of
from hsm_console.hsm.jobs import REPEATABLE, Job, Priority
from hsm_console.hsm.lease import SECONDS, Lease
from hsm_console.hsm.metrics import Metrics
from hsm_console.hsm.worker import HsmClient

__all__ = ["REPEATABLE", "DevicePool", "Health", "Priority", "Status"]
T = TypeVar("T")

# What another try may cure. A closed worker stays closed: nobody logs in again without a person.
_PASSING = frozenset({"device-busy", "device-failed", "session-lost"})
MOST_WAITING = 1024
SLOW_MS = 1000.0


class DevicePool:
    """Runs calls on one device in the background. Thread-safe.

    tries, wait_s: how often and how long apart a repeatable call is tried (exponential with jitter).
    watch_s: seconds between health checks; 0 switches the watch off (then `check` is called by the owner).
    on_change: health changed; on_end: the worker ended by itself; on_breaker: the breaker moved. They are called by the
    thread of the watch, which starts a new worker, locked, when one ended.
    """

    def __init__(
        self,
        client: HsmClient,
        *,
        tries: int = 3,
        wait_s: float = 0.05,
        watch_s: float = 0.0,
        on_change: Callable[[Status], None] | None = None,
        on_end: Callable[[], None] | None = None,
        on_breaker: Callable[[Change], None] | None = None,
    ) -> None:
        self.client = client
        self.breaker = Breaker(self._news)
        self.metrics = Metrics()
        self._retry = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(tries),
            wait=tenacity.wait_random_exponential(multiplier=wait_s, max=2.0),
            retry=tenacity.retry_if_exception(_may_pass),
            reraise=True,
        )
        self._on_change, self._on_end, self._on_breaker = on_change, on_end, on_breaker
        self._changes: list[Change] = []
        lock = threading.RLock()
        self._condition = threading.Condition(lock)  # of leases and the watch
        self._lanes_free = threading.Condition(lock)  # of the lanes, so that one call wakes one of them
        self._jobs: list[Job] = []
        self._running: list[Job] = []
        self._lease: Lease | None = None
        self._held: dict[int, Lease] = {}
        self._numbers = itertools.count()
        self._closed = False
        self._worker_ended = False
        self._status = Status(health=Health.UP, logged_in=client.logged_in, waiting=0)
        self._told = Health.UP
        self.lanes = int(getattr(client, "lanes", 1))
        self._threads = [threading.Thread(target=self._work, name="device", daemon=True) for _ in range(self.lanes)]
        for thread in self._threads:
            thread.start()
        self._watch_s = watch_s
        self._watcher = threading.Thread(target=self._watch, name="device-watch", daemon=True)
        if watch_s:
            client.on_end = self._ended
            self._watcher.start()

    def submit(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Future[Any]:
        """Queue one call of the port by its name; the future has its answer or its ConsoleError.

        A job that was not begun can be cancelled. Raises DeviceError `device-closed` after `close`, `device-busy` when
        too many wait, `device-resting` and `device-latched` while the device is left alone, `lease-expired`.
        """
        return self._queue(_job(method, arguments, named), priority)

    def run(self, method: str, *arguments: Any, priority: Priority = Priority.SIGNING, **named: Any) -> Any:
        """One call with its answer, in its turn. Raises what the call raises, and as `submit`."""
        job = _job(method, arguments, named)
        if self._begun_here(job, priority):
            self._carry_out(job)
        return job.future.result()

    def together(self, work: Callable[[HsmClient], T], *, priority: Priority = Priority.CEREMONY) -> Future[T]:
        """Several calls that nothing of this lane may come between (generate and read back). Never repeated."""
        return self._queue(Job("together", work, repeatable=False), priority)

    @contextlib.contextmanager
    def lease(self, what: str, seconds: float = SECONDS) -> Iterator[None]:
        """Keep the device for this thread's calls until the block ends or the time is over.

        Waits for a lease before it and for calls that are under way. Only the log's signatures pass.
        """
        me = threading.get_ident()
        if me in self._held:
            yield  # within its own lease
            return
        with self._condition:
            while self._lease is not None and self._lease.in_force and not self._closed:
                self._condition.wait(max(0.001, self._lease.until - time.monotonic()))
            mine = self._lease = self._held[me] = Lease(me, what, seconds)
            while any(job.owner != me and job.priority is not Priority.LOG for job in self._running):
                self._condition.wait(1.0)
        try:
            yield
        finally:
            with self._condition:
                del self._held[me]
                mine.ended = True
                if self._lease is mine:
                    self._lease = None
                self._condition.notify_all()
                self._lanes_free.notify_all()

    @property
    def status(self) -> Status:
        with self._condition:
            lease = self._lease
            return msgspec.structs.replace(
                self._status,
                waiting=len(self._jobs),
                logged_in=self.client.logged_in,
                health=self._health(),
                busy_with=lease.what if lease is not None and lease.in_force else "",
            )

    def check(self) -> Status:
        """Describe the token and draw 32 random bytes, behind all other work. Never raises."""
        job = Job("health", self._examine, repeatable=False)
        with contextlib.suppress(ConsoleError):
            self._queue(job, Priority.HEALTH).result()
        self._tell()
        return self.status

    def respawn(self) -> None:
        """Start a new worker, locked, when there is none. Raises what opening raises."""
        self._queue(Job("respawn", _renewed, repeatable=False), Priority.CEREMONY).result()
        self.check()

    def close(self) -> None:
        """Refuse what waits, let what runs come to its end, close the client."""
        with self._condition:
            self._closed = True
            left, self._jobs = self._jobs, []
            self._condition.notify_all()
            self._lanes_free.notify_all()
        for job in left:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(_closed())
        for thread in self._threads:
            thread.join()
        self.client.on_end = None
        self.client.close()

    def _queue(self, job: Job, priority: Priority) -> Future[Any]:
        with self._condition:
            self._enter(job, priority)
            self._jobs.append(job)
            self._lanes_free.notify()
            return job.future

    def _begun_here(self, job: Job, priority: Priority) -> bool:
        """Whether the calling thread is to carry it out at once; else it stands in the queue."""
        with self._condition:
            self._enter(job, priority)
            if self._jobs or not self._room() or not self._eligible(job):
                self._jobs.append(job)
                self._lanes_free.notify()
                return False
            self._running.append(job)
            return True

    def _enter(self, job: Job, priority: Priority) -> None:
        if self._closed:
            raise _closed()
        if job.owner in self._held:
            self._held[job.owner].require()
        if len(self._jobs) >= MOST_WAITING:
            raise _overrun(len(self._jobs))
        if priority is not Priority.HEALTH and job.method != "respawn":
            self.breaker.enter()
        job.priority = priority
        job.turn = next(self._numbers) + int(priority)

    def _next(self) -> Job | None:
        with self._condition:
            while True:
                job = min(filter(self._eligible, self._jobs), key=lambda each: each.turn, default=None)
                if job is not None and self._room():
                    self._jobs.remove(job)
                    self._running.append(job)
                    return job
                if self._closed:
                    return None
                lease = self._lease if self._jobs and job is None else None
                self._lanes_free.wait(max(0.001, lease.until - time.monotonic()) if lease is not None else None)

    def _room(self) -> bool:
        return len(self._running) < self.lanes

    def _eligible(self, job: Job) -> bool:
        lease = self._lease
        if lease is None or not lease.in_force:
            return True
        return lease.holder == job.owner or job.priority is Priority.LOG

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._carry_out(job)

    def _carry_out(self, job: Job) -> None:
        try:
            if job.future.set_running_or_notify_cancel():
                self._perform(job)
        finally:
            with self._condition:
                self._running.remove(job)
                if self._jobs:
                    self._lanes_free.notify()
                if self._lease is not None:
                    self._condition.notify_all()

    def _perform(self, job: Job) -> None:
        try:
            answer = self._retry(job.call, self.client) if job.repeatable else job.call(self.client)
        except BaseException as error:  # noqa: BLE001  # whoever waits on the future gets it, whatever it is
            self.metrics.note(job.method, job.age_ms, failed=True)
            if job.method != "health":
                self.breaker.failed(error.problem.code if isinstance(error, ConsoleError) else "")
            job.future.set_exception(error)
        else:
            self.metrics.note(job.method, job.age_ms, failed=False)
            if job.method not in ("health", "respawn", "together"):
                self.breaker.succeeded()
            job.future.set_result(answer)

    def _examine(self, client: HsmClient) -> None:
        found = examined(client, self._status)
        with self._condition:
            self._status = found
        if found.problem is None:
            self.breaker.succeeded()
        else:
            self.breaker.failed(found.problem.code)

    def _tell(self) -> None:
        with self._condition:
            health = self._health()
            changed, self._told = health is not self._told, health
            if changed:
                self._status = msgspec.structs.replace(self._status, changed_ms=time.time_ns() // 1_000_000)
        if changed and self._on_change:
            self._on_change(self.status)

    def _health(self) -> Health:
        return health_of(self._status, self.breaker.phase, alive=self.client.alive, slow_ms=SLOW_MS)

    def _ended(self) -> None:
        with self._condition:
            self._worker_ended = True
            self._condition.notify_all()

    def _news(self, change: Change) -> None:
        with self._condition:
            self._changes.append(change)
            self._condition.notify_all()

    def _watch(self) -> None:
        def called() -> bool:
            return self._closed or self._worker_ended or bool(self._changes)

        while True:
            with self._condition:
                due = not self._condition.wait_for(called, timeout=self._watch_s)
                if self._closed:
                    return
                ended, self._worker_ended = self._worker_ended, False
                changes, self._changes = self._changes, []
            for change in changes:
                if self._on_breaker is not None:
                    self._on_breaker(change)
            if ended and self._on_end is not None:
                self._on_end()
            if ended or due:
                self._revive()
                self.check()
            self._tell()

    def _revive(self) -> None:
        """A new worker, locked, when there is none and the breaker allows another try."""
        if self.client.alive:
            return
        try:
            self.breaker.enter()
            self._queue(Job("respawn", _renewed, repeatable=False), Priority.CEREMONY).result()
        except ConsoleError:
            return  # the next watch tries again; the breaker counts


def _job(method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Job:
    def call(client: HsmClient) -> Any:
        return getattr(client, method)(*arguments, **named)

    return Job(method, call, repeatable=method in REPEATABLE)


def _renewed(client: HsmClient) -> None:
    if not client.alive:  # two may have asked: the second one must not end a worker that somebody unlocked by now
        client.respawn()


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


def _overrun(waiting: int) -> DeviceError:
    return DeviceError(
        Problem(
            code="device-busy",
            what=f"{waiting} calls wait for the device already; this one was not put behind them.",
            todo="Wait a moment, then do it again.",
        )
    )
