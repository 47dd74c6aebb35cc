"""The rehearsal against the ceremony: only what is declared variable may differ (CEREMONY 2)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from hsm_console.ceremony import engine, minutes, plans, rehearsal
from hsm_console.ceremony.minutes import LogHead
from hsm_console.cli import ceremony as cli
from hsm_console.domain.errors import InputError, VerificationFailed
from hsm_console.domain.messages import ceremony as msg


def held(new_room: Any, *, simulated: bool, house: str = "development-simulation", late: bool = False) -> bytes:
    """The minutes of a whole ceremony."""
    room = new_room(house=house)
    room.open(simulated=simulated)
    if late:
        room.answer("ada", msg.Pause, why="Late.")
        room.answer("ada", msg.Resume)
    room.advance("")
    plan = engine.due(room.now, room.people["ada"])
    assert isinstance(plan, plans.ClosePlan)
    head = LogHead(origin="o", size=len(room.log), root=str(simulated))
    return minutes.build(room.now, room.log, plan=plan, environment=room.house, workspace="W", head=head)


def changed(data: bytes, old: str, new: str) -> bytes:
    assert old.encode() in data
    return data.replace(old.encode(), new.encode())


def test_times_entries_and_the_token_may_differ(new_room: Any) -> None:
    first, second = held(new_room, simulated=True, house="rehearsal"), held(new_room, simulated=False, late=True)
    assert first != second
    assert rehearsal.differences(first, second) == ()
    body = json.loads(rehearsal.certificate(first, second))
    assert body["rehearsal"]["minutes_sha256"] == minutes.digest(first)
    assert body["production"]["minutes_sha256"] == minutes.digest(second)
    assert body["compared"] > 300


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("Telephones are off or outside.", "Telephones are on.", "say"),
        ('"name":"Will Wren"', '"name":"Walt Wren"', "name"),
        ('"algorithm":"ec-p384"', '"algorithm":"rsa-4096"', "algorithm"),
        ('"extractable":"no"', '"extractable":"yes"', "extractable"),
        ('"commit":true', '"commit":false', "commit"),
    ],
)
def test_anything_else_is_told(new_room: Any, old: str, new: str, path: str) -> None:
    first = held(new_room, simulated=True)
    second = changed(first, old, new)
    found = rehearsal.differences(first, second)
    assert found
    assert any(path in difference.path for difference in found)
    with pytest.raises(VerificationFailed) as caught:
        rehearsal.certificate(first, second)
    assert caught.value.problem.code == "rehearsal-differs"


def test_a_deviation_in_only_one_of_them_is_told(new_room: Any) -> None:
    room = new_room()
    room.open()
    room.answer("ada", msg.DeviationAnswer, expected="Nine.", happened="Ten.", decided="Go on.")
    room.advance("")
    plan = engine.due(room.now, room.people["ada"])
    head = LogHead(origin="o", size=1, root="r")
    second = minutes.build(room.now, room.log, plan=plan, environment=room.house, workspace="W", head=head)
    found = rehearsal.differences(held(new_room, simulated=True), second)
    assert "deviations[0].happened" in {difference.path for difference in found}


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"type":"hsm-console/minutes","steps":1}', b"[" * 9999])
def test_what_is_no_minutes_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        rehearsal.differences(data, data)


def test_on_the_command_line(new_room: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, out = (tmp_path / name for name in ("a.json", "b.json", "c.json"))
    first.write_bytes(held(new_room, simulated=True))
    second.write_bytes(held(new_room, simulated=False))
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers(dest="verb", required=True))
    command = ["ceremony", "compare", str(first), str(second)]
    assert cli.run(parser.parse_args([*command, "--out", str(out)])) == 0
    assert json.loads(out.read_bytes())["type"] == rehearsal.TYPE
    second.write_bytes(changed(second.read_bytes(), "Telephones are off", "Telephones are on"))
    assert cli.run(parser.parse_args(command)) == 1
    assert "Telephones" in capsys.readouterr().out
    assert cli.run(parser.parse_args([*command, "--json"])) == 1
    with pytest.raises(InputError):
        cli.run(parser.parse_args(["ceremony", "compare", "/no/such", str(second)]))
