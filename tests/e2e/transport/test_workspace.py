"""Founding, gateway process, log-ins and every read of the client, against the real gateway on a simulated token."""

from __future__ import annotations

import enum
import inspect
import json
import os
import re
import signal
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest

from hsm_console.client import (
    alerts,
    anchors,
    audit,
    ceremonies,
    device,
    devices,
    keys,
    orders,
    people,
    rendezvous,
    reporting,
    setup,
    work,
)
from hsm_console.client.session import Session, log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, PolicyRefusal
from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import Person, Role
from hsm_console.domain.secret import Secret

PASSPHRASE = "seven violet lanterns drift"
PIN = "12345678"
PEOPLE = (
    ("a.turing", "Alan Turing", Role.ADMINISTRATOR),
    ("g.hopper", "Grace Hopper", Role.CUSTODIAN),
    ("c.babbage", "Charles Babbage", Role.CUSTODIAN),
    ("k.johnson", "Katherine Johnson", Role.CUSTODIAN),
    ("j.clarke", "Joan Clarke", Role.EXECUTIVE),
    ("m.hamilton", "Margaret Hamilton", Role.WITNESS),
    ("r.franklin", "Rosalind Franklin", Role.AUDITOR),
)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    run = tmp_path_factory.mktemp("run")
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(run)
    directory = tmp_path_factory.mktemp("home") / "workspace"
    setup.run(
        FoundingSpec(
            directory=str(directory), name="Transport", adapter="simulation", environment="rehearsal",
            token_label="transport", so_pin="so-87654321", pin=PIN, kdf_iterations=20_000,
            people=tuple(
                Founder(person=Person(uid=u, name=n), roles=(r,), passphrase=PASSPHRASE) for u, n, r in PEOPLE
            ),
        )
    )  # fmt: skip
    yield directory
    if before is None:
        del os.environ["XDG_RUNTIME_DIR"]
    else:
        os.environ["XDG_RUNTIME_DIR"] = before


