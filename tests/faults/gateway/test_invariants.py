"""Nothing without a record; no key without an intent; after a crash nothing is generated a second time by itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hsm_console.client import ceremonies, device
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, Problem
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.secret import Secret

Helpers = dict[str, Callable[..., Any]]


def generate(house: Any, ada: Any, view: msg.CeremonyView) -> msg.CeremonyView:
    answer = msg.Perform(step="generate", revision=view.revision, confirmed="generate")
    return ceremonies.answer(ada, view.id, answer)


def full(*_: Any, **__: Any) -> Any:
    raise EnvironmentFault(Problem(code="disk-full", what="No space is left.", todo="Make room."))


def test_the_module_is_not_called_when_the_log_cannot_be_written(
    spied: Any, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    view = house.until(ada, house.open(ada), "generate")
    spy.calls.clear()
    size = gateway.core.log.size
    monkeypatch.setattr(gateway.core.log, "append", full)
    assert helpers["refusal"](lambda: generate(house, ada, view)) == "disk-full"
    assert "generate" not in spy.calls
    assert "sign" not in spy.calls
    monkeypatch.undo()
    assert gateway.core.log.size == size
    assert generate(house, ada, ceremonies.view(ada, view.id)).key is not None


def test_an_outcome_that_could_not_be_written_is_found_again(
    spied: Any, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key was made, then the disk was full: the next answer finds it by its id and makes no second one."""
    gateway, spy, house = spied
    ada = house.admin()
    view = house.until(ada, house.open(ada), "generate")
    spy.after["generate"] = lambda: monkeypatch.setattr(gateway.core.log, "append", full)
    assert helpers["refusal"](lambda: generate(house, ada, view)) == "disk-full"
    monkeypatch.undo()
    between = ceremonies.view(ada, view.id)
    assert next(s for s in between.steps if s.id == "generate").status is msg.StepStatus.WORKING
    helpers["refusal"](lambda: generate(house, ada, between))  # whatever is answered, it is found out first
    after = ceremonies.view(ada, view.id)
    assert after.key is not None
    assert after.current == "read-back"
    assert spy.calls.count("generate") == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_worker_killed_at_the_generation(spied: Any, helpers: Helpers, one_key_each: Any, moment: str) -> None:
    """Before the module did anything the quorum decides anew; after it, the key is found and not made again."""
    gateway, spy, house = spied
    ada = house.admin()
    view = house.until(ada, house.open(ada), "generate")

    def kill() -> None:
        pid = spy.real.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    getattr(spy, moment)["generate"] = kill
    code = helpers["refusal"](lambda: generate(house, ada, view))
    assert code in ("device-crashed", "device-hung")
    assert not device.state(ada).unlocked
    assert helpers["refusal"](lambda: generate(house, ada, ceremonies.view(ada, view.id))) in (
        "working",
        "device-locked",
        "answer-stale",
    )
    device.unlock(ada, Secret("user-pin-271828"))
    now = ceremonies.view(ada, view.id)
    if moment == "before":
        assert now.key is None
        assert now.deciding == "retry"
        for uid in ("claude", "whit"):
            now = helpers["approve"](house.be(uid), now)
        now = generate(house, ada, now)
    assert now.key is not None
    assert spy.calls.count("generate") == (2 if moment == "before" else 1)
    for _ in range(50):
        now = house.turn(ada, now) if now.status == "open" else now
    assert now.status == "completed"
    gateway.core.device.lock(None)
    one_key_each(house.workspace)


def test_half_a_pair_is_destroyed_before_another_attempt(spied: Any, helpers: Helpers, one_key_each: Any) -> None:
    """A crash inside C_GenerateKeyPair leaves half a pair, which blocks the label; the quorum's word removes it."""
    gateway, spy, house = spied
    ada = house.admin()
    view = house.until(ada, house.open(ada), "generate")
    objects = house.workspace / "token" / "simulation" / "objects"
    before = set(objects.iterdir())

    def crash() -> None:
        os.kill(spy.real.pid, signal.SIGKILL)
        made = sorted(set(objects.iterdir()) - before)
        assert len(made) == 2
        next(path for path in made if '"public"' in path.read_text()).unlink()

    spy.after["generate"] = crash
    helpers["refusal"](lambda: generate(house, ada, view))
    helpers["refusal"](lambda: ceremonies.answer(ada, view.id, msg.RunChecks(step="generate", revision=view.revision)))
    device.unlock(ada, Secret("user-pin-271828"))
    now = ceremonies.view(ada, view.id)
    assert now.key is None
    assert now.deciding == "retry"
    assert any("destroys it first" in line for line in now.approved)
    for uid in ("claude", "whit"):
        now = helpers["approve"](house.be(uid), now)
    now = generate(house, ada, now)
    assert now.key is not None
    assert spy.calls.count("destroy") == 1
    gateway.core.device.lock(None)
    one_key_each(house.workspace)


