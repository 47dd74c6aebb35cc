"""`hsm-console audit rotate|prune|erase|disclose|root-sheet`: segments, pruning, sealed values, the day's root sheet.

Rotating is done at once; pruning and erasing are asked for here, decided by custodians (`order approve`), and carried
out by `order run`. An opened or encrypted segment is verified by `audit verify`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.audit import segment, segment_check
from hsm_console.audit.checkpoint import Vkey
from hsm_console.audit.restored import read_identity
from hsm_console.cli.terminal import Secrets, logged_in, text_of, usage
from hsm_console.client import anchors, audit, orders
from hsm_console.client.session import Session
from hsm_console.crypto.files import write_durably
from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.messages.audit import VerifyReport
from hsm_console.domain.messages.orders import OrderState, OrderView
from hsm_console.domain.reading import open_regular

VERBS = {
    "rotate": "write the complete segments of the log, encrypted to the auditor",
    "prune": "ask for the removal of old entries that stand in segments",
    "erase": "ask for the erasing of sealed values",
    "root-sheet": "sign the newest root with ML-DSA, and write the sheet that ties older receipts to it",
    "disclose": "write the sealed values of some entries into a file, to hand to somebody",
}
_POLL_SECONDS = 0.2


def arguments(verbs: Any) -> None:
    """The verbs of this module."""
    for name, words in VERBS.items():
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("workspace", type=Path)
        if name == "rotate":
            verb.add_argument("--recipient", required=True, help="age recipient (age1…), as text or in a file")
        elif name == "prune":
            verb.add_argument("--below", type=int, required=True, metavar="N", help="entries below this number go")
        elif name == "root-sheet":
            verb.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for sheet, text and key")
        else:
            verb.add_argument("--entries", required=True, metavar="N,N…", help="numbers of entries")
        if name == "erase":
            verb.add_argument("--why", required=True, help="the reason; it stands in the log")
        if name == "disclose":
            verb.add_argument("--out", type=Path, required=True, metavar="FILE")
        verb.add_argument("--credential", required=True, metavar="FILE", help="your .p12 or short name")
        verb.add_argument("--secrets", choices=("-",), help="passphrase as JSON on standard input")
        verb.add_argument("--json", action="store_true", help="machine-readable output")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 done or asked for; 3 when it could not be carried out. Raises ConsoleError."""
    with logged_in(args.workspace, args.credential, Secrets(from_stdin=args.secrets == "-")) as session:
        if args.audit_verb in ("disclose", "root-sheet"):
            return _disclose(args, session) if args.audit_verb == "disclose" else _root_sheet(args, session)
        view = _WISHES[args.audit_verb](args, session)
    if args.json:
        print(msgspec.json.encode(view).decode())
    else:
        print(f"{view.id}: {view.state.value}. {view.summary}")
        for name, text in view.result.items():
            print(f"{name}: {text}")
        if view.state is OrderState.OPEN:
            print(f"{view.needed} of {view.of} {view.role.value}s approve it with “hsm-console order approve”,")
            print("then “hsm-console order run” carries it out.")
        if view.problem:
            print(view.problem.in_words())
    return ExitCode.ENVIRONMENT if view.state is OrderState.FAILED else ExitCode.OK


def _rotate(args: argparse.Namespace, session: Session) -> OrderView:
    view = orders.open_order(session, "rotate-log", {"recipient": _line(text_of(args.recipient), "age1")})
    view = orders.run(session, view.id)
    while view.state is OrderState.RUNNING:
        time.sleep(_POLL_SECONDS)
        view = orders.show(session, view.id)
    return view


def _prune(args: argparse.Namespace, session: Session) -> OrderView:
    return orders.open_order(session, "prune-log", {"below": str(args.below)})


def _erase(args: argparse.Namespace, session: Session) -> OrderView:
    return orders.open_order(session, "erase-values", {"entries": args.entries, "why": args.why})


_WISHES = {"rotate": _rotate, "prune": _prune, "erase": _erase}


def _disclose(args: argparse.Namespace, session: Session) -> int:

    if args.out.exists():
        raise usage("out-exists", f"{args.out} is there already.")
    data = audit.disclosures(session, args.entries)
    write_durably(args.out, data)
    count = data.count(b"\n") - 1
    if args.json:
        print(msgspec.json.encode({"values": count, "file": str(args.out)}).decode())
    else:
        print(f"{count} sealed values were written to {args.out}.")
        print("“hsm-console audit verify … --disclosures FILE” holds them against the log.")
    return ExitCode.OK


def _root_sheet(args: argparse.Namespace, session: Session) -> int:
    view = anchors.sign_sheet(session)
    args.out.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {form: f"root-{view.day}-{view.size:08d}.{form}" for form in ("pdf", "txt")} | {"vkey": "root.vkey"}
    for form, name in names.items():
        write_durably(args.out / name, anchors.sheet_file(session, view.entry, form), 0o644)
    if args.json:
        print(msgspec.json.encode(view).decode())
        return ExitCode.OK
    kind = "a software key, kept wrapped by the token" if view.software else "a key in the token"
    print(f"The root of {view.size} entries was signed with ML-DSA-44 by {kind} (entry {view.entry}).")
    print("\n".join(str(args.out / name) for name in names.values()))
    return ExitCode.OK


# -- segments --------------------------------------------------------------------------------------------------


def is_segment(path: Path) -> bool:
    """Whether this is a segment: an encrypted file, or a folder in which one was opened."""
    try:
        if path.is_dir():
            return segment_check.is_segment(path)
        with open_regular(path) as file:
            return file.read(21) == b"age-encryption.org/v1"
    except OSError:
        return False  # whatever it is, it is not that; opening it as a log tells more


def verify(path: Path, vkey: Vkey, identity: str | None) -> VerifyReport:
    """Open a segment where it is encrypted, into a folder that is removed again, and verify it.

    Raises InputError identity-missing, identity-unusable, segment-unreadable.
    """
    if path.is_dir():
        return segment_check.verify_segment(path, vkey)
    if not identity:
        raise InputError(
            Problem(
                code="identity-missing",
                what=f"{path.name} is encrypted to the auditor.",
                todo="Give --identity with the file that age-keygen wrote for the recipient.",
                exit_code=ExitCode.USAGE,
            )
        )
    with tempfile.TemporaryDirectory(prefix="hsm-console-segment-") as folder:
        segment.unpack(path, read_identity(Path(identity)), Path(folder) / "segment")
        return segment_check.verify_segment(Path(folder) / "segment", vkey)


def _line(text: str, start: str) -> str:
    """The line that begins so, among comments; else all of it."""
    return next((line.strip() for line in text.splitlines() if line.strip().startswith(start)), text.strip())
