"""The shim bites: a caller that knows nothing of vendors fails at every rule, with the answer that the vendor gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.softhsm
NAIVE = Path(__file__).with_name("naive.py")
INCONSISTENT, UNSUPPORTED = "CKR_TEMPLATE_INCONSISTENT", "CKR_FUNCTION_NOT_SUPPORTED"
PARAMETER, NO_MECHANISM = "CKR_MECHANISM_PARAM_INVALID", "CKR_MECHANISM_INVALID"

ANSWERS: dict[str, dict[str, str]] = {
    "cloudhsm": {
        "ro-refused": "CKR_FUNCTION_FAILED",
        "sessions": "CKR_SESSION_COUNT",
        "iv-readback": PARAMETER,
        "iv-prepend": PARAMETER,
        "attribute-unknown": "CKR_ATTRIBUTE_TYPE_INVALID",
        "no-set": UNSUPPORTED,
        "no-copy": UNSUPPORTED,
        "no-init": UNSUPPORTED,
        "no-set-pin": UNSUPPORTED,
        "no-seed": "CKR_RANDOM_SEED_NOT_SUPPORTED",
        "no-data": UNSUPPORTED,
        "private-true": INCONSISTENT,
        "id-unique": "CKR_ATTRIBUTE_VALUE_INVALID",
        "vendor-numbers": NO_MECHANISM,
        "pin-colon": "CKR_PIN_INCORRECT",
    },
    "azure-cloud-hsm": {"sensitive-private": INCONSISTENT, "pin-colon-expired": "CKR_PIN_EXPIRED"},
    "luna": {"sensitive": INCONSISTENT, "user-limited": "0x8000001a", "vendor-numbers": NO_MECHANISM},
    "azure-dedicated-hsm": {"iv-append16": PARAMETER},
    "nshield": {"no-login": "CKR_USER_TYPE_INVALID"},
    "kmsp11": {
        "kms-template": INCONSISTENT,
        "kms-template-as-documented": "OK",
        "random-8-1024": "CKR_ARGUMENTS_BAD",
        "no-create": UNSUPPORTED,
        "no-digest": UNSUPPORTED,
        "any-pin": "CKR_USER_TYPE_INVALID",
        "any-pin-proves-nothing": "OK",
    },
    "yubihsm": {
        "modifiable-refused": INCONSISTENT,
        "token-only": INCONSISTENT,
        "pin-key-id": "CKR_ARGUMENTS_BAD",
        "no-gcm": NO_MECHANISM,
    },
    "nethsm": {"so-generates": "CKR_USER_NOT_LOGGED_IN", "no-digest": UNSUPPORTED},
    "utimaco": {"user-named": "CKR_PIN_INCORRECT"},
    "opencryptoki": {"pin-lock": "CKR_PIN_LOCKED"},
}


def naive(house: Any, *rules: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(NAIVE), str(house.shim), "vendor", house.rules.pin, *rules]
    chosen = {**os.environ, **house.environment, **environment}
    return subprocess.run(command, env=chosen, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ANSWERS)
def test_naive_caller_meets_every_rule(name: str, house_of: Callable[[str], Any]) -> None:
    done = naive(house_of(name), *ANSWERS[name])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ANSWERS[name]


def test_rules_that_need_a_token_of_their_own(house_of: Callable[[str], Any]) -> None:
    """Rules whose naive call another rule of the same vendor would stop first: each alone."""
    house = house_of("luna")
    alone = {
        "one-purpose": INCONSISTENT,
        "no-wrap": UNSUPPORTED,
        "no-derive": UNSUPPORTED,
        "id-short": "CKR_ATTRIBUTE_VALUE_INVALID",
        "iv-late": PARAMETER,
    }
    for rule, answer in alone.items():
        done = naive(house, rule, SHIM_RULES=f",{rule},", SHIM_MAP="")
        assert json.loads(done.stdout) == {rule: answer}, rule
    done = naive(house, "no-verify", SHIM_RULES=",no-verify,so-generates,")
    assert json.loads(done.stdout) == {"no-verify": UNSUPPORTED}


def test_module_that_may_not_be_finished_ends_its_process(house_of: Callable[[str], Any]) -> None:
    assert naive(house_of("securosys"), "no-finalize").returncode == -6


def test_without_rules_nothing_stops_a_naive_caller(house_of: Callable[[str], Any]) -> None:
    """The answers above come from the rules, not from SoftHSM."""
    house = house_of("luna")
    names = ("ro-refused", "private-true", "sensitive", "no-seed", "random-8-1024", "one-purpose", "token-only")
    done = naive(house, *names, SHIM_RULES="", SHIM_MAP="", SHIM_DENY="")
    assert json.loads(done.stdout) == dict.fromkeys(names, "OK")