def test_a_late_key_of_an_earlier_attempt_stops_everything(spied: Any, helpers: Helpers) -> None:
    """A module that finished after it had been given up: nothing is made beside that key, nothing destroyed."""
    _gateway, spy, house = spied
    ada = house.admin()
    view = house.until(ada, house.open(ada), "generate")
    objects = house.workspace / "token" / "simulation" / "objects"
    hidden = house.workspace.parent / "hidden"
    hidden.mkdir()
    before = set(objects.iterdir())

    def crash() -> None:
        os.kill(spy.real.pid, signal.SIGKILL)
        for path in set(objects.iterdir()) - before:
            path.rename(hidden / path.name)

    spy.after["generate"] = crash
    helpers["refusal"](lambda: generate(house, ada, view))
    device.unlock(ada, Secret("user-pin-271828"))
    now = ceremonies.view(ada, view.id)
    assert now.deciding == "retry"
    for uid in ("claude", "whit"):
        now = helpers["approve"](house.be(uid), now)
    for path in hidden.iterdir():
        path.rename(objects / path.name)
    assert helpers["refusal"](lambda: generate(house, ada, now)) == "earlier-key-found"
    assert spy.calls.count("generate") == 1
    assert "destroy" not in spy.calls


def test_a_killed_worker_is_noticed_and_recorded(spied: Any) -> None:
    gateway, spy, house = spied
    ada = house.admin()
    os.kill(spy.real.pid, signal.SIGKILL)
    for _ in range(100):
        gateway.tick()
        if not gateway.core.device.unlocked:
            break
        time.sleep(0.02)
    state = device.state(ada)
    assert not state.unlocked
    assert state.problem is not None
    assert state.problem.code == "device-crashed"
    assert gateway.core.log.rows(kind="device-down").rows
    assert device.unlock(ada, Secret("user-pin-271828")).unlocked


def test_a_wrong_pin_is_recorded_and_nothing_is_unlocked(spied: Any, helpers: Helpers) -> None:
    gateway, spy, house = spied
    ada = house.be("ada")
    assert helpers["refusal"](lambda: device.unlock(ada, Secret("wrong-pin-1"))) == "pin-incorrect"
    rows = gateway.core.log.rows(kind="device-unlock-refused").rows
    assert len(rows) == 1
    assert b"wrong-pin-1" not in gateway.core.log.body(rows[0].seq)
    assert spy.calls.count("log_in") == 1
    assert not device.state(ada).unlocked


def test_secrets_are_nowhere_on_the_disk(spied: Any, helpers: Helpers) -> None:
    gateway, _, house = spied
    helpers["refusal"](lambda: device.unlock(house.be("both"), Secret("another-wrong-pin")))
    house.admin()
    gateway.core.incidents.bug(ValueError("user-pin-271828"), "a test")
    needles = (b"user-pin-271828", b"so-pin-314159", b"another-wrong-pin", b"four unrelated words")
    for path in Path(house.workspace).rglob("*"):
        if path.is_file() and "simulation" not in path.parts:
            data = path.read_bytes()
            assert not any(needle in data for needle in needles), path


def test_a_fault_of_the_gateway_is_told_without_its_insides(
    spied: Any, helpers: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, _, house = spied
    ada = house.be("ada")

    def broken(*_: Any) -> Any:
        raise RuntimeError("secret inside")

    monkeypatch.setattr("hsm_console.gateway.projections.keys_page", broken)
    from hsm_console.client import keys

    with pytest.raises(ConsoleError) as caught:
        keys.listed(ada)
    monkeypatch.undo()
    problem = caught.value.problem
    assert problem.code == "gateway-bug"
    assert "secret inside" not in str(problem)
    written = gateway.core.home.diagnostics.read_text()
    assert problem.details["incident"] in written
    assert "secret inside" not in written
