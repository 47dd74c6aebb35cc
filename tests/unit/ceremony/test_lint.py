"""The linter: each thing that cannot happen, by its name (CEREMONY 2 and 5)."""

from __future__ import annotations

import re

import pytest

from hsm_console.ceremony import lint, script
from hsm_console.domain.errors import InputError

TEXT = script.library()["executive-identity-key"]


def names(text: str) -> set[str]:
    found = lint.findings(script.parse(text))
    assert all(finding.text.strip().endswith(".") for finding in found)
    return {finding.name for finding in found}


def without(step: str) -> str:
    """The script without one step (and its facts)."""
    blocks = re.split(r"(?=^\[\[steps\]\])", TEXT, flags=re.MULTILINE)
    return "".join(block for block in blocks if f'id = "{step}"' not in block)


def change(old: str, new: str, *, step: str = "") -> str:
    blocks = re.split(r"(?=^\[\[steps\]\])", TEXT, flags=re.MULTILINE)
    if step:
        return "".join(b.replace(old, new, 1) if f'id = "{step}"' in b else b for b in blocks)
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def moved(step: str, before: str) -> str:
    """The script with one step taken to another place, into that step's phase."""
    blocks = re.split(r"(?=^\[\[steps\]\])", TEXT, flags=re.MULTILINE)
    mine = next(b for b in blocks if f'id = "{step}"' in b)
    blocks.remove(mine)
    at = next(n for n, b in enumerate(blocks) if f'id = "{before}"' in b)
    phase = re.search(r"^phase = .*$", blocks[at], flags=re.MULTILINE)
    assert phase is not None
    mine = re.sub(r"^phase = .*$", phase.group(0), mine, count=1, flags=re.MULTILINE)
    return "".join([*blocks[:at], mine, *blocks[at:]])


@pytest.mark.parametrize("script_id", list(script.library()))
def test_every_shipped_script_can_be_held(script_id: str) -> None:
    parsed = script.parse(script.library()[script_id])
    assert parsed.id == script_id
    lint.check(parsed)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (change('id = "executive-identity-key"', 'id = "Executive Key"'), "bad-id"),
        (change('version = "1.0"', 'version = ""'), "empty-text"),
        (change('id = "welcome"', 'id = "presence"'), "duplicate-step"),
        (change('id = "welcome"', 'id = "deviation-1"'), "bad-id"),
        (change('phase = "Opening"', 'phase = "Overture"'), "unknown-phase"),
        (change('phase = "Opening"', 'phase = "Closing"'), "phase-order"),
        (change('"Closing"]', '"Closing", "Afterwards"]'), "empty-phase"),
        (change('"Closing"]', '"Closing", "Opening"]'), "duplicate-phase"),
        (change('button = "I have read this aloud"', 'button = "OK"'), "button-says-nothing"),
        (change('button = "I have read this aloud"', 'button = " "'), "empty-text"),
        (change("It will be called {label}.", "It will be called {lable}."), "unknown-placeholder"),
        (change("minutes = 2", "minutes = 0"), "minutes"),
        (change('"S1", "S3", "R1"', '"S1", "S99"'), "unknown-clause"),
        (change('pattern = "[A-Za-z0-9][A-Za-z0-9 ._-]{2,62}"', 'pattern = ""'), "parameter-open"),
        (change('pattern = "[A-Za-z0-9][A-Za-z0-9 ._-]{2,62}"', 'pattern = "[a"'), "parameter-pattern"),
        (change('example = "ceo-identity-2026"', 'example = "?"'), "parameter-example"),
        (change("words = 4", "words = 1"), "too-few-words"),
        (change("read = ", "reed = "), "hash-unasked"),
        (change('button = "Record the time source"', 'button = "Record it"\nfacts = {a = "b"}'), "facts-unasked"),
        (change('button = "I have read this aloud"', 'button = "I have read this"\nfacts = {a = ""}'), "bad-fact"),
        (change("needed = 2", "needed = 4"), "quorum-unreachable"),
        (change("custodian = 2", "custodian = 1"), "quorum-unreachable"),
        (change("custodian = 2", "custodian = 4"), "quorum-overfull"),
        (change("custodian = 2", "custodian = 40"), "seats"),
        (change('actor = "custodian"', 'actor = "executive"'), "conflicting-roles"),
        (change('actor = "administrator"', 'actor = "custodian"', step="generate"), "conflicting-roles"),
        (change('actor = "administrator"', 'actor = "auditor"', step="clock"), "actor-not-seated"),
        (change('actor = "administrator"', 'actor = "witness"', step="presence"), "presence-actor"),
        (change("witness = 1\n", ""), "no-witness"),
        (without("presence"), "no-presence"),
        (without("clock"), "no-time-source"),
        (without("software"), "no-software-hash"),
        (without("preflight"), "no-preflight"),
        (moved("preflight", "read-back"), "no-preflight"),
        (without("authorise"), "no-quorum"),
        (moved("authorise", "read-back"), "no-quorum"),
        (moved("authorise", "presence"), "quorum-before-presence"),
        (change('button = "Compare the words"', 'button = "Compare"\ncommit = true'), "commit-unfit"),
        (moved("compare", "generate"), "key-not-yet"),
        (change("commit = true", "commit = false", step="generate"), "generate-not-commit"),
        (without("read-back"), "no-read-back"),
        (without("compare"), "no-compare"),
        (without("receipt"), "no-receipt"),
        (change('actor = "executive"', 'actor = "administrator"', step="compare"), "own-check"),
        (change('[key]\nusages = ["sign"]\n', ""), "no-key-table"),
        (change('usages = ["sign"]', "usages = []"), "no-usage"),
        (change('"ec-p384", "rsa-4096"', '"ec-p384", "des"'), "algorithm"),
        (change("[parameters.label]", "[parameters.name]"), "label"),
        (
            change('[certificate]\nprofile = "identity"\nsubject = "{executive}"\ndays = 730\n', ""),
            "no-certificate-table",
        ),
        (without("certify"), "certificate-unused"),
        (change('profile = "identity"', 'profile = "anything"'), "certificate-profile"),
        (change("days = 730", "days = 99999"), "certificate-days"),
        (change('subject = "{executive}"', 'subject = "{boss}"'), "unknown-placeholder"),
        (without("sign-off"), "no-sign-off"),
        (moved("sign-off", "receipt"), "sign-off-not-last"),
        (TEXT + TEXT[TEXT.index('[[steps]]\nid = "generate"') : TEXT.index('[[steps]]\nid = "read-back"')], "two-keys"),
        (
            TEXT + TEXT[TEXT.index('[[steps]]\nid = "presence"') : TEXT.index('[[steps]]\nid = "clock"')],
            "duplicate-presence",
        ),
        (
            TEXT + TEXT[TEXT.index('[[steps]]\nid = "certify"') : TEXT.index("# ----", TEXT.index('id = "certify"'))],
            "two-certificates",
        ),
    ],
)
def test_what_cannot_happen_is_found_by_name(text: str, wanted: str) -> None:
    assert wanted in names(text)
    with pytest.raises(InputError) as caught:
        lint.check(script.parse(text))
    assert caught.value.problem.code == "script-cannot-happen"
    assert wanted in caught.value.problem.details.values()


def test_all_findings_are_told_at_once() -> None:
    text = change("needed = 2", "needed = 4").replace("words = 4", "words = 1")
    assert {"quorum-unreachable", "too-few-words"} <= names(text)
