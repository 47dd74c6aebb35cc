"""`hsm-console bench`: the budgets, measured side by side with what the machine itself allows.

A missed budget is told, not punished: the exit code is 0 when everything asked for was measured, unless `--strict`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.cli import bench_desk, bench_device, bench_log, bench_proof, bench_start, bench_watch, bench_work
from hsm_console.cli.bench_measure import Measure, Place, Row
from hsm_console.domain.errors import ConsoleError, ExitCode

EVENTS = 100_000

ROOMS: dict[str, Measure] = {
    "append-1": bench_log.append_one,
    "append-32": bench_log.append_many,
    "keygen": bench_device.keygen,
    "sign": bench_device.sign,
    "sign-audited-parts": bench_device.audited,
    "sign-audited": bench_work.audited,
    "sign-parallel": bench_work.parallel,
    "scaling": bench_work.scaling,
    "failover": bench_work.failover,
    "verify": bench_proof.verification,
    "inclusion": bench_proof.inclusion,
    "receipt": bench_proof.receipts,
    "start-up": bench_start.start_up,
    "alert": bench_watch.alert,
    "cold-start": bench_desk.cold_start,
    "ui-stall": bench_desk.stall,
    "login-handshake": bench_desk.login,
}
"""Name → measurement, in the order of running. One measurement may give several rows."""


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser("bench", help="measure the budgets", epilog="Names: " + ", ".join(ROOMS))
    parser.add_argument("--adapter", choices=("simulation", "softhsm"), default="simulation")
    parser.add_argument("--only", nargs="+", choices=tuple(ROOMS), metavar="NAME", help="measure only these")
    parser.add_argument("--events", type=int, default=EVENTS, help="length of the log that is verified")
    parser.add_argument("--folder", type=Path, help="a folder on the disk that is judged (default: the temporary one)")
    parser.add_argument("--quick", action="store_true", help="few repetitions: shows that it works, measures badly")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a budget is missed")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Exit 0: measured. 1: a budget is missed or was not measured, with `--strict`. Raises EnvironmentFault."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="hsm-console-bench-", dir=args.folder) as name:
        place = Place(folder=Path(name), adapter=args.adapter, events=args.events, quick=args.quick)
        for room in args.only or ROOMS:
            rows = measured(room, place)
            found.extend(rows)
            if not args.json:
                for row in rows:
                    print(line(row), flush=True)
    if args.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    missed = any(row.ok is False or row.median is None for row in found)
    return ExitCode.VERIFICATION if args.strict and missed else ExitCode.OK


def measured(room: str, place: Place) -> list[Row]:
    """The rows of one measurement; one row without figures when this machine cannot do it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{room} …\n")
    try:
        return ROOMS[room](place)
    except ConsoleError as error:
        return [Row(name=room, median=None, p99=None, note=f"{error.problem.code}: {error.problem.what}")]


def line(row: Row) -> str:
    """One row for people."""
    if row.median is None:
        return f"{row.name:22} not measured: {row.note}"
    verdict = {True: "ok", False: "MISSED", None: ""}[row.ok]
    limit = f"limit {row.limit:9.3f}" if row.limit is not None else " " * 15
    found = f"ratio {row.ratio:6.3f}" if row.ratio is not None else " " * 12
    tail = f"p99 {row.p99:9.3f}" if row.p99 is not None else ""
    return (
        f"{row.name:22} {row.median:9.3f} {row.unit:4} {tail:13} {limit}  {found}  "
        f"{verdict:6} {row.budget}{' · ' + row.note if row.note else ''}"
    )
