"""Scripts that nobody should write: the answer is always an InputError, never a traceback."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from hsm_console.ceremony import lint, script
from hsm_console.domain.errors import InputError

TEXT = script.library()["executive-identity-key"]
LINES = TEXT.split("\n")
VALUES = some.sampled_from(
    ['""', "0", "-1", "1.5", "true", "[]", "{}", '"x"', "[1]", "2026-11-24", "99999999999999999999", '["a", 1]', "inf"]
)


def read(text: str) -> None:
    """Parse and lint; only an InputError may come out."""
    try:
        parsed = script.parse(text)
    except InputError:
        return
    for finding in lint.findings(parsed):
        assert finding.name
        assert finding.text


@settings(max_examples=150, deadline=None, derandomize=True)
@given(some.integers(0, len(LINES) - 1))
def test_a_line_left_out(at: int) -> None:
    read("\n".join(LINES[:at] + LINES[at + 1 :]))


@settings(max_examples=250, deadline=None, derandomize=True)
@given(some.integers(0, len(LINES) - 1), VALUES)
def test_a_value_of_the_wrong_type(at: int, value: str) -> None:
    key, equals, _ = LINES[at].partition(" = ")
    if equals:
        read("\n".join([*LINES[:at], f"{key} = {value}", *LINES[at + 1 :]]))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(some.integers(0, len(LINES) - 1), some.text(alphabet="abc_-[]={}\"'.#\n", min_size=1, max_size=12))
def test_a_line_put_in(at: int, line: str) -> None:
    read("\n".join([*LINES[:at], line, *LINES[at:]]))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(some.text(max_size=300))
def test_any_text(text: str) -> None:
    read(text)


def keys(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict):
        return [p for key, inner in value.items() for p in [(*path, key), *keys(inner, (*path, key))]]
    return []


@pytest.mark.parametrize("table", ["", "roles", "quorum", "parameters.algorithm", "key", "certificate", "steps.0"])
def test_an_unknown_key_in_any_table_is_refused(table: str) -> None:
    assert keys(tomllib.loads(TEXT))
    if not table:
        text = f"surprise = 1\n{TEXT}"
    elif table == "steps.0":
        text = TEXT.replace("[[steps]]", "[[steps]]\nsurprise = 1", 1)
    else:
        text = TEXT.replace(f"[{table}]", f"[{table}]\nsurprise = 1", 1)
    with pytest.raises(InputError) as caught:
        script.parse(text)
    assert "surprise" in caught.value.problem.what


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InputError):
        script.parse("a = " + "[" * 5000 + "]" * 5000)
