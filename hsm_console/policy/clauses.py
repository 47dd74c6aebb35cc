"""The clauses a ceremony serves, and the standards that ask for them (CEREMONY 6). Data in `resources/compliance`.

The titles are our own words. Whoever relies on a clause reads the original: this table only finds the place.
"""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files

import msgspec


class Standard(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """id: short name in `Clause.sources`; unit: what its numbers count (section, clause, requirement)."""

    id: str
    title: str
    unit: str


class Clause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """when: before, during or after the ceremony; sources: `standard:number`."""

    id: str
    when: str
    title: str
    sources: tuple[str, ...]


class Clauses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole table, in its order."""

    standards: tuple[Standard, ...]
    clauses: tuple[Clause, ...]

    def by_id(self, clause_id: str) -> Clause | None:
        return next((clause for clause in self.clauses if clause.id == clause_id), None)

    def of(self, standard_id: str) -> tuple[Clause, ...]:
        """The clauses that a standard asks for."""
        return tuple(c for c in self.clauses if any(s.partition(":")[0] == standard_id for s in c.sources))

    def sources(self, clause: Clause) -> str:
        """For example `ETSI EN 319 411-1, clause 6.5.1`."""
        names = {standard.id: standard for standard in self.standards}
        parts = []
        for source in clause.sources:
            name, _, number = source.partition(":")
            parts.append(f"{names[name].title}, {names[name].unit} {number}")
        return "; ".join(parts)


@functools.cache
def table() -> Clauses:
    """The shipped table."""
    text = (files("resources") / "compliance" / "clauses.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), Clauses)
