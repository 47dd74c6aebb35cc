"""`hsm-console audit …`: verify, export and read an audit log, offline and without a gateway (AUDIT 7)."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.audit import anchors as anchors_
from hsm_console.audit import bundle, ocsf, reading, receipt_files, siem_export
from hsm_console.audit.anchors import Anchor
from hsm_console.audit.checkpoint import Vkey, parse_vkey
from hsm_console.audit.disclosure import read_file
from hsm_console.audit.receipt import anchor
from hsm_console.audit.restored import Keys
from hsm_console.audit.retained import FOLDER
from hsm_console.audit.source import open_source, whole
from hsm_console.audit.verify import verify_workspace
from hsm_console.cli import audit_keep, terminal
from hsm_console.cli.terminal import text_of
from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.messages.audit import Finding, VerifyReport

Subparsers = Any  # argparse's own type is private
_TILES = "tlog-tiles"
_DIGITS = 15


def register(subparsers: Subparsers) -> None:
    """The verb and its sub-verbs."""
    parser = subparsers.add_parser("audit", help="verify, export and report the audit log")
    verbs = parser.add_subparsers(dest="audit_verb", metavar="WHAT", required=True)
    _verify_arguments(verbs.add_parser("verify", help="check a workspace's log, an audit.db or an exported bundle"))
    export = verbs.add_parser("export", help="write a bundle (C2SP tlog-tiles) that a stranger can check, or a copy")
    export.add_argument("log", type=Path, help="workspace folder or audit.db")
    export.add_argument("--out", type=Path, required=True, help="new folder for the bundle, new file for the others")
    export.add_argument(
        "--format",
        choices=(_TILES, *siem_export.FORMS),
        default=_TILES,
        help=f"{_TILES} (default): bundle with proof; the others: copies for log collectors, or tables for SQL",
    )
    export.add_argument(
        "--segments", type=Path, metavar="DIR", help="segments of pruned entries (default: beside the log)"
    )
    export.add_argument(
        "--identity", type=Path, metavar="FILE", help="age identity that opens them: a bundle of all entries"
    )
    _report_arguments(
        verbs.add_parser("report", help="which entries answer which clause of a standard, for an assessor")
    )
    audit_keep.arguments(verbs)
    _alerts_arguments(verbs)
    entries = verbs.add_parser("entries", help="list entries in plain words")
    entries.add_argument("log", type=Path, help="workspace folder, audit.db or bundle")
    entries.add_argument("--from", dest="start", type=_number, default=0, help="first entry (default 0)")
    entries.add_argument("--limit", type=_number, default=0, help="at most so many (default: all)")
    show = verbs.add_parser("show", help="one entry in full")
    show.add_argument("log", type=Path, help="workspace folder, audit.db or bundle")
    show.add_argument("entry", type=_number, help="number of the entry, from 0")
    for item in (export, entries, show):
        item.add_argument("--json", action="store_true", help="machine-readable output")


def _number(text: str) -> int:
    """A number of entries, or of one: as far as a log can count."""
    if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS:
        raise argparse.ArgumentTypeError(f"“{text[:40]}” is no number from 0 to {10**_DIGITS - 1}")
    return int(text)


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", type=Path, help="workspace folder, audit.db, bundle or segment")
    parser.add_argument("--vkey", help="verifier key: file or text (default: log.vkey in the folder, which is said)")
    parser.add_argument("--receipt", type=Path, action="append", default=[], help="receipt to hold the log against")
    parser.add_argument("--cosigned", type=Path, action="append", default=[], help="head that a witness cosigned")
    parser.add_argument(
        "--witness-key", action="append", default=[], metavar="KEY", help="vkey, or authority.pem, of the witnesses"
    )
    parser.add_argument("--token", action="store_true", help="ask the workspace's token for the head it remembers")
    parser.add_argument("--identity", metavar="FILE", help="age identity that opens an encrypted segment")
    parser.add_argument("--disclosures", type=Path, metavar="FILE", help="sealed values that you were told")
    parser.add_argument("--segments", type=Path, metavar="DIR", help="where the segments lie (default: beside the log)")
    parser.add_argument("--token-head", type=Path, help="value of the token's log-head object, as a file")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def _report_arguments(parser: argparse.ArgumentParser) -> None:
    from hsm_console.cli import audit_report

    audit_report.arguments(parser)


def _alerts_arguments(verbs: Subparsers) -> None:
    from hsm_console.cli import audit_alerts

    audit_alerts.arguments(verbs)


def _alerts(args: argparse.Namespace) -> int:
    from hsm_console.cli import audit_alerts

    return audit_alerts.run(args)


def _report(args: argparse.Namespace) -> int:
    from hsm_console.cli import audit_report

    return audit_report.run(args)


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 verified or done, 1 something was found, 2 unreadable input. Raises ConsoleError."""
    if args.audit_verb in audit_keep.VERBS:
        return audit_keep.run(args)
    handlers = {"verify": _verify, "export": _export, "report": _report, "entries": _entries, "show": _show}
    handlers |= dict.fromkeys(("alerts", "device-log", "rules"), _alerts)
    return handlers[args.audit_verb](args)


