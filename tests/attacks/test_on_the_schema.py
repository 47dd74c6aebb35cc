"""Somebody with the file loosens the schema or writes what the writer never writes: no verifier may fall over."""

import pytest

from hsm_console.cli import audit
from hsm_console.domain.errors import EnvironmentFault, InputError

LOOSE = (
    "ALTER TABLE entry RENAME TO old",
    "CREATE TABLE entry(seq, body)",
)


def test_a_checkpoint_that_is_no_text(case):
    case.sql("UPDATE checkpoint SET note = CAST(x'edb080ff' AS TEXT) WHERE size = (SELECT max(size) FROM checkpoint)")
    case.expect("BAD-SIGNATURE", "UNSIGNED")


@pytest.mark.parametrize("size", [-5, 0])
def test_a_checkpoint_over_nothing(case, size):
    case.sql(f"INSERT INTO checkpoint VALUES ({size}, 'x')")
    case.expect("BAD-SIGNATURE")
    assert {item.word for item in case.product().findings} == {"BAD-SIGNATURE"}


def test_an_entry_nested_without_end(case):
    case.sql("UPDATE entry SET body = CAST(replace(hex(zeroblob(30000)), '0', '[') AS BLOB) WHERE seq = 100")
    case.expect("REWRITTEN", "CHAIN", entry=100)


def test_bodies_as_text(case):
    case.sql(*LOOSE, "INSERT INTO entry SELECT seq, CAST(body AS TEXT) FROM old")
    case.expect("REWRITTEN")


@pytest.mark.parametrize(
    "statements",
    [
        (*LOOSE, "INSERT INTO entry SELECT 'a' || seq, body FROM old"),
        ("ALTER TABLE entry RENAME TO old", "CREATE VIEW entry AS SELECT * FROM old"),
        (
            "ALTER TABLE entry RENAME TO old",
            "CREATE VIEW entry AS WITH r(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM r) SELECT n seq, 1 body FROM r",
        ),
        (
            "ALTER TABLE checkpoint RENAME TO notes",
            "CREATE TABLE checkpoint(size, note)",
            "INSERT INTO checkpoint SELECT 'x', note FROM notes",
        ),
    ],
    ids=["numbers-as-text", "view", "endless-view", "sizes-as-text"],
)
def test_a_schema_of_another_form_is_unreadable(case, statements):
    case.sql(*statements)
    with pytest.raises(EnvironmentFault, match="log-damaged"):
        case.product()
    assert case.script()[0] == 2


def test_a_verifier_key_that_is_no_text_is_told(tmp_path):
    (tmp_path / "log.vkey").write_bytes(bytes(range(256)))
    with pytest.raises(InputError):
        audit.load_vkey(str(tmp_path / "log.vkey"), tmp_path)
