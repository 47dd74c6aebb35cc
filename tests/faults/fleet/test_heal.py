"""Keys from whichever device holds them to whichever lost them: the workspace's own token and a replaced device too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hsm_console.audit import words
from hsm_console.audit.projection import rebuild
from hsm_console.client import devices, orders
from hsm_console.domain import events as ev
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism, Usage
from hsm_console.domain.messages.orders import OrderState
from hsm_console.domain.secret import Secret
from hsm_console.gateway import projections

Helpers = dict[str, Callable[..., Any]]


def done(order: Any) -> Any:
    assert order.state is OrderState.DONE, order.problem
    return order


def copied_to_second(yard: Any) -> tuple[Any, str, str]:
    """(ada, a pair, a secret key), each in the workspace's token and in the second device."""
    ada = yard.house.admin()
    yard.add(ada, "second")
    done(yard.ordered(ada, "share-wrapping-key", device="second"))
    pair, secret = yard.make(Algorithm.EC_P256, Usage.SIGN), yard.make(Algorithm.AES_256, Usage.ENCRYPT)
    done(yard.ordered(ada, "replicate-key", key="all", device="second"))
    return ada, pair, secret


def lose(yard: Any, name: str, *keys: str) -> None:
    """As a stranger's program would destroy them."""
    for key in keys:
        yard.clients[name].destroy(bytes.fromhex(key))


