"""`hsm-console witness head|sign|add|list`: somebody outside signs the head of a log, so that it has one history only.

`head` and `list` read a workspace or an exported bundle without a gateway. `sign` works on another machine, offline,
from the checkpoint's text or from a picture of its code; it remembers what it signed and refuses what contradicts it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.audit import ocsf, witness_files
from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.source import open_source
from hsm_console.cli import witness_sign
from hsm_console.cli.terminal import Secrets, logged_in, text_of
from hsm_console.client import anchors
from hsm_console.crypto.files import write_durably
from hsm_console.domain.errors import ExitCode
from hsm_console.domain.events import HeadCosigned
from hsm_console.domain.messages.anchors import BringCosignature, CosignatureView

MARK = b'"head-cosigned"'


def register(subparsers: Any) -> None:
    """The verb and its sub-verbs."""
    parser = subparsers.add_parser("witness", help="cosign the log's head outside, bring cosignatures in, list them")
    verbs = parser.add_subparsers(dest="witness_verb", metavar="WHAT", required=True)
    head = verbs.add_parser("head", help="the newest signed head, for a witness")
    head.add_argument("log", type=Path, help="workspace folder, audit.db or bundle")
    head.add_argument("--since", type=int, default=0, metavar="SIZE", help="with proof that it continues this size")
    _outputs(head)
    witness_sign.arguments(verbs.add_parser("sign", help="cosign a head: offline, or in a workspace as yourself"))
    add = verbs.add_parser("add", help="bring cosigned heads into the log")
    add.add_argument("workspace", type=Path)
    add.add_argument("files", type=Path, nargs="+", metavar="FILE", help="what the witness sent: text, .png or .pdf")
    add.add_argument("--witness-key", default="", metavar="VKEY", help="of a device that the log does not know yet")
    add.add_argument("--credential", required=True, metavar="FILE", help="your .p12 or short name")
    add.add_argument("--secrets", choices=("-",), help="passphrase as JSON on standard input")
    listed = verbs.add_parser("list", help="the cosignatures of a log")
    listed.add_argument("log", type=Path, help="workspace folder, audit.db or bundle")
    for item in (add, listed):
        item.add_argument("--json", action="store_true", help="machine-readable output")


def _outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the text here (default: standard output)")
    parser.add_argument("--png", type=Path, metavar="FILE", help="also as QR code; several get numbers")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def run(args: argparse.Namespace) -> int:
    """Exit code: 0 done, 1 a head or a signature is wrong, 2 unreadable. Raises ConsoleError."""
    handlers = {"head": _head, "sign": witness_sign.run, "add": _add, "list": _list}
    return handlers[args.witness_verb](args)


def _head(args: argparse.Namespace) -> int:
    request = witness_files.request(args.log, args.since)
    head = parse_note(request.note).checkpoint
    facts = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "since": request.old}
    hand_out(request.text, args, facts)
    return ExitCode.OK


def hand_out(text: str, args: argparse.Namespace, facts: dict[str, Any]) -> None:
    """A text for somebody else: on the terminal or in a file, and as codes."""
    codes = witness_files.codes_for(text)
    pictures = []
    if args.png:
        for number, picture in enumerate(witness_files.pictures(codes), 1):
            path = args.png if len(codes) == 1 else args.png.with_stem(f"{args.png.stem}-{number}")
            write_durably(path, picture, 0o644)
            pictures.append(str(path))
    if args.out:
        write_durably(args.out, text.encode(), 0o644)
    if args.json:
        print(msgspec.json.encode({**facts, "text": text, "codes": codes, "pictures": pictures}).decode())
    elif not args.out:
        sys.stdout.write(text)
    else:
        print(f"{args.out}: head of {facts['size']} entries of “{facts['origin']}”")


def _add(args: argparse.Namespace) -> int:
    texts = [witness_files.read(path) for path in args.files]
    key = text_of(args.witness_key).strip()
    found: list[CosignatureView] = []
    with logged_in(args.workspace, args.credential, Secrets(from_stdin=args.secrets == "-")) as session:
        for text in texts:
            found += anchors.bring(session, BringCosignature(text=text, key=key))
    _show(found, as_json=args.json)
    return ExitCode.OK


def _list(args: argparse.Namespace) -> int:
    found = []
    with open_source(args.log) as source:
        for seq, _, body in source.entries():
            if body is None or MARK not in body:
                continue
            recorded = ocsf.decode(body)
            event = recorded.event
            if isinstance(event, HeadCosigned):
                found.append(
                    CosignatureView(
                        entry=seq,
                        witness=event.witness,
                        key=event.key,
                        person=event.key.rpartition("+")[2].startswith("/"),
                        size=event.size,
                        root=event.root,
                        signed_ms=event.signed_ms,
                        brought_by=recorded.actor.name if recorded.actor else "",
                        file="",
                        note=event.note,
                    )
                )
    _show(found, as_json=args.json)
    return ExitCode.OK


def _show(found: list[CosignatureView], *, as_json: bool) -> None:
    from hsm_console.audit.receipt_page import moment

    if as_json:
        print(msgspec.json.encode(found).decode())
        return
    for item in found:
        kind = "with a certificate" if item.person else "with a key of its own"
        when = moment(item.signed_ms, "UTC")[0]
        print(f"entry {item.entry}: {item.witness} cosigned {item.size} entries on {when}, {kind}")
    if not found:
        print("No witness has cosigned a head of this log yet.")
