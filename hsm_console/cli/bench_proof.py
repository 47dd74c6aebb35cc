"""Budgets of what the log proves: full verification, inclusion proofs, receipts."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from hsm_console.audit import receipt, receipt_page, store, tiles
from hsm_console.audit.log import AuditLog
from hsm_console.audit.reading import LogReader
from hsm_console.audit.tree import inclusion_proof, perfect_root, verify_inclusion
from hsm_console.cli.bench_log import Signer, intent, new_log, outcome
from hsm_console.cli.bench_measure import Place, Row, median, p99, pairs, processor, ratio, timed
from hsm_console.client import spawn
from hsm_console.paper import qr

BATCH = 5_000
SIZE = 10_000_000
PEAK_MB = 64.0
_made: dict[Path, tuple[Path, Signer]] = {}


def filled(place: Place) -> tuple[Path, Signer]:
    """A signed log of the wanted length, made once a run; intents and outcomes in turn. The log is closed."""
    if place.folder not in _made:
        folder = Path(tempfile.mkdtemp(dir=place.folder))
        log, signer = new_log(folder), Signer()
        log.set_signer(signer)
        while log.size < place.events:
            size, more = log.size, min(BATCH, place.events - log.size + 1) // 2 or 1
            log.append([one for at in range(more) for one in (intent(), outcome(size + 2 * at))])
        log.checkpoint()
        log.close()
        _made[place.folder] = (folder / "audit.db", signer)
    return _made[place.folder]


def reopened(place: Place) -> AuditLog:
    """The same log, opened for writing, its key at hand."""
    from hsm_console.audit.ocsf import decode
    from hsm_console.audit.source import open_source
    from hsm_console.domain.clock import SystemClock

    path, signer = filled(place)
    with open_source(path) as source:
        body = next(source.entries())[2]
    created = decode(body or b"").event
    log = AuditLog.open(path, chain_uid=getattr(created, "chain_uid", ""), clock=SystemClock())
    log.set_signer(signer)
    return log


def verification(place: Place) -> list[Row]:
    """All of it, in one process and in two, beside a bare scan with a bare SHA-256."""
    path, signer = filled(place)
    command = spawn.python_command(
        "hsm_console.cli.bench_child", "verify", str(path), signer.vkey().text, str(place.some(5, 1))
    )
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    told = json.loads(done.stdout)
    good = told["line"].startswith("OK ")
    peak = round(max(told["peak_mb"], told["second_mb"]), 1)
    note = f"{place.events} events; limit: table scan + SHA-256; "
    return [
        _verified("verify", told, "one", 0.30, "one core", note + told["line"], good=good),
        _verified("verify-2", told, "two", 0.55, "two cores", note + "two processes", good=good),
        Row(
            name="verify-memory", median=peak, p99=peak, unit="MB", budget=f"≤ {PEAK_MB:.0f} MB", ok=peak <= PEAK_MB,
            note="peak of resident memory of the larger process",
        ),
    ]  # fmt: skip


def _verified(name: str, told: dict[str, Any], how: str, least: float, cores: str, note: str, *, good: bool) -> Row:
    """A ratio of times; that of processor times stands in the note, since others may be using the machine."""
    found, spent = ratio(told["raw"], told[how]), ratio(told["spent"]["raw"], told["spent"][how])
    return Row(
        name=name, median=median(told[how]), p99=p99(told[how]), limit=median(told["raw"]), ratio=found,
        budget=f"limit / ours ≥ {least:.2f} on {cores}", ok=found >= least and good,
        note=f"by processor time of the busier process {spent}; {note}",
    )  # fmt: skip


def long_tree(folder: Path, size: int) -> tuple[LogReader, tiles.Edge]:
    """The stored tree of a log of so many entries, without the entries: 320 MB of tiles for ten million. All tiles of
    a level are alike, so that their roots need not be computed ten million times; it is a true tree all the same."""
    path = folder / "audit.db"
    store.create(path)
    row, stored = [sha256(bytes([at])).digest() for at in range(tiles.WIDTH)], size
    levels: list[list[bytes]] = []
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.execute("PRAGMA synchronous=OFF")
        while stored:
            full, rest = divmod(stored, tiles.WIDTH)
            data = b"".join(row)
            query = "INSERT INTO tile VALUES (?, ?, ?)"
            conn.executemany(query, ((len(levels), n, data) for n in range(full)))
            levels.append(row[:rest])
            row, stored = [perfect_root(row)] * tiles.WIDTH, full
        conn.commit()
    return LogReader(path), tiles.Edge(size, levels)


def inclusion(place: Place) -> list[Row]:
    """Proofs of entries anywhere in a log of ten million, beside bare reading of the tiles that each needs."""
    with tempfile.TemporaryDirectory(dir=place.folder) as name:
        size = place.some(SIZE, SIZE // 10)
        reader, edge = long_tree(Path(name), size)
        conn = sqlite3.connect(f"file:{name}/audit.db?mode=ro", uri=True)
        step, bare = itertools.count(1), itertools.count(1)

        def prove() -> tuple[int, tuple[bytes, ...]]:
            seq = next(step) * 7_919 % size  # a prime stride: anywhere in the log, the same each run
            return seq, inclusion_proof(tiles.nodes(edge, reader.tile), seq, size)

        def read() -> None:
            at = next(bare) * 7_919 % size
            for level in range(2):
                at //= tiles.WIDTH
                conn.execute("SELECT data FROM tile WHERE level = ? AND n = ?", (level, at)).fetchone()

        try:
            seq, path = prove()
            verify_inclusion(sha256(bytes([seq % tiles.WIDTH])).digest(), seq, size, path, edge.root())
            times, limit = pairs(prove, read, place.some(1000, 100))
            spent = processor(prove, place.some(1000, 100))
        finally:
            conn.close()
            reader.close()
    top = p99(times)
    return [
        Row(
            name="inclusion", median=median(times), p99=top, limit=median(limit), ratio=ratio(limit, times),
            budget="p99 ≤ 5 ms", ok=top <= 5.0, note=f"{spent}; {size} entries; limit: the tiles read from SQLite",
        )
    ]  # fmt: skip


def receipts(place: Place) -> list[Row]:
    """From the click to what the screen shows: checkpoint, proof, code drawn and read back; and the printed page."""
    log = reopened(place)
    vkey = filled(place)[1].vkey()
    setting = receipt_page.Setting(workspace="bench", environment="bench", simulated=True)

    def shown() -> receipt.Receipt:
        made = receipt.issue(log, log.append([intent()])[0].seq)
        receipt.verify(made, vkey)
        qr.png(made.qr)
        return made

    try:
        code = shown().qr
        times, limit = pairs(shown, lambda: qr.png(code), place.some(40))
        spent = processor(shown, place.some(20))
        ready = shown()
        pages = [timed(lambda: receipt_page.page(ready, vkey, setting)) for _ in range(place.some(5, 1))]
    finally:
        log.close()
    return [
        Row(
            name="receipt", median=median(times), p99=p99(times), limit=median(limit), ratio=ratio(limit, times),
            budget="median ≤ 150 ms", ok=median(times) <= 150,
            note=f"{spent}; event appended, signed, proven, verified, code drawn and read back; limit: the code alone",
        ),
        Row(name="receipt-page", median=median(pages), p99=p99(pages), note="the printed page, drawn and read back"),
    ]  # fmt: skip
