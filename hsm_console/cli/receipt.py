"""`hsm-console receipt verify FILE… --vkey KEY`: what a receipt proves, in words, and what it does not."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.audit import ocsf, rootsheet, witness_files
from hsm_console.audit.checkpoint import Vkey, parse_vkey
from hsm_console.audit.receipt import Proven, Receipt, verify
from hsm_console.audit.receipt_files import read
from hsm_console.audit.receipt_page import DOES_NOT_PROVE, moment
from hsm_console.audit.rootsheet import RootSheet
from hsm_console.cli.audit import load_vkey
from hsm_console.cli.terminal import text_of
from hsm_console.domain.errors import ConsoleError, ExitCode, InputError, Problem

Subparsers = Any  # argparse's own type is private


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One receipt's outcome, as `--json` prints it. problem: why it was refused; sheet_…: of the root sheet it was tied
    to."""

    file: str
    ok: bool
    index: int = -1
    size: int = 0
    root: str = ""
    signed_ms: int = 0
    summary: str = ""
    simulated: bool = False
    entry: msgspec.Raw = msgspec.Raw(b"null")
    sheet_size: int = 0
    sheet_key: str = ""
    problem: Problem | None = None


def register(subparsers: Subparsers) -> None:
    """The verb and its only sub-verb."""
    parser = subparsers.add_parser("receipt", help="verify printed or saved receipts")
    verbs = parser.add_subparsers(dest="receipt_verb", metavar="WHAT", required=True)
    check = verbs.add_parser("verify", help="check receipts (.png, .pdf, .tlog-proof, text)")
    check.add_argument("files", type=Path, nargs="+", metavar="FILE")
    check.add_argument("--vkey", required=True, help="verifier key of the log: file or text")
    check.add_argument("--root-sheet", type=Path, metavar="FILE", help="sheet of a later day: text, PDF or scan")
    check.add_argument("--root-key", metavar="KEY", help="ML-DSA key of the sheet (default: root.vkey beside it)")
    check.add_argument("--json", action="store_true", help="machine-readable output, one object a line")


def run(args: argparse.Namespace) -> int:
    """The worst exit code of all files: 0 all verified, 1 one was refused, 2 one could not be read."""
    vkey, _ = load_vkey(args.vkey, Path())
    sheet = _sheet(args, vkey) if args.root_sheet else None
    worst = int(ExitCode.OK)
    for path in args.files:
        worst = max(worst, _file(path, vkey, sheet, as_json=args.json))
    return worst


def _sheet(args: argparse.Namespace, vkey: Vkey) -> RootSheet:
    """The sheet, verified. Raises InputError root-key-missing and what reading it raises."""
    key = Path(args.root_key) if args.root_key else args.root_sheet.parent / "root.vkey"
    text = text_of(str(key))
    if text == str(key) and "+" not in text:
        raise InputError(
            Problem(
                code="root-key-missing",
                what=f"There is no key for the root sheet: {key} does not exist.",
                todo="Give --root-key with the file root.vkey; its SHA-256 is printed on the sheet.",
                exit_code=ExitCode.USAGE,
            )
        )
    return rootsheet.read(witness_files.read(args.root_sheet), vkey, parse_vkey(text))


def _file(path: Path, vkey: Vkey, sheet: RootSheet | None, *, as_json: bool) -> int:
    try:
        receipts = read(path)
    except ConsoleError as fault:
        return _refused(path.name, fault.problem, as_json=as_json)
    return max(_one(item, vkey, sheet, as_json=as_json) for item in receipts)


def _one(receipt: Receipt, vkey: Vkey, sheet: RootSheet | None, *, as_json: bool) -> int:
    try:
        proven = verify(receipt, vkey)
        if sheet is not None:
            rootsheet.tie(sheet, proven.head)
    except ConsoleError as fault:
        return _refused(receipt.name, fault.problem, as_json=as_json)
    if as_json:
        print(msgspec.json.encode(_result(proven, sheet)).decode())
    else:
        print("\n".join(_words(proven) + (_tied(proven, sheet) if sheet else [])))
    return ExitCode.OK


def _tied(proven: Proven, sheet: RootSheet) -> list[str]:
    when = moment(sheet.seconds * 1000, "UTC")[0]
    how = "is the very tree" if proven.head.size == sheet.head.size else "is the beginning of the tree"
    return [
        f"  Its tree {how} of {sheet.head.size} entries that the ML-DSA key {sheet.key.key_id.hex()} signed on {when}.",
        "  That holds even when the log's classic signature can be forged one day.",
    ]


def _result(proven: Proven, sheet: RootSheet | None) -> Result:
    recorded = proven.recorded
    return Result(
        file=proven.name,
        ok=True,
        index=proven.index,
        size=proven.head.size,
        root=proven.head.root.hex(),
        signed_ms=proven.seconds * 1000,
        summary=ocsf.summary(recorded) if recorded else "",
        simulated=proven.simulated,
        entry=msgspec.Raw(proven.body or b"null"),
        sheet_size=sheet.head.size if sheet else 0,
        sheet_key=sheet.key.key_id.hex() if sheet else "",
    )


def _words(proven: Proven) -> list[str]:
    signed = moment(proven.seconds * 1000, "UTC")[0]
    covered = f"entry {proven.index} was among the first {proven.head.size} entries of this log"
    lines = [
        f"{proven.name}: VERIFIED entry={proven.index} size={proven.head.size} log={proven.origin} signed={signed}",
        f"  It proves that {covered} when the log's key signed them.",
    ]
    recorded = proven.recorded
    if recorded is not None:
        lines += [f"  {line}" for line in ocsf.explain(recorded)]
    else:
        lines.append(
            f"  The code carries only the hash of the entry ({proven.leaf.hex()}); what the entry says is in the "
            ".tlog-proof file and in the log."
        )
    if proven.simulated:
        lines.append("  SIMULATION: grade D. Nothing here was protected by hardware.")
    lines.append(f"  {DOES_NOT_PROVE}")
    return lines


def _refused(name: str, problem: Problem, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.encode(Result(file=name, ok=False, problem=problem)).decode())
    else:
        print(f"{name}: NOT VERIFIED\n  " + problem.in_words().replace("\n", "\n  "))
    return int(problem.exit_code)
