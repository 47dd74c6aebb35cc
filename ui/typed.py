"""Signals carry `object`; slots want what it is. A wrong type is a fault of this program and raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def taking(kind: type[T], slot: Callable[[T], object]) -> Callable[[object], None]:
    """A slot for a Signal(object) that emits values of `kind`."""

    def take(value: object) -> None:
        slot(checked(kind, value))

    return take


def checked(kind: type[T], value: object) -> T:
    """The value, if it is one of `kind`. Raises TypeError otherwise."""
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} was expected, not {type(value).__name__}")
    return value
