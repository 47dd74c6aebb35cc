"""Budget of a gateway's start: the head in the token and everything since it, before anybody is let in."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import sha256

from hsm_console.audit import anchors, startup
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.log import AuditLog
from hsm_console.cli import bench_device
from hsm_console.cli.bench_log import Signer, intent, outcome, stage
from hsm_console.cli.bench_measure import Place, Row, median, p99, pairs, processor, ratio
from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.hsm.port import DataObject

SINCE = 10_000
BEFORE = 2_048
LIMIT_MS = 200.0
_STEP = 256  # entries between two checkpoints, as environments have it


def start_up(place: Place) -> list[Row]:
    """The check as the gateway makes it, beside bare reading and hashing of the same entries."""
    since = place.some(SINCE, 512)
    with stage(place) as (log, _), bench_device.token(place) as token:
        signer = Signer()
        log.set_signer(signer)
        _grow(log, BEFORE)
        label = anchors.head_label(log.chain_uid)
        head = anchors.encode_head(parse_note(log.checkpoint()).checkpoint, 0)
        token.write_data(DataObject(application=anchors.APPLICATION, label=label, value=head))
        begin = log.size
        _grow(log, begin + since)
        vkey = signer.vkey()

        def check() -> startup.Checked:
            value = token.read_data(anchors.APPLICATION, label)[-1].value
            return startup.check(log, vkey, anchors.decode_head(value))

        found = check()
        if found.findings or found.anchored != begin or found.end - found.first < since:
            raise _failed(found.line)
        with closing(sqlite3.connect(f"file:{log.path}?mode=ro", uri=True)) as conn:
            ours, limit = pairs(check, lambda: _bare(conn, begin), place.some(31))
        spent = processor(check, place.some(11))
    middle = median(ours)
    return [
        Row(
            name="start-up", median=middle, p99=p99(ours), limit=median(limit), ratio=ratio(limit, ours),
            budget=f"median ≤ {LIMIT_MS:.0f} ms for {SINCE} entries", ok=middle <= LIMIT_MS,
            note=f"{spent} (the token's own process not counted); {since} entries since the head in the token, a "
            f"checkpoint every {_STEP}; limit: the same entries read and hashed",
        )
    ]  # fmt: skip


def _grow(log: AuditLog, size: int) -> None:
    """Intents and outcomes in turn, signed as often as a gateway signs."""
    while log.size < size:
        at = log.size
        log.append([one for n in range(_STEP // 2) for one in (intent(), outcome(at + 2 * n))])
        log.checkpoint()


def _bare(conn: sqlite3.Connection, begin: int) -> None:
    for (body,) in conn.execute("SELECT body FROM entry WHERE seq >= ? ORDER BY seq", (begin,)):
        sha256(body).digest()


def _failed(line: str) -> EnvironmentFault:
    what = f"The check at the start did not find the log in order: {line}."
    todo = "Run `hsm-console audit verify` on a log of your own; tell the makers."
    return EnvironmentFault(Problem(code="bench-failed", what=what, todo=todo))
