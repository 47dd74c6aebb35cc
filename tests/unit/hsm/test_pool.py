"""The pool: order, fairness, retries of what may be repeated, health."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest

from hsm_console.domain.errors import DeviceError, Problem
from hsm_console.hsm import pool as pools
from hsm_console.hsm.pool import DevicePool, Health, Priority


class FakeClient:
    """Stands for an HsmClient: `script` holds what the next calls raise or answer."""

    def __init__(self) -> None:
        self.alive = True
        self.logged_in = True
        self.calls: list[str] = []
        self.script: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()

    def answer(self, name: str) -> Any:
        self.gate.wait(5)
        self.calls.append(name)
        if self.script:
            outcome = self.script.pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome
        return name

    def close(self) -> None:
        self.alive = False

    def respawn(self) -> None:
        self.alive = True


def failure(code: str) -> DeviceError:
    return DeviceError(Problem(code=code, what="It failed.", todo="Wait."))


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    for name in ("sign", "generate", "describe", "random", "log_in", "destroy", "write_data", "unwrap", "change_pin"):
        monkeypatch.setattr(pools.HsmClient, name, lambda self, *a, _name=name: self.answer(_name))
        monkeypatch.setattr(FakeClient, name, lambda self, *a, _name=name: self.answer(_name), raising=False)
    return FakeClient()


@pytest.fixture
def pool(client: FakeClient) -> Iterator[DevicePool]:
    made = DevicePool(client, wait_s=0.001)  # type: ignore[arg-type]
    yield made
    client.gate.set()
    made.close()


def held(pool: DevicePool, client: FakeClient) -> Any:
    """Occupy the pool's thread until the gate opens."""
    client.gate.clear()
    first = pool.submit("describe")
    while pool.status.waiting:
        time.sleep(0.001)
    return first


def test_better_priority_goes_first_and_equals_in_order(pool: DevicePool, client: FakeClient) -> None:
    held(pool, client)
    order: list[str] = []
    jobs = [
        pool.together(lambda _, n=name: order.append(n), priority=priority)
        for name, priority in (
            ("bulk", Priority.BULK),
            ("sign-1", Priority.SIGNING),
            ("health", Priority.HEALTH),
            ("ceremony", Priority.CEREMONY),
            ("sign-2", Priority.SIGNING),
        )
    ]
    client.gate.set()
    for job in jobs:
        job.result(5)
    assert order == ["ceremony", "sign-1", "sign-2", "bulk", "health"]


@pytest.mark.parametrize("patient", [Priority.SIGNING, Priority.BULK, Priority.HEALTH])
def test_nothing_starves(pool: DevicePool, client: FakeClient, patient: Priority) -> None:
    held(pool, client)
    order: list[str] = []
    last = pool.together(lambda _: order.append("patient"), priority=patient)
    jobs = [pool.together(lambda _: order.append("c"), priority=Priority.CEREMONY) for _ in range(400)]
    client.gate.set()
    for job in [*jobs, last]:
        job.result(5)
    assert order.index("patient") <= int(patient) + 1


