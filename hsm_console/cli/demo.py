"""`hsm-console demo`: a whole ceremony by scripted participants, through the real gateway, agents and adapters.

Killed at any moment and started again with the same folder, it goes on where the log says it was. When everything is
done it says so and makes nothing anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from hsm_console.cli import demo_cast as cast
from hsm_console.cli import desktop
from hsm_console.cli.demo_play import Play
from hsm_console.cli.demo_stage import Stage
from hsm_console.client import audit, ceremonies, device
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.messages.audit import VerifyReport
from hsm_console.domain.messages.ceremony import CeremonyView
from hsm_console.domain.people import Role

ADAPTERS = ("simulation", "softhsm")
CEREMONY = "executive-identity-key"
OUT = Path("hsm-console-demo")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `demo`."""
    parser = subparsers.add_parser("demo", help="hold a whole ceremony with scripted participants")
    parser.add_argument("--headless", action="store_true", help="without a window")
    parser.add_argument("--adapter", choices=ADAPTERS, default="simulation", help="the kind of token (simulation)")
    parser.add_argument("--ceremony", default="", metavar="ID", help=f"the script ({CEREMONY}); with --headless")
    parser.add_argument("--algorithm", default="", help="the kind of key, where the script lets one choose; --headless")
    parser.add_argument("--label", default="", help="the key's name in the module; with --headless")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"where it is left ({OUT}; on the screen a temporary folder)"
    )
    parser.add_argument("--json", action="store_true", help="the summary as JSON on standard output")


def run(args: argparse.Namespace, own: str = "") -> int:
    """Play it. own: the text of a script that does not ship, whose id is `args.ceremony`.

    Raises ConsoleErrors; a finding of the verification is exit code 1.
    """
    if not args.headless:
        _on_the_screen(args)
    began = time.monotonic()
    out = (args.out or OUT).absolute()
    _check_out(out, args.adapter)
    _check_script(out, args.ceremony, own)
    _make(out.parent)
    with Stage(out, args.adapter, _say) as stage:
        stage.persist(stage.found)
        if own:
            _bring(out, args.ceremony, own)
        parameters = {"algorithm": args.algorithm, "label": args.label}
        play = Play(stage, args.ceremony or CEREMONY, parameters, _say)
        view = play.run()
        stage.persist(lambda: _collect(stage, view))
        report = stage.persist(lambda: _verify(stage))
        summary = stage.persist(lambda: _summary(stage, view, report, play, time.monotonic() - began))
    _tell(summary, as_json=args.json)
    if report.findings:
        raise VerificationFailed(
            Problem(
                code="log-has-findings",
                what=report.line,
                todo="Run `hsm-console audit verify` on the folder and show the findings to the auditor.",
                exit_code=ExitCode.VERIFICATION,
            )
        )
    return ExitCode.OK


def _on_the_screen(args: argparse.Namespace) -> NoReturn:
    """The same with people instead of a script. Raises InputError `demo-people-choose`, EnvironmentFault."""
    if args.ceremony or args.algorithm or args.label:
        raise InputError(
            Problem(
                code="demo-people-choose",
                what="Ceremony, kind of key and name are chosen on the screen by the people who hold it.",
                todo="Leave these options out, or add --headless for a demonstration with scripted participants.",
                exit_code=ExitCode.USAGE,
            )
        )
    where: list[str] = []
    if args.out is not None:
        out = args.out.absolute()
        _check_out(out, args.adapter)
        _make(out.parent)
        where = ["--demo-out", str(out)]
    desktop.become("--demo", "--demo-adapter", args.adapter, *where)


def _check_out(out: Path, adapter: str) -> None:
    """A folder with something else in it is left alone; one of another demonstration goes on as it began."""
    file = out / "workspace.toml"
    if file.exists() and f'adapter = "{adapter}"' not in file.read_text("utf-8"):
        raise InputError(
            Problem(
                code="demo-of-other-adapter",
                what=f"{out} holds a demonstration with another adapter than “{adapter}”.",
                todo="Name another folder with --out, or the adapter that it was begun with.",
                exit_code=ExitCode.USAGE,
            )
        )


def _check_script(out: Path, script_id: str, own: str) -> None:
    """A folder where another text of the same script was played does not pass for a rehearsal of this one."""
    file = out / "scripts" / f"{script_id}.toml"
    if own and file.exists() and file.read_bytes() != own.encode():
        raise InputError(
            Problem(
                code="rehearsal-of-other-text",
                what=f"{out} holds the rehearsal of an earlier text of “{script_id}”.",
                todo="Name another folder with --out.",
                exit_code=ExitCode.USAGE,
            )
        )


