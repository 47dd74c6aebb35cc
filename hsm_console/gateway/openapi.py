"""The OpenAPI 3.1 document, made from the table of routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from hsm_console import __version__
from hsm_console.domain.errors import Problem
from hsm_console.gateway.app import Route

_REF = "#/components/schemas/{name}"


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """OpenAPI 3.1 as plain values."""
    kinds: list[Any] = [Problem]
    for route in routes:
        kinds += [kind for kind in (route.body, route.reply) if kind is not None and not isinstance(kind, str)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    by_kind = [(kind, schema) for kind, schema in zip(kinds, schemas, strict=True)]
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.pattern.replace("*}", "}"), {})[route.method.lower()] = _operation(route, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "HSM Console gateway",
            "version": __version__,
            "description": "Mutual TLS 1.3 only: the client certificate says who asks, the signed roster what she may.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"mutualTls": {"type": "mutualTLS"}}},
        "security": [{"mutualTls": []}],
    }


def _schema(kind: Any, by_kind: Sequence[tuple[Any, Any]]) -> Any:
    return next(schema for known, schema in by_kind if known is kind or known == kind)


def _operation(route: Route, by_kind: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    words = re.sub(r"[{}*]", "", route.pattern).strip("/").split("/")[1:]
    names = re.findall(r"\{(\w+)\*?\}", route.pattern)
    found: dict[str, Any] = {
        "operationId": "-".join([route.method.lower(), *(re.sub(r"\W", "-", word) for word in words)]),
        "summary": (route.handler.__doc__ or "").strip().split("\n")[0],
        "parameters": [_parameter(name, "path") for name in names] + [_parameter(n, "query") for n in route.query],
        "responses": {
            "200": {"description": "done", "content": _content(route.reply, by_kind)},
            "default": {
                "description": "what happened, what state the key is in, what to do, whom to call",
                "content": {"application/json": {"schema": _schema(Problem, by_kind)}},
            },
        },
    }
    if route.action is not None:
        found["x-action"] = route.action.value
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": _content(route.body, by_kind)}
    return found


def _parameter(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}


def _content(kind: Any, by_kind: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    if kind is None:
        return {"application/json": {"schema": {"type": "null"}}}
    if isinstance(kind, str):
        return {kind: {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": _schema(kind, by_kind)}}
