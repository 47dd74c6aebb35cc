"""What is no log, no key and no receipt: named, exit code 1 or 2, and never more than 64 MB of memory."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hsm_console.audit import bundle
from hsm_console.audit.verify import verify_workspace

MOST_BYTES = 64_000_000
HUGE = 10 * 10**9
SCRIPT = Path(__file__).parents[2] / "docs" / "verify.py"


LAUNCHER = """
import os, subprocess, sys
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
print(process.returncode, usage.ru_maxrss * 1024, flush=True)
sys.stdout.buffer.write(said)
"""


def run(*command):
    """(exit code, what was said, peak of resident memory) of a process. A small one starts it: what a process has
    before it becomes another counts in the other's peak."""
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launcher, capture_output=True, text=True, check=True)
    figures, _, said = done.stdout.partition("\n")
    code, peak = map(int, figures.split())
    assert "Traceback" not in said, said
    return code, said, peak


def tool(*arguments):
    return run(sys.executable, "-m", "hsm_console.cli.main", *map(str, arguments))


def sparse(path):
    with path.open("wb") as file:
        file.truncate(HUGE)
    return path


BAD_LOGS = {
    "missing": lambda case, at: at / "nowhere",
    "empty": lambda case, at: made(at, b""),
    "truncated": lambda case, at: made(at, case.database.read_bytes()[:20_000]),
    "text": lambda case, at: made(at, b"{}\n" * 1000),
    "huge": lambda case, at: sparse(at / "audit.db"),
    "folder": lambda case, at: at,
    "picture": lambda case, at: made(at, b"\x89PNG\r\n\x1a\n" + bytes(1000)),
    "device": lambda case, at: linked(at / "audit.db", "/dev/zero"),
    "loop": lambda case, at: linked(at / "audit.db", "audit.db"),
    "pipe": lambda case, at: piped(at / "audit.db"),
}


def linked(path, target):
    path.symlink_to(target)
    return path


def piped(path):
    os.mkfifo(path)
    return path


def made(folder, data):
    path = folder / "audit.db"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", BAD_LOGS)
def test_what_is_no_log_is_unreadable(case, tmp_path, kind):
    log = BAD_LOGS[kind](case, tmp_path)
    key = case.folder.parent / "key"
    key.write_text(case.vkey.text)
    code, said, peak = tool("audit", "verify", log, "--vkey", key)
    assert code == 2, said
    assert "What to do" in said
    assert peak < MOST_BYTES
    code, said, peak = run(sys.executable, "-I", str(SCRIPT), str(log), str(key))
    assert (code, said.partition(":")[0]) == (2, "unreadable")
    assert peak < MOST_BYTES


def test_a_pipe_in_the_place_of_the_lock_holds_nobody_up(case):
    case.database.with_name("audit.db.lock").unlink(missing_ok=True)
    piped(case.database.with_name("audit.db.lock"))
    assert tool("audit", "verify", case.folder, "--vkey", case.vkey.text)[0] == 0


def of_kind(kind, path):
    """Put something else in the place of a file."""
    path.unlink()
    if kind == "pipe":
        piped(path)
    elif kind == "huge":
        sparse(path)
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        linked(path, "/dev/zero")


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        *(("pipe", part) for part in ("tile/entries/000", "checkpoint", "checkpoints/100", "tile/0/000")),
        *((kind, "tile/entries/000") for kind in ("huge", "device", "empty")),
        ("huge", "checkpoint"),
    ],
)
def test_what_is_no_part_of_a_bundle_is_named(case, tmp_path, kind, part):
    folder = tmp_path / "bundle"
    bundle.export(case.folder, folder)
    (folder / "checkpoints" / "100").write_text("nothing")
    of_kind(kind, folder / part)
    for verb in ("verify", "entries"):
        more = ("--vkey", case.vkey.text) if verb == "verify" else ("--from", "1")
        code, said, peak = tool("audit", verb, folder, *more)
        assert code in (1, 2) or (verb == "entries" and part != "tile/entries/000"), said
        assert "NOT OK" in said or "What to do" in said or code == 0, said
        assert peak < MOST_BYTES


def test_a_checkpoint_of_no_tree_holds_nobody_up(case, tmp_path):
    """The name of a checkpoint's file is its size: nobody counts up to what somebody wrote there."""
    folder = tmp_path / "bundle"
    bundle.export(case.folder, folder)
    (folder / "checkpoints" / ("9" * 18)).write_text("nothing")
    (folder / "checkpoints" / ("9" * 200)).write_text("nothing")
    (folder / "checkpoints" / "\u0663").write_text("nothing")
    code, said, _ = tool("audit", "verify", folder, "--vkey", case.vkey.text)
    assert code == 1, said


