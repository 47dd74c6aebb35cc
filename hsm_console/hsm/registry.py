"""Which adapters there are: entry points of the group `hsm_console.adapters`. A vendor is one entry.

A name is looked up where it is chosen, and a worker process is told where its adapter lies: reading what is installed
would be a fifth of the time that a worker takes to start.
"""

from __future__ import annotations

import functools
import importlib

from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.hsm.port import AdapterFactory

GROUP = "hsm_console.adapters"


@functools.cache
def _installed() -> dict[str, str]:
    """name → `module:factory`; the first entry of a name counts."""
    from importlib.metadata import entry_points

    return {entry.name: entry.value for entry in reversed(tuple(entry_points(group=GROUP)))}


def adapters() -> tuple[str, ...]:
    """Names of all adapters, sorted; nothing is loaded."""
    return tuple(sorted(_installed()))


def place(name: str) -> str:
    """Where an adapter's factory lies, for `load`; nothing is loaded.

    Raises EnvironmentFault `adapter-unknown` when no entry point has this name.
    """
    found = _installed().get(name)
    if found is None:
        raise EnvironmentFault(
            Problem(
                code="adapter-unknown",
                what=f"There is no adapter named “{name}”.",
                todo="Choose one of: " + ", ".join(adapters()) + ".",
                details={"adapter": name},
            )
        )
    return found


def load(place: str) -> AdapterFactory:
    """The factory that lies there. Called in a worker process only: it imports the adapter."""
    module, _, name = place.partition(":")
    factory: AdapterFactory = getattr(importlib.import_module(module), name)
    return factory
