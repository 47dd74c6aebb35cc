"""Founding: every bad wish by its own code before anything is made; killed at any moment it goes on or begins anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_console.client import setup
from hsm_console.client.transport import GatewayProcess
from hsm_console.credential import pkcs12
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.messages.setup import Founder
from hsm_console.domain.people import Person, Role
from hsm_console.domain.secret import Secret

ROOT = Path(__file__).parents[3]
replace = msgspec.structs.replace


def refused(spec: Any) -> str:
    with pytest.raises(ConsoleError) as caught:
        setup.run(spec)
    return caught.value.problem.code


def person(
    uid: str = "new", name: str = "New Person", passphrase: str = "four words nobody guesses", **roles: Any
) -> Founder:
    return Founder(person=Person(uid=uid, name=name), roles=roles.get("roles", (Role.WITNESS,)), passphrase=passphrase)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"pin": "1234"}, "pin-too-weak"),
        ({"pin": "11111111"}, "pin-too-weak"),
        ({"pin": "so-pin-314159"}, "pin-too-weak"),
        ({"pin": "pin with space"}, "pin-too-weak"),
        ({"so_pin": "ümlaute-1234"}, "pin-too-weak"),
        ({"token_label": "x" * 33}, "label-refused"),
        ({"token_label": ""}, "label-refused"),
        ({"name": "  "}, "name-refused"),
        ({"name": "a\u202eb"}, "name-refused"),
        ({"environment": "nowhere"}, "environment-unknown"),
        ({"adapter": "no-such-adapter"}, "adapter-unknown"),
        ({"people": ()}, "administrator-missing"),
        ({"people": (person(roles=(Role.ADMINISTRATOR,)), person(roles=(Role.CUSTODIAN,)))}, "person-twice"),
        (
            {"people": (person(roles=(Role.ADMINISTRATOR,)), person("b", roles=(Role.CUSTODIAN,)))},
            "name-twice",
        ),
        ({"kdf_iterations": 0}, "iterations-refused"),
        ({"kdf_iterations": 10**12}, "iterations-refused"),
        ({"people": (person(uid="Upper", roles=(Role.ADMINISTRATOR,)),)}, "uid-refused"),
        ({"people": (person(uid="../x", roles=(Role.ADMINISTRATOR,)),)}, "uid-refused"),
        ({"people": (person(roles=(Role.ADMINISTRATOR, Role.ADMINISTRATOR)),)}, "roles-refused"),
        ({"people": (person(roles=(Role.ADMINISTRATOR,), passphrase="password1234"),)}, "passphrase-too-weak"),
        ({"people": (person(roles=(Role.ADMINISTRATOR,), passphrase="short"),)}, "passphrase-too-weak"),
    ],
)
def test_bad_wishes(tmp_path: Path, flows: Any, change: dict[str, Any], code: str) -> None:
    spec = replace(flows.spec(tmp_path / "house"), **change)
    assert refused(spec) == code
    assert not (tmp_path / "house").exists()


def test_a_production_environment_refuses_the_simulation(tmp_path: Path, flows: Any) -> None:
    people = tuple(replace(f, passphrase=f.passphrase + " and one more") for f in flows.spec(tmp_path).people)
    spec = replace(flows.spec(tmp_path / "house"), environment="executive-production", people=people)
    assert refused(spec) == "simulated-token-refused"
    assert not (tmp_path / "house").exists()


def test_places_that_cannot_be(tmp_path: Path, flows: Any, workspace: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "something").touch()
    assert refused(flows.spec(full)) == "directory-not-empty"
    assert refused(flows.spec(workspace)) == "workspace-exists"
    assert refused(flows.spec(tmp_path / "none" / "house")) == "directory-missing"
    file = tmp_path / "file"
    file.touch()
    assert refused(flows.spec(file)) == "directory-not-empty"


def begin(spec: Any) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "hsm_console.gateway.founding"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(spec))
    process.stdin.close()
    return process


def kill_at(spec: Any, step: int, later_s: float = 0.0) -> None:
    """Kill the founding when it tells that step `step` begins (or a little later)."""
    with begin(spec) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if msgspec.json.decode(line)["n"] >= step:
                time.sleep(later_s)
                break
        os.kill(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("step", [2, 3, 4, 5, 6, 7, 8])
def test_killed_and_gone_on(tmp_path: Path, flows: Any, step: int, one_key_each: Callable[[Path], None]) -> None:
    """The first keys derive from the statement: what the first run made is found by the second, none is left over."""
    spec = flows.spec(tmp_path / "house")
    kill_at(spec, step)
    kill_at(spec, step, 0.03)
    # A quick machine may have ended the last steps before the kill came; then there is nothing to go on with.
    done_before = (tmp_path / "house").exists()
    at_hand = {uid: str(tmp_path / "house" / "credentials" / f"{uid}.p12") for uid in flows.PEOPLE}
    credentials = at_hand if done_before else setup.run(spec)
    assert set(credentials) == set(flows.PEOPLE)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["house"]
    with GatewayProcess(tmp_path / "house") as gateway:
        from hsm_console.client.session import log_in

        for uid in ("ada", "alan"):
            with log_in(gateway.address, Path(credentials[uid]), Secret(flows.PASSPHRASE.format(uid))) as session:
                assert session.greeting.person.uid == uid
    one_key_each(tmp_path / "house")
    verify = [sys.executable, "-m", "hsm_console", "audit", "verify", str(tmp_path / "house")]
    done = subprocess.run(
        [*verify, "--vkey", str(tmp_path / "house" / "log.vkey")], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0


@pytest.mark.parametrize("change", ["pin", "passphrase", "people"])
def test_killed_and_begun_with_other_answers(tmp_path: Path, flows: Any, change: str) -> None:
    """What was answered last holds: keys that nobody saw are thrown away, or kept where only credentials change."""
    spec = flows.spec(tmp_path / "house")
    kill_at(spec, 6)
    first = (tmp_path / ".house.founding" / "founding.json").read_bytes()
    other = {
        "pin": lambda: replace(spec, pin="another-pin-2"),
        "passphrase": lambda: replace(
            spec, people=tuple(replace(f, passphrase="entirely other words here") for f in spec.people)
        ),
        "people": lambda: replace(spec, people=spec.people[:3]),
    }[change]()
    credentials = setup.run(other)
    assert len(credentials) == len(other.people)
    if change == "passphrase":
        for founder in other.people:
            pkcs12.load(Path(credentials[founder.person.uid]), Secret(founder.passphrase))
    else:
        assert (tmp_path / "house" / "founding.json").read_bytes() != first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["house"]


def test_two_foundings_at_once(tmp_path: Path, flows: Any) -> None:
    spec = flows.spec(tmp_path / "house")
    with begin(spec) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.stdout.readline()
        assert refused(spec) in ("founding-under-way", "workspace-exists")
        first.stdout.read()
    assert (tmp_path / "house" / "workspace.toml").exists()