def exported(case, folder):
    bundle.export(case.folder, folder)
    return folder


def judged(folder, case):
    report = verify_workspace(folder, case.vkey, [], None)
    return {item.word for item in report.findings}


def test_a_bundle_with_an_older_head_in_the_place_of_the_newest_is_rolled_back(case, tmp_path):
    folder = exported(case, tmp_path / "bundle")
    oldest = min((folder / "checkpoints").iterdir(), key=lambda path: int(path.name))
    (folder / "checkpoint").write_bytes(oldest.read_bytes())
    assert judged(folder, case) == {"ROLLED-BACK"}


def test_a_bundle_may_hold_its_newest_head_only(case, tmp_path):
    """What C2SP tlog-tiles asks for; the folder of older heads is ours."""
    folder = exported(case, tmp_path / "bundle")
    shutil.rmtree(folder / "checkpoints")
    assert judged(folder, case) == set()
    (folder / "checkpoint").unlink()
    assert judged(folder, case) == {"UNSIGNED"}


def test_the_unfinished_tiles_of_a_bundle_are_those_of_its_entries(case, tmp_path):
    folder = exported(case, tmp_path / "bundle")
    tile = next(path for path in (folder / "tile" / "0").rglob("*") if path.parent.name.endswith(".p"))
    tile.write_bytes(bytes(len(tile.read_bytes())))
    assert judged(folder, case) == {"REWRITTEN"}
    tile.unlink()
    assert judged(folder, case) == {"INCOMPLETE"}


def test_a_bundle_without_its_entries_does_not_pass_for_a_quiet_log(case, tmp_path):
    folder = tmp_path / "bundle"
    bundle.export(case.folder, folder)
    shutil.rmtree(folder / "tile" / "entries")
    for verb in (("entries", folder), ("alerts", "list", folder)):
        code, said, _ = tool("audit", *verb)
        assert (code, said.partition(":")[0]) == (1, "INCOMPLETE"), said


CHANGED = {
    "cut": lambda body: body[:50],
    "deep": lambda body: body[:-1] + b',"zz":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
}


@pytest.mark.parametrize("how", CHANGED)
def test_an_entry_that_is_no_json_is_told_by_every_verb(case, tmp_path, how):
    case.edit(5, CHANGED[how])
    rule = str(SCRIPT.parents[1] / "resources" / "rules" / "delete-burst.yml")
    for verb in (("show", case.folder, "5"), ("entries", case.folder), ("rules", "try", "--log", case.folder, rule)):
        code, said, _ = tool("audit", *verb)
        assert code == 1, said
        assert "cannot be read" in said
    out = ("--out", tmp_path / "out.csv")
    for verb in (("export", case.folder, "--format", "csv", *out), ("report", case.folder, "--standard", "sox", *out)):
        code, said, _ = tool("audit", *verb, *(("--vkey", case.vkey.text) if verb[0] == "report" else ()))
        assert code in (1, 2), said
        assert "What to do" in said
    json = tmp_path / "out.json"
    code, said, _ = tool("audit", "report", case.folder, "--standard", "sox", "--vkey", case.vkey.text, "--out", json)
    assert code == 1, said
    assert '"unreadable": 1' in json.read_text()


GIVEN = {
    "vkey": lambda case, path: ("audit", "verify", case.folder, "--vkey", path),
    "receipt": lambda case, path: ("audit", "verify", case.folder, "--vkey", case.vkey.text, "--receipt", path),
    "cosigned": lambda case, path: (
        "audit", "verify", case.folder, "--vkey", case.vkey.text, "--cosigned", path, "--witness-key", case.vkey.text
    ),
    "disclosures": lambda case, path: ("audit", "verify", case.folder, "--vkey", case.vkey.text, "--disclosures", path),
    "token-head": lambda case, path: ("audit", "verify", case.folder, "--vkey", case.vkey.text, "--token-head", path),
    "segments": lambda case, path: ("audit", "verify", case.folder, "--vkey", case.vkey.text, "--segments", path),
    "scan": lambda case, path: ("receipt", "verify", path, "--vkey", case.vkey.text),
    "root-sheet": lambda case, path: (
        "receipt", "verify", case.folder.parent / "290.tlog-proof", "--vkey", case.vkey.text, "--root-sheet", path
    ),
    "rule": lambda case, path: ("audit", "rules", "check", path),
    "out": lambda case, path: ("audit", "export", case.folder, "--format", "csv", "--out", f"{path}/file"),
}  # fmt: skip
BAD_FILES = {
    "pipe": piped,
    "device": lambda path: linked(path, "/dev/zero"),
    "huge": sparse,
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 20),
    "many-lines": lambda path: path.write_bytes(b"{}\n" * 3_000_000),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("verb", GIVEN)
