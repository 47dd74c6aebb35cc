"""What is no log, no key and no receipt: named, exit code 1 or 2, and never more than 64 MB of memory."""

import subprocess
import sys
from pathlib import Path

import pytest

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
}


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
