"""Vendor profiles as plain data: resources/vendors/*.toml. What an adapter makes of them is its own business."""

from __future__ import annotations

import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any


def names() -> tuple[str, ...]:
    """File names without suffix, sorted."""
    return tuple(sorted(path.name.removesuffix(".toml") for path in _folder().iterdir() if path.name.endswith(".toml")))


def read(name: str) -> dict[str, Any]:
    """The profile of this file. `extends` names another file whose fields hold where this one is silent.

    Raises FileNotFoundError, tomllib.TOMLDecodeError.
    """
    fields = tomllib.loads(_folder().joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    base = fields.pop("extends", "")
    return {**read(base), **fields} if base else fields


def by_id() -> dict[str, dict[str, Any]]:
    """All profiles, by the name of their adapter."""
    return {fields["id"]: fields for fields in map(read, names())}


def initialises(adapter: str) -> bool:
    """Whether the console initialises tokens of this kind itself; others come initialised, by the vendor's tool."""
    return bool(by_id().get(adapter, {"can_initialise": True}).get("can_initialise", False))


def takes_initialised(adapter: str) -> bool:
    """Whether a workspace may be founded on a token of this kind that another tool has initialised."""
    return not initialises(adapter) or bool(by_id().get(adapter, {}).get("takes_initialised", False))


def _folder() -> Traversable:
    return resources.files("resources").joinpath("vendors")
