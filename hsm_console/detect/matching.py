"""One search of a Sigma rule (fields, modifiers, values) compiled to one Python function over a flat entry."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Any

from hsm_console.detect.entry import KIND, Flat
from hsm_console.detect.problems import refused

Match = Callable[[Flat], bool]
Test = Callable[[Any], bool]
LONGEST = 1000  # a pattern looks at so many characters of a value: names come from strangers
_COMPARE = {"gt", "gte", "lt", "lte"}
_TEXT = {"contains", "startswith", "endswith"}
_RE_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_KNOWN = _COMPARE | _TEXT | {"re", "cidr", "exists", "all", "cased", "fieldref", *_RE_FLAGS}


class Search:
    """A compiled search. kinds: the kinds of event that it can match at all; None: any."""

    __slots__ = ("kinds", "match")

    def __init__(self, match: Match, kinds: frozenset[str] | None) -> None:
        self.match = match
        self.kinds = kinds


def compile_search(rule: str, name: str, search: Any) -> Search:
    """A map is all of its fields, a list of maps is any of them. Raises InputError rule-refused."""
    if isinstance(search, dict) and search:
        return _all([_field(rule, str(key), value) for key, value in search.items()])
    if isinstance(search, list) and search and all(isinstance(item, dict) and item for item in search):
        return any_of([compile_search(rule, name, item) for item in search])
    raise refused(rule, f"search “{name}” must be a map of fields, or a list of such maps (keywords are not known)")


def _all(parts: Sequence[Search]) -> Search:
    kinds = None
    for part in parts:
        if part.kinds is not None:
            kinds = part.kinds if kinds is None else kinds & part.kinds
    # The rarest question last costs most: what the kind decides is asked first.
    tests = tuple(part.match for part in sorted(parts, key=lambda part: part.kinds is None))
    if len(tests) == 1:
        return Search(tests[0], kinds)
    if len(tests) == 2:
        first, second = tests
        return Search(lambda flat: first(flat) and second(flat), kinds)

    def match(flat: Flat) -> bool:
        for test in tests:  # noqa: SIM110 (all() with a generator is three times as slow)
            if not test(flat):
                return False
        return True

    return Search(match, kinds)


def all_of(parts: Sequence[Search]) -> Search:
    return _all(parts)


def any_of(parts: Sequence[Search], least: int = 1) -> Search:
    """At least `least` of the parts."""
    sets = [part.kinds for part in parts]
    kinds = None if any(item is None for item in sets) else frozenset().union(*(item for item in sets if item))
    tests = tuple(part.match for part in parts)
    if len(tests) == 1:
        return Search(tests[0], kinds)
    return Search(lambda flat: sum(test(flat) for test in tests) >= least, kinds)


def none_of(part: Search) -> Search:
    test = part.match
    return Search(lambda flat: not test(flat), None)


def _field(rule: str, key: str, value: Any) -> Search:
    field, *modifiers = key.split("|")
    unknown = [name for name in modifiers if name not in _KNOWN]
    if not field or unknown:
        raise refused(rule, f"“{key}” has a modifier that is not known here: {', '.join(unknown) or 'no field'}")
    if "exists" in modifiers:
        return _exists(rule, field, value)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise refused(rule, f"“{key}” names no value")
    if not modifiers and all(isinstance(item, str) and not set(item) & set("*?\\") for item in values):
        return _plain(field, values)
    tests = [_test(rule, key, item, modifiers) for item in values]
    need_all = "all" in modifiers
    if len(tests) == 1:
        return Search(_single(field, tests[0]), None)

    def match(flat: Flat) -> bool:
        found = flat.get(field)
        if found.__class__ is list:
            hits = (
                [any(test(item, flat) for item in found) for test in tests]
                if found
                else [test(None, flat) for test in tests]
            )
        else:
            hits = [test(found, flat) for test in tests]
        return all(hits) if need_all else any(hits)

    return Search(match, None)


def _single(field: str, test: Callable[[Any, Flat], bool]) -> Match:
    def match(flat: Flat) -> bool:
        found = flat.get(field)
        if found.__class__ is list:
            return any(test(item, flat) for item in found) if found else test(None, flat)
        return test(found, flat)

    return match


def _exists(rule: str, field: str, value: Any) -> Search:
    if not isinstance(value, bool):
        raise refused(rule, f"“{field}|exists” takes true or false")
    wanted = value
    return Search(lambda flat: (field in flat) is wanted, None)


def _plain(field: str, values: list[str]) -> Search:
    """Equality with fixed texts, in any case (Sigma's default): the usual question, answered fastest."""
    wanted = frozenset(item.lower() for item in values)
    kinds = frozenset(values) if field == KIND else None
    if field == KIND:
        return Search(lambda flat: flat.get(KIND) in kinds, kinds)  # type: ignore[operator]

    def match(flat: Flat) -> bool:
        found = flat.get(field)
        if found.__class__ is str:
            return found.lower() in wanted
        if found.__class__ is list:
            return any(item.__class__ is str and item.lower() in wanted for item in found)
        return found is not None and str(found).lower() in wanted

    return Search(match, kinds)


def _test(rule: str, key: str, value: Any, modifiers: list[str]) -> Callable[[Any, Flat], bool]:
    if "fieldref" in modifiers:
        other = str(value)
        return lambda found, flat: found is not None and found == flat.get(other)
    comparing = [name for name in modifiers if name in _COMPARE]
    if comparing:
        return _compare(rule, key, value, comparing[0])
    if value is None:
        return lambda found, _flat: found is None or found == ""
    if "cidr" in modifiers:
        return _cidr(rule, key, value)
    if "re" in modifiers:
        return _regex(rule, key, value, modifiers)
    if isinstance(value, bool) or (isinstance(value, int) and not set(modifiers) & _TEXT):
        return lambda found, _flat: found == value and isinstance(found, bool) is isinstance(value, bool)
    if not isinstance(value, str | int):
        raise refused(rule, f"“{key}” takes texts, whole numbers, true, false or null")
    return _pattern(str(value), modifiers)


def _compare(rule: str, key: str, value: Any, how: str) -> Callable[[Any, Flat], bool]:
    if isinstance(value, bool) or not isinstance(value, int):
        raise refused(rule, f"“{key}” takes a whole number")
    limit = value
    tests: dict[str, Test] = {
        "gt": lambda found: found > limit,
        "gte": lambda found: found >= limit,
        "lt": lambda found: found < limit,
        "lte": lambda found: found <= limit,
    }
    test = tests[how]
    return lambda found, _flat: isinstance(found, int) and test(found)


def _cidr(rule: str, key: str, value: Any) -> Callable[[Any, Flat], bool]:
    try:
        network = ipaddress.ip_network(value)
    except (ValueError, TypeError):
        raise refused(rule, f"“{key}”: {value!r} is no network") from None

    def test(found: Any, _flat: Flat) -> bool:
        try:
            return ipaddress.ip_address(str(found)) in network
        except ValueError:
            return False

    return test


def _regex(rule: str, key: str, value: Any, modifiers: list[str]) -> Callable[[Any, Flat], bool]:
    flags = 0
    for name in modifiers:
        flags |= _RE_FLAGS.get(name, 0)
    try:
        pattern = re.compile(value, flags)
    except (re.error, TypeError) as fault:
        raise refused(rule, f"“{key}”: {value!r} is no regular expression ({fault})") from None
    return lambda found, _flat: found is not None and pattern.search(str(found)[:LONGEST]) is not None


def _pattern(value: str, modifiers: list[str]) -> Callable[[Any, Flat], bool]:
    """Text with Sigma's wildcards: * any characters, ? one, a backslash before them takes their meaning away."""
    parts = re.findall(r"\\[*?\\]|[*?]|[^*?\\]+|\\", value)
    body = "".join({"*": ".*", "?": "."}.get(part, re.escape(part[1:] if len(part) == 2 and part[0] == "\\" else part))
                   for part in parts)  # fmt: skip
    if "contains" in modifiers or "endswith" in modifiers:
        body = ".*" + body
    if "contains" in modifiers or "startswith" in modifiers:
        body += ".*"
    pattern = re.compile(body, re.DOTALL if "cased" in modifiers else re.DOTALL | re.IGNORECASE)
    return lambda found, _flat: found is not None and pattern.fullmatch(str(found)[:LONGEST]) is not None
