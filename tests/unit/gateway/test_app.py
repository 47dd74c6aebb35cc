"""The table of routes: dispatch, refusals, and the document made from it."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from hsm_console.client import audit, ceremonies, device, keys, people
from hsm_console.domain.errors import (
    DeviceError,
    EnvironmentFault,
    InputError,
    PolicyRefusal,
    Problem,
    VerificationFailed,
)
from hsm_console.domain.messages.ceremony import AnyAnswer, OpenCeremony
from hsm_console.domain.messages.session import LogOn, Unlock
from hsm_console.gateway.app import MAX_BODY_BYTES, App, Call, Raw, Request, Route, decode, problem_response
from hsm_console.gateway.incidents import Incidents
from hsm_console.gateway.openapi import document
from hsm_console.gateway.routes import table
from hsm_console.gateway.services.disclosing import Disclosing
from hsm_console.policy.roles import Action


class Anything:
    """Stands for a service whose handlers are not called."""

    def __getattr__(self, name: str) -> Any:
        def handler(call: Call) -> None:
            """A handler"""

        return handler


def routes() -> tuple[Route, ...]:
    one: Any = Anything()
    return table(one, one, one, one, one, one, one) + Disclosing(one).routes()


class Person:
    def __init__(self, *, logged_on: bool = True) -> None:
        self._logged_on = logged_on

    def require_logged_on(self) -> None:
        if not self._logged_on:
            raise PolicyRefusal(Problem(code="not-logged-on", what="no", todo="log on"))


def app(handler: Any, tmp_path: Any, *, person: Any = None, refuse: bool = False, **route: Any) -> App:
    def authorise(session: Any, action: Action, ceremony: str) -> None:
        if refuse:
            raise PolicyRefusal(Problem(code="role-refused", what="no", todo="ask"))

    one = Route("POST", "/v1/things/{id}/parts/{name*}", handler, dict[str, str], **route)
    return App(
        [one],
        identify=lambda request: person or Person(),  # type: ignore[arg-type,return-value]
        authorise=authorise,
        incidents=Incidents(tmp_path / "diagnostics.log"),
    )


def request(path: str = "/v1/things/a/parts/b/c.pem", method: str = "POST", body: bytes = b"") -> Request:
    return Request(method, path, {}, body, "connection", b"")


def test_path_and_body_reach_the_handler(tmp_path: Any) -> None:
    seen: list[Call] = []

    def handler(call: Call) -> dict[str, str]:
        seen.append(call)
        return {"done": "yes"}

    made = app(handler, tmp_path, body=LogOn)
    answer = made.handle(request(body=b'{"role":"witness","step_up":true}'))
    assert (answer.status, json.loads(answer.body)) == (200, {"done": "yes"})
    assert seen[0].params == {"id": "a", "name": "b/c.pem"}
    assert seen[0].body.step_up


@pytest.mark.parametrize(
    ("error", "status"),
    [(PolicyRefusal, 403), (InputError, 400), (VerificationFailed, 422), (EnvironmentFault, 503), (DeviceError, 502)],
)
def test_each_kind_of_failure_has_its_status(error: Any, status: int) -> None:
    problem = Problem(code="some-code", what="what", todo="todo")
    response = problem_response(error(problem))
    assert response.status == status
    assert msgspec.json.decode(response.body, type=Problem) == problem


def test_policy_is_asked_before_the_body_is_looked_at(tmp_path: Any) -> None:
    def handler(call: Call) -> None:
        raise AssertionError("not reached")

    made = app(handler, tmp_path, refuse=True, action=Action.ENROL, body=LogOn)
    answer = made.handle(request(body=b"no json at all"))
    assert json.loads(answer.body)["code"] == "role-refused"


def test_nobody_acts_before_logging_on(tmp_path: Any) -> None:
    made = app(lambda call: None, tmp_path, person=Person(logged_on=False))
    assert made.handle(request()).status == 401
    greeting = app(lambda call: {"hello": "you"}, tmp_path, person=Person(logged_on=False), before_log_on=True)
    assert greeting.handle(request()).status == 200


def test_a_fault_of_ours_is_a_problem_without_details(tmp_path: Any) -> None:
    def handler(call: Call) -> None:
        secret = "user-pin-271828"
        raise ValueError(secret)

    answer = app(handler, tmp_path).handle(request())
    assert answer.status == 500
    assert b"user-pin" not in answer.body
    text = (tmp_path / "diagnostics.log").read_text()
    assert "user-pin" not in text
    assert "test_app.py" in text
    assert json.loads(answer.body)["details"]["incident"] in text


def test_files_go_out_as_they_are(tmp_path: Any) -> None:
    answer = app(lambda call: Raw("application/pdf", b"%PDF", "minutes.pdf"), tmp_path).handle(request())
    assert (answer.content_type, answer.body) == ("application/pdf", b"%PDF")
    assert answer.headers == (("Content-Disposition", 'attachment; filename="minutes.pdf"'),)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (LogOn, b'{"role":null,"step_up":false,"admin":true}'),
        (Unlock, b'{"pin":"x","Pin":"y"}'),
        (OpenCeremony, b'{"script_id":"a","sha256":"b","parameters":{"x":1}}'),
        (AnyAnswer, b'{"kind":"perform","step":"a","revision":1,"confirmed":"","force":true}'),
        (AnyAnswer, b'{"kind":"obey","step":"a","revision":1}'),
        (
            AnyAnswer,
            b'{"kind":"presence","step":"a","revision":1,"seats":[{"role":"witness","uid":"a","name":"b","x":1}]}',
        ),
        (LogOn, b""),
        (LogOn, b"[]"),
        (LogOn, b'{"role":"\xff"}'),
        (LogOn, b"[" * 100_000),
    ],
)
def test_bodies_that_say_too_much_or_nonsense(kind: Any, body: bytes) -> None:
    with pytest.raises(InputError) as caught:
        decode(body, kind)
    assert caught.value.problem.code == "body-unreadable"


def test_a_body_that_is_too_large() -> None:
    with pytest.raises(InputError) as caught:
        decode(bytes(MAX_BODY_BYTES + 1), LogOn)
    assert caught.value.problem.code == "body-too-large"


def test_a_pin_that_is_misplaced_is_not_repeated_in_the_refusal() -> None:
    with pytest.raises(InputError) as caught:
        decode(b'{"pin":["271828-secret"]}', Unlock)
    assert "271828" not in str(caught.value.problem)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_the_document_describes_every_route_and_refers_to_what_it_has() -> None:
    made = document(routes())
    json.dumps(made)
    assert made["openapi"] == "3.1.0"
    operations = [op for path in made["paths"].values() for op in path.values()]
    assert len(operations) == len(routes())
    assert len({op["operationId"] for op in operations}) == len(operations)
    components = made["components"]["schemas"]
    for reference in references(made):
        assert reference.removeprefix("#/components/schemas/") in components
    for path, entry in made["paths"].items():
        for operation in entry.values():
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_every_path_of_the_client_has_a_route() -> None:
    """What the thin functions of the client ask for exists, with the same method."""
    found = set()
    for module in (audit, ceremonies, device, keys, people):
        source = inspect.getsource(module)
        for method, path in re.findall(r'(?:call|raw)\(\s*"(\w+)", f?"(/v1/[^"?]*)', source):
            found.add((method, re.sub(r"\{[^}]*\}", "x", path)))
    assert len(found) > 20
    for method, path in found:
        assert any(route.method == method and route.regex.fullmatch(path) for route in routes()), (method, path)


def test_acts_need_an_action_and_reading_needs_at_least_a_log_on() -> None:
    for route in routes():
        if route.method != "GET" and route.pattern != "/v1/session":
            assert route.action is not None, route.pattern
        assert route.before_log_on == (route.pattern in ("/v1/greeting", "/v1/session"))
