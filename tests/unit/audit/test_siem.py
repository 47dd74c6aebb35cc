"""Exports for log collectors, read back by parsers written here from the formats' own rules."""

import argparse
import base64
import csv
import io
import json
import re
import shutil
import sqlite3
import tracemalloc
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsm_console.audit import ocsf, siem, siem_export, tree
from hsm_console.audit.checkpoint import verify_note
from hsm_console.audit.source import open_source
from hsm_console.cli import audit as cli
from hsm_console.domain import events as e
from hsm_console.domain.errors import EnvironmentFault, InputError, VerificationFailed
from hsm_console.domain.people import Actor, Role

NASTY = st.text(
    st.one_of(st.sampled_from("|\\=]\"'\n\r\t\0\x1b\x85\u2028\u202e\ufeff+-@ ,;[<>"), st.characters()), max_size=30
)
ROWS = st.fixed_dictionaries(
    {
        "seq": st.integers(0, 10**9).map(str),
        "time": st.integers(0, 4 * 10**12).map(siem.timestamp),
        "time_ms": st.integers(0, 4 * 10**12).map(str),
        "kind": st.sampled_from(["logged-on", "operation-failed"]),
        "severity_id": st.integers(1, 5),
        **dict.fromkeys(
            ["actor_name", "actor_uid", "message", "resources", "source", "step", "status_code", "device"], NASTY
        ),
    }
).map(lambda fields: siem.Row(**fields))


HOSTILE = st.fixed_dictionaries(
    {"severity_id": st.integers(-5, 99), **dict.fromkeys((name for name in siem.COLUMNS if name != "time"), NASTY)}
).map(lambda fields: siem.Row(**fields, time="2026-01-31T23:59:59.999Z"))

# RFC 5424 section 6, rule by rule. UTF-8-STRING is checked by decoding; its control characters we never write.
_PRINT = "[\\x21-\\x7e]"
_SD_NAME = r"[\x21\x23-\x3c\x3e-\x5c\x5e-\x7e]{1,32}"  # PRINTUSASCII except = ] and the quote
_VALUE = r'(?:[^"\\\]\x00-\x1f\x7f]|\\["\\\]])*'
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z"
SYSLOG = re.compile(
    rf"<(?P<pri>0|[1-9]\d{{0,2}})>1 {_TIME} {_PRINT}{{1,255}} {_PRINT}{{1,48}} (?:-|{_PRINT}{{1,128}}) {_PRINT}{{1,32}}"
    rf" \[{_SD_NAME}(?: {_SD_NAME}=\"{_VALUE}\")*\] \ufeff(?P<msg>[^\x00-\x1f\x7f]*)"
)
CEF_LINE = re.compile(
    r"CEF:0(?:\|(?:[^|\\\r\n]|\\[|\\])*){5}\|(?:10|[0-9])\|"
    r"(?:[A-Za-z0-9]+=(?:[^=\\\r\n]|\\[=\\nr])*(?: (?=[A-Za-z0-9]+=)|$))+"
)


@given(HOSTILE, NASTY)
def test_each_format_keeps_its_grammar_whatever_stands_in_the_fields(row, host):
    syslog = siem.rfc5424(row, host)
    found = SYSLOG.fullmatch(syslog)
    assert found, syslog
    assert int(found["pri"]) <= 191
    assert syslog.encode().count(b"\xef\xbb\xbf") == 1  # the mark before the message, and no other
    line = siem.cef(row, host)
    assert CEF_LINE.fullmatch(line), line
    (record,) = csv.reader(io.StringIO(siem.csv(row) + "\r\n", newline=""), strict=True)
    assert len(record) == len(siem.COLUMNS)
    assert not [cell for cell in record if cell.lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))]


def shown(text):
    """Undo the first layer: \\\\, \\n, \\r, \\uXXXX."""
    return re.sub(
        r"\\(?:u([0-9a-f]{4})|(.))",
        lambda m: chr(int(m[1], 16)) if m[1] else {"n": "\n", "r": "\r", "\\": "\\"}[m[2]],
        text,
    )


