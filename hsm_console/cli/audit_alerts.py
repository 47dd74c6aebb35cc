"""`hsm-console audit alerts …`, `audit rules …`, `audit device-log`: what detection found, and what it goes by.

Lists are read from the log itself, a workspace's or a bundle's, without a log-in; an acknowledgement is given through
the gateway, under the person's own certificate.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from hsm_console.audit import ocsf
from hsm_console.audit.disclosure import hide
from hsm_console.audit.source import open_source, whole
from hsm_console.cli.terminal import Secrets, given, logged_in, usage
from hsm_console.client import alerts
from hsm_console.detect import rulebook, told
from hsm_console.detect.engine import Alert, Engine
from hsm_console.detect.rules import RuleSet, load
from hsm_console.domain.errors import ExitCode
from hsm_console.domain.events import Recorded, RulesLoaded
from hsm_console.domain.messages.alerts import AlertView, DeviceLogReport

MOST_DEVICE_LOG = 24 << 20  # more than the gateway takes: it says what is too long
_MARKS = (b'"alert-raised"', b'"alert-acknowledged"')


def arguments(verbs: Any) -> None:
    """The sub-verbs `alerts`, `device-log` and `rules` of `audit`."""
    parser = verbs.add_parser("alerts", help="what detection found in a log; say what an alert was")
    kinds = parser.add_subparsers(dest="alerts_verb", metavar="WHAT", required=True)
    listed = kinds.add_parser("list", help="alerts, oldest first")
    listed.add_argument("log", type=Path, help="workspace folder, audit.db or bundle")
    listed.add_argument("--open", action="store_true", help="only those that nobody has answered")
    show = kinds.add_parser("show", help="one alert in full")
    show.add_argument("log", type=Path, help="workspace folder, audit.db or bundle")
    answer = kinds.add_parser("acknowledge", help="say that you looked at it, and what it was")
    answer.add_argument("log", type=Path, metavar="workspace", help="workspace folder")
    for item in (show, answer):
        item.add_argument("alert", type=int, help="number of the alert's own entry")
    answer.add_argument("--note", required=True, help="what it was, one sentence")
    compare = verbs.add_parser(
        "device-log", help="hold the log of the HSM itself against this one, through the gateway"
    )
    compare.add_argument("log", type=Path, metavar="workspace", help="workspace folder")
    compare.add_argument("--file", type=Path, help="what the maker's tool wrote, CSV or JSON (default: ask the device)")
    for item in (answer, compare):
        item.add_argument("--credential", required=True, metavar="FILE", help="your .p12 or short name")
        item.add_argument("--secrets", choices=("-",), help="passphrase as JSON on standard input")
    rules = _rules_arguments(verbs.add_parser("rules", help="the rules of detection: list, show, check, try"))
    for item in (listed, show, answer, compare, *rules):
        item.add_argument("--json", action="store_true", help="machine-readable output")


def _rules_arguments(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    kinds = parser.add_subparsers(dest="rules_verb", metavar="WHAT", required=True)
    listed = kinds.add_parser("list", help="the shipped rules, with those of a workspace over them")
    show = kinds.add_parser("show", help="one rule: what it watches for, what to do, what else it may be")
    show.add_argument("name")
    for item in (listed, show):
        item.add_argument("workspace", type=Path, nargs="?", help="workspace folder with rules of its own")
    check = kinds.add_parser("check", help="would these files be taken?")
    attempt = kinds.add_parser("try", help="what would these files have found in this log?")
    attempt.add_argument("--log", type=Path, required=True, help="workspace folder, audit.db or bundle")
    for item in (check, attempt):
        item.add_argument("files", type=Path, nargs="+", metavar="FILE")
    return [listed, show, check, attempt]


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 done, 1 the device's log differs, 2 unreadable or unknown, 4 refused. Raises ConsoleError."""
    if args.audit_verb == "device-log":
        return _device_log(args)
    if args.audit_verb == "alerts":
        return {"list": _list, "show": _show, "acknowledge": _acknowledge}[args.alerts_verb](args)
    handlers: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _rules,
        "show": _rule,
        "check": _check,
        "try": _try,
    }
    return handlers[args.rules_verb](args)


# -- alerts -------------------------------------------------------------------------------------------------


def _alerts(log: Path) -> dict[int, AlertView]:
    found = told.fold(_entries(log, _MARKS))
    return {seq: replace(alert, acknowledged_note=hide(alert.acknowledged_note)) for seq, alert in found.items()}


def _entries(log: Path, marks: tuple[bytes, ...]) -> Iterator[Recorded]:
    with open_source(log) as source:
        for _, _, body in whole(source):
            if body is not None and any(mark in body for mark in marks):
                yield ocsf.decode(body)


def _list(args: argparse.Namespace) -> int:
    found = [alert for alert in _alerts(args.log).values() if not (args.open and alert.acknowledged_ms)]
    if args.json:
        print(msgspec.json.encode(found).decode())
        return ExitCode.OK
    for alert in found:
        state = f"answered by {alert.acknowledged_by}" if alert.acknowledged_ms else "open"
        print(f"{alert.seq}  {_moment(alert.time_ms)}  {alert.level}, {state}: {alert.title}")
    if not found:
        print("No alert is open." if args.open else "No alert was raised.")
    return ExitCode.OK


def _show(args: argparse.Namespace) -> int:
    found = _alerts(args.log).get(args.alert)
    if found is None:
        raise usage("no-such-alert", f"Entry {args.alert} is no alert.")
    _tell_alert(found, as_json=args.json)
    return ExitCode.OK


