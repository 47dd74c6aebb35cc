"""Names of the keys of one batch: a pattern, in which {n} becomes the number ({nn}: with a zero before it)."""

from __future__ import annotations

import re

_PLACE = re.compile(r"\{(n{1,6})\}")


def is_pattern(label: str) -> bool:
    """Whether each number gives a name of its own."""
    return _PLACE.search(label) is not None


def name(label: str, number: int) -> str:
    """The name of the key with this number: “web {nnn}” and 7 give “web 007”."""
    return _PLACE.sub(lambda place: str(number).zfill(len(place.group(1))), label)


def names(label: str, count: int, first: int = 1) -> tuple[str, ...]:
    """The names of `count` keys, the first of which has the number `first`."""
    return tuple(name(label, first + index) for index in range(count))
