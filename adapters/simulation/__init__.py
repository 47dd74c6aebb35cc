"""A simulated token: real cryptography in software, files on disk. It protects nothing and says so everywhere."""

from __future__ import annotations

from pathlib import Path

from adapters.problems import refused
from adapters.simulation.journal import Journalled
from adapters.simulation.store import Store
from adapters.simulation.token import SimulatedToken
from hsm_console.hsm.port import Binding, Hsm


def create(binding: Binding) -> Hsm:
    """The simulated token of a workspace. Raises InputError `binding-incomplete` without a directory."""
    if not binding.directory:
        raise refused("binding-incomplete", "The simulated token needs a folder.", "Name the workspace's token folder.")
    folder = Path(binding.directory) / "simulation"
    return Journalled(SimulatedToken(binding, Store(folder)), folder)
