"""Several calls at once, and what must be alone all the same: the gate, leases, figures."""

from __future__ import annotations

import threading
import time

import pytest

from hsm_console.domain.errors import DeviceError
from hsm_console.hsm.gate import Gate
from hsm_console.hsm.metrics import KEPT, Metrics
from hsm_console.hsm.pool import DevicePool, Priority


class SlowClient:
    """A client with lanes that notes how many calls are under way at once."""

    lanes = 4
    alive = logged_in = True
    on_end = None

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.order: list[bytes] = []

    def sign(self, object_id: bytes, *_more: object) -> bytes:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.order.append(object_id)
        time.sleep(0.02)
        with self.lock:
            self.now -= 1
        return object_id

    def close(self) -> None:
        return


def test_calls_go_on_at_once_up_to_the_number_of_lanes() -> None:
    client = SlowClient()
    pool = DevicePool(client)  # type: ignore[arg-type]
    jobs = [pool.submit("sign", bytes([n])) for n in range(16)]
    assert [job.result(5) for job in jobs] == [bytes([n]) for n in range(16)]
    pool.close()
    assert client.most == 4
    (figures,) = pool.metrics.figures()
    assert (figures.call, figures.count, figures.failed) == ("sign", 16, 0)
    assert figures.p50_ms >= 20


def test_nothing_of_others_comes_between_under_a_lease_but_the_log_signs() -> None:
    client = SlowClient()
    pool = DevicePool(client)  # type: ignore[arg-type]
    with pool.lease("step"):
        threads = [
            threading.Thread(target=pool.run, args=("sign", b"other")),
            threading.Thread(target=pool.run, args=("sign", b"log"), kwargs={"priority": Priority.LOG}),
        ]
        for thread in threads:
            thread.start()
        for _ in range(3):
            pool.run("sign", b"mine")
        threads[1].join(5)
        assert b"other" not in client.order
        assert client.order.count(b"mine") == 3
        assert b"log" in client.order
        assert pool.status.busy_with == "step"
    threads[0].join(5)
    assert client.order[-1] == b"other"
    pool.close()


def test_lease_runs_out_others_go_on_and_its_holder_is_told() -> None:
    client = SlowClient()
    pool = DevicePool(client)  # type: ignore[arg-type]
    with pool.lease("slow step", seconds=0.1):
        thread = threading.Thread(target=pool.run, args=("sign", b"other"))
        thread.start()
        thread.join(5)
        assert client.order == [b"other"]
        with pytest.raises(DeviceError) as caught:
            pool.run("sign", b"mine")
    assert caught.value.problem.code == "lease-expired"
    assert client.order == [b"other"]
    pool.run("sign", b"mine")
    pool.close()


def test_two_leases_follow_each_other() -> None:
    pool = DevicePool(SlowClient())  # type: ignore[arg-type]
    seen: list[str] = []

    def step(name: str) -> None:
        with pool.lease(name):
            seen.append(name)
            pool.run("sign", name.encode())
            seen.append(name)

    threads = [threading.Thread(target=step, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert seen[0::2] == seen[1::2]
    pool.close()


def test_gate_lets_one_alone_and_nobody_new_before_it() -> None:
    gate = Gate()
    gate.lanes = 3
    inside: list[str] = []
    order: list[str] = []
    enough = threading.Event()

    def shared(name: str) -> None:
        with gate.shared():
            inside.append(name)
            order.append(name)
            enough.wait(5)
            inside.remove(name)

    def alone() -> None:
        with gate.alone(), gate.shared():
            order.append("alone")
            assert not inside

    first = threading.Thread(target=shared, args=("first",))
    first.start()
    while not inside:
        time.sleep(0.001)
    second = threading.Thread(target=alone)
    second.start()
    time.sleep(0.05)
    third = threading.Thread(target=shared, args=("third",))
    third.start()
    time.sleep(0.05)
    enough.set()
    for thread in (first, second, third):
        thread.join(5)
    assert order == ["first", "alone", "third"]


def test_figures_do_not_grow() -> None:
    metrics = Metrics()
    for number in range(5 * KEPT):
        metrics.note("sign", float(number), failed=number % 10 == 0)
    (figures,) = metrics.figures()
    assert (figures.count, figures.failed) == (5 * KEPT, KEPT // 2)
    assert 4 * KEPT < figures.p50_ms < figures.p99_ms < 5 * KEPT
