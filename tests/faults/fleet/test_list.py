"""The list of devices: who gets on it, who is refused, what the log and the file say."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from hsm_console.audit.projection import rebuild
from hsm_console.client import devices
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.messages.devices import AddDevice
from hsm_console.domain.secret import Secret
from hsm_console.gateway import projections

Helpers = dict[str, Callable[..., Any]]
RunAgain = Callable[[Any], AbstractContextManager[Any]]


def wish(name: str = "second", **changes: Any) -> AddDevice:
    return AddDevice(**({"name": name, "adapter": "simulation", "label": name} | changes))


def test_a_device_is_added_unlocked_locked_and_taken_off(yard: Any) -> None:
    ada = yard.house.admin()
    row = yard.add(ada, "second", region="north", weight=3)
    assert (row.name, row.state, row.unlocked, row.region, row.weight) == ("second", "up", True, "north", 3)
    view = devices.listed(ada)
    assert [device.name for device in view.devices] == ["primary", "second"]
    assert view.devices[0].primary
    assert view.devices[0].unlocked
    (added,) = yard.events(ev.MemberAdded)
    assert (added.name, added.serial) == ("second", row.serial)
    assert len(yard.events(ev.MemberUnlocked)) == 1
    assert not devices.lock(ada, "second").unlocked
    assert [(e.state, e.was) for e in yard.events(ev.MemberChanged)] == [("locked", "up")]
    assert [device.name for device in devices.remove(ada, "second").devices] == ["primary"]
    assert yard.events(ev.MemberRemoved)[0].serial == row.serial


def test_the_list_outlives_the_gateway_and_is_written_beside(yard: Any, run_again: RunAgain) -> None:
    row = yard.add(yard.house.admin(), "second", region="south")
    yard.gateway.stop("the test goes on")
    (table,) = tomllib.loads((yard.workspace / "workspace.toml").read_text())["devices"]
    assert (table["name"], table["serial"], table["region"]) == ("second", row.serial, "south")
    folded = rebuild(yard.workspace / "audit.db", projections.projections())
    assert set(folded.values()) == {"identical"}
    with run_again(yard) as again:
        ada = again.house.admin()
        found = again.until(lambda: [d for d in devices.listed(ada).devices if d.name == "second" and d.state == "up"])
        assert not found[0].unlocked
        assert devices.unlock(ada, "second", Secret(again.pins["second"])).unlocked


def test_a_wrong_pin_is_tried_once_and_recorded(yard: Any, helpers: Helpers) -> None:
    ada = yard.house.admin()
    yard.add(ada, "second")
    devices.lock(ada, "second")
    refusal = helpers["refusal"](lambda: devices.unlock(ada, "second", Secret("not-the-pin-99")))
    assert refusal == "pin-incorrect"
    (event,) = yard.events(ev.DeviceUnlockRefused)
    assert event.reason == "pin-incorrect"
    assert "second" in event.text
    assert not devices.listed(ada).devices[1].unlocked


def test_another_device_under_the_right_label_is_refused_and_named(yard: Any, helpers: Helpers) -> None:
    ada = yard.house.admin()
    row = yard.add(ada, "second")
    devices.lock(ada, "second")
    yard.kill("second")
    shutil.rmtree(yard.workspace / "devices" / "second")
    yard.token("second")
    with pytest.raises(ConsoleError) as caught:
        devices.unlock(ada, "second", Secret(yard.pins["second"]))
    problem = caught.value.problem
    assert problem.code == "token-wrong-serial"
    assert row.serial in str(problem)
    assert all((problem.what, problem.key_state, problem.todo, problem.contact))
    assert yard.events(ev.DeviceUnlockRefused)[-1].reason == "token-wrong-serial"
    shown = devices.probe(ada, "second")
    assert (shown.state, shown.unlocked) == ("down", False)
    assert shown.problem is not None
    assert shown.problem.code == "token-wrong-serial"


def test_the_same_token_is_not_added_twice(yard: Any, helpers: Helpers) -> None:
    ada = yard.house.admin()
    yard.add(ada, "second")
    folder = str(yard.workspace / "devices" / "second")
    again = wish("third", label="second", options={"directory": folder})
    assert helpers["refusal"](lambda: devices.add(ada, again)) == "device-known"
    own = wish("third", label="tests", options={"directory": str(yard.workspace / "token")})
    assert helpers["refusal"](lambda: devices.add(ada, own)) == "device-known"
    assert helpers["refusal"](lambda: devices.add(ada, wish("second"))) == "device-known"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": "primary"}, "device-name"),
        ({"name": "../elsewhere"}, "device-name"),
        ({"weight": -1}, "device-weight"),
        ({"label": ""}, "device-label"),
        ({"adapter": "none"}, "adapter-unknown"),
        ({"label": "nothing there", "serial": "X"}, "token-missing"),
        ({"label": "nothing there"}, "device-blank"),
        ({"label": "nothing there", "adapter": "softhsm"}, "device-blank"),
        ({"adapter": "luna"}, "module-missing"),
    ],
)
def test_what_cannot_be_a_device_is_refused_and_leaves_nothing(
    yard: Any, helpers: Helpers, changes: dict[str, Any], code: str
) -> None:
    ada = yard.house.admin()
    size = yard.gateway.core.log.size
    assert helpers["refusal"](lambda: devices.add(ada, wish(**changes))) == code
    assert devices.listed(ada).devices[1:] == ()
    assert yard.gateway.core.log.size == size
    assert not Path(yard.workspace / "elsewhere").exists()


def test_only_those_whom_policy_names(yard: Any, helpers: Helpers) -> None:
    ada = yard.house.admin()
    yard.add(ada, "second")
    joan, claude = yard.house.be("joan"), yard.house.be("claude")
    for act in (
        lambda: devices.add(claude, wish("third")),
        lambda: devices.remove(claude, "second"),
        lambda: devices.lock(joan, "second"),
        lambda: devices.probe(joan, "second"),
        lambda: devices.unlock(joan, "second", Secret(yard.pins["second"])),
    ):
        assert helpers["refusal"](act) == "role-refused"
    assert helpers["refusal"](lambda: devices.probe(ada, "nobody")) == "not-found"
    assert len(devices.listed(joan).devices) == 2


def test_no_log_no_unlock(yard: Any, helpers: Helpers, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = yard.house.admin()
    yard.add(ada, "second")
    devices.lock(ada, "second")
    member = yard.gateway.core.device.router.__self__.member("second")

    def full(_drafts: object) -> None:
        from hsm_console.domain.errors import EnvironmentFault, Problem

        raise EnvironmentFault(Problem(code="disk-full", what="The disk is full.", todo="Make room."))

    monkeypatch.setattr(member, "_append", full)
    assert helpers["refusal"](lambda: devices.unlock(ada, "second", Secret(yard.pins["second"]))) == "disk-full"
    assert not member.unlocked
    assert not member.station.logged_in
