"""Logs with fixed keys and clocks, from tests/golden/forge.py."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hsm_console.audit import receipt, receipt_files
from hsm_console.audit.anchors import encode_head
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.verify import verify_workspace
from hsm_console.domain.errors import VerificationFailed
from hsm_console.domain.messages.audit import Finding

_SCRIPT = Path(__file__).parents[2] / "docs" / "verify.py"


class Case:
    """One log on disk that a test may spoil, and both verifiers to look at it."""

    def __init__(self, folder: Path, forge: ModuleType) -> None:
        self.folder = folder
        self.forge = forge
        self.vkey = forge.Signer().vkey()
        self.receipts: list[Path] = []
        self.token_head: bytes | None = None

    @property
    def database(self) -> Path:
        return self.folder / "audit.db"

    def sql(self, *statements: str) -> None:
        """What an attacker with the file does: he drops the triggers first."""
        with contextlib.closing(sqlite3.connect(self.database)) as conn:
            for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                conn.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                conn.execute(statement)
            conn.commit()

    def edit(self, seq: int, change) -> None:
        """Replace an entry's bytes by change(bytes)."""
        with contextlib.closing(sqlite3.connect(self.database)) as conn:
            body = conn.execute("SELECT body FROM entry WHERE seq = ?", (seq,)).fetchone()[0]
            assert change(body) != body
            conn.execute("DROP TRIGGER IF EXISTS entry_keeps_on_update")
            conn.execute("UPDATE entry SET body = ? WHERE seq = ?", (change(body), seq))
            conn.commit()

    def keep_receipt(self, log, seq: int) -> Path:
        path = self.folder.parent / f"{self.folder.name}-{seq}.tlog-proof"
        path.write_text(receipt.issue(log, seq).proof)
        self.receipts.append(path)
        return path

    def product(self):
        """The product's own verifier: its report."""
        anchors, refused = [], []
        for path in self.receipts:
            try:
                anchors += [receipt.anchor(item, self.vkey) for item in receipt_files.read(path)]
            except VerificationFailed as fault:
                refused.append(Finding(word=fault.problem.what.partition(":")[0], text=fault.problem.what))
        return verify_workspace(self.folder, self.vkey, anchors, self.token_head, refused=refused)

    def script(self) -> tuple[int, set[str]]:
        """docs/verify.py: its exit code and the words it printed."""
        key = self.folder.parent / f"{self.folder.name}.vkey"
        key.write_text(self.vkey.text)
        command = [sys.executable, "-I", str(_SCRIPT), str(self.database), str(key), *map(str, self.receipts)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert not done.stderr, done.stderr
        self.said = done.stdout
        return done.returncode, {line.partition(":")[0] for line in done.stdout.splitlines()[1:]}

    def expect(self, *words: str, entry: int | None = None, script: bool = True) -> None:
        """Both verifiers say no, with each of these words; the product names the entry."""
        report = self.product()
        found = {item.word for item in report.findings}
        assert set(words) <= found, report
        assert report.line.startswith("NOT OK ")
        if entry is not None:
            assert entry in {item.entry for item in report.findings if item.word == words[0]}, report.findings
        if script:
            code, said = self.script()
            assert code == 1
            assert set(words) <= said

    def expect_ok(self) -> None:
        report = self.product()
        assert report.findings == (), report
        assert report.line.startswith("OK entries=")
        assert self.script() == (0, set())


@pytest.fixture(scope="session")
def pristine(forge: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean run of about 300 entries, closed, signed to the last entry; receipt of entry 290 beside."""
    folder = tmp_path_factory.mktemp("pristine") / "log"
    folder.mkdir()
    clock = forge.FixedClock()
    with forge.fixed_uids():
        log = forge.new_log(folder, clock)
        forge.signed_run(log, clock, 300)
    (folder.parent / "290.tlog-proof").write_text(receipt.issue(log, 290).proof)
    (folder.parent / "head").write_bytes(encode_head(parse_note(log.last_checkpoint).checkpoint, clock.time_ms))
    log.close()
    return folder


@pytest.fixture
def case(pristine: Path, memory_path: Path, forge: ModuleType) -> Case:
    folder = memory_path / "log"
    shutil.copytree(pristine, folder)
    return Case(folder, forge)


@pytest.fixture
def empty_case(memory_path: Path, forge: ModuleType) -> Case:
    folder = memory_path / "log"
    folder.mkdir()
    return Case(folder, forge)


@pytest.fixture
def new_case(forge: ModuleType):
    return lambda folder: Case(folder, forge)


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of logs need no real disk."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as name:
        yield Path(name)
