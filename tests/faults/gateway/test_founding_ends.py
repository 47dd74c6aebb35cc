"""A founding that dies at its very end, before and after the move, goes on from what exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import Person, Role
from hsm_console.gateway import founding

ROLES = (
    ("ada", Role.ADMINISTRATOR),
    ("claude", Role.CUSTODIAN),
    ("grace", Role.CUSTODIAN),
    ("hedy", Role.EXECUTIVE),
    ("joan", Role.WITNESS),
    ("alan", Role.AUDITOR),
)


class Killed(BaseException):
    """What SIGKILL looks like from inside: nothing after it runs."""


def wish(directory: Path) -> FoundingSpec:
    return FoundingSpec(
        directory=str(directory),
        name="House of ends",
        adapter="simulation",
        environment="development-simulation",
        token_label="ends",
        so_pin="so-pin-314159",
        pin="user-pin-271828",
        people=tuple(
            Founder(person=Person(uid=uid, name=uid.title()), roles=(role,), passphrase=f"four unrelated words {uid}")
            for uid, role in ROLES
        ),
        kdf_iterations=2000,
    )


def test_a_kill_at_the_move_is_resumed_with_the_same_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "house"

    def die(self: Path, other: Path) -> Path:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", _only(target, die))
        with pytest.raises(Killed):
            founding.found(wish(target), lambda _n, _text: None)
    assert not target.exists()
    statement = (tmp_path / ".house.founding" / "founding.json").read_bytes()
    authority = (tmp_path / ".house.founding" / "authority.pem").read_bytes()

    credentials = founding.found(wish(target), lambda _n, _text: None)

    assert (target / "founding.json").read_bytes() == statement
    assert (target / "authority.pem").read_bytes() == authority
    assert not (target / "token.began").exists()
    assert set(credentials) == {uid for uid, _ in ROLES}


def _only(target: Path, die: object) -> object:
    """Path.rename that dies for the workspace itself and works for every file below it."""
    real = Path.rename

    def rename(self: Path, other: Path) -> Path:
        if other == target:
            return die(self, other)  # type: ignore[operator]
        return real(self, other)

    return rename