def _bring(out: Path, script_id: str, own: str) -> None:
    """The script goes where a workspace keeps its own."""
    (out / "scripts").mkdir(exist_ok=True)
    (out / "scripts" / f"{script_id}.toml").write_bytes(own.encode())


def _make(parent: Path) -> None:
    """The folder that will hold it. Raises EnvironmentFault `demo-folder`."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise EnvironmentFault(
            Problem(
                code="demo-folder",
                what=f"The folder {parent} cannot be made: {fault.strerror}.",
                todo="Name another folder with --out.",
            )
        ) from fault


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stderr.flush()


def _collect(stage: Stage, view: CeremonyView) -> None:
    """What people look for first, at the top of the folder: minutes, receipts, public keys and certificates."""
    session = stage.administrator()
    names = ceremonies.files(session, view.id)
    evidence = stage.workspace / "evidence" / view.id
    for name in names:
        target = _place(stage.workspace, name)
        if target is None:
            continue
        target.parent.mkdir(exist_ok=True)
        if not target.exists() or target.read_bytes() != (evidence / name).read_bytes():
            shutil.copyfile(evidence / name, target)
    (stage.workspace / "public").mkdir(exist_ok=True)
    shutil.copyfile(stage.workspace / "authority.pem", stage.workspace / "public" / "authority.pem")
    (stage.workspace / cast.DOCUMENT_NAME).write_bytes(cast.DOCUMENT)


def _place(out: Path, name: str) -> Path | None:
    folder, _, file = name.rpartition("/")
    match folder:
        case "" if file.startswith("minutes."):
            return out / file
        case "receipts":
            return out / "receipts" / file
        case "keys":
            return out / "public" / f"{file.removesuffix('.pem')}.key.pem"
        case "certificates":
            return out / "public" / file
        case "documents":
            return out / "public" / file
    return None


def _verify(stage: Stage) -> VerifyReport:
    """The auditor verifies the log through the gateway, with the token's own memory of its head."""
    stage.administrator()
    with stage.on_stage(cast.of_role(Role.AUDITOR)[0]) as session:
        _say("Alan Turing verifies the audit log.")
        progress = audit.start_verification(session)
        while progress.running:
            time.sleep(0.05)
            progress = audit.verification(session)
    if progress.report is None:
        raise InputError(
            Problem(code="verification-died", what="The verification ended without a report.", todo="Run it again.")
        )
    return progress.report


def _summary(stage: Stage, view: CeremonyView, report: VerifyReport, play: Play, seconds: float) -> dict[str, Any]:
    out = stage.workspace
    key = view.key
    return {
        "complete": view.status == "completed",
        "new": play.made_something,
        "workspace": str(out),
        "ceremony": view.id,
        "status": view.status,
        "adapter": device_adapter(stage),
        "key": {
            "label": key.label,
            "algorithm": key.algorithm,
            "fingerprint": key.fingerprint,
            "grade": key.grade.value,
        }
        if key
        else None,
        "minutes": str(out / "minutes.pdf"),
        "receipts": sorted(str(path) for path in (out / "receipts").glob("*")),
        "public": sorted(str(path) for path in (out / "public").glob("*")),
        "vkey": str(out / "log.vkey"),
        "verification": report.line,
        "findings": [f"{finding.word}: {finding.text}" for finding in report.findings],
        "interruptions": stage.interruptions,
        "seconds": round(seconds, 1),
    }


def device_adapter(stage: Stage) -> str:
    info = device.state(stage.administrator()).device
    return info.adapter if info else ""


def _tell(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary, ensure_ascii=False, indent=1))
        return
    key = summary["key"]
    print("The ceremony is complete." if summary["new"] else "The ceremony was complete already; nothing was made.")
    if key:
        print(f"  key          {key['label']} ({key['algorithm']}), grade {key['grade']}")
        print(f"  fingerprint  {key['fingerprint']}")
    print(f"  minutes      {summary['minutes']}")
    print(f"  receipts     {len(summary['receipts'])} files in {summary['workspace']}/receipts")
    print(f"  public keys  {summary['workspace']}/public")
    print(f"  workspace    {summary['workspace']}")
    print(f"  verification {summary['verification']}")
    print(f"  time         {summary['seconds']} s")
