"""A key is destroyed wherever it lies, or nowhere; what a failure in the middle leaves is told and gone on with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit.projection import rebuild
from hsm_console.client import devices, orders
from hsm_console.domain import events as ev
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.keys import Algorithm, KeySpec, Usage
from hsm_console.domain.messages.orders import OrderState
from hsm_console.domain.secret import Secret
from hsm_console.gateway import member_rows, projections

Helpers = dict[str, Callable[..., Any]]
ROOT = Path(__file__).parents[3]
DESTROY = ev.Operation.DESTROY


def copied(yard: Any, algorithm: Algorithm = Algorithm.EC_P256, usage: Usage = Usage.SIGN) -> tuple[Any, str]:
    """A session, and a key that lies in the primary and in “second”."""
    ada = yard.house.admin()
    yard.add(ada, "second")
    assert yard.ordered(ada, "share-wrapping-key", device="second").state is OrderState.DONE
    key = yard.make(algorithm, usage)
    assert yard.ordered(ada, "replicate-key", key=key, device="second").state is OrderState.DONE
    return ada, key


def lies_in(yard: Any, key: str) -> list[str]:
    return [name for name in ("second", "token") if yard.clients[name].find(object_id=bytes.fromhex(key))]


def of_order(yard: Any, kind: type) -> list[str]:
    return [event.device for event in yard.events(kind) if event.operation is DESTROY]


def state_of(yard: Any, key: str) -> tuple[str, bool]:
    """(the key's state by the log, whether the log knows of a copy)."""
    with yard.gateway.core.reading() as conn:
        row = projections.key(conn, key)
        assert row is not None
        return row.state, key in member_rows.copies(conn, "second")


def proven(yard: Any) -> None:
    """The log folds to the same tables, and verifies by the stranger's program."""
    yard.gateway.stop("the test looks at the log")
    assert set(rebuild(yard.workspace / "audit.db", projections.projections()).values()) == {"identical"}
    stranger = [sys.executable, "docs/verify.py", yard.workspace / "audit.db", yard.workspace / "log.vkey"]
    done = subprocess.run(stranger, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", [(Algorithm.EC_P256, Usage.SIGN), (Algorithm.AES_256, Usage.ENCRYPT)])
def test_a_key_is_destroyed_in_every_device(yard: Any, kind: tuple[Algorithm, Usage], helpers: Helpers) -> None:
    ada, key = copied(yard, *kind)
    order = yard.ordered(ada, "destroy-key", key=key)
    assert order.state is OrderState.DONE, order.problem
    assert "in every device that holds it" in order.summary
    assert order.result["destroyed in"] == "second, primary"
    assert lies_in(yard, key) == []
    assert of_order(yard, ev.OperationIntended)[-2:] == of_order(yard, ev.OperationSucceeded)[-2:] == ["second", ""]
    assert state_of(yard, key) == ("destroyed", False)
    assert [each for each in devices.compare(ada).keys if each.object_id == key or each.foreign] == []
    assert helpers["refusal"](lambda: orders.open_order(ada, "destroy-key", {"key": key})) == "key-destroyed"
    proven(yard)


def test_a_locked_device_stops_it_before_anything_is_destroyed(yard: Any, helpers: Helpers) -> None:
    ada, key = copied(yard)
    before = len(of_order(yard, ev.OperationIntended))
    order = orders.open_order(ada, "destroy-key", {"key": key})
    order = orders.decide(yard.house.be("claude"), order.id, ev.Decision.APPROVE)
    devices.lock(ada, "second")
    assert helpers["refusal"](lambda: orders.open_order(ada, "destroy-key", {"key": key})) == "device-locked"
    assert helpers["refusal"](lambda: orders.run(ada, order.id)) == "device-locked"
    assert len(of_order(yard, ev.OperationIntended)) == before
    assert yard.clients["token"].find(object_id=bytes.fromhex(key))
    devices.unlock(ada, "second", Secret(yard.pins["second"]))
    assert lies_in(yard, key) == ["second", "token"]
    orders.run(ada, order.id)  # the approved order is good still
    yard.until(lambda: orders.show(ada, order.id).state is OrderState.DONE)
    assert lies_in(yard, key) == []


def test_what_is_left_is_named_in_the_sentence_that_is_signed(yard: Any, helpers: Helpers) -> None:
    ada, key = copied(yard)
    nobody = {"key": key, "leave": "nobody"}
    assert helpers["refusal"](lambda: orders.open_order(ada, "destroy-key", nobody)) == "device-unknown"
    assert helpers["refusal"](lambda: orders.open_order(ada, "destroy-key", {"key": key, "leave": "primary"})) == (
        "device-unknown"
    )
    devices.lock(ada, "second")
    order = yard.ordered(ada, "destroy-key", key=key, leave="second")
    assert order.state is OrderState.DONE, order.problem
    assert order.summary.endswith("What is in “second” is left there.")
    assert (order.result["destroyed in"], order.result["left in"]) == ("primary", "second")
    devices.unlock(ada, "second", Secret(yard.pins["second"]))
    assert lies_in(yard, key) == ["second"]
    assert state_of(yard, key) == ("destroyed", True)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_device_that_dies_in_the_middle_is_found_out_and_gone_on_with(yard: Any, when: str) -> None:
    ada, key = copied(yard)
    client = yard.clients["second"]
    destroy, calls = client.destroy, []

    def killed(*arguments: Any) -> Any:
        calls.append(arguments)
        if when == "after":
            destroy(*arguments)
        yard.kill("second")
        return destroy(*arguments)

    client.destroy = killed
    order = yard.ordered(ada, "destroy-key", key=key)
    assert order.state is OrderState.STOPPED
    assert len(calls) == 1  # never tried twice by itself
    assert order.result == {"destroyed in": "none", "still in": "second, primary"}
    with yard.gateway.core.reading() as conn:
        assert [row.event.device for row in projections.open_intents(conn)] == ["second"]
    assert state_of(yard, key)[0] == "active"
    member = yard.gateway.core.device.router.__self__.member("second")
    yard.until(lambda: member.station.alive)
    del client.destroy
    devices.unlock(ada, "second", Secret(yard.pins["second"]))
    with yard.gateway.core.reading() as conn:
        assert projections.open_intents(conn) == ()
    if when == "after":
        assert yard.events(ev.OperationSucceeded)[-1].recovered
    else:
        assert yard.events(ev.OperationInterrupted)[-1].found == "not-done"
    orders.run(ada, order.id)
    yard.until(lambda: orders.show(ada, order.id).state is OrderState.DONE)
    assert orders.show(ada, order.id).result["destroyed in"] == "second, primary"
    assert lies_in(yard, key) == []
    assert state_of(yard, key) == ("destroyed", False)
    assert not any(each.foreign for each in devices.compare(ada).keys)
    proven(yard)


@pytest.mark.parametrize("where", ["second", "token"])
def test_a_device_that_refuses_leaves_the_rest_for_the_next_run(yard: Any, where: str) -> None:
    ada, key = copied(yard)
    client, calls = yard.clients[where], []

    def refused(*arguments: Any) -> Any:
        calls.append(arguments)
        raise EnvironmentFault(Problem(code="device-failed", what="It does not.", todo="Look."))

    client.destroy = refused
    order = yard.ordered(ada, "destroy-key", key=key)
    assert (order.state, len(calls)) == (OrderState.STOPPED, 1)
    assert order.result["still in"] == ("second, primary" if where == "second" else "primary")
    assert of_order(yard, ev.OperationIntended)[-1] == ("second" if where == "second" else "")
    assert yard.events(ev.OperationFailed)[-1].code == "device-failed"
    assert state_of(yard, key) == ("active", where == "second")
    del client.destroy
    orders.run(ada, order.id)
    yard.until(lambda: orders.show(ada, order.id).state is OrderState.DONE)
    assert orders.show(ada, order.id).result["destroyed in"] == "second, primary"
    assert lies_in(yard, key) == []


def test_what_is_not_this_key_is_not_destroyed(yard: Any) -> None:
    ada, key = copied(yard)
    other = yard.make(Algorithm.EC_P256, Usage.SIGN, label="another")
    spec = KeySpec(algorithm=Algorithm.EC_P256, label="x", object_id=bytes.fromhex(other))
    yard.clients["second"].generate(spec)
    order = yard.ordered(ada, "destroy-key", key=other)
    assert order.state is OrderState.STOPPED
    assert lies_in(yard, other) == ["second", "token"]
    assert lies_in(yard, key) == ["second", "token"]
    order = yard.ordered(ada, "destroy-key", key=other, leave="second")
    assert order.state is OrderState.DONE
    assert lies_in(yard, other) == ["second"]


def test_a_failure_in_the_second_of_two_copies_tells_what_exists_where(yard: Any) -> None:
    ada, key = copied(yard)
    yard.add(ada, "third")
    assert yard.ordered(ada, "share-wrapping-key", device="third").state is OrderState.DONE
    assert yard.ordered(ada, "replicate-key", key=key, device="third").state is OrderState.DONE
    client = yard.clients["third"]
    destroy = client.destroy

    def killed(*arguments: Any) -> Any:
        yard.kill("third")
        return destroy(*arguments)

    client.destroy = killed
    order = yard.ordered(ada, "destroy-key", key=key)
    assert order.state is OrderState.STOPPED
    assert order.result == {"destroyed in": "second", "still in": "third, primary"}
    assert lies_in(yard, key) == ["token"]
    member = yard.gateway.core.device.router.__self__.member("third")
    yard.until(lambda: member.station.alive)
    del client.destroy
    devices.unlock(ada, "third", Secret(yard.pins["third"]))
    orders.run(ada, order.id)
    yard.until(lambda: orders.show(ada, order.id).state is OrderState.DONE)
    assert orders.show(ada, order.id).result["destroyed in"] == "second, third, primary"
    assert client.find(object_id=bytes.fromhex(key)) == () == yard.clients["token"].find(object_id=bytes.fromhex(key))
    proven(yard)
