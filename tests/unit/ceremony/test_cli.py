"""`hsm-console ceremony list|lint|paper` (DESIGN 8: exit codes, --json)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from hsm_console.ceremony import script
from hsm_console.cli import ceremony
from hsm_console.domain.errors import InputError

TEXT = script.library()["executive-identity-key"]


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    ceremony.register(parser.add_subparsers(dest="verb", required=True))
    return int(ceremony.run(parser.parse_args(["ceremony", *argv])))


def test_list_names_every_script(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(TEXT.replace('id = "executive-identity-key"', 'id = "our-own"', 1), "utf-8")
    assert run("list", "--folder", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*script.library(), "our-own"))
    assert run("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["id"] for row in rows} == set(script.library())


def test_lint_says_what_it_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("lint", *script.library()) == 0
    assert script.digest(TEXT) in capsys.readouterr().out
    bad = tmp_path / "bad.toml"
    bad.write_text(TEXT.replace("needed = 2", "needed = 4"), encoding="utf-8")
    assert run("lint", str(bad)) == 1
    assert "[quorum-unreachable]" in capsys.readouterr().out
    assert run("lint", str(bad), "--json") == 1
    assert json.loads(capsys.readouterr().out)[0]["findings"][0]["name"] == "quorum-unreachable"


@pytest.mark.parametrize("name", ["no-such-script", "/no/such/file.toml"])
def test_what_cannot_be_read_is_a_usage_error(name: str) -> None:
    with pytest.raises(InputError) as caught:
        run("lint", name)
    assert caught.value.problem.exit_code == 2


def test_paper_writes_a_pdf_and_refuses_what_cannot_happen(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "script.pdf"
    assert run("paper", "executive-identity-key", "--out", str(out), "--json") == 0
    assert out.read_bytes().startswith(b"%PDF")
    assert json.loads(capsys.readouterr().out)["sha256"] == script.digest(TEXT)
    assert run("paper", "executive-identity-key", "--out", str(out), "--size", "letter") == 0
    bad = tmp_path / "bad.toml"
    bad.write_text(TEXT.replace("needed = 2", "needed = 4"), encoding="utf-8")
    with pytest.raises(InputError):
        run("paper", str(bad), "--out", str(out))
    with pytest.raises(InputError):
        run("paper", "executive-identity-key", "--out", str(tmp_path / "none" / "x.pdf"))


def test_a_value_of_the_wrong_kind_is_told_in_plain_words(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(TEXT.replace('version = "1.0"', "version = 1", 1), "utf-8")
    with pytest.raises(InputError) as caught:
        run("lint", str(bad))
    assert "version must be a text in quotation marks, and is a whole number (line" in caught.value.problem.what
    bad.write_text(TEXT.replace("minutes = 2", 'minutes = "two"', 1), "utf-8")
    with pytest.raises(InputError) as caught:
        run("lint", str(bad))
    assert "must be a whole number, and is a text in quotation marks (line" in caught.value.problem.what


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("needed = 2", "needed = 4"), "script-cannot-happen"),
        (('title = "', 'title = "Our '), "script-id-taken"),
        (("", ""), ""),
    ],
)
def test_nothing_is_founded_for_a_script_that_cannot_be_rehearsed(
    tmp_path: Path, change: tuple[str, str], code: str
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(TEXT.replace(*change, 1), "utf-8")
    name = str(own) if code else "no-such-script"
    with pytest.raises(InputError) as caught:
        run("rehearse", name, "--out", str(tmp_path / "out"))
    assert caught.value.problem.code == (code or "script-unknown")
    assert caught.value.problem.exit_code == 2
    assert not (tmp_path / "out").exists()
