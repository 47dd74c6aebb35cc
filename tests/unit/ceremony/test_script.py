"""Scripts: strict reading, with key and line in every complaint; no site in a script (CEREMONY 2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsm_console.ceremony import script
from hsm_console.domain.errors import InputError
from hsm_console.domain.keys import Algorithm

TEXT = script.library()["executive-identity-key"]


def complaint(text: str, code: str = "script-unreadable") -> str:
    with pytest.raises(InputError) as caught:
        script.parse(text)
    assert caught.value.problem.code == code
    assert caught.value.problem.exit_code == 2
    return caught.value.problem.what


def line_of(text: str, start: str) -> int:
    return next(n for n, line in enumerate(text.split("\n"), 1) if line.startswith(start))


def test_an_unknown_key_is_named_with_its_line() -> None:
    text = TEXT.replace('button = "Compare the hash"', 'buton = "Compare the hash"\nbutton = "x"')
    what = complaint(text)
    assert "steps[3].buton is a key that no script has" in what
    assert f"(line {line_of(text, 'buton')})" in what


def test_a_missing_key_is_named_with_its_step() -> None:
    text = TEXT.replace('button = "Compare the hash"\n', "")
    what = complaint(text)
    assert "steps[3].button is missing" in what
    assert "(line " in what


def test_a_wrong_type_is_named_with_its_line() -> None:
    text = TEXT.replace("words = 4\n", 'words = "four"\n')
    what = complaint(text)
    assert "steps[9].words" in what
    assert f"(line {line_of(text, 'words = ')})" in what


def test_an_unknown_kind_is_named() -> None:
    assert "steps[0].kind" in complaint(TEXT.replace('kind = "read-aloud"', 'kind = "sing"', 1))


def test_text_that_is_no_toml_is_told_with_line_and_column() -> None:
    assert "line 3" in complaint("a = 1\nb = 2\nc = =\n")


@pytest.mark.parametrize(
    "text",
    [
        TEXT + '\n[binding]\npin = "1234"\n',
        TEXT.replace("[roles]", "slot = 0\n[roles]"),
        TEXT.replace("[roles]", 'module_path = "x"\n[roles]'),
        TEXT.replace("[roles]", 'so-pin = "x"\n[roles]'),
        TEXT.replace("I ask the module", "I load /usr/lib/softhsm/libsofthsm2.so", 1),
        TEXT.replace("I now ask the module", "I open slot 3"),
        TEXT.replace("I now ask the module", "I type the PIN: 1234"),
        TEXT.replace("I now ask the module", "I open pkcs11:token=x"),
    ],
)
def test_a_script_never_names_its_site(text: str) -> None:
    assert text != TEXT
    assert "separate from its site" in complaint(text, "script-names-site")


@pytest.mark.parametrize("bad", ["\u202e", "\u2028", "\x07", "\t", "\r", "\u240a", "e\u0301"])
def test_invisible_and_unnormalised_text_is_refused(bad: str) -> None:
    complaint(TEXT.replace("We are here", f"We are {bad} here"))


def test_a_script_that_no_log_entry_could_carry_is_refused() -> None:
    assert "longer than" in complaint(TEXT + "#" * script.MAX_BYTES)


def test_a_script_whose_quotation_marks_would_burst_an_entry_is_refused() -> None:
    assert "into the log" in complaint(TEXT + "#" + '"' * (script.MAX_BYTES - len(TEXT.encode()) - 2))


def test_the_digest_is_over_the_files_bytes() -> None:
    import hashlib
    from importlib.resources import files

    data = (files("resources") / "ceremonies" / "executive-identity-key.toml").read_bytes()
    assert script.digest(TEXT) == hashlib.sha256(data).hexdigest()
    assert script.from_log(script.to_log(TEXT)) == TEXT


def test_a_new_ceremony_is_one_file(tmp_path: Path) -> None:
    own = TEXT.replace('id = "executive-identity-key"', 'id = "board-key"', 1)
    (tmp_path / "board.toml").write_text(own, encoding="utf-8")
    assert script.own(tmp_path) == {"board-key": own}
    assert script.summary(own).quorum == "2 of 3 custodians"
    (tmp_path / "again.toml").write_text(own, encoding="utf-8")
    with pytest.raises(InputError):
        script.own(tmp_path)
    (tmp_path / "again.toml").write_text(TEXT, encoding="utf-8")
    with pytest.raises(InputError):
        script.own(tmp_path)
    assert script.own(tmp_path / "none") == {}


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    with pytest.raises(InputError):
        script.read(tmp_path / "latin.toml")
    with pytest.raises(InputError):
        script.read(tmp_path / "absent.toml")
    (tmp_path / "huge.toml").write_bytes(b"#" * (script.MAX_BYTES + 1))
    with pytest.raises(InputError):
        script.read(tmp_path / "huge.toml")
    with pytest.raises(InputError):
        script.read(Path("/dev/zero"))  # has no size and no end


def test_the_key_comes_from_the_script_or_from_its_parameters() -> None:
    parsed = script.parse(TEXT)
    assert script.key_of(parsed, {"algorithm": "ed25519", "label": "x"}) == (Algorithm.ED25519, "x")
    with pytest.raises(InputError):
        script.key_of(parsed, {"algorithm": "nonsense"})
