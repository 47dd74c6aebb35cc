"""The standards a report answers (`resources/compliance/*.toml`): which entries answer which clause.

Numbers and titles only find the place, in our own words. The originals must be consulted.
"""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files
from typing import Literal

import msgspec

from hsm_console.domain.errors import ExitCode, InputError, Problem

STANDARDS = ("pci-dss", "hipaa", "sox")

Check = Literal[
    "verified", "whole", "fields", "person", "dual-control", "separate-seats", "own-certificate", "attributes", "closed"
]
"""What is checked beyond that entries exist; `hsm_console.audit.report_checks` says how."""


Checked = Literal["original", "quoted", "not checked", "no clause"]
"""How number and sense of a clause were held against its source: in the original's own text, in what others quote of
it, not at all; or there is none, as the standard names no such control."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the numbers were held against: title and edition of the source, and how it was read."""

    title: str
    edition: str
    read: Checked


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One clause. answer: what we answer it with, in words. kinds: kinds of events that do (empty: every entry).

    checked: how its number and sense were. operations, roles: only events with one of these. required: `always` makes
    no entry a gap, `when-present` makes it not applicable.
    """

    id: str
    checked: Checked = "not checked"
    title: str
    answer: str
    kinds: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    required: Literal["always", "when-present"]
    note: str = ""


class Standard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. unit: what its numbers count; scope: what this log can say about it and what not.

    retention_months: how long entries are kept under it at least.
    """

    format: Literal[1]
    id: str
    title: str
    unit: str
    scope: str
    sources: tuple[Origin, ...]
    retention_months: int = 12
    controls: tuple[Control, ...]


@functools.cache
def load(name: str) -> Standard:
    """A shipped standard. Raises InputError standard-unknown."""
    if name not in STANDARDS:
        raise InputError(
            Problem(
                code="standard-unknown",
                what=f"There is no report for the standard “{name}”.",
                todo=f"Choose one of: {', '.join(STANDARDS)}.",
                exit_code=ExitCode.USAGE,
            )
        )
    text = (files("resources") / "compliance" / f"{name}.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Standard)
