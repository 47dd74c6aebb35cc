"""Which adapters there are: entry points of the group `hsm_console.adapters`. A vendor is one entry."""

from __future__ import annotations

from importlib.metadata import entry_points

from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.hsm.port import AdapterFactory

GROUP = "hsm_console.adapters"


def adapters() -> tuple[str, ...]:
    """Names of all adapters, sorted; nothing is loaded."""
    return tuple(sorted({entry.name for entry in entry_points(group=GROUP)}))


def load(name: str) -> AdapterFactory:
    """The factory of an adapter. Called in a worker process only: it imports the adapter.

    Raises EnvironmentFault `adapter-unknown` when no entry point has this name.
    """
    for entry in entry_points(group=GROUP, name=name):
        factory: AdapterFactory = entry.load()
        return factory
    raise EnvironmentFault(
        Problem(
            code="adapter-unknown",
            what=f"There is no adapter named “{name}”.",
            todo="Choose one of: " + ", ".join(adapters()) + ".",
            details={"adapter": name},
        )
    )
