"""Calls go on when a device does not: what is moved, what never is, and what the log says of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from hsm_console.client import devices
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism
from hsm_console.gateway import projections

LIGHT = SignMechanism.ECDSA_SHA256
Helpers = dict[str, Callable[..., Any]]


@pytest.fixture
def fleet(yard: Any) -> Any:
    """Two devices that hold the same keys, unlocked."""
    yard.ada = yard.house.admin()
    yard.twin(yard.ada, "second")
    with yard.gateway.core.reading() as conn:
        yard.key = bytes.fromhex(next(row for row in projections.keys(conn) if row.purpose == "authority").object_id)
    yard.device = yard.gateway.core.device
    yard.fleet = yard.device.router.__self__
    return yard


def mechanism(yard: Any) -> SignMechanism:
    with yard.gateway.core.reading() as conn:
        row = projections.key(conn, yard.key.hex())
    return SignMechanism.ECDSA_SHA384 if row.algorithm == Algorithm.EC_P384 else LIGHT


def sign(yard: Any) -> str:
    """Sign, and say who did."""
    assert yard.device.run("sign", yard.key, mechanism(yard), b"text")
    return yard.fleet.served_by() or "primary"


def served(yard: Any, times: int) -> dict[str, int]:
    count: dict[str, int] = {}
    for _ in range(times):
        name = sign(yard)
        count[name] = count.get(name, 0) + 1
    return count


def test_work_is_shared_by_weight(fleet: Any) -> None:
    fleet.fleet.member("second").weight = 3
    count = served(fleet, 40)
    assert 8 <= count["primary"] <= 12


def test_weight_nought_works_only_when_no_other_can(fleet: Any) -> None:
    fleet.fleet.member("second").weight = 0
    assert served(fleet, 6) == {"primary": 6}
    fleet.device.lock(None)
    assert served(fleet, 3) == {"second": 3}


def test_the_own_region_goes_first(fleet: Any) -> None:
    fleet.fleet.region, fleet.fleet.primary.region, fleet.fleet.member("second").region = "north", "south", "north"
    assert served(fleet, 6) == {"second": 6}
    devices.lock(fleet.ada, "second")
    assert served(fleet, 3) == {"primary": 3}


def test_a_killed_device_costs_no_signature(fleet: Any, in_time: Callable[[float, float], None]) -> None:
    fleet.kill("token")
    before = time.monotonic()
    assert [sign(fleet) for _ in range(4)] == ["second"] * 4
    in_time(time.monotonic() - before, 1)
    fleet.until(lambda: fleet.events(ev.DeviceDown))
    row = fleet.until(lambda: [d for d in devices.listed(fleet.ada).devices if d.name == "second"])[0]
    assert next(call.count for call in row.calls if call.call == "sign") == 4


def _pin() -> Any:
    from hsm_console.domain.secret import Secret

    return Secret("user-pin-271828")


def test_a_killed_member_is_recorded_once_and_comes_back_locked(fleet: Any) -> None:
    fleet.kill("second")
    for _ in range(6):
        assert sign(fleet) == "primary"
    states = fleet.until(lambda: [s for s in fleet.events(ev.MemberChanged) if s.state == "locked"] and
                         [(s.state, s.was) for s in fleet.events(ev.MemberChanged)])  # fmt: skip
    assert states == [("down", "up"), ("locked", "down")]
    member = fleet.fleet.member("second")
    assert not member.unlocked
    assert member.keys == {}
    devices.unlock(fleet.ada, "second", _pin())
    assert set(served(fleet, 4)) == {"primary", "second"}


def test_a_frozen_device_is_left_at_its_deadline(fleet: Any, in_time: Callable[[float, float], None]) -> None:
    fleet.clients["second"].real._deadlines["sign"] = 0.5
    fleet.fleet.primary.weight = 0  # the other one is asked first
    os.kill(fleet.clients["second"].pid, signal.SIGSTOP)
    began = time.monotonic()
    assert sign(fleet) == "primary"
    took = time.monotonic() - began
    assert took > 0.4
    in_time(took, 2.5)
    assert fleet.events(ev.MemberChanged)[-1].reason == "device-hung"


@pytest.mark.parametrize("method", ["generate", "destroy", "unwrap", "log_in", "write_data", "change_pin"])
def test_what_must_not_be_done_twice_is_never_moved(fleet: Any, method: str) -> None:
    asked: list[str] = []
    for name, client in fleet.clients.items():
        real = client.real if name == "second" else client

        def spy(*_arguments: Any, _name: str = name, **_named: Any) -> None:
            asked.append(_name)
            raise _failed()

        setattr(real, method, spy)
    with pytest.raises(ConsoleError):
        fleet.device.run(method, KeySpec(algorithm=Algorithm.EC_P256, label="x", object_id=b"\x01" * 16))
    assert asked == ["token"]


def _failed() -> ConsoleError:
    from hsm_console.domain.errors import DeviceError, Problem

    return DeviceError(Problem(code="device-failed", what="It failed.", todo="Look at it."))


def test_a_refusal_that_would_be_the_same_everywhere_is_not_asked_twice(fleet: Any) -> None:
    signature = fleet.device.run("sign", fleet.key, mechanism(fleet), b"text")
    for _ in range(4):
        with pytest.raises(ConsoleError) as caught:
            fleet.device.run("verify", fleet.key, mechanism(fleet), b"another text", signature)
        assert caught.value.problem.code == "signature-invalid"
        assert "asked" not in caught.value.problem.details


def test_when_all_fail_the_person_learns_who_was_asked(fleet: Any) -> None:
    for name, client in fleet.clients.items():
        real = client.real if name == "second" else client
        real.sign = lambda *_a, **_n: (_ for _ in ()).throw(_failed())
    with pytest.raises(ConsoleError) as caught:
        sign(fleet)
    problem = caught.value.problem
    assert sorted(problem.details["asked"].split("; ")) == ["primary: device-failed", "second: device-failed"]
    assert all((problem.what, problem.key_state, problem.todo, problem.contact))


def test_a_key_that_is_not_there_is_not_asked_for(yard: Any) -> None:
    ada = yard.house.admin()
    yard.add(ada, "second")  # a token of its own, without any of our keys
    with yard.gateway.core.reading() as conn:
        row = next(row for row in projections.keys(conn) if row.purpose == "authority")
    device = yard.gateway.core.device
    for _ in range(4):
        assert device.run("sign", bytes.fromhex(row.object_id), SignMechanism.ECDSA_SHA384, b"text")
        assert device.served_by() == ""
    device.lock(None)
    with pytest.raises(ConsoleError) as caught:
        device.run("sign", bytes.fromhex(row.object_id), SignMechanism.ECDSA_SHA384, b"text")
    assert caught.value.problem.code == "device-locked"


def test_another_key_under_the_same_id_is_refused_and_the_device_with_it(fleet: Any, helpers: Helpers) -> None:
    devices.lock(fleet.ada, "second")
    client = fleet.clients["second"].real
    found = client.find

    def forged(**named: Any) -> Any:
        import msgspec

        keys = found(**named)
        other = next(key.spki for key in keys if key.object_id != fleet.key and key.spki)
        return tuple(msgspec.structs.replace(k, spki=other) if k.object_id == fleet.key else k for k in keys)

    client.find = forged
    assert helpers["refusal"](lambda: devices.unlock(fleet.ada, "second", _pin())) == "device-other-keys"
    assert not fleet.fleet.member("second").station.logged_in
    assert served(fleet, 4) == {"primary": 4}
    row = devices.listed(fleet.ada).devices[1]
    assert (row.state, row.unlocked) == ("down", False)


def test_the_breaker_writes_one_record_for_a_storm(fleet: Any) -> None:
    real = fleet.clients["second"].real
    real.sign = lambda *_a, **_n: (_ for _ in ()).throw(_failed())
    fleet.fleet.primary.weight = 0
    for _ in range(200):
        assert sign(fleet) == "primary"
    fleet.until(lambda: fleet.events(ev.MemberChanged))
    time.sleep(0.5)
    assert [(e.state, e.was) for e in fleet.events(ev.MemberChanged)] == [("degraded", "up")]


def test_callers_at_once_lose_nothing_while_devices_are_killed(fleet: Any) -> None:
    done: list[str] = []
    wrong: list[str] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                done.append(sign(fleet))
            except ConsoleError as error:
                wrong.append(error.problem.code)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.6)
        fleet.kill("second")
        fleet.until(lambda: not fleet.fleet.member("second").unlocked)
        fleet.until(lambda: fleet.fleet.member("second").station.alive)
        devices.unlock(fleet.ada, "second", _pin())
    stop.set()
    for thread in threads:
        thread.join(20)
    assert wrong == []
    assert {"primary", "second"} <= set(done)
    assert [e.state for e in fleet.events(ev.MemberChanged)].count("down") == 3


def test_comparing_tells_who_holds_what(fleet: Any) -> None:
    view = devices.compare(fleet.ada)
    assert view.compared_ms > 0
    assert {device.keys for device in view.devices} == {len(view.keys)}
    assert all(key.members == ("primary", "second") for key in view.keys if key.fingerprint)
    assert all(key.members == ("primary",) for key in view.keys if not key.fingerprint)  # nothing proves a secret key
    assert all("stays in the workspace" in key.how for key in view.keys)
    (event,) = fleet.events(ev.FleetCompared)
    assert (event.members, event.keys, event.missing) == (("primary", "second"), len(view.keys), ())
    assert (event.different, event.foreign) == ((), ())


def test_comparing_finds_strangers(yard: Any) -> None:
    ada = yard.house.admin()
    yard.add(ada, "second")
    yard.clients["second"].generate(KeySpec(algorithm=Algorithm.EC_P256, label="a stranger", object_id=b"\x07" * 16))
    view = devices.compare(ada)
    (stranger,) = [key for key in view.keys if key.foreign]
    assert (stranger.members, stranger.label) == (("second",), "a stranger")
    (event,) = yard.events(ev.FleetCompared)
    assert event.foreign == (f"second: a stranger ({'07' * 16})",)
