"""The rules in force: those that come with the software, and a house's own. A bad file costs itself, not the others."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from hsm_console.detect.problems import refused
from hsm_console.detect.rules import LARGEST, Rule, RuleSet, assemble, read_file
from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.messages.alerts import RuleView
from hsm_console.domain.reading import open_regular

FOLDER = "rules"
SUFFIXES = (".yml", ".yaml")
MOST_FILES = 500


@functools.cache
def shipped() -> Mapping[str, bytes]:
    """The rule files that come with the software, by name."""
    folder = files("resources") / FOLDER
    return {
        item.name: item.read_bytes() for item in sorted(folder.iterdir(), key=lambda i: i.name) if _is_rule(item.name)
    }


@functools.cache
def digests() -> frozenset[str]:
    """Hex SHA-256 of the files that come with the software."""
    return frozenset(hashlib.sha256(data).hexdigest() for data in shipped().values())


def of_folder(folder: Path) -> tuple[dict[str, bytes], tuple[Problem, ...]]:
    """A house's own rule files, and what could not be read of them. No folder is no rules."""
    found: dict[str, bytes] = {}
    problems: list[Problem] = []
    try:
        paths = sorted(path for path in folder.iterdir() if _is_rule(path.name)) if folder.is_dir() else []
    except OSError as error:
        return {}, (refused(folder.name, f"the folder cannot be read ({error.strerror})").problem,)
    for path in paths[:MOST_FILES]:
        try:
            with open_regular(path) as file:
                found[path.name] = file.read(LARGEST + 1)
        except OSError as error:
            problems.append(refused(path.name, f"the file cannot be read ({error.strerror})").problem)
    problems += [
        refused(path.name, f"there are more than {MOST_FILES} rule files").problem for path in paths[MOST_FILES:]
    ]
    return found, tuple(problems)


def in_force(folder: Path | None = None) -> tuple[RuleSet, tuple[Problem, ...]]:
    """The shipped rules with a house's own over them: a rule of the same name takes the place of the shipped one."""
    rules, problems = _readable(shipped())
    if folder is not None:
        own, unreadable = of_folder(folder)
        more, refusals = _readable(own)
        rules |= more
        problems += (*unreadable, *refusals)
    while True:
        try:
            return assemble(rules), problems
        except ConsoleError as error:
            problems += (error.problem,)
            del rules[error.problem.details["rule"]]


def _readable(given: Mapping[str, bytes]) -> tuple[dict[str, Rule], tuple[Problem, ...]]:
    rules: dict[str, Rule] = {}
    problems: list[Problem] = []
    for name, data in given.items():
        try:
            read = read_file(name, data)
            names = [rule.name for rule in read]
            twice = next((one for one in names if one in rules or names.count(one) > 1), "")
            if twice:
                raise refused(twice, f"two rules have this name (the second in {name})")
        except ConsoleError as error:
            problems.append(error.problem)
            continue
        rules |= {rule.name: rule for rule in read}
    return rules, tuple(problems)


def _is_rule(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def view_of(rule: Rule) -> RuleView:
    """A rule as people read it, without what a running gateway knows of it."""
    return RuleView(
        id=rule.name,
        title=rule.title,
        level=rule.level,
        kind=rule.kind,
        meaning=rule.meaning,
        todo=rule.todo,
        sha256=rule.sha256,
        false_alarms=rule.false_alarms,
    )
