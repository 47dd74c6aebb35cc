import argparse
import json
import shutil

import pytest

from hsm_console.audit import bundle, receipt, tile_files
from hsm_console.audit.anchors import encode_head
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.verify import verify_workspace
from hsm_console.cli import audit as cli
from hsm_console.domain.errors import EnvironmentFault, InputError, VerificationFailed


@pytest.fixture(scope="module")
def workspace(forge, tmp_path_factory):
    """A closed workspace of 1,100 entries with its key, a receipt and the token's head beside."""
    folder = tmp_path_factory.mktemp("bundles") / "workspace"
    folder.mkdir()
    clock = forge.FixedClock()
    log = forge.new_log(folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.append([forge.unlocked()])
    for number in range(12):
        log.append([forge.view(number)] * 91)
    log.append([forge.stop()])
    log.checkpoint()
    (folder / "log.vkey").write_text(forge.Signer().vkey().text + "\n")
    (folder.parent / "r.tlog-proof").write_text(receipt.issue(log, 700).proof)
    (folder.parent / "head").write_bytes(encode_head(parse_note(log.last_checkpoint).checkpoint, 1))
    log.close()
    return folder


@pytest.fixture
def vkey(forge):
    return forge.Signer().vkey()


@pytest.fixture
def exported(workspace, tmp_path):
    bundle.export(workspace, tmp_path / "bundle")
    return tmp_path / "bundle"


def words(folder, vkey):
    return {item.word for item in verify_workspace(folder, vkey).findings}


def test_a_bundle_holds_what_the_checkpoint_proves(workspace, exported, vkey):
    whole, copy = verify_workspace(workspace, vkey), verify_workspace(exported, vkey)
    assert (copy.entries, copy.root, copy.findings) == (whole.entries, whole.root, ())
    assert (exported / "tile" / "0" / "003").stat().st_size == 8192
    assert (exported / "tile" / "1" / "000.p" / "4").stat().st_size == 4 * 32
    assert json.loads((exported / "manifest.json").read_text())["size"] == whole.entries


def test_large_tile_numbers_are_split_as_c2sp_says(tmp_path):
    assert tile_files.path_of(tmp_path, 1_234_067) == tmp_path / "x001" / "x234" / "067"
    assert tile_files.path_of(tmp_path, 5, 17) == tmp_path / "005.p" / "17"


def test_attacks_on_a_bundle(exported, vkey, tmp_path):
    entries = exported / "tile" / "entries"

    def after(change):
        spoiled = tmp_path / "spoiled"
        shutil.rmtree(spoiled, ignore_errors=True)
        shutil.copytree(exported, spoiled)
        change(spoiled)
        return words(spoiled, vkey)

    def rewrite(path, old, new):
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))

    assert "REWRITTEN" in after(lambda at: rewrite(at / "tile/entries/001", b"Success", b"Succesz"))
    assert "GAP" in after(lambda at: (at / "tile/entries/001").unlink())
    assert "TRUNCATED" in after(lambda at: shutil.rmtree(at / "tile/entries/004.p"))
    assert "REWRITTEN" in after(lambda at: (at / "tile/entries/001").write_bytes(entries.joinpath("002").read_bytes()))
    assert "INCOMPLETE" in after(lambda at: (at / "tile/0/001").unlink())
    assert "REWRITTEN" in after(lambda at: (at / "tile/entries/002").write_bytes(b"\xff\xffgarbage"))
    assert "UNSIGNED" in after(lambda at: [shutil.rmtree(at / "checkpoints"), (at / "checkpoint").unlink()])
    assert "BAD-SIGNATURE" in after(lambda at: (at / "checkpoint").write_text("garbled"))


def test_an_export_is_refused_where_it_would_lie_or_overwrite(workspace, exported, forge, tmp_path):
    with pytest.raises(InputError, match="out-exists"):
        bundle.export(workspace, exported)
    unsigned = tmp_path / "unsigned"
    unsigned.mkdir()
    forge.new_log(unsigned, forge.FixedClock()).close()
    with pytest.raises(InputError, match="log-unsigned"):
        bundle.export(unsigned, tmp_path / "out")
    with pytest.raises(EnvironmentFault, match="log-missing"):
        bundle.export(tmp_path / "nowhere", tmp_path / "out")