def _verify(args: argparse.Namespace) -> int:
    vkey, trusted = load_vkey(args.vkey, args.log)
    if audit_keep.is_segment(args.log):
        report = audit_keep.verify(args.log, vkey, args.identity)
        _print_report(report if trusted else _distrust(report), as_json=args.json)
        return ExitCode.VERIFICATION if report.findings else ExitCode.OK
    if args.segments and not args.segments.is_dir():
        raise terminal.usage("segments-missing", f"{args.segments} is no folder in which segments could lie.")
    told = read_file(args.disclosures) if args.disclosures else []
    anchors, refused = _anchors(args.receipt, vkey)
    left: list[str] = []
    if args.cosigned:
        from hsm_console.cli import witness_sign

        held, wrong, left = witness_sign.held(args.cosigned, args.witness_key, vkey, args.log)
        anchors += held
        refused += [Finding(word=word, text=text) for word, text in wrong]
    head = _token_head(args.log) if args.token else None
    if args.token_head:
        head = terminal.given(args.token_head)
    shown = progress if sys.stderr.isatty() else None
    report = verify_workspace(
        args.log, vkey, anchors, head, shown, refused=refused, disclosures=told, segments=args.segments
    )
    if not trusted:
        report = _distrust(report)
    for what in left:
        report = msgspec.structs.replace(report, not_checked=(*report.not_checked, what), line=f"{report.line}, {what}")
    _print_report(report, as_json=args.json)
    return ExitCode.VERIFICATION if report.findings else ExitCode.OK


def _token_head(workspace: Path) -> bytes:
    """The head in the token's data object. It is public: no PIN is asked. Raises what the device raises, InputError
    token-not-bound (no workspace.toml), VerificationFailed token-head-missing."""
    from hsm_console.hsm.port import Binding
    from hsm_console.hsm.worker import HsmClient

    try:
        file = tomllib.loads((workspace / "workspace.toml").read_text("utf-8"))
        table, chain_uid = file["token"], file["chain_uid"]
        binding = Binding(
            adapter=table["adapter"],
            token_label=table["label"],
            directory=str(workspace.absolute() / "token"),
            serial=table["serial"],
            options=dict(table.get("options", {})),
        )
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError) as fault:
        raise _no_token(workspace) from fault
    with contextlib.closing(HsmClient(binding)) as client:
        found = client.read_data(anchors_.APPLICATION, anchors_.head_label(chain_uid))
    if not found:
        raise VerificationFailed(
            Problem(
                code="token-head-missing",
                what="INCOMPLETE: the token remembers no head of this log.",
                todo="If the log was ever signed, this is not the token of this workspace, or its head was deleted.",
                contact="the auditor",
                exit_code=ExitCode.VERIFICATION,
            )
        )
    return found[-1].value


def _no_token(workspace: Path) -> InputError:
    return InputError(
        Problem(
            code="token-not-bound",
            what=f"{workspace} does not say which token it belongs to: workspace.toml is missing or unreadable.",
            todo="Name a workspace folder, or give the head's bytes with --token-head.",
            exit_code=ExitCode.USAGE,
        )
    )


def _anchors(paths: list[Path], vkey: Vkey) -> tuple[list[Anchor], list[Finding]]:
    """The receipts that verify, and a finding for each that does not."""
    anchors: list[Anchor] = []
    refused: list[Finding] = []
    for path in paths:
        try:
            anchors += [anchor(item, vkey) for item in receipt_files.read(path)]
        except VerificationFailed as fault:
            word, _, text = fault.problem.what.partition(": ")
            refused.append(Finding(word=word, text=f"{path.name}: {text.rstrip('.')}"))
    return anchors, refused