def where(ada: Any, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    (found,) = [each for each in devices.compare(ada).keys if each.object_id == key]
    return found.members, found.missing


def the_token_gets_back_what_it_lost(yard: Any) -> None:
    ada, pair, secret = copied_to_second(yard)
    device = yard.gateway.core.device
    before = device.run("encrypt", bytes.fromhex(secret), b"kept")
    lose(yard, "token", pair, secret)
    assert where(ada, pair) == (("second",), ("primary",))
    assert device.run("sign", bytes.fromhex(pair), SignMechanism.ECDSA_SHA256, b"text")
    assert device.served_by() == "second"
    order = done(yard.ordered(ada, "heal-device", device="primary"))
    assert order.result == {"brought back": "2", "device": "primary"}
    assert "the workspace's token" in order.summary
    assert where(ada, pair) == (("primary", "second"), ())
    devices.lock(ada, "second")
    assert device.run("sign", bytes.fromhex(pair), SignMechanism.ECDSA_SHA256, b"text")
    assert device.run("decrypt", bytes.fromhex(secret), before) == b"kept"
    back = [e for e in yard.events(ev.OperationSucceeded) if e.operation is ev.Operation.REPLICATE][-2:]
    assert [(e.key_id, e.device, e.source) for e in back] == [
        (pair, "primary", "second"),
        (secret, "primary", "second"),
    ]
    again = done(yard.ordered(ada, "heal-device", device="primary"))
    assert again.result["brought back"] == "0"


def test_the_workspaces_own_token_gets_back_what_it_lost(yard: Any) -> None:
    the_token_gets_back_what_it_lost(yard)


@pytest.mark.softhsm
def test_a_softhsm_token_gets_back_what_it_lost(soft_yard: Any) -> None:
    the_token_gets_back_what_it_lost(soft_yard)


def test_a_copy_goes_between_two_further_devices(yard: Any, helpers: Helpers) -> None:
    ada, pair, _ = copied_to_second(yard)
    yard.add(ada, "third")
    ask = lambda **given: lambda: orders.open_order(ada, "replicate-key", given)  # noqa: E731
    assert helpers["refusal"](ask(key=pair, device="third", **{"from": "second"})) == "wrapping-key-missing"
    assert helpers["refusal"](ask(key=pair, device="third", **{"from": "third"})) == "device-twice"
    assert helpers["refusal"](ask(key=pair, device="third", **{"from": "nobody"})) == "device-unknown"
    share = done(yard.ordered(ada, "share-wrapping-key", **{"device": "third", "with": "second"}))
    under = share.result["key"]
    order = done(yard.ordered(ada, "replicate-key", **{"key": pair, "device": "third", "from": "second"}))
    assert "from “second” to “third”" in order.summary
    assert where(ada, pair) == (("primary", "second", "third"), ())
    assert where(ada, under) == (("second", "third"), ()), "it is of use to these two alone"
    assert yard.clients["token"].find(object_id=bytes.fromhex(under)) == ()
    log = yard.gateway.core.log
    told = [words.summary(entry.event, entry.actor) for entry in map(log.read, range(log.size))]
    assert any("“third” took in, from “second”" in text for text in told)
    assert any("“third” and “second” agreed" in text for text in told)
    done(yard.ordered(ada, "destroy-key", key=under))
    assert all(yard.clients[name].find(object_id=bytes.fromhex(under)) == () for name in ("second", "third"))


def test_a_device_that_took_the_place_of_another_gets_everything(yard: Any) -> None:
    """No wrapping key is shared with the new one: it agrees on one within the same order."""
    ada, pair, secret = copied_to_second(yard)
    fixed = yard.make(Algorithm.EC_P256, Usage.SIGN, label="stays", extractable=False)
    devices.remove(ada, "second")
    yard.add(ada, "third")
    order = done(yard.ordered(ada, "heal-device", device="third"))
    assert order.result == {"brought back": "2", "device": "third"}
    member = yard.gateway.core.device.router.__self__.member("third")
    assert member.holds((pair, secret))
    assert not member.holds((fixed,))


def test_a_wrapping_key_that_is_lost_too_is_agreed_on_anew(yard: Any) -> None:
    ada, pair, secret = copied_to_second(yard)
    with yard.gateway.core.reading() as conn:
        (under,) = [row.object_id for row in projections.keys(conn) if Usage.WRAP in row.attributes.usages]
    lose(yard, "token", pair, secret, under)
    order = yard.ordered(ada, "replicate-key", key=pair, device="primary")
    assert (order.state, order.problem.code) == (OrderState.FAILED, "copy-source-missing")
    assert done(yard.ordered(ada, "heal-device", device="primary")).result["brought back"] == "2"
    assert len([e for e in yard.events(ev.OperationSucceeded) if e.operation is ev.Operation.AGREE]) == 2


def test_what_nobody_holds_is_said_and_not_invented(yard: Any) -> None:
    ada, pair, secret = copied_to_second(yard)
    for name in ("token", "second"):
        lose(yard, name, pair)
    devices.compare(ada)
    lose(yard, "token", secret)
    order = done(yard.ordered(ada, "heal-device", device="primary"))
    assert order.result["brought back"] == "1"
    assert "ec-p256" in order.result["held by no device that can give it"]


def test_a_device_that_gives_another_key_heals_nobody(yard: Any) -> None:
    ada, pair, _ = copied_to_second(yard)
    other = yard.make(Algorithm.EC_P256, Usage.SIGN, label="another")
    done(yard.ordered(ada, "replicate-key", key=other, device="second"))
    lose(yard, "token", pair)
    second = yard.clients["second"]
    wrap = second.wrap
    second.wrap = lambda under, _wanted: wrap(under, bytes.fromhex(other))
    order = yard.ordered(ada, "heal-device", device="primary")
    assert order.state is OrderState.FAILED
    assert order.problem.code in ("copy-not-same", "signature-not-verified", "ciphertext-invalid")
    assert yard.clients["token"].find(object_id=bytes.fromhex(pair)) == ()
    with yard.gateway.core.reading() as conn:
        assert projections.open_intents(conn) == ()


def test_another_object_in_the_place_of_a_lost_key_is_left_alone(yard: Any) -> None:
    ada, pair, _ = copied_to_second(yard)
    lose(yard, "token", pair)
    yard.clients["token"].generate(KeySpec(algorithm=Algorithm.EC_P256, label="x", object_id=bytes.fromhex(pair)))
    order = yard.ordered(ada, "replicate-key", key=pair, device="primary")
    assert (order.state, order.problem.code) == (OrderState.FAILED, "device-other-keys")
    assert len(yard.clients["token"].find(object_id=bytes.fromhex(pair))) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_token_killed_while_a_key_comes_back_is_found_out(yard: Any, when: str) -> None:
    ada, pair, _ = copied_to_second(yard)
    lose(yard, "token", pair)
    token = yard.dies_in("token", "unwrap", when)
    order = yard.ordered(ada, "replicate-key", key=pair, device="primary")
    assert order.state is OrderState.FAILED
    with yard.gateway.core.reading() as conn:
        assert len(projections.open_intents(conn)) == 1
    del token.unwrap
    yard.until(lambda: yard.gateway.core.device.station.alive)
    devices.unlock(ada, "primary", Secret("user-pin-271828"))
    with yard.gateway.core.reading() as conn:
        assert projections.open_intents(conn) == ()
    if when == "after":
        assert yard.events(ev.OperationSucceeded)[-1].recovered
    else:
        assert yard.events(ev.OperationInterrupted)[-1].found == "not-done"
        done(yard.ordered(ada, "replicate-key", key=pair, device="primary"))
    assert len(token.find(object_id=bytes.fromhex(pair))) == 1


def test_what_was_copied_where_is_folded_the_same(yard: Any) -> None:
    ada, pair, _ = copied_to_second(yard)
    lose(yard, "token", pair)
    done(yard.ordered(ada, "heal-device", device="primary"))
    yard.gateway.stop("the test goes on")
    assert set(rebuild(yard.workspace / "audit.db", projections.projections()).values()) == {"identical"}
