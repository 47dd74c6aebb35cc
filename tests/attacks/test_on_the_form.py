"""Entries that JSON readers read in two ways, notes and rows that only one reader takes: both verifiers say no."""

from __future__ import annotations

import base64
import contextlib
import re
import sqlite3

import pytest

from hsm_console.audit.checkpoint import signature_line, signed_message
from hsm_console.audit.tiles import Edge
from hsm_console.audit.tree import leaf_hash

UNSIGNED = (
    "DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)",
    "DELETE FROM checkpoint WHERE size = (SELECT max(size) FROM checkpoint)",
)
TIME = re.compile(rb'"time":(\d+)')

FORMS = {
    "a key twice": lambda body: TIME.sub(rb'"time":1,"time":\1', body),
    "the kind twice": lambda body: body.replace(b'"kind":', b'"kind":"alert-raised","kind":', 1),
    "the predecessor twice": lambda body: body.replace(
        b'"prev_event":', b'"prev_event":{"fingerprint":{"value":"00"}},"prev_event":', 1
    ),
    "a fraction": lambda body: TIME.sub(rb'"time":\1.0', body),
    "a space": lambda body: body.replace(b'":', b'": ', 1),
    "a line behind it": lambda body: body + b"\n",
    "a mark before it": lambda body: b"\xef\xbb\xbf" + body,
    "another object behind it": lambda body: body + body,
    "another order": lambda body: body[:-1] + b',"aa":1}',
    "letters written as escapes": lambda body: body.replace(b"gateway-stopped", b"gateway-stoppe\\u0064"),
    "a hidden zero": lambda body: body[:-1] + b',"zz":"\\u0000"}',
    "a turned direction": lambda body: body[:-1] + ',"zz":"\u202e"}'.encode(),
    "another normal form": lambda body: body[:-1] + ',"zz":"a\u0301"}'.encode(),
    "half a surrogate": lambda body: body[:-1] + b',"zz":"\\ud800"}',
    "no number": lambda body: body[:-1] + b',"zz":NaN}',
    "a number without end": lambda body: body[:-1] + b',"zz":' + b"9" * 5000 + b"}",
    "depth without end": lambda body: body[:-1] + b',"zz":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "nothing at all": lambda body: b"",
}


@pytest.mark.parametrize("form", FORMS)
def test_an_entry_that_nobody_signed_is_canonical(case, form):
    """The last entry changed by who can write the file, and the signatures over it taken away."""
    last = int(_one(case, "SELECT max(seq) FROM entry"))
    case.sql(*UNSIGNED)
    case.edit(last, FORMS[form])
    case.expect("REWRITTEN", entry=last)


@pytest.mark.parametrize("form", ["depth without end", "nothing at all"])
def test_what_is_no_entry_is_none_when_signed(case, form):
    """Whoever has the log's key signs what is no entry."""
    last = int(_one(case, "SELECT max(seq) FROM entry"))
    case.edit(last, FORMS[form])
    _sign(case, last + 1)
    case.expect("REWRITTEN", entry=last)


NOTES = {
    "no line end": lambda note: note[:-1],
    "a zero behind it": lambda note: note + "\0",
    "another line in it": lambda note: note.replace("\n\n", "\nmore\n\n", 1),
    "carriage returns": lambda note: note.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", NOTES)
def test_a_note_is_a_note_to_both(case, form):
    size, note = (
        _one(case, "SELECT max(size) FROM checkpoint"),
        _one(case, "SELECT note FROM checkpoint ORDER BY size DESC"),
    )
    case.sql(f"DELETE FROM checkpoint WHERE size = {size}")
    with contextlib.closing(sqlite3.connect(case.database)) as conn:
        conn.execute("INSERT INTO checkpoint VALUES (?, ?)", (size, NOTES[form](note)))
        conn.commit()
    case.expect("UNSIGNED")


@pytest.mark.parametrize("text", ["0{}", "+{}", "{} ", "-{}"])
def test_a_size_has_one_form(case, text):
    size = int(_one(case, "SELECT max(size) FROM checkpoint"))
    _sign(case, size, text.format(size))
    case.expect("BAD-SIGNATURE")


def test_a_sealed_value_of_no_entry(case):
    case.sql("INSERT INTO disclosure VALUES ('x', -3, 'key', x'00')")
    case.expect("SEALED")


def test_signature_lines_of_others_change_nothing(case, pristine):
    """As C2SP says: unknown lines are left to their own verifiers, also those that bear the log's name."""
    strange = base64.b64encode(b"abcd" + bytes(72)).decode()
    case.sql(f"UPDATE checkpoint SET note = note || '— {case.vkey.name} {strange}' || char(10)")
    case.expect_ok()


def _one(case, query: str):
    with contextlib.closing(sqlite3.connect(case.database)) as conn:
        return conn.execute(query).fetchone()[0]


def _sign(case, size: int, written: str = "") -> None:
    """A newest checkpoint over what stands there now, by the log's own key."""
    edge = Edge()
    with contextlib.closing(sqlite3.connect(case.database)) as conn:
        for (body,) in conn.execute("SELECT body FROM entry WHERE seq < ? ORDER BY seq", (size,)):
            edge.push(leaf_hash(body))
        note = f"{case.vkey.name}\n{written or size}\n{base64.b64encode(edge.root()).decode()}\n"
        seconds = case.forge.START_MS // 1000 + 10_000
        signature = case.forge.Signer().sign(signed_message(note, seconds))
        note += "\n" + signature_line(case.vkey, seconds.to_bytes(8, "big") + signature)
        conn.execute("DROP TRIGGER IF EXISTS checkpoint_keeps_on_delete")
        conn.execute("DELETE FROM checkpoint WHERE size = ?", (size,))
        conn.execute("INSERT INTO checkpoint VALUES (?, ?)", (size, note))
        conn.commit()