def test_a_file_that_is_none_is_named(case, tmp_path, verb, kind):
    path = tmp_path / "given"
    BAD_FILES[kind](path)
    code, said, peak = tool(*GIVEN[verb](case, path))
    assert code in ((1, 2, 3) if verb == "out" else (1, 2)), said
    assert "What to do" in said or "NOT OK" in said, said
    assert peak < MOST_BYTES


@pytest.mark.parametrize("number", ["-1", "9" * 30, "1e3", "\u0663", ""])
def test_what_is_no_number_of_an_entry_is_named(case, number):
    for verb in (("entries", case.folder, f"--from={number}"), ("show", case.folder, "--", number)):
        code, said, _ = tool("audit", *verb)
        assert code == 2, said
        assert "is no number" in said


def test_a_name_too_long_is_named(case):
    for verb in (("verify", case.folder, "--vkey", "x" * 300), ("verify", "x" * 300, "--vkey", case.vkey.text)):
        code, said, _ = tool("audit", *verb)
        assert code == 2, said
        assert "What to do" in said


@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads everything")
@pytest.mark.parametrize("hidden", ["folder", "file"])
def test_what_nobody_lets_us_read_is_named(case, hidden):
    """Without the rights of root, where the tests run as root."""
    rights = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all") if os.geteuid() == 0 else ()
    (case.folder if hidden == "folder" else case.database).chmod(0)
    command = (sys.executable, "-m", "hsm_console.cli.main", "audit")
    try:
        for verb in (("verify", "--vkey", case.vkey.text), ("entries",), ("alerts", "list")):
            code, said, _ = run(*rights, *command, *verb, str(case.folder))
            assert code == 2, said
            assert "Permission denied" in said
            assert "cannot be written" not in said
    finally:
        (case.folder if hidden == "folder" else case.database).chmod(0o700)


def test_a_huge_body_is_a_finding(case):
    """SQLite holds at most 1 GB in one value; beyond it the file itself is damaged."""
    case.sql("UPDATE entry SET body = zeroblob(999000000) WHERE seq = 100")
    key = case.folder.parent / "key"
    key.write_text(case.vkey.text)
    for command in (
        (sys.executable, "-m", "hsm_console.cli.main", "audit", "verify", str(case.folder), "--vkey", str(key)),
        (sys.executable, "-I", str(SCRIPT), str(case.database), str(key)),
    ):
        code, said, peak = run(*command)
        assert code == 1, said
        assert "REWRITTEN" in said
        assert peak < MOST_BYTES


BAD_RECEIPTS = {
    "missing.tlog-proof": None,
    "empty.tlog-proof": b"",
    "text.txt": b"HSM1:" + b"A" * 5000,
    "huge.tlog-proof": "sparse",
    "huge.pdf": "sparse",
    "huge.png": "sparse",
    "half.png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "half.pdf": b"%PDF-1.7\n" + bytes(100),
    "database.db": b"SQLite format 3\x00" + bytes(5000),
}


@pytest.mark.parametrize("name", BAD_RECEIPTS)
def test_what_is_no_receipt_is_named(case, tmp_path, name):
    path, content = tmp_path / name, BAD_RECEIPTS[name]
    if content == "sparse":
        sparse(path)
    elif content is not None:
        path.write_bytes(content)
    key = tmp_path / "key"
    key.write_text(case.vkey.text)
    code, said, peak = tool("receipt", "verify", path, "--vkey", key)
    assert code in (1, 2), said
    assert name in said
    assert "What to do" in said
    assert peak < 2 * MOST_BYTES  # drawing and reading a picture takes its own room


@pytest.mark.parametrize("text", ["", "a+b", "x" * 100_000, "name+00000000+AAAA"])
def test_what_is_no_key_is_named(case, tmp_path, text):
    key = tmp_path / "key"
    key.write_text(text)
    code, said, _ = tool("audit", "verify", case.folder, "--vkey", key)
    assert code == 2, said
    code, said, _ = run(sys.executable, "-I", str(SCRIPT), str(case.database), str(key))
    assert (code, said.partition(":")[0]) == (2, "unreadable")
