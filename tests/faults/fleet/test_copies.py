"""Keys copied to a further device under a quorum: what is copied, what is refused, and what a crash leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from hsm_console.audit.projection import rebuild
from hsm_console.client import devices, orders
from hsm_console.domain import events as ev
from hsm_console.domain.keys import Algorithm, SignMechanism, Usage
from hsm_console.domain.messages.orders import OrderState
from hsm_console.domain.secret import Secret
from hsm_console.gateway import projections

Helpers = dict[str, Callable[..., Any]]
RunAgain = Callable[[Any], AbstractContextManager[Any]]
KINDS = (
    (Algorithm.EC_P384, Usage.SIGN),
    (Algorithm.RSA_2048, Usage.SIGN),
    (Algorithm.RSA_2048, Usage.ENCRYPT),
    (Algorithm.EC_P256, Usage.DERIVE),
    (Algorithm.AES_256, Usage.ENCRYPT),
    (Algorithm.HMAC_SHA256, Usage.SIGN),
)


def agreed(yard: Any) -> Any:
    ada = yard.house.admin()
    yard.add(ada, "second")
    order = yard.ordered(ada, "share-wrapping-key", device="second")
    assert order.state is OrderState.DONE, order.problem
    return ada


def every_key_goes_over(yard: Any) -> None:
    ada = agreed(yard)
    made = [yard.make(algorithm, usage) for algorithm, usage in KINDS]
    order = yard.ordered(ada, "replicate-key", key="all", device="second")
    assert order.state is OrderState.DONE, order.problem
    assert order.result == {"copied": str(len(made)), "were there": "0", "device": "second"}
    view = devices.compare(ada)
    found = {key.object_id: key for key in view.keys}
    assert all(found[key].members == ("primary", "second") for key in made)
    assert not any(key.foreign or key.different for key in view.keys)
    device = yard.gateway.core.device
    device.lock(None)
    text = device.run("sign", bytes.fromhex(made[0]), SignMechanism.ECDSA_SHA384, b"text")
    assert (bool(text), device.served_by()) == (True, "second")
    assert device.run("decrypt", bytes.fromhex(made[4]), device.run("encrypt", bytes.fromhex(made[4]), b"x")) == b"x"
    again = [event for event in yard.events(ev.OperationSucceeded) if event.operation is ev.Operation.REPLICATE]
    assert [event.key_id for event in again] == made
    assert {event.device for event in again} == {"second"}


def test_every_kind_of_key_goes_over(yard: Any) -> None:
    every_key_goes_over(yard)


@pytest.mark.softhsm
def test_every_kind_of_key_goes_over_between_softhsm_tokens(soft_yard: Any) -> None:
    every_key_goes_over(soft_yard)


def test_copies_are_known_after_a_restart_and_folded_the_same(yard: Any, run_again: RunAgain) -> None:
    ada = agreed(yard)
    keys = (yard.make(Algorithm.AES_256, Usage.ENCRYPT), yard.make(Algorithm.EC_P256, Usage.SIGN))
    yard.ordered(ada, "replicate-key", key="all", device="second")
    yard.gateway.stop("the test goes on")
    assert set(rebuild(yard.workspace / "audit.db", projections.projections()).values()) == {"identical"}
    with run_again(yard) as again:
        ada = again.house.admin()
        devices.unlock(ada, "second", Secret(again.pins["second"]))
        member = again.gateway.core.device.router.__self__.member("second")
        assert member.holds(keys)


def test_what_cannot_leave_is_refused_and_says_how_then(yard: Any, helpers: Helpers) -> None:
    ada = agreed(yard)
    fixed = yard.make(Algorithm.EC_P256, Usage.SIGN, extractable=False)
    ask = lambda **given: lambda: orders.open_order(ada, "replicate-key", given)  # noqa: E731
    assert helpers["refusal"](ask(key=fixed, device="second")) == "key-not-replicable"
    with yard.gateway.core.reading() as conn:
        reserved = next(row.object_id for row in projections.keys(conn) if row.purpose == "log")
    assert helpers["refusal"](ask(key=reserved, device="second")) == "key-not-replicable"
    assert helpers["refusal"](ask(key="00" * 16, device="second")) == "object-missing"
    assert helpers["refusal"](ask(key=fixed, device="nobody")) == "device-unknown"
    assert helpers["refusal"](ask(key="all", device="second", under=fixed)) == "wrapping-key-missing"
    how = {key.object_id: (key.replicable, key.how) for key in devices.compare(ada).keys}
    assert not how[fixed][0]
    assert "cloning" in how[fixed][1]


def test_without_a_shared_wrapping_key_nothing_is_copied(yard: Any, helpers: Helpers) -> None:
    ada = yard.house.admin()
    yard.add(ada, "second")
    key = yard.make(Algorithm.EC_P256, Usage.SIGN)
    ask = lambda: orders.open_order(ada, "replicate-key", {"key": key, "device": "second"})  # noqa: E731
    assert helpers["refusal"](ask) == "wrapping-key-missing"
    assert helpers["refusal"](lambda: orders.open_order(yard.house.be("claude"), "share-wrapping-key",
                                                        {"device": "second"})) == "role-refused"  # fmt: skip


def test_another_object_in_the_place_stops_it(yard: Any) -> None:
    ada = agreed(yard)
    key = yard.make(Algorithm.EC_P256, Usage.SIGN)
    from hsm_console.domain.keys import KeySpec

    yard.clients["second"].generate(KeySpec(algorithm=Algorithm.EC_P256, label="x", object_id=bytes.fromhex(key)))
    order = yard.ordered(ada, "replicate-key", key=key, device="second")
    assert order.state is OrderState.FAILED
    assert order.problem.code == "device-other-keys"
    (found,) = [each for each in devices.compare(ada).keys if each.object_id == key]
    assert (found.members, found.different) == (("primary",), ("second",))


def test_a_copy_that_is_not_the_key_is_taken_away(yard: Any) -> None:
    ada = agreed(yard)
    key = yard.make(Algorithm.EC_P256, Usage.SIGN)
    other = yard.make(Algorithm.EC_P256, Usage.SIGN, label="another")
    primary = yard.clients["token"]
    wrap = primary.wrap
    primary.wrap = lambda under, _object_id: wrap(under, bytes.fromhex(other))  # a device that gives out something else
    order = yard.ordered(ada, "replicate-key", key=key, device="second")
    assert order.state is OrderState.FAILED
    assert order.problem.code in ("copy-not-same", "signature-not-verified", "ciphertext-invalid")
    assert yard.clients["second"].find(object_id=bytes.fromhex(key)) == ()
    assert [e.operation for e in yard.events(ev.OperationFailed)] == [ev.Operation.REPLICATE]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_device_killed_while_it_takes_a_key_in_is_found_out(yard: Any, when: str) -> None:
    """Never copied twice by itself; the open intent ends when both devices are unlocked again."""
    ada = agreed(yard)
    key = yard.make(Algorithm.EC_P256, Usage.SIGN)
    client = yard.dies_in("second", "unwrap", when)
    order = yard.ordered(ada, "replicate-key", key=key, device="second")
    assert order.state is OrderState.FAILED
    member = yard.gateway.core.device.router.__self__.member("second")
    with yard.gateway.core.reading() as conn:
        assert len(projections.open_intents(conn)) == 1
    yard.until(lambda: member.station.alive)
    del client.unwrap
    devices.unlock(ada, "second", Secret(yard.pins["second"]))
    with yard.gateway.core.reading() as conn:
        assert projections.open_intents(conn) == ()
    if when == "after":
        assert yard.events(ev.OperationSucceeded)[-1].recovered
        assert member.holds((key,))
    else:
        assert yard.events(ev.OperationInterrupted)[-1].found == "not-done"
        assert not member.holds((key,))
        order = yard.ordered(ada, "replicate-key", key=key, device="second")
        assert order.state is OrderState.DONE, order.problem
    assert len(client.find(object_id=bytes.fromhex(key))) == 1


def test_a_run_that_is_stopped_goes_on_where_it_was(yard: Any) -> None:
    ada = agreed(yard)
    made = [yard.make(Algorithm.HMAC_SHA256, Usage.SIGN, label=f"mac {n}") for n in range(6)]
    client = yard.clients["second"]
    unwrap, go = client.unwrap, threading.Event()

    def slow(*arguments: Any) -> Any:
        if go.is_set():
            orders.stop(ada, order.id)
        go.set()
        return unwrap(*arguments)

    client.unwrap = slow
    order = orders.open_order(ada, "replicate-key", {"key": "all", "device": "second"})
    orders.decide(yard.house.be("claude"), order.id, ev.Decision.APPROVE)
    orders.run(ada, order.id)
    yard.until(lambda: orders.show(ada, order.id).state is OrderState.STOPPED)
    assert orders.show(ada, order.id).result == {"copied": "2"}
    del client.unwrap
    orders.run(ada, order.id)
    yard.until(lambda: orders.show(ada, order.id).state is OrderState.DONE)
    assert orders.show(ada, order.id).result["copied"] == "4"
    assert yard.gateway.core.device.router.__self__.member("second").holds(tuple(made))


def test_too_few_devices_are_told_to_everybody(yard: Any) -> None:
    import msgspec

    ada = yard.house.admin()
    yard.add(ada, "second")
    fleet = yard.gateway.core.device.router.__self__
    assert fleet.problems() == ()
    environment = yard.gateway.core.environment
    strict = msgspec.structs.replace(environment, devices=msgspec.structs.replace(environment.devices, least=2))
    object.__setattr__(yard.gateway.core, "environment", strict)
    assert fleet.problems() == ()
    devices.lock(ada, "second")
    (problem,) = fleet.problems()
    assert (problem.code, "primary" in problem.what) == ("devices-too-few", True)
