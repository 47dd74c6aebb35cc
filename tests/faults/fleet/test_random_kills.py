"""Drivers killed and frozen at random while four people use keys, an order makes keys and a ceremony stands open."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.projection import rebuild
from hsm_console.audit.verify import verify_workspace
from hsm_console.client import devices, keys, orders, work
from hsm_console.client.session import Session
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, SignMechanism, Usage
from hsm_console.domain.messages.orders import OrderState
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret
from hsm_console.gateway import projections

SECONDS = float(os.environ.get("KILLS_SECONDS", "600"))
SEEDS = [int(seed) for seed in os.environ.get("KILLS_SEEDS", "1,2").split(",")]
CALLERS, BATCH = 4, 40
PIN = "user-pin-271828"
DEADLINES = {"short": 2.0, "sign": 2.0, "search": 4.0, "list": 20.0, "generate": 4.0, "login": 6.0}
MOST_GROWTH_KB = 40_000
# What a fault explains, while one of the two devices is away. Everything else fails the run.
EXPLAINED = {
    "device-crashed", "device-hung", "device-locked", "device-closed", "not-logged-in", "device-resting",
    "device-not-started", "worker-closed", "session-lost",
}  # fmt: skip


class Chaos:
    """The devices, what happened to them and when. Times are monotonic seconds."""

    def __init__(self, yard: Any, ada: Session, seed: int) -> None:
        self.yard, self.ada, self.random = yard, ada, random.Random(seed)
        self.fleet = yard.gateway.core.device.router.__self__
        self.pins = {"token": PIN, "second": yard.pins["second"]}
        self.names = {"token": "primary", "second": "second"}
        self.away: list[list[float]] = []  # [since, until] of each fault; until 0: it lasts
        self.noticed: list[float] = []
        self.usable: list[float] = []
        self.kinds: Counter[str] = Counter()
        self.over = threading.Event()
        self.failed: list[tuple[float, float, str]] = []
        self.done = 0

    def faults(self, name: str) -> None:
        """One device's life: it works a while, is killed or frozen, and is unlocked again by a person."""
        place = self.fleet.place(self.names[name])
        while not self.over.wait(self.random.uniform(1.0, 6.0)):
            pid = self.yard.clients[name].pid
            if not pid or not place.unlocked:
                continue
            kind = self.random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP))
            began = time.monotonic()
            span = [began, 0.0]
            self.away.append(span)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, kind)
                self.kinds[kind.name] += 1
            self._until(lambda pid=pid: self.yard.clients[name].pid != pid or not place.station.alive, 15)
            if kind is signal.SIGKILL:
                self.noticed.append(time.monotonic() - began)
            self._back(name, place, pid)
            span[1] = time.monotonic()
            if kind is signal.SIGKILL:
                self.usable.append(span[1] - began)

    def _back(self, name: str, place: Any, before: int) -> None:
        end = time.monotonic() + 60
        while not (place.unlocked and place.station.alive and self.yard.clients[name].pid != before):
            assert time.monotonic() < end, f"{name} does not come back"
            with contextlib.suppress(ConsoleError):
                devices.unlock(self.ada, self.names[name], Secret(self.pins[name]))
            time.sleep(0.01)

    @staticmethod
    def _until(holds: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not holds() and time.monotonic() < end:
            time.sleep(0.002)

    def explained(self, began: float, ended: float, code: str) -> bool:
        return code in EXPLAINED and any(since <= ended and (not until or until >= began) for since, until in self.away)


class Work:
    """What people do meanwhile."""

    def __init__(self, chaos: Chaos, yard: Any) -> None:
        self.chaos, self.yard = chaos, yard
        self.lock = threading.Lock()
        self.signing = yard.make(Algorithm.EC_P256, Usage.SIGN)
        self.secret = yard.make(Algorithm.AES_256, Usage.ENCRYPT)
        self.labels: list[str] = []

    def call(self, session: Session) -> None:
        while not self.chaos.over.is_set():
            began = time.monotonic()
            try:
                self.one(session)
            except ConsoleError as error:
                with self.lock:
                    self.chaos.failed.append((began, time.monotonic(), error.problem.code))
            with self.lock:
                self.chaos.done += 1

    def one(self, session: Session) -> None:
        data = secrets.token_bytes(48)
        if secrets.randbelow(2):
            work.sign(session, self.signing, SignMechanism.ECDSA_SHA256, data)
            return
        sealed = work.encrypt(session, self.secret, data)
        assert work.decrypt(session, self.secret, sealed.envelope).data == data

    def batches(self, ada: Session) -> None:
        """Orders of keys one after the other; one that was cut off is run again until it is done."""
        number = 0
        while not self.chaos.over.is_set():
            number += 1
            given = {"algorithm": "ec-p256", "label": f"batch {number} {{nnn}}", "count": str(BATCH)}
            order = orders.open_order(ada, "generate-keys", given)
            with self.yard.house.stepped_up("claude") as claude:
                order = orders.decide(claude, order.id, ev.Decision.APPROVE)
            if self.carried_out(ada, order.id):
                self.labels += [f"batch {number} {n:03}" for n in range(1, BATCH + 1)]

    @staticmethod
    def carried_out(ada: Session, order_id: str) -> bool:
        """Whether it was; False when a fault ended it before its first key."""
        end = time.monotonic() + 300
        while (order := orders.show(ada, order_id)).state is not OrderState.DONE:
            assert time.monotonic() < end, order
            if order.state is OrderState.FAILED:
                assert order.problem.code in EXPLAINED, order.problem
                return False
            if order.may_run:
                with contextlib.suppress(ConsoleError):
                    orders.run(ada, order_id)
            time.sleep(0.05)
        return True


def resident_kb() -> int:
    return int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0])


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("seed", SEEDS)
def test_drivers_killed_at_random_lose_and_double_nothing(soft_yard: Any, seed: int) -> None:
    yard = soft_yard
    yard.deadlines |= DEADLINES
    ada = yard.house.admin()
    yard.add(ada, "second")
    for client in yard.clients.values():
        client._deadlines.update(DEADLINES)
    assert yard.ordered(ada, "share-wrapping-key", device="second").problem is None
    chaos = Chaos(yard, ada, seed)
    doing = Work(chaos, yard)
    assert yard.ordered(ada, "replicate-key", key="all", device="second").problem is None
    view = yard.house.until(ada, yard.house.open(ada), "authorise")
    broken: list[BaseException] = []

    def watched(act: Any, *given: Any) -> threading.Thread:
        def run() -> None:
            try:
                act(*given)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it fails the test
                broken.append(error)
                chaos.over.set()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    threads = [watched(doing.call, yard.house.be("hedy", Role.EXECUTIVE)) for _ in range(CALLERS)]
    threads.append(watched(doing.batches, yard.house.be("ada")))
    threads += [watched(chaos.faults, name) for name in ("token", "second")]
    end, memory = time.monotonic() + SECONDS, []
    while time.monotonic() < end and not chaos.over.is_set():
        yard.gateway.tick()
        memory.append(resident_kb())
        time.sleep(0.5)
    chaos.over.set()
    for thread in threads:
        while thread.is_alive():
            yard.gateway.tick()
            thread.join(0.2)
    unexplained = Counter(code for began, ended, code in chaos.failed if not chaos.explained(began, ended, code))
    told = Counter(code for _, _, code in chaos.failed)
    sys.__stderr__.write(
        f"seed {seed}: {chaos.done} operations, {len(doing.labels)} keys, faults {dict(chaos.kinds)}, refused "
        f"{dict(told)}, noticed ms {percent(chaos.noticed)}, usable ms {percent(chaos.usable)}, "
        f"memory kB {memory[len(memory) // 4]} to {memory[-1]}\n"
    )
    assert not broken
    assert not unexplained, unexplained
    assert sum(chaos.kinds.values()) >= SECONDS / 30
    assert memory[-1] - memory[len(memory) // 4] < MOST_GROWTH_KB
    everything_is_as_it_was_said(yard, ada, doing)
    for _ in range(60):  # the ceremony that stood open goes on to its end
        if not view.current:
            break
        view = yard.house.turn(ada, view)
    assert not view.current, view.problem
    home = yard.gateway.core.home
    yard.gateway.core.log.checkpoint()
    assert verify_workspace(home.log, parse_vkey(home.vkey.read_text())).line.startswith("OK")
    yard.gateway.stop("the test goes on")
    assert set(rebuild(yard.workspace / "audit.db", projections.projections()).values()) == {"identical"}


def percent(times: list[float]) -> str:
    if not times:
        return "none"
    ordered = sorted(times)
    return f"{statistics.median(ordered) * 1000:.0f} (most {ordered[-1] * 1000:.0f})"


def everything_is_as_it_was_said(yard: Any, ada: Session, doing: Work) -> None:
    """Each key that was ordered exists once, in the log and in the token; nothing is there that nobody ordered."""
    with yard.gateway.core.reading() as conn:
        assert projections.open_intents(conn) == ()
    listed = Counter(key.label for key in keys.listed(ada) if key.label.startswith("batch") and key.state == "active")
    assert set(listed.values()) <= {1}
    assert set(doing.labels) == set(listed)
    found = Counter(key.label for key in yard.clients["token"].find() if key.label.startswith("batch"))
    assert found == listed
    compared = devices.compare(ada)
    assert not [key for key in compared.keys if key.foreign or key.different or "primary" in key.missing]
