"""A pruned log: its tables made anew and its bundle, with the segments opened and without."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from pyrage import x25519

from hsm_console.audit import bundle, projection
from hsm_console.audit.restored import Keys
from hsm_console.audit.verify import verify_workspace
from hsm_console.cli import audit as cli
from hsm_console.domain.errors import ConsoleError


@pytest.fixture(scope="module")
def pruned(forge, kept, tmp_path_factory):
    """700 entries with sealed values, two segments, the entries 2 to 511 pruned in two steps."""
    folder = tmp_path_factory.mktemp("pruned") / "house"
    folder.mkdir()
    log = forge.new_log(folder, forge.FixedClock())
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.append([forge.unlocked()])
    kept.begin_sealing(forge, log)
    log.append([kept.pause(forge, "lunch")])
    log.append([forge.view(number) for number in range(600)])
    log.checkpoint()
    made = [kept.rotate(forge, log, 0), kept.rotate(forge, log, 1)]
    before = tables(folder)
    kept.prune(forge, log, made[:1])
    kept.prune(forge, log, made, first=256)
    log.append([kept.pause(forge, "tea"), forge.stop()])
    log.checkpoint()
    log.close()
    (folder / "log.vkey").write_text(forge.Signer().vkey().text)
    assert before[:500] == tables(folder)[:500]
    return folder


@pytest.fixture
def house(pruned, tmp_path):
    shutil.copytree(pruned, tmp_path / "house")
    return tmp_path / "house"


@pytest.fixture
def keys(house, kept):
    return Keys(house / "segments", str(kept.AUDITOR))


def tables(folder: Path) -> list:
    with contextlib.closing(sqlite3.connect(folder / "audit.db")) as conn:
        return conn.execute("SELECT * FROM entry_row ORDER BY seq").fetchall()


def refused(act) -> str:
    with pytest.raises(ConsoleError) as found:
        act()
    assert found.value.problem.todo
    return f"{found.value.problem.code}: {found.value.problem.what}"


def test_the_tables_of_a_pruned_log_are_made_anew_from_its_segments(house, keys):
    assert projection.rebuild(house / "audit.db", [], keys) == {"entry_row": "identical"}
    whole = tables(house)
    with contextlib.closing(sqlite3.connect(house / "audit.db")) as conn:
        conn.execute("DELETE FROM entry_row WHERE seq < 600")
        conn.commit()
    assert projection.rebuild(house / "audit.db", [], keys) == {"entry_row": "replaced"}
    assert tables(house) == whole


def test_without_the_key_the_tables_stay(house):
    assert "log-pruned" in refused(lambda: projection.rebuild(house / "audit.db", []))


def test_other_keys_and_other_segments_change_nothing(house, keys, kept, forge):
    log, before = house / "audit.db", tables(house)
    other = Keys(keys.folder, str(x25519.Identity.generate()))
    assert "segment-unreadable" in refused(lambda: projection.rebuild(log, [], other))
    assert "identity-unusable" in refused(lambda: projection.rebuild(log, [], Keys(keys.folder, "nonsense")))
    first, second = (keys.folder / f"segment-00000{n}.tar.age" for n in (0, 1))
    kept_file = first.read_bytes()
    shutil.copyfile(second, first)
    assert "SEGMENT" in refused(lambda: projection.rebuild(log, [], keys))
    first.write_bytes(kept_file)
    second.unlink()
    assert "SEGMENT" in refused(lambda: projection.rebuild(log, [], keys))
    assert tables(house) == before


def test_a_segment_of_another_history_is_refused_even_when_the_log_names_it(house, keys):
    """Whoever can write the file can name any segment: the tiles decide."""
    with contextlib.closing(sqlite3.connect(house / "audit.db")) as conn:
        conn.execute("DROP TRIGGER tile_keeps_on_update")
        conn.execute("UPDATE tile SET data = zeroblob(8192) WHERE level = 0 AND n = 1")
        conn.commit()
    assert "REWRITTEN: entry 256" in refused(lambda: projection.rebuild(house / "audit.db", [], keys))


def verdict(folder, forge):
    report = verify_workspace(folder, forge.Signer().vkey())
    return report.findings, report.line


def test_a_bundle_of_a_pruned_log_says_what_is_not_in_it_and_verifies(house, forge, tmp_path):
    done = bundle.export(house, tmp_path / "bundle")
    assert (done.pruned.first, done.pruned.last) == (2, 511)
    findings, line = verdict(tmp_path / "bundle", forge)
    assert findings == ()
    assert " pruned=510 " in line
    assert "segments 0, 1" in line
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert [item["segment"] for item in manifest["pruned"]["segments"]] == [0, 1]
    text = (tmp_path / "bundle" / "README.txt").read_text()
    assert "entries 2 to 511" in text
    assert manifest["pruned"]["segments"][1]["sha256"] in text
    assert (tmp_path / "bundle" / "tile" / "entries" / "000.p" / "2").is_file()
    assert not (tmp_path / "bundle" / "tile" / "entries" / "001").exists()


def test_a_bundle_with_the_segments_opened_holds_every_entry(house, keys, forge, tmp_path):
    done = bundle.export(house, tmp_path / "bundle", segments=keys)
    assert done.pruned is None
    findings, line = verdict(tmp_path / "bundle", forge)
    assert findings == ()
    assert "pruned=" not in line
    assert "Not here" not in (tmp_path / "bundle" / "README.txt").read_text()
    kinds = [kind for _, kind, _ in cli_rows(tmp_path / "bundle")]
    assert len(kinds) == done.size


def cli_rows(folder):
    from hsm_console.audit.lean import decoder
    from hsm_console.audit.source import open_source

    with open_source(folder) as source:
        return [(seq, decoder.decode(body).hsm_console.event.kind, body) for seq, _, body in source.entries()]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda at: (at / "tile" / "0" / "001").write_bytes(bytes(8192)), "REWRITTEN"),
        (lambda at: (at / "tile" / "0" / "001").unlink(), "GAP"),
        (lambda at: (at / "tile" / "entries" / "000.p" / "2").unlink(), "GAP"),
    ],
    ids=["tile altered", "tile deleted", "genesis deleted"],
)
def test_attacks_on_a_bundle_of_a_pruned_log(house, forge, tmp_path, spoil, word):
    bundle.export(house, tmp_path / "bundle")
    spoil(tmp_path / "bundle")
    assert word in {item.word for item in verdict(tmp_path / "bundle", forge)[0]}


def test_entries_deleted_by_hand_are_no_pruning(house, tmp_path):
    with contextlib.closing(sqlite3.connect(house / "audit.db")) as conn:
        conn.execute("DROP TRIGGER entry_keeps_on_delete")
        conn.execute("DELETE FROM entry WHERE seq >= 512 AND seq < 520")
        conn.commit()
    assert "GAP" in refused(lambda: bundle.export(house, tmp_path / "bundle"))


def test_the_command_takes_the_identity(house, kept, tmp_path, capsys):
    (tmp_path / "auditor.key").write_text(f"# created: today\n{kept.AUDITOR}\n")
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers(dest="verb"))

    def told(*more: str) -> str:
        assert cli.run(parser.parse_args(["audit", "export", str(house), *more])) == 0
        return capsys.readouterr().out

    assert "Not in it: entries 2 to 511" in told("--out", str(tmp_path / "a"))
    assert "Not in it" not in told("--out", str(tmp_path / "b"), "--identity", str(tmp_path / "auditor.key"))