def test_a_call_with_a_free_lane_is_made_by_whoever_waits_for_it(
    pool: DevicePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    monkeypatch.setattr(FakeClient, "sign", lambda self: threads.append(threading.current_thread().name), raising=False)
    pool.run("sign")
    pool.submit("sign").result(5)
    assert threads == [threading.current_thread().name, "device"]


def test_a_call_made_by_its_asker_takes_a_lane_and_keeps_the_order(pool: DevicePool, client: FakeClient) -> None:
    client.gate.clear()
    asker = threading.Thread(target=pool.run, args=("describe",))
    asker.start()
    while not pool._running:
        time.sleep(0.001)
    order: list[str] = []
    jobs = [
        pool.together(lambda _, n=name: order.append(n), priority=priority)
        for name, priority in (("bulk", Priority.BULK), ("ceremony", Priority.CEREMONY))
    ]
    time.sleep(0.05)
    assert (order, pool.status.waiting) == ([], 2), "only one lane, and that is taken"
    client.gate.set()
    for job in jobs:
        job.result(5)
    asker.join(5)
    assert order == ["ceremony", "bulk"]


def test_a_call_whose_turn_it_is_not_waits_in_the_queue_though_its_thread_is_free(
    pool: DevicePool, client: FakeClient
) -> None:
    held(pool, client)
    done: list[str] = []
    first = pool.together(lambda _: done.append("ceremony"), priority=Priority.CEREMONY)
    asker = threading.Thread(target=lambda: done.append(pool.run("sign", priority=Priority.BULK)))
    asker.start()
    while pool.status.waiting < 2:
        time.sleep(0.001)
    client.gate.set()
    first.result(5)
    asker.join(5)
    assert done == ["ceremony", "sign"]


def test_repeatable_call_is_tried_again(pool: DevicePool, client: FakeClient) -> None:
    client.script = [failure("device-busy"), failure("device-failed"), b"signature"]
    assert pool.run("sign") == b"signature"
    assert client.calls == ["sign"] * 3


def test_repeatable_call_gives_up_with_its_own_error(pool: DevicePool, client: FakeClient) -> None:
    client.script = [failure("device-busy")] * 9
    with pytest.raises(DeviceError) as caught:
        pool.run("sign")
    assert caught.value.problem.code == "device-busy"
    assert len(client.calls) == 3


@pytest.mark.parametrize("method", ["generate", "log_in", "destroy", "write_data", "unwrap", "change_pin"])
@pytest.mark.parametrize("code", ["device-busy", "device-failed", "device-crashed", "device-hung"])
def test_what_changes_the_device_is_never_repeated(
    pool: DevicePool, client: FakeClient, method: str, code: str
) -> None:
    client.script = [failure(code), "must not be reached"]
    with pytest.raises(DeviceError):
        pool.run(method)
    assert client.calls == [method]


@pytest.mark.parametrize("code", ["pin-locked", "device-crashed", "device-closed", "not-logged-in", "object-missing"])
def test_what_no_second_try_cures_is_not_repeated(pool: DevicePool, client: FakeClient, code: str) -> None:
    client.script = [failure(code), "must not be reached"]
    with pytest.raises(DeviceError):
        pool.run("sign")
    assert client.calls == ["sign"]


def test_health_goes_up_degraded_down_and_back(client: FakeClient) -> None:
    seen: list[Health] = []
    pool = DevicePool(client, on_change=lambda status: seen.append(status.health))  # type: ignore[arg-type]
    client.script = [None, b"random"]
    assert pool.check().health is Health.UP
    client.script = [failure("device-failed")]
    assert pool.check().health is Health.DEGRADED
    client.script = [failure("device-failed")]
    status = pool.check()
    assert status.health is Health.DOWN
    assert status.problem is not None
    client.script = [None, b"random"]
    assert pool.check().health is Health.UP
    client.alive = False
    assert pool.status.health is Health.DOWN
    pool.close()
    assert seen == [Health.DEGRADED, Health.DOWN, Health.UP]


def test_watch_checks_by_itself_and_ends_with_the_pool(client: FakeClient) -> None:
    client.script = [None, b"random"] * 500
    pool = DevicePool(client, watch_s=0.01)  # type: ignore[arg-type]
    deadline = time.monotonic() + 5
    while len(client.calls) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    pool.close()
    assert len(client.calls) >= 6
    assert not any(thread.name == "device" for thread in threading.enumerate())


def test_close_refuses_what_waits_and_finishes_what_runs(client: FakeClient) -> None:
    pool = DevicePool(client)  # type: ignore[arg-type]
    running = held(pool, client)
    waiting = pool.submit("sign")
    closer = threading.Thread(target=pool.close)
    closer.start()
    with pytest.raises(DeviceError) as caught:
        waiting.result(5)
    assert caught.value.problem.code == "device-closed"
    client.gate.set()
    closer.join(5)
    assert running.result(5) == "describe"
    assert not client.alive
    with pytest.raises(DeviceError):
        pool.submit("sign")


def test_waiting_job_can_be_cancelled(pool: DevicePool, client: FakeClient) -> None:
    held(pool, client)
    job = pool.submit("sign")
    assert job.cancel()
    client.gate.set()
    with pytest.raises(CancelledError):
        job.result(5)
    assert pool.run("describe") == "describe"
    assert "sign" not in client.calls