def read_syslog(line):
    head, data = re.fullmatch(
        r"(<\d{1,3}>1 [\x21-\x7e]+ [\x21-\x7e]+ [\x21-\x7e]+ [\x21-\x7e]+ [\x21-\x7e]+) (\[.*)", line
    ).groups()
    fields, at = {}, data.index(" ")
    while data[at] == " ":
        name = re.compile(r' ([a-z_]+)="').match(data, at)
        at, value = name.end(), []
        while data[at] != '"':
            if data[at] == "\\" and data[at + 1] in '\\"]':
                at += 1
            else:
                assert data[at] != "]"
            value.append(data[at])
            at += 1
        fields[name[1]], at = shown("".join(value)), at + 1
    assert data[at : at + 3] == "] \ufeff"
    return head.split(" "), fields, shown(data[at + 3 :])


def read_cef(line):
    parts, at, current = [], 0, ""
    while len(parts) < 7:
        if line[at] == "\\":
            current, at = current + line[at + 1], at + 2
        elif line[at] == "|":
            parts.append(shown(current))
            current, at = "", at + 1
        else:
            current, at = current + line[at], at + 1
    fields = {}
    text = line[at:]
    starts = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", text))
    for item, follower in zip(starts, [*starts[1:], None], strict=True):
        raw = text[item.end() : follower.start() if follower else len(text)]
        plain = re.sub(r"\\([\\=nr])", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), raw)
        fields[item[1]] = shown(plain)
    return parts, fields


def read_csv(text):
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    return [[shown(cell[1:] if cell.startswith("'") else cell) for cell in row] for row in rows]


@given(ROWS)
def test_syslog_gives_back_every_field_on_one_line(row):
    line = siem.rfc5424(row, "example.org/ceremony-room")
    assert line.encode().decode().splitlines() == [line]
    head, fields, message = read_syslog(line)
    severity = {1: 6, 2: 5, 3: 4, 4: 3, 5: 2}[row.severity_id]
    assert head == [f"<{13 * 8 + severity}>1", row.time, "example.org/ceremony-room", "hsm-console", "-", row.kind]
    assert message == row.message
    wanted = {name: getattr(row, name) for name in siem.COLUMNS if name not in {"message", "time"}}
    assert fields == {name: value for name, value in wanted.items() if value}


@given(ROWS)
def test_cef_gives_back_every_field_on_one_line(row):
    line = siem.cef(row, "example.org/ceremony-room")
    assert line.encode().decode().splitlines() == [line]
    header, fields = read_cef(line)
    assert header[0] == "CEF:0"
    assert header[4:6] == [row.kind, row.kind.replace("-", " ")]
    assert 0 <= int(header[6]) <= 10
    assert fields["dvchost"] == "example.org/ceremony-room"
    names = {"actor_name": "suser", "actor_uid": "suid", "message": "msg", "resources": "cs5", "source": "shost"}
    names |= {"step": "cs2", "status_code": "reason", "device": "hsmcDevice", "seq": "cn1", "time_ms": "rt"}
    assert {key: fields.get(key, "") for key in names.values()} == {
        key: getattr(row, column) for column, key in names.items()
    }


@given(ROWS)
def test_csv_gives_back_every_field_on_one_line_and_is_no_formula(row):
    line = siem.csv(row)
    assert line.encode().decode().splitlines() == [line]
    assert read_csv(line) == [[getattr(row, name) for name in siem.COLUMNS]]
    for cell in next(csv.reader([line])):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1", "'=1"])
def test_a_spreadsheet_finds_no_formula(start):
    cell = next(csv.reader([siem.csv(siem.Row(actor_name=start))]))[siem.COLUMNS.index("actor_name")]
    assert cell.startswith("'")
    assert shown(cell[1:]) == start


def test_a_name_cannot_forge_a_second_entry():
    name = 'x\n<104>1 - - - - - forged] "=a|b\u202e'
    row = siem.Row(kind="logged-on", time="2026-01-01T00:00:00.000Z", actor_name=name)
    assert 'actor_name="x\\\\n<104>1 - - - - - forged\\] \\"=a|b\\\\u202e"' in siem.rfc5424(row, "h")
    assert r"suser=x\n<104>1 - - - - - forged] " in siem.cef(row, "h")
    assert r'"x\n<104>1 - - - - - forged] ""=a|b\u202e"' in siem.csv(row)


