"""`hsm-console ceremony list|lint|paper|compare`, without any gateway; `run|status|rehearse` are in `ceremony_run`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hsm_console.ceremony import lint, script
from hsm_console.cli import ceremony_run
from hsm_console.domain.errors import ExitCode, InputError, Problem


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `ceremony` and what it can do."""
    parser = subparsers.add_parser("ceremony", help="lint, print, rehearse, run and look at ceremonies")
    verbs = parser.add_subparsers(dest="ceremony_verb", metavar="WHAT", required=True)

    listing = verbs.add_parser("list", help="the scripts that ship, and those of a folder")
    listing.add_argument("--folder", type=Path, help="also those of a workspace, or of a folder of TOML files")
    listing.add_argument("--json", action="store_true")

    linting = verbs.add_parser("lint", help="find what cannot happen in a script")
    linting.add_argument("script", nargs="+", help="a TOML file, or the id of a script that ships")
    linting.add_argument("--json", action="store_true")

    paper = verbs.add_parser("paper", help="print a script for pen and ink")
    paper.add_argument("script", help="a TOML file, or the id of a script that ships")
    paper.add_argument("--out", type=Path, required=True, metavar="FILE.pdf")
    paper.add_argument("--size", choices=("a4", "letter"), default="a4")
    paper.add_argument("--json", action="store_true")

    comparing = verbs.add_parser("compare", help="compare a rehearsal's minutes with the ceremony's, field by field")
    comparing.add_argument("rehearsal", type=Path, metavar="REHEARSAL.json")
    comparing.add_argument("production", type=Path, metavar="MINUTES.json")
    comparing.add_argument("--out", type=Path, metavar="FILE", help="write the equivalence certificate there")
    comparing.add_argument("--json", action="store_true")

    ceremony_run.register(verbs)


def run(args: argparse.Namespace) -> int:
    """Run one of them. Raises ConsoleError; returns 1 when the linter found something."""
    here = {"list": _list, "lint": _lint, "paper": _paper, "compare": _compare}
    return here.get(args.ceremony_verb, ceremony_run.run)(args)


def load(name: str) -> str:
    """The text of a script: a shipped one by its id, or a file."""
    shipped = script.library().get(name)
    if shipped is not None:
        return shipped
    path = Path(name)
    if path.suffix != ".toml" and not path.exists():
        raise InputError(
            Problem(
                code="script-unknown",
                what=f"There is no script “{name}”.",
                todo=f"Name a TOML file, or one of: {', '.join(script.library())}.",
                exit_code=ExitCode.USAGE,
            )
        )
    return script.read(path)


def _list(args: argparse.Namespace) -> int:
    texts = dict(script.library())
    if args.folder is not None:
        inside = args.folder / "scripts"
        texts |= script.own(inside if (args.folder / "workspace.toml").exists() else args.folder)
    if args.json:
        print(json.dumps([_entry(text) for text in texts.values()], indent=1, ensure_ascii=False))
        return ExitCode.OK
    for text in texts.values():
        item = script.summary(text)
        print(f"{item.id}  {item.version}  {item.title} — about {item.minutes} minutes, {item.quorum}")
        print(f"    {item.purpose}")
        print(f"    sha256 {item.sha256}")
    return ExitCode.OK


def _entry(text: str) -> dict[str, Any]:
    item = script.summary(text)
    return {
        "id": item.id,
        "version": item.version,
        "title": item.title,
        "purpose": item.purpose,
        "sha256": item.sha256,
        "words": item.words,
        "minutes": item.minutes,
        "roles": item.roles,
        "quorum": item.quorum,
    }


def _lint(args: argparse.Namespace) -> int:
    reports = []
    for name in args.script:
        text = load(name)
        found = lint.findings(script.parse(text))
        reports.append((name, script.digest(text), found))
    if args.json:
        rows = [
            {"script": n, "sha256": d, "findings": [{"name": f.name, "step": f.step, "text": f.text} for f in found]}
            for n, d, found in reports
        ]
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        _tell(reports)
    return ExitCode.VERIFICATION if any(found for _, _, found in reports) else ExitCode.OK


def _tell(reports: list[tuple[str, str, tuple[lint.Finding, ...]]]) -> None:
    for name, sha256, found in reports:
        print(f"{name}: {len(found)} finding(s)" if found else f"{name}: it can be held as it is written")
        for finding in found:
            place = f" at step {finding.step}" if finding.step else ""
            print(f"  [{finding.name}]{place}: {finding.text}")
        if not found:
            print(f"  sha256 {sha256}")
            print(f"  words  {script.spoken(sha256)}")


def _paper(args: argparse.Namespace) -> int:
    from hsm_console.ceremony import script_pdf

    text = load(args.script)
    lint.check(script.parse(text))
    data = script_pdf.write(text, size=args.size)
    _save(args.out, data)
    if args.json:
        print(json.dumps({"file": str(args.out), "bytes": len(data), "sha256": script.digest(text)}))
    else:
        print(f"{args.out}: {len(data)} bytes, script {script.digest(text)}")
    return ExitCode.OK


def _save(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise _file_problem(path, "written", error) from None


def _file_problem(path: Path, verb: str, error: OSError) -> InputError:
    return InputError(
        Problem(
            code=f"file-not-{verb}",
            what=f"{path} could not be {verb} ({error.strerror}).",
            todo="Choose another file.",
            exit_code=ExitCode.USAGE,
        )
    )


def _compare(args: argparse.Namespace) -> int:
    from hsm_console.ceremony import rehearsal

    minutes = []
    for path in (args.rehearsal, args.production):
        try:
            minutes.append(path.read_bytes())
        except OSError as error:
            raise _file_problem(path, "read", error) from None
    found = rehearsal.differences(minutes[0], minutes[1])
    if args.json:
        rows = [{"path": d.path, "rehearsal": d.rehearsal, "production": d.production} for d in found]
        print(json.dumps({"differences": rows}, indent=1, ensure_ascii=False))
    else:
        for d in found:
            print(f"{d.path}: \u201c{d.rehearsal}\u201d became \u201c{d.production}\u201d")
        print(f"{len(found)} difference(s) that may not be" if found else "equal, but for what must differ")
    if found:
        return ExitCode.VERIFICATION
    if args.out is not None:
        _save(args.out, rehearsal.certificate(minutes[0], minutes[1]))
    return ExitCode.OK
