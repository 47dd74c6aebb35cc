"""`hsm-console audit report …`: which entries of a log answer which clause of a standard, as PDF or JSON."""

from __future__ import annotations

import argparse
import sys
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.audit import report as report_
from hsm_console.audit import report_standard
from hsm_console.audit.report_period import Period, refused
from hsm_console.audit.siem_export import new_file
from hsm_console.cli.audit import load_vkey, progress
from hsm_console.domain.errors import ExitCode

_SUFFIXES = (".pdf", ".json")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the verb takes."""
    parser.add_argument("log", type=Path, help="workspace folder, audit.db or bundle")
    parser.add_argument("--standard", required=True, help=", ".join(report_standard.STANDARDS))
    parser.add_argument("--from", dest="start", metavar="DATE", help="first day, YYYY-MM-DD in UTC (default: all)")
    parser.add_argument("--to", dest="end", metavar="DATE", help="last day, YYYY-MM-DD in UTC (default: all)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="new file, .pdf or .json")
    parser.add_argument("--paper", choices=("A4", "Letter"), default="A4", help="of a PDF (default A4)")
    parser.add_argument("--vkey", help="verifier key: file or text (default: log.vkey in the folder, which is said)")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def run(args: argparse.Namespace) -> int:
    """Write the report. Exit code: 0, or 1 when the log does not verify (the report says so). Raises ConsoleError."""
    standard = report_standard.load(args.standard)
    period = Period(_day(args.start), _day(args.end))
    if args.out.suffix not in _SUFFIXES:
        raise refused("out-unknown", f"{args.out.name} is neither .pdf nor .json.", "Name the file so.")
    if args.out.exists():
        raise refused("out-exists", f"{args.out} is there already.", "Name a new file.")
    vkey, trusted = load_vkey(args.vkey, args.log)
    shown = progress if sys.stderr.isatty() else None
    made = report_.build(args.log, vkey, standard, period, trusted_key=trusted, progress=shown)
    data = report_.encode(made)
    if args.out.suffix == ".pdf":
        from hsm_console.audit import report_page  # ReportLab takes its time

        data = report_page.page(made, args.paper)
    with new_file(args.out) as stream:
        stream.write(data)
    _say(made, args.out, as_json=args.json)
    return ExitCode.OK if made.verification.verified else ExitCode.VERIFICATION


def _say(made: report_.Report, out: Path, *, as_json: bool) -> None:
    if as_json:
        answer: dict[str, Any] = {
            "out": str(out),
            "standard": made.standard,
            "verified": made.verification.verified,
            "line": made.verification.line,
            "summary": made.summary,
            "in_period": made.population.in_period,
            "size": made.population.size,
            "root": made.population.root,
            "gaps": [item.control.id for item in made.answers if item.state == "gap"],
        }
        print(msgspec.json.encode(answer).decode())
        return
    print(made.verification.line)
    if not made.verification.verified:
        print("The log does not verify. The report says so on its first page; none of its answers may be relied upon.")
    count = made.summary
    print(
        f"{made.title}: {count['answered']} answered, {count['unproven']} unproven, {count['gap']} with a gap, "
        f"{count['not applicable']} not applicable. Written to {out}."
    )
    for item in made.answers:
        if item.state == "gap":
            print(f"Gap {item.control.id} {item.control.title}: {item.why}.")


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as fault:
        raise refused(
            "date-unreadable", f"“{text}” is not a day.", "Write YYYY-MM-DD, for example 2026-01-31."
        ) from fault
