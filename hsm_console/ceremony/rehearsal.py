"""A rehearsal against the ceremony it rehearsed, field by field: what differs, beyond what must differ (CEREMONY 2).

Both are minutes as data. Only fields that are declared variable here may differ: keys, times, serials, entries of the
log and the signatures over them. Everything else (sentences, order, roles, people, values, properties) is compared.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import msgspec
import rfc8785

from hsm_console.ceremony.minutes import TYPE as MINUTES_TYPE
from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed

TYPE = "hsm-console/rehearsal-equivalence"
VARIABLE = (
    r"workspace|device|log\..*|receipts.*|pauses.*",
    r"ceremony\.(id|simulated|environment|rules\..*|opened|opened_ms|closing)",
    r".*\.(entry|entries\[\d+\]|entries|time|time_ms|verdict_entry|intent_entry|ending_entry|intent_fingerprint)",
    r".*\.(statement|cms|certificate_sha256)",
    r"key\.(object_id|fingerprint|words\[\d+\]|public_key|grade|grade_meaning|does_not_prove)",
    r"certificate\.(request|certificate|sha256|serial|issuer|not_before|not_after)",
    r"documents\[\d+\]\.(sha256|signature)",
    r"steps\[\d+\]\.misses.*",
    r"steps\[\d+\]\.facts\.(clock reads|source reads|difference in seconds|source|place|read|sha256)",
    r"steps\[\d+\]\.facts\.(fingerprint|object id)",
    r"steps\[\d+\]\.facts\.(grade|this does not prove|device|positions|words|misses before|certificate sha256)",
    r"steps\[\d+\]\.facts\.(document sha256|receipt|index|log size|root|modifiable|always sensitive|never extractable)",
)
"""Paths (as regular expressions over the whole path) whose values may differ. The preflight's findings are added."""
_VARIABLE = re.compile("|".join(f"(?:{pattern})" for pattern in VARIABLE))


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """path: where in the minutes; an empty value: it is missing on that side."""

    path: str
    rehearsal: str
    production: str


def differences(rehearsal: bytes, production: bytes) -> tuple[Difference, ...]:
    """What differs and is not declared variable. Raises InputError when one of them is no minutes."""
    first, second = _read(rehearsal), _read(production)
    free = _preflight_paths(first) | _preflight_paths(second)
    one, other = _flat(first), _flat(second)
    found = []
    for path in sorted(one.keys() | other.keys()):
        if one.get(path) == other.get(path) or path in free or _VARIABLE.fullmatch(path):
            continue
        found.append(Difference(path=path, rehearsal=one.get(path, ""), production=other.get(path, "")))
    return tuple(found)


def certificate(rehearsal: bytes, production: bytes) -> bytes:
    """The rehearsal-equivalence certificate as canonical JSON.

    Raises VerificationFailed `rehearsal-differs` when anything differs that may not.
    """
    found = differences(rehearsal, production)
    if found:
        shown = "; ".join(f"{d.path}: “{d.rehearsal}” became “{d.production}”" for d in found[:5])
        raise VerificationFailed(
            Problem(
                code="rehearsal-differs",
                what=f"{len(found)} thing(s) differ between the rehearsal and the ceremony: {shown}.",
                key_state="The key is as the minutes say; this comparison touches nothing.",
                todo="Read each difference aloud and record whether it was meant.",
                contact="the auditor",
                details={d.path: f"{d.rehearsal} → {d.production}" for d in found},
                exit_code=ExitCode.VERIFICATION,
            )
        )
    body = {
        "type": TYPE,
        "version": 1,
        "script_sha256": _read(production)["script"]["sha256"],
        "rehearsal": {"minutes_sha256": hashlib.sha256(rehearsal).hexdigest()},
        "production": {"minutes_sha256": hashlib.sha256(production).hexdigest()},
        "compared": len(_flat(_read(production))),
        "may_differ": list(VARIABLE),
    }
    return bytes(rfc8785.dumps(body))


def _read(minutes: bytes) -> dict[str, Any]:
    try:
        body = json.loads(minutes)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or body.get("type") != MINUTES_TYPE or not isinstance(body.get("steps"), list):
        raise InputError(
            Problem(
                code="minutes-unreadable",
                what="The file is not the minutes of a ceremony.",
                todo="Choose a minutes.json.",
                exit_code=ExitCode.USAGE,
            )
        )
    return body


def _preflight_paths(body: dict[str, Any]) -> set[str]:
    """What the preflight found belongs to the machine it looked at: disk, serials, versions."""
    return {
        f"steps[{number}].facts.{name}"
        for number, step in enumerate(body["steps"])
        if isinstance(step, dict) and step.get("kind") == "preflight"
        for name in step.get("facts", {})
    }


def _flat(value: Any, path: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        return {k: v for key, item in value.items() for k, v in _flat(item, f"{path}.{key}" if path else key).items()}
    if isinstance(value, list):
        return {k: v for n, item in enumerate(value) for k, v in _flat(item, f"{path}[{n}]").items()}
    return {path: value if isinstance(value, str) else json.dumps(value)}
