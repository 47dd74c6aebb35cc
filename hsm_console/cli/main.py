"""The command `hsm-console`: one table of verbs, imported only when used (DESIGN 8).

Without a verb it becomes the desktop application. Every failure is told in four things; the exit code says of
which kind it was: 0 done or verified, 1 verification found something, 2 usage, 3 environment, 4 refused by policy.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

import msgspec

from hsm_console import __version__
from hsm_console.cli import desktop
from hsm_console.domain.errors import ConsoleError, ExitCode, Problem

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("hsm_console.cli.demo", "hold a whole ceremony with scripted participants"),
    "gateway": ("hsm_console.cli.gateway", "run the gateway of a workspace"),
    "workspace": ("hsm_console.cli.workspace", "found a workspace; enrol, revoke and list its people"),
    "ceremony": ("hsm_console.cli.ceremony", "lint, print, rehearse, run and look at ceremonies"),
    "audit": ("hsm_console.cli.audit", "verify, export and report the audit log"),
    "key": ("hsm_console.cli.key", "look at keys; ask for new ones, destroy, wrap, unwrap"),
    "use": ("hsm_console.cli.use", "sign, verify, encrypt, decrypt, derive, draw random octets"),
    "order": ("hsm_console.cli.order", "ask for, decide about and carry out what needs a quorum"),
    "witness": ("hsm_console.cli.witness", "let witnesses cosign the log's head"),
    "receipt": ("hsm_console.cli.receipt", "verify printed or saved receipts"),
    "device": ("hsm_console.cli.device", "list, add, probe, unlock and compare the devices of a workspace"),
    "adapter": ("hsm_console.cli.adapter", "list, probe and examine adapters for HSMs"),
    "rebuild": ("hsm_console.cli.rebuild", "make the tables of a workspace anew from its log"),
    "bench": ("hsm_console.cli.bench", "measure the budgets"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    os.umask(0o077)  # what a ceremony leaves is for the workstation's owner, whatever the shell's mask
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if not arguments or (arguments[0].startswith("--") and arguments[0] not in ("--help", "--version")):
            desktop.become(*arguments)  # its own options: --workspace DIR, --theme NAME, --scale N, …
        return _run(arguments)
    except ConsoleError as error:
        _tell(error.problem, as_json="--json" in arguments)
        return int(error.problem.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped. What was done so far is in the log; the same command goes on from there.\n")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except OSError as error:  # a file or a folder that a verb was given, and that nobody below looked at before
        problem = _of_system(error)
        _tell(problem, as_json="--json" in arguments)
        return int(problem.exit_code)


def _run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="hsm-console",
        description="Key ceremonies on hardware security modules, with evidence that a stranger can check.",
        epilog="Without a verb the desktop application opens; it takes --workspace DIR, --theme NAME and --scale N.",
    )
    parser.add_argument("--version", action="version", version=f"hsm-console {__version__}")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    verb = arguments[0]
    if verb not in VERBS:
        for name, (_, words) in VERBS.items():
            subparsers.add_parser(name, help=words)
        parser.parse_args(arguments)  # prints help or what is wrong, and exits
        return ExitCode.USAGE
    module = importlib.import_module(VERBS[verb][0])
    module.register(subparsers)
    return int(module.run(parser.parse_args(arguments)))


def _of_system(error: OSError) -> Problem:
    named = error.filename is not None
    return Problem(
        code="file-unusable" if named else "system-refused",
        what=f"{str(error.filename)[-200:]}: {error.strerror}." if named else f"The system refused: {error}.",
        key_state="What was asked for was not finished; the log says what was done before.",
        todo="Check the name, the permissions and the free space, then try again.",
        exit_code=ExitCode.USAGE if named else ExitCode.ENVIRONMENT,
    )


def _tell(problem: Problem, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(problem).decode() + "\n")
    sys.stderr.write(problem.in_words() + "\n")
    for name, value in problem.details.items():
        sys.stderr.write(f"  {name}: {value}\n")


if __name__ == "__main__":
    raise SystemExit(main())
