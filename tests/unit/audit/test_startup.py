"""The check at the start and the round in the background: what they find, where they go on, and what they cost."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hsm_console.audit import anchors, startup
from hsm_console.audit.checkpoint import Checkpoint, parse_note
from hsm_console.audit.log import AuditLog
from hsm_console.audit.startup import Checked
from hsm_console.audit.startup_round import Place, Round
from hsm_console.audit.vkey import Vkey

ENTRIES = 900


@pytest.fixture
def log(forge: ModuleType, tmp_path: Path) -> Iterator[AuditLog]:
    made = forge.new_log(tmp_path, forge.FixedClock())
    made.set_signer(forge.Signer())
    made.append([forge.start()])
    while made.size < ENTRIES:
        made.append([forge.view(made.size)] * 50)
    made.checkpoint()
    yield made
    made.close()


@pytest.fixture
def vkey(forge: ModuleType) -> Vkey:
    return Vkey(forge.ORIGIN, forge.Signer().public_key_bytes)


def head(log: AuditLog, size: int, root: bytes = b"") -> anchors.TokenHead:
    from hsm_console.audit.tree import subtree

    origin = parse_note(log.last_checkpoint).checkpoint.origin
    found = Checkpoint(origin, size, root or subtree(log.nodes(), 0, min(size, log.size)))
    return anchors.decode_head(anchors.encode_head(found, 1))


def edit(log: AuditLog, statement: str, *values: Any) -> None:
    with contextlib.closing(sqlite3.connect(log.path)) as conn:
        for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type='trigger'").fetchall():
            conn.execute(f"DROP TRIGGER {name}")
        conn.execute(statement, values)
        conn.commit()


def words(checked: Checked) -> set[str]:
    return {item.word for item in checked.findings}


def test_an_honest_log_is_found_whole_from_the_tokens_head_on(log: AuditLog, vkey: Vkey) -> None:
    checked = startup.check(log, vkey, head(log, 300))
    assert not checked.findings
    assert (checked.first, checked.end, checked.anchored) == (256, log.size, 300)


@pytest.mark.parametrize("seq", [256, 511, 512, ENTRIES - 1])
def test_a_body_that_was_changed_since_the_head_is_named(log: AuditLog, vkey: Vkey, seq: int) -> None:
    edit(log, "UPDATE entry SET body = CAST(body || ' ' AS BLOB) WHERE seq = ?", seq)
    assert words(startup.check(log, vkey, head(log, 300)))


def test_an_entry_that_is_gone_and_a_token_that_knows_more_are_named(log: AuditLog, vkey: Vkey) -> None:
    assert words(startup.check(log, vkey, head(log, log.size + 5))) == {"TRUNCATED"}
    assert words(startup.check(log, vkey, head(log, 300, b"\x01" * 32))) == {"FORK"}
    edit(log, "DELETE FROM entry WHERE seq = 600")
    assert words(startup.check(log, vkey, head(log, 300)))


def legs(one: Round, most: int = 10_000) -> list[Checked]:
    return [step for _, step in zip(range(most), one.legs(), strict=False) if isinstance(step, Checked)]


def test_a_round_that_was_interrupted_goes_on_and_still_reads_everything(
    log: AuditLog, vkey: Vkey, tmp_path: Path
) -> None:
    place = Place(tmp_path)
    first = Round(log, vkey, place.read(4))
    assert legs(first, 2) == []
    place.keep(first.at)
    again = Round(log, vkey, place.read(4))
    assert again.start == 1
    found = legs(again)
    assert [(leg.first, leg.end) for leg in found] == [(256, log.size), (0, 256)]
    assert not any(leg.findings for leg in found)
    edit(log, "UPDATE entry SET body = CAST(body || ' ' AS BLOB) WHERE seq = 7")
    assert any(leg.findings for leg in legs(Round(log, vkey, 1)))


@pytest.mark.parametrize("said", ["", "[]", '{"tile": -1}', '{"tile": 4}', '{"tile": true}', '{"tile": "1"}', "\x00"])
def test_whoever_edits_the_place_gains_nothing(tmp_path: Path, said: str) -> None:
    (tmp_path / "check.json").write_text(said)
    assert Place(tmp_path).read(4) == 0
    (tmp_path / "check.json").write_text(json.dumps({"tile": 3}))
    assert Place(tmp_path).read(4) == 3


def test_ten_thousand_entries_since_the_head_take_a_fifth_of_a_second(forge: ModuleType, tmp_path: Path) -> None:
    """In the time of this process, which a busy machine does not stretch; the best of three."""
    log = forge.new_log(tmp_path, forge.FixedClock())
    log.set_signer(forge.Signer())
    log.append([forge.start()])
    while log.size < 10_000:
        log.append([forge.view(1)] * 250)
    log.checkpoint()
    key, since = Vkey(forge.ORIGIN, forge.Signer().public_key_bytes), head(log, 2)
    took = []
    for _ in range(3):
        begun = time.process_time()
        assert not startup.check(log, key, since).findings
        took.append(time.process_time() - begun)
    log.close()
    assert min(took) <= 0.2, took