def test_a_changed_log_is_not_exported(workspace, tmp_path):
    import sqlite3
    from contextlib import closing

    shutil.copytree(workspace, tmp_path / "changed")
    with closing(sqlite3.connect(tmp_path / "changed" / "audit.db")) as conn:
        conn.execute("DROP TRIGGER entry_keeps_on_update")
        conn.execute(
            "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'Grace', 'Brace') AS BLOB) WHERE seq = 9"
        )
        conn.commit()
    with pytest.raises(VerificationFailed, match="REWRITTEN"):
        bundle.export(tmp_path / "changed", tmp_path / "out")


# -- the command -------------------------------------------------------------------------------------------


def run(*arguments):
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    return cli.run(parser.parse_args(["audit", *map(str, arguments)]))


def test_verify_says_what_was_checked(workspace, capsys):
    beside = workspace.parent
    code = run(
        "verify",
        workspace,
        "--vkey",
        workspace / "log.vkey",
        "--receipt",
        beside / "r.tlog-proof",
        "--token-head",
        beside / "head",
    )
    assert code == 0
    assert capsys.readouterr().out.splitlines() == [
        "OK entries=1097 signed=1097 unsigned_tail=0 anchors: token, 1 receipt; not checked: witness, device log"
    ]


def test_a_key_out_of_the_folder_itself_is_told(workspace, capsys):
    assert run("verify", workspace) == 0
    assert "origin of the key (log.vkey of the folder itself)" in capsys.readouterr().out


def test_verify_in_json_and_with_findings(workspace, forge, capsys):
    other = forge.Signer(b"another log key, for tests only!").vkey().text
    assert run("verify", workspace, "--vkey", other, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert {item["word"] for item in report["findings"]} == {"FOREIGN", "UNSIGNED"}
    assert run("verify", workspace, "--vkey", other) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("NOT OK FOREIGN, UNSIGNED entries=1097 signed=0")
    assert said[1].startswith("FOREIGN: ")


def test_a_bad_receipt_is_a_finding_not_a_crash(workspace, tmp_path, capsys):
    text = (workspace.parent / "r.tlog-proof").read_text()
    (tmp_path / "bad.tlog-proof").write_text(text.replace("index 700", "index 701"))
    assert run("verify", workspace, "--vkey", workspace / "log.vkey", "--receipt", tmp_path / "bad.tlog-proof") == 1
    assert "BAD-PROOF: bad.tlog-proof" in capsys.readouterr().out


@pytest.mark.parametrize("vkey", ["nowhere.vkey", "a+b+c"])
def test_no_key_no_verdict(workspace, vkey):
    with pytest.raises(InputError) as caught:
        run("verify", workspace, "--vkey", vkey)
    assert caught.value.problem.exit_code == 2


def test_export_entries_and_show(workspace, tmp_path, capsys):
    assert run("export", workspace, "--out", tmp_path / "b", "--json") == 0
    assert json.loads(capsys.readouterr().out)["size"] == 1097
    assert run("entries", tmp_path / "b", "--from", 1, "--limit", 2) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert said[1].endswith("The gateway was started for the first time.")
    assert run("show", workspace, 3, "--json") == 0
    assert json.loads(capsys.readouterr().out)["metadata"]["sequence"] == 3
    assert run("show", workspace, 3) == 0
    assert "Who: Grace Hopper" in capsys.readouterr().out
    with pytest.raises(InputError, match="entry-missing"):
        run("show", workspace, 5000)


def test_the_token_is_only_asked_where_one_is_named(workspace):
    with pytest.raises(InputError, match="token-not-bound"):
        run("verify", workspace, "--vkey", workspace / "log.vkey", "--token")
