"""From a request to a handler and back, by the one table of routes that the OpenAPI document is made from too.

Nothing here decides: a route names the action that policy must grant, and the handler's service does the work. Every
ConsoleError becomes a Problem with its status; anything unexpected becomes `gateway-bug` with an incident number,
and its traceback goes to a file on this machine only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hsm_console.audit.opened import looks_sealed
from hsm_console.domain.errors import (
    ConsoleError,
    EnvironmentFault,
    ExitCode,
    InputError,
    PolicyRefusal,
    Problem,
    VerificationFailed,
)
from hsm_console.gateway.incidents import Incidents
from hsm_console.gateway.sessions import Session, only_watches
from hsm_console.policy.roles import Action

MAX_BODY_BYTES = 24 * 1024 * 1024
JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """One request as the transport hands it over. connection: the live TLS connection it came on."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    connection: str
    peer_der: bytes
    source: str = ""
    chunked: bool = False  # a Transfer-Encoding was named: two ways to say where a body ends are one too many


@dataclass(frozen=True)
class Response:
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Raw:
    """A handler's answer that is no JSON."""

    content_type: str
    body: bytes
    filename: str = ""


@dataclass(frozen=True)
class Call:
    """What a handler gets. `body` was decoded to the route's type."""

    session: Session
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Any = None

    def number(self, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
        """A whole number of the query. Raises InputError `query-refused`."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not re.fullmatch(r"-?[0-9]{1,16}", text) or not least <= int(text) <= most:
            raise refused("query-refused", f"“{name}” must be a whole number from {least} to {most}.")
        return int(text)


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """One line of the table. action None: any authenticated person; before_log_on: needs only a known certificate.

    reply: a type for JSON, or the media type of a `Raw`.
    """

    method: str
    pattern: str
    handler: Handler
    reply: Any
    body: Any = None
    action: Action | None = None
    before_log_on: bool = False
    query: tuple[str, ...] = ()
    regex: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        expression = re.sub(r"\{(\w+)\*\}", r"(?P<\1>.+)", self.pattern)
        expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", expression)
        object.__setattr__(self, "regex", re.compile(expression.replace(".pdf", r"\.pdf")))


Authorise = Callable[[Session, Action, str], None]
Identify = Callable[[Request], Session]


class App:
    """Dispatch. identify: from the connection to the session (or a refusal); authorise: raises and records."""

    def __init__(
        self, routes: Sequence[Route], *, identify: Identify, authorise: Authorise, incidents: Incidents
    ) -> None:
        self._routes = tuple(routes)
        self._identify = identify
        self._authorise = authorise
        self._incidents = incidents

    @property
    def routes(self) -> tuple[Route, ...]:
        return self._routes

    def handle(self, request: Request) -> Response:
        """Never raises."""
        try:
            return self._answer(request)
        except ConsoleError as error:
            return problem_response(error)
        except Exception as error:  # noqa: BLE001 - the boundary: the person gets a Problem, the file gets the trace
            return problem_response(self._incidents.bug(error, f"{request.method} {request.path}"))

    def _answer(self, request: Request) -> Response:
        if request.chunked:
            raise refused("body-unreadable", "A request says its length with Content-Length, not in chunks.")
        route, params = self._find(request)
        session = self._identify(request)
        if not route.before_log_on:
            session.require_logged_on()
            if getattr(session, "watch", False) and route.method != "GET":
                raise only_watches()
        if route.action is not None:
            self._authorise(session, route.action, params.get("id", ""))
        body = decode(request.body, route.body) if route.body is not None else None
        answer = route.handler(Call(session, params, request.query, body))
        if isinstance(answer, Raw):
            named = (("Content-Disposition", f'attachment; filename="{answer.filename}"'),) if answer.filename else ()
            return Response(200, answer.content_type, answer.body, named)
        return Response(200, JSON, msgspec.json.encode(answer))

    def _find(self, request: Request) -> tuple[Route, dict[str, str]]:
        allowed = []
        for route in self._routes:
            match = route.regex.fullmatch(request.path)
            if match and route.method == request.method:
                return route, match.groupdict()
            if match:
                allowed.append(route.method)
        if allowed:
            raise refused("method-refused", f"{request.path} answers to {', '.join(allowed)} only.")
        raise refused("route-unknown", f"There is nothing at {request.path}.")


def decode(data: bytes, kind: Any) -> Any:
    """The JSON body as `kind`. Unknown members are refused: a misspelt one must not be passed over in silence.

    Raises InputError `body-too-large` or `body-unreadable`.
    """
    if len(data) > MAX_BODY_BYTES:
        raise refused("body-too-large", f"The request has {len(data)} bytes; at most {MAX_BODY_BYTES} are taken.")
    if looks_sealed(data):
        raise refused("body-unreadable", "The request has a text in the form that only the log may write.")
    try:
        plain = msgspec.json.decode(data)
        value = msgspec.convert(plain, kind)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, UnicodeDecodeError) as error:
        raise refused("body-unreadable", f"The request cannot be understood: {error}.") from None
    stranger = _unknown(plain, msgspec.to_builtins(value))
    if stranger:
        raise refused("body-unreadable", f"The request has a member “{stranger[:80]}” that is not known.")
    return value


def _unknown(given: Any, understood: Any) -> str:
    """The first member of `given` that was not taken over; empty when all were."""
    if isinstance(given, dict) and isinstance(understood, dict):
        for name, value in given.items():
            if name not in understood:
                return str(name)
            found = _unknown(value, understood[name])
            if found:
                return found
    if isinstance(given, list) and isinstance(understood, list | tuple):
        return next((found for pair in zip(given, understood, strict=True) if (found := _unknown(*pair))), "")
    return ""


_STATUS_BY_CODE = {
    "answer-stale": 409, "statement-stale": 409, "body-too-large": 413, "route-unknown": 404, "method-refused": 405,
    "not-found": 404, "not-logged-on": 401, "session-ended": 401,
}  # fmt: skip
_STATUS_BY_KIND: tuple[tuple[type[ConsoleError], int], ...] = (
    (PolicyRefusal, 403),
    (InputError, 400),
    (VerificationFailed, 422),
    (EnvironmentFault, 503),
)


def problem_response(error: ConsoleError) -> Response:
    """The Problem as JSON, with the status that fits its kind."""
    kinds = (status for kind, status in _STATUS_BY_KIND if isinstance(error, kind))
    status = _STATUS_BY_CODE.get(error.problem.code) or next(kinds, 500 if type(error) is ConsoleError else 502)
    return Response(status, JSON, msgspec.json.encode(error.problem))


def refused(code: str, what: str) -> InputError:
    return InputError(
        Problem(
            code=code,
            what=what,
            todo="Correct the request; GET /v1/openapi.json describes every one.",
            contact="whoever made the program that asked",
            exit_code=ExitCode.USAGE,
        )
    )


def not_found(what: str) -> InputError:
    """A thing that was asked for does not exist."""
    return InputError(
        Problem(
            code="not-found",
            what=what,
            todo="Look at the list again; it may have been named differently.",
            exit_code=ExitCode.USAGE,
        )
    )
