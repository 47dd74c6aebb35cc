"""The condition of a Sigma rule: and, or, not, parentheses, `1 of`, `all of`, over the names of its searches."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping

from hsm_console.detect.matching import Search, all_of, any_of, none_of
from hsm_console.detect.problems import refused

_TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z0-9_.*-]+)")
DEEPEST = 32


def compile_condition(rule: str, text: object, searches: Mapping[str, Search]) -> Search:
    """Raises InputError rule-refused: unknown names, bad grammar, a search that nothing uses."""
    if not isinstance(text, str) or len(text) > 2000:
        raise refused(rule, "its condition must be one line of text")
    parser = _Parser(rule, _tokens(rule, text), searches)
    found = parser.either(0)
    if parser.left:
        raise refused(rule, f"its condition has “{parser.left[0]}” where it should end")
    unused = set(searches) - parser.used
    if unused:
        raise refused(rule, f"its condition does not use {', '.join(sorted(unused))}")
    return found


def _tokens(rule: str, text: str) -> list[str]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise refused(rule, f"its condition cannot be read at “{text[at:].strip()[:20]}”")
        found.append(match[1])
        at = match.end()
    return found


class _Parser:
    def __init__(self, rule: str, tokens: list[str], searches: Mapping[str, Search]) -> None:
        self._rule = rule
        self.left = tokens
        self._searches = searches
        self.used: set[str] = set()

    def _next(self) -> str:
        if not self.left:
            raise refused(self._rule, "its condition ends too early")
        return self.left.pop(0)

    def either(self, depth: int) -> Search:
        parts = [self._both(depth)]
        while self.left and self.left[0].lower() == "or":
            self.left.pop(0)
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else any_of(parts)

    def _both(self, depth: int) -> Search:
        parts = [self._one(depth)]
        while self.left and self.left[0].lower() == "and":
            self.left.pop(0)
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else all_of(parts)

    def _one(self, depth: int) -> Search:
        if depth > DEEPEST:
            raise refused(self._rule, "its condition is nested too deeply")
        word = self._next()
        if word.lower() == "not":
            return none_of(self._one(depth + 1))
        if word == "(":
            inner = self.either(depth + 1)
            if self._next() != ")":
                raise refused(self._rule, "its condition lacks a closing parenthesis")
            return inner
        if self.left and self.left[0].lower() == "of" and (word.isdecimal() or word.lower() in ("all", "any")):
            return self._some(word.lower())
        if word not in self._searches:
            raise refused(self._rule, f"its condition speaks of “{word}”, which is no search of it")
        self.used.add(word)
        return self._searches[word]

    def _some(self, how: str) -> Search:
        self.left.pop(0)
        pattern = self._next()
        names = [name for name in self._searches if pattern == "them" or fnmatch.fnmatchcase(name, pattern)]
        if pattern == "them":
            names = [name for name in names if not name.startswith("_")]
        least = 1 if how == "any" else int(how) if how.isdecimal() else len(names)
        if not names or not 1 <= least <= len(names):
            raise refused(self._rule, f"its condition asks for {how} of “{pattern}”, and there are {len(names)}")
        self.used.update(names)
        parts = [self._searches[name] for name in names]
        return all_of(parts) if least == len(parts) else any_of(parts, least)