# -- whole logs ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(forge, tmp_path_factory):
    """Every kind of event, a name full of signs that formats use, and two entries that no checkpoint covers."""
    folder = tmp_path_factory.mktemp("siem")
    clock = forge.FixedClock()
    log = forge.new_log(folder, clock)
    log.append([forge.start()])
    log.set_signer(forge.Signer())
    log.append([forge.unlocked()])
    mallory = Actor(
        uid="m.m",
        name='=cmd|"x"!A1] \\n , Mallory\u00a0Ö',
        roles=(Role.WITNESS,),
        session_uid="s",
        certificate_sha256="ab" * 32,
    )
    for event in forge.samples():
        if not isinstance(event, e.GatewayStarted | e.GatewayStopped | e.TimeChangeDeclared):
            log.append([forge.draft(forge._with_intent(event, log.size - 1), mallory, src="127.0.0.1:5000")])
    log.checkpoint()
    log.set_signer(None)
    log.append([forge.view(1), forge.view(2)])
    log.close()
    (folder / "log.vkey").write_text(forge.Signer().vkey().text)
    return folder


def run(*arguments):
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    return cli.run(parser.parse_args(["audit", *map(str, arguments)]))


def bodies(workspace, size):
    with open_source(workspace) as source:
        return [body for _, _, body in source.entries()][:size]


def lines_of(path):
    return path.read_bytes().decode().split("\r\n" if path.suffix == ".csv" else "\n")[:-1]


def reads(form, line):
    """(leaf, message, size, root, checkpoint) of a line."""
    if form == "csv":
        row = dict(zip(siem.COLUMNS, read_csv(line)[0], strict=True))
        return tuple(row[name] for name in ("leaf", "message", "size", "root", "checkpoint"))
    if form == "cef":
        fields = read_cef(line)[1]
        return tuple(fields.get(key, "") for key in ("cs3", "msg", "hsmcSize", "hsmcRoot", "hsmcCheckpoint"))
    _, fields, message = read_syslog(line)
    return fields.get("leaf", ""), message, *(fields.get(key, "") for key in ("size", "root", "checkpoint"))


@pytest.mark.parametrize("form", ["rfc5424", "cef", "csv"])
def test_the_population_of_an_export_can_be_proven_from_it(form, workspace, forge, tmp_path, capsys):
    out = tmp_path / f"log.{form}"
    assert run("export", workspace, "--format", form, "--out", out) == 0
    told = capsys.readouterr().out
    assert "Left out: 2 newer entries" in told
    assert "no proof by itself" in told
    lines = lines_of(out)
    *rows, trailer = lines[1:]
    _, statement, size, root, checkpoint = reads(form, trailer)
    head, _ = verify_note(base64.b64decode(checkpoint).decode(), forge.Signer().vkey())
    assert (int(size), root) == (head.size, head.root.hex())
    assert len(rows) == head.size
    leaves = [bytes.fromhex(reads(form, line)[0]) for line in rows]
    assert tree.root_of(leaves) == head.root
    assert [reads(form, line)[1] for line in rows] == [
        ocsf.summary(ocsf.decode(body)) for body in bodies(workspace, head.size)
    ]
    assert "proves nothing by itself" in statement
    assert "hsm-console audit verify" in statement


def test_the_name_comes_back_from_a_real_log(workspace, tmp_path):
    siem_export.export(workspace, tmp_path / "x.csv", "csv")
    cells = read_csv(lines_of(tmp_path / "x.csv")[10])[0]
    assert cells[siem.COLUMNS.index("actor_name")] == '=cmd|"x"!A1] \\n , Mallory\u00a0Ö'
    assert b'\r\n"9"' in (tmp_path / "x.csv").read_bytes()


