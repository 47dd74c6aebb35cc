"""A house whose rules come to seal later: in clear until there is a key, never after; a token without one is locked."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hsm_console.audit.checkpoint import parse_vkey
from hsm_console.audit.verify import verify_workspace
from hsm_console.client import device
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.secret import Secret
from hsm_console.gateway import founding
from hsm_console.policy import environment as environments

ID = "development-simulation"
SEALS = 'confidential = ["document-digests", "file-names"]'


def rules(patch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    text = environments.texts()[ID]
    assert change(text) != text
    patch.setitem(environments.texts(), ID, change(text))
    environments.load.cache_clear()


@pytest.fixture
def all_sealed() -> Iterator[None]:
    """From now on the rules seal everything, people's names too."""
    with pytest.MonkeyPatch.context() as patch:
        rules(patch, lambda text: text.replace(SEALS, SEALS.replace('["', '["names", "free-text", "')))
        yield
    environments.load.cache_clear()


@pytest.fixture
def workspace(tmp_path: Path, flows: ModuleType) -> Path:
    """Founded under rules that seal nothing: there is no key for sealing in the token."""
    with pytest.MonkeyPatch.context() as patch:
        rules(patch, lambda text: text.replace(SEALS, ""))
        founding.found(flows.spec(tmp_path / "house"), lambda *_: None)
    environments.load.cache_clear()
    return tmp_path / "house"


def told(workspace: Path) -> list[tuple[str, str]]:
    """(kind, name of the person) of each entry."""
    with contextlib.closing(sqlite3.connect(f"file:{workspace}/audit.db?mode=ro", uri=True)) as conn:
        entries = [json.loads(body) for (body,) in conn.execute("SELECT body FROM entry ORDER BY seq")]
    return [(e["hsm_console"]["event"]["kind"], e["actor"].get("user", {}).get("name", "")) for e in entries]


def findings(workspace: Path) -> list[str]:
    report = verify_workspace(workspace, parse_vkey((workspace / "log.vkey").read_text()))
    return [item.word for item in report.findings]


def test_rules_that_seal_later_get_their_key_at_the_next_unlock(
    workspace: Path, all_sealed: None, spied: Any, both_verify: Any
) -> None:
    gateway, _, house = spied
    ada = house.admin()
    device.lock(ada)
    gateway.stop("asked")
    after = False
    for kind, name in told(workspace):
        assert not (after and name and not name.startswith("sealed:")), kind
        after = after or kind == "data-key-made"
    assert ("logged-on", "Ada Lovelace") in told(workspace)
    assert after
    both_verify(workspace)


def test_a_token_that_cannot_hold_the_key_is_locked_again(workspace: Path, all_sealed: None, spied: Any) -> None:
    gateway, spy, house = spied

    def other_secret(*_: Any, **__: Any) -> bytes:
        return bytes(48)

    spy.real.derive = other_secret
    ada = house.be("ada")
    with pytest.raises(ConsoleError) as refused:
        device.unlock(ada, Secret("user-pin-271828"))
    assert refused.value.problem.code == "seal-unsupported"
    assert not device.state(ada).unlocked
    assert [kind for kind, _ in told(workspace)][-2:] == ["operation-failed", "device-down"]
    gateway.stop("asked")
    assert "SEALED" in findings(workspace)