def _distrust(report: VerifyReport) -> VerifyReport:
    """Say that the key came out of the folder that it is to judge."""
    missing = "origin of the key (log.vkey of the folder itself)"
    return msgspec.structs.replace(report, not_checked=(*report.not_checked, missing), line=f"{report.line}, {missing}")


def _print_report(report: VerifyReport, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(report).decode())
        return
    print(report.line)
    for item in report.findings:
        where = f" (entry {item.entry})" if item.entry >= 0 else ""
        print(f"{item.word}: {item.text}{where}")


def progress(done: int, of: int) -> None:
    """One line on the terminal that counts up."""
    end = "\n" if done >= of else ""
    sys.stderr.write(f"\r{done} of {of} entries{end}")


def load_vkey(given: str | None, log: Path) -> tuple[Vkey, bool]:
    """The key to verify with, and whether the caller brought it himself. Raises InputError vkey-missing."""
    folder = log if log.is_dir() else log.parent
    beside = folder / "log.vkey"
    if folder.name == FOLDER and not beside.is_file():
        beside = folder.parent / "log.vkey"  # segments lie in a folder of the workspace
    path = given or str(beside)
    text = text_of(path)
    if text != path or (given and "+" in given):
        return parse_vkey(text), bool(given)
    raise InputError(
        Problem(
            code="vkey-missing",
            what=f"There is no verifier key: {path} does not exist.",
            todo="Give --vkey with the file log.vkey, or with the line that was printed at the first ceremony.",
            exit_code=ExitCode.USAGE,
        )
    )


def _export_copy(args: argparse.Namespace) -> int:
    """A copy for a log collector: says what it holds, what it left out and that the file alone is no proof."""
    done = siem_export.export(args.log, args.out, args.format)
    if args.json:
        print(msgspec.json.encode(done).decode())
        return ExitCode.OK
    print(f"Exported {done.size} entries of “{done.origin}” as {done.format} to {args.out}.")
    print(f"Root: {done.root}")
    if done.unsigned:
        print(f"Left out: {done.unsigned} newer entries that no checkpoint covers yet.")
    where = "its table “export”" if args.format == siem_export.TABLES else "its last line"
    print(f"This file is a copy and no proof by itself; {where} says how to prove it.")
    return ExitCode.OK


def _export(args: argparse.Namespace) -> int:
    if args.format != _TILES:
        return _export_copy(args)
    keys = None
    if args.identity:
        beside = (args.log if args.log.is_dir() else args.log.parent) / FOLDER
        keys = Keys.read(args.segments or beside, args.identity)
    done = bundle.export(args.log, args.out, segments=keys)
    if args.json:
        print(msgspec.json.encode(done).decode())
    else:
        print(f"Exported {done.size} entries of “{done.origin}” with {done.checkpoints} checkpoints to {args.out}.")
        print(f"Root: {done.root}")
        if done.pruned:
            print(f"Not in it: entries {done.pruned.first} to {done.pruned.last}, which were pruned; see README.txt.")
    return ExitCode.OK


def _bodies(log: Path, start: int) -> Iterator[tuple[int, bytes]]:
    with open_source(log) as source:
        for seq, _, body in whole(source, start):
            yield seq, body or b""


def _entries(args: argparse.Namespace) -> int:
    for number, (seq, body) in enumerate(_bodies(args.log, args.start)):
        if args.limit and number >= args.limit:
            break
        row = reading.row_of(ocsf.decode(body), signed=False)
        if args.json:
            print(body.decode())
        else:
            print(f"{seq:>8}  {_utc(row.time_ms)}  {row.status:<7}  {row.summary}")
    return ExitCode.OK


def _show(args: argparse.Namespace) -> int:
    for seq, body in _bodies(args.log, args.entry):
        if seq != args.entry:
            break
        if args.json:
            print(body.decode())
        else:
            print("\n".join(ocsf.explain(ocsf.decode(body))))
        return ExitCode.OK
    raise InputError(
        Problem(
            code="entry-missing",
            what=f"The log has no entry {args.entry}.",
            todo="“hsm-console audit entries” lists what there is.",
            exit_code=ExitCode.USAGE,
        )
    )


def _utc(time_ms: int) -> str:
    from hsm_console.audit.receipt_page import moment

    return moment(time_ms, "UTC")[0]