def _acknowledge(args: argparse.Namespace) -> int:
    with logged_in(args.log, args.credential, Secrets(from_stdin=args.secrets == "-")) as session:
        before = alerts.show(session, args.alert)
        found = alerts.acknowledge(session, args.alert, args.note)
    if before.acknowledged_ms:
        sys.stderr.write("It was answered before. The first answer stands; yours was not recorded.\n")
    _tell_alert(found, as_json=args.json)
    return ExitCode.OK


def _device_log(args: argparse.Namespace) -> int:
    data = given(args.file, MOST_DEVICE_LOG) if args.file else b""
    with logged_in(args.log, args.credential, Secrets(from_stdin=args.secrets == "-")) as session:
        report = alerts.compare_device_log(session, args.file.name if args.file else "", data)
    if args.json:
        print(msgspec.json.encode(report).decode())
    else:
        _tell_report(report)
    return ExitCode.VERIFICATION if report.findings else ExitCode.OK


def _tell_report(report: DeviceLogReport) -> None:
    where = f"of the device {report.serial} (entry {report.entry} of this log)"
    if report.beginning:
        print(f"{report.records} records {where} are the beginning; the next comparison judges what comes after them.")
        return
    strange = sum(item.word == "SHADOW-OP" for item in report.findings)
    known = max(0, report.records - report.matched - strange)
    print(f"{report.records} records {where}: {report.matched} match an entry, {known} are the console's own work.")
    print("\n".join(f"{item.word}: {item.text}" for item in report.findings) or "Nothing differs.")
    if report.findings:
        print("What to do: lock the HSM, hold no ceremony, and show this to the auditor and the security officer.")


def _tell_alert(alert: AlertView, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(alert).decode())
        return
    print(f"{alert.title} ({alert.level}, rule {alert.rule})")
    print(alert.text)
    print(f"What to do: {alert.todo}")
    cause = f"Entry {alert.last}" if alert.first == alert.last else f"Entries {alert.first} to {alert.last}"
    print(f"{cause}; its own entry is {alert.seq}, {_moment(alert.time_ms)}.")
    if alert.acknowledged_ms:
        print(f"{alert.acknowledged_by}, {_moment(alert.acknowledged_ms)}: {alert.acknowledged_note}")
    else:
        print("Nobody has answered it yet.")


def _moment(time_ms: int) -> str:
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


# -- rules --------------------------------------------------------------------------------------------------


def _in_force(workspace: Path | None) -> RuleSet:
    """What the gateway would load now; what it would refuse is said on standard error."""
    rules, problems = rulebook.in_force(workspace / rulebook.FOLDER if workspace else None)
    sys.stderr.writelines(f"{problem.what}\n" for problem in problems)
    return rules


def _rules(args: argparse.Namespace) -> int:
    rules = _in_force(args.workspace)
    views = sorted((rulebook.view_of(rule) for rule in rules.rules if rule.raises), key=lambda view: view.id)
    if args.json:
        print(msgspec.json.encode({"sha256": rules.sha256, "rules": views}).decode())
        return ExitCode.OK
    for view in views:
        print(f"{view.id:28} {view.level:9} {view.title}")
    print(f"{len(views)} rules, SHA-256 {rules.sha256}")
    if args.workspace is not None:
        print(_since(args.workspace, rules))
    return ExitCode.OK


def _since(workspace: Path, rules: RuleSet) -> str:
    """What the log says of the rules that the gateway loaded last."""
    every = list(_entries(workspace, (b'"rules-loaded"',)))
    last = every[-1] if every else None
    if last is None or not isinstance(last.event, RulesLoaded):
        return "The log does not say that any rules watched it yet."
    if last.event.sha256 == rules.sha256:
        return f"These are the rules that entry {last.seq} of the log says were loaded last."
    return f"Entry {last.seq} of the log says that other rules were loaded last; these are in force at the next start."


def _rule(args: argparse.Namespace) -> int:
    found = next((rule for rule in _in_force(args.workspace).rules if rule.name == args.name), None)
    if found is None:
        raise usage("no-such-rule", f"There is no rule “{args.name}”.")
    view = rulebook.view_of(found)
    if args.json:
        print(msgspec.json.encode(view).decode())
        return ExitCode.OK
    print(f"{view.title} ({view.level if found.raises else 'a part of other rules'}, {view.kind})")
    print(view.meaning)
    print(f"What to do: {view.todo}")
    for text in view.false_alarms:
        print(f"It may also have been: {text}")
    print(f"SHA-256 of its file: {view.sha256}")
    return ExitCode.OK


def _given(files: list[Path]) -> RuleSet:
    return load({str(path): given(path) for path in files})


def _check(args: argparse.Namespace) -> int:
    names = sorted(rule.name for rule in _given(args.files).rules)
    print(msgspec.json.encode({"rules": names}).decode() if args.json else f"In order: {', '.join(names)}")
    return ExitCode.OK


def _judged(engine: Engine, body: bytes) -> list[Alert]:
    try:
        return engine.judge(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ocsf.unreadable(str(fault)) from fault


def _try(args: argparse.Namespace) -> int:
    engine = Engine(_given(args.files))
    with open_source(args.log) as source:
        found = [alert for _, _, body in whole(source) if body is not None for alert in _judged(engine, body)]
    if args.json:
        print(msgspec.json.encode({"alerts": found, "faults": engine.faults}).decode())
        return ExitCode.OK
    for alert in found:
        print(f"entries {alert.first} to {alert.last}: {alert.title}: {alert.text}")
    print(f"{len(found)} alerts.")
    for name, why in engine.faults.items():
        print(f"The rule {name} failed: {why}.")
    return ExitCode.OK