def test_the_copy_for_sql_answers_questions_and_can_be_proven(workspace, forge, tmp_path, capsys):
    out = tmp_path / "log.db"
    assert run("export", workspace, "--format", "sqlite", "--out", out) == 0
    assert "its table “export” says how to prove it" in capsys.readouterr().out
    with closing(sqlite3.connect(out)) as conn:
        ((size, root, checkpoint, statement),) = conn.execute("SELECT size, root, checkpoint, statement FROM export")
        leaves = [bytes.fromhex(leaf) for (leaf,) in conn.execute("SELECT leaf FROM entries ORDER BY seq")]
        found = conn.execute(
            "SELECT count(*), min(seq) FROM entries WHERE rowid IN "
            "(SELECT rowid FROM entries_fts WHERE entries_fts MATCH 'unlocked')"
        ).fetchone()
        names = {name for (name,) in conn.execute("SELECT DISTINCT actor_name FROM entries")}
        messages = [text for (text,) in conn.execute("SELECT message FROM entries ORDER BY seq")]
    head, _ = verify_note(base64.b64decode(checkpoint).decode(), forge.Signer().vkey())
    assert (int(size), root, len(leaves)) == (head.size, head.root.hex(), head.size)
    assert tree.root_of(leaves) == head.root
    assert "proves nothing by itself" in statement
    assert messages == [ocsf.summary(ocsf.decode(body)) for body in bodies(workspace, head.size)]
    assert found[0] == sum("unlocked" in text for text in messages) > 0
    assert any("Mallory" in name for name in names)


def test_json_answer_and_default_format(workspace, tmp_path, capsys):
    assert run("export", workspace, "--format", "cef", "--out", tmp_path / "a.cef", "--json") == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["format"], done["unsigned"]) == ("cef", 2)
    assert run("export", workspace, "--out", tmp_path / "bundle") == 0
    assert (tmp_path / "bundle" / "checkpoint").read_text() == done["checkpoint"]


def test_what_is_refused_leaves_no_file(workspace, forge, tmp_path):
    out = tmp_path / "x.csv"
    unsigned = tmp_path / "unsigned"
    unsigned.mkdir()
    forge.new_log(unsigned, forge.FixedClock()).close()
    with pytest.raises(InputError, match="log-unsigned"):
        siem_export.export(unsigned, out, "csv")
    with pytest.raises(EnvironmentFault, match="log-missing"):
        siem_export.export(tmp_path / "nowhere", out, "csv")
    with pytest.raises(EnvironmentFault, match="export-failed"):
        siem_export.export(workspace, tmp_path / "no" / "folder.csv", "csv")
    with pytest.raises(EnvironmentFault, match="export-failed"):
        siem_export.export(workspace, tmp_path / "no" / "folder.db", "sqlite")
    with pytest.raises(SystemExit) as stop:
        run("export", workspace, "--format", "leef", "--out", out)
    assert stop.value.code == 2
    out.write_text("mine")
    with pytest.raises(InputError, match="out-exists"):
        siem_export.export(workspace, out, "csv")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["unsigned", "x.csv"]


def test_a_changed_log_is_not_exported(workspace, tmp_path):
    shutil.copytree(workspace, tmp_path / "changed")
    with closing(sqlite3.connect(tmp_path / "changed" / "audit.db")) as conn:
        conn.execute("DROP TRIGGER entry_keeps_on_update")
        conn.execute("UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'm.m', 'n.n') AS BLOB) WHERE seq = 9")
        conn.commit()
    with pytest.raises(VerificationFailed, match="REWRITTEN"):
        siem_export.export(tmp_path / "changed", tmp_path / "x.cef", "cef")
    with pytest.raises(VerificationFailed, match="REWRITTEN"):
        siem_export.export(tmp_path / "changed", tmp_path / "x.db", "sqlite")
    assert not list(tmp_path.glob("*x.*"))


def test_memory_stays_flat(forge, tmp_path):
    peaks = []
    for count in (5, 60):
        folder = tmp_path / str(count)
        folder.mkdir()
        log = forge.new_log(folder, forge.FixedClock())
        log.append([forge.start()])
        log.set_signer(forge.Signer())
        for number in range(count):
            log.append([forge.view(number)] * 50)
        log.checkpoint()
        log.close()
        tracemalloc.start()
        siem_export.export(folder, folder / "x", "rfc5424")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000