@pytest.fixture
def gateway(workspace: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(workspace) as process:
        yield process


def enter(gateway: GatewayProcess, uid: str, **how: Any) -> Session:
    credential = gateway.workspace / "credentials" / f"{uid}.p12"
    return log_in(gateway.address, credential, Secret(PASSPHRASE), **how)


def test_a_first_look_around(gateway: GatewayProcess) -> None:
    with enter(gateway, "a.turing") as session:
        assert session.greeting.person.uid == "a.turing"
        assert session.greeting.workspace.simulated
        assert not device.state(session).unlocked
        assert device.health(session).ok
        assert len(people.listed(session)) == len(PEOPLE)
        assert isinstance(keys.listed(session), list)
        assert ceremonies.scripts(session)
        assert ceremonies.listed(session) == []
    with enter(gateway, "g.hopper") as session:
        assert device.unlock(session, Secret(PIN)).unlocked
        assert not device.lock(session).unlocked
    with enter(gateway, "r.franklin") as session:
        page = audit.entries(session, limit=5)
        assert len(page.rows) == 5
        assert audit.entry(session, page.rows[0].seq).row.seq == page.rows[0].seq
        assert audit.head(session).size >= page.size


def test_several_people_at_once(gateway: GatewayProcess) -> None:
    sessions = [enter(gateway, uid) for uid, _, _ in PEOPLE]
    assert len({s.greeting.session_uid for s in sessions}) == len(PEOPLE)
    assert len({s.greeting.nonce for s in sessions}) == len(PEOPLE)
    for session in sessions:
        session.close()


def test_a_role_that_the_roster_does_not_grant(gateway: GatewayProcess) -> None:
    with pytest.raises(PolicyRefusal, match="role-not-granted"):
        enter(gateway, "m.hamilton", role=Role.CUSTODIAN)
    with enter(gateway, "g.hopper", role=Role.CUSTODIAN, step_up=True) as session:
        assert session.greeting.roles == (Role.CUSTODIAN,)


def test_it_is_found_by_those_who_come_later(gateway: GatewayProcess) -> None:
    address = rendezvous.locate(gateway.workspace)
    assert address == gateway.address
    assert rendezvous.running(gateway.workspace) == gateway.ready


def test_one_gateway_per_workspace(gateway: GatewayProcess) -> None:
    with pytest.raises(ConsoleError) as caught:
        GatewayProcess(gateway.workspace)
    assert caught.value.problem.code != "gateway-died"
    with enter(gateway, "a.turing"):
        pass


def test_a_killed_gateway_is_noticed_and_comes_back(workspace: Path) -> None:
    first = GatewayProcess(workspace)
    session = enter(first, "a.turing")
    told: list[str] = []
    session.on_closed = lambda problem: told.append(problem.code)
    os.kill(first.pid, signal.SIGKILL)
    end = time.monotonic() + 3
    while not told:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert told == ["gateway-went-away"]
    first.stop()
    with pytest.raises(EnvironmentFault, match="gateway-not-running"):
        rendezvous.locate(workspace)
    with GatewayProcess(workspace) as second, enter(second, "a.turing") as again:
        assert not again.closed
    session.close()


def test_over_tcp_with_the_authority_brought_by_hand(workspace: Path) -> None:
    with GatewayProcess(workspace, listen="127.0.0.1:0") as gateway:
        assert re.fullmatch(r"127\.0\.0\.1:\d+", gateway.ready.listen)
        far = rendezvous.remote(gateway.ready.listen, workspace / "authority.pem", gateway.address.gateway_sha256)
        with log_in(far, workspace / "credentials" / "a.turing.p12", Secret(PASSPHRASE)) as session:
            assert session.greeting.gateway_sha256 == far.gateway_sha256


class Spy:
    """Takes the place of a session and writes down what would be asked."""

    def __init__(self) -> None:
        self.asked: set[tuple[str, str]] = set()

    def call(self, method: str, path: str, *rest: Any, **more: Any) -> Any:
        self.asked.add((method, path.partition("?")[0]))
        return mock.MagicMock()

    def raw(self, method: str, path: str, **more: Any) -> bytes:
        self.asked.add((method, path.partition("?")[0]))
        return b""

    def sign_statement(self, text: str) -> str:
        return ""


ROOMS = (alerts, anchors, audit, ceremonies, device, devices, keys, orders, people, reporting, work)
MADE_BY_HAND: frozenset[Callable[..., Any]] = frozenset(
    {
        reporting.save,
        reporting.check_receipt,
        anchors.cosign,
        anchors.bring_file,
        audit.receipt_file,
        alerts.compare_device_log_file,
    }
)


def example(kind: Any) -> Any:
    """Any value of an annotated type: what is asked matters here, not what it says."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        return kind(**{each.name: example(each.type) for each in fields if each.required})
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    plain = {str: "an id/with a slash", int: 1, bytes: b"", bool: False, Secret: Secret("1"), Any: "x"}
    if kind in plain:
        return plain[kind]
    return {dict: {}, tuple: ()}.get(typing.get_origin(kind), ())


def ask_everything(spy: Any) -> None:
    for room in ROOMS:
        for name, function in inspect.getmembers(room, inspect.isfunction):
            hints = typing.get_type_hints(function)
            parameters = inspect.signature(function).parameters
            if function.__module__ != room.__name__ or name.startswith("_") or "session" not in parameters:
                continue
            given = {
                n: example(hints[n])
                for n, p in parameters.items()
                if n != "session" and p.default is p.empty and p.kind is not p.VAR_KEYWORD
            }
            if function not in MADE_BY_HAND:
                function(spy, **given | ({"canonical": "{}"} if function is orders.decide else {}))
    for form in audit.RECEIPT_FORMS:
        audit.receipt_file(spy, 1, form)
    with pytest.raises(ValueError, match="one of"):
        audit.receipt_file(spy, 1, "exe")


def test_client_and_gateway_offer_the_same_routes(gateway: GatewayProcess) -> None:
    """Both directions: nothing is asked that is not offered, and nothing is offered that cannot be asked."""
    spy = Spy()
    ask_everything(spy)
    with enter(gateway, "a.turing") as session:
        document = json.loads(device.openapi(session))
    patterns = {
        (method.upper(), path): re.compile(
            re.sub(r"\{(\w+)\}", lambda m: ".+" if m[1] == "name" else "[^/]+", path.replace(".", r"\."))
        )
        for path, methods in document["paths"].items()
        for method in methods
    }
    in_session = {("GET", "/v1/greeting"), ("POST", "/v1/session"), ("DELETE", "/v1/session")}

    def offering(method: str, path: str) -> list[tuple[str, str]]:
        return [key for key, pattern in patterns.items() if key[0] == method and pattern.fullmatch(path)]

    used = set()
    for method, path in spy.asked:
        assert offering(method, path), f"{method} {path} is not offered"
        used |= set(offering(method, path))
    assert set(patterns) - used - in_session == set()
