"""`hsm-console workspace init|enrol|revoke|renew|list|connect`: found a workspace, and look after its people."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.cli.terminal import Secrets, ask, logged_in, usage
from hsm_console.client import device, elsewhere, enrolment, people, setup
from hsm_console.client.session import Session
from hsm_console.domain.errors import ExitCode
from hsm_console.domain.messages.people import PersonView
from hsm_console.domain.messages.setup import Founder, FoundingProgress, FoundingSpec
from hsm_console.domain.people import Person, Role
from hsm_console.domain.secret import Secret
from hsm_console.hsm import vendors

SECRETS = "one JSON object of secrets on standard input instead of the terminal"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb `workspace` and what it can do."""
    parser = subparsers.add_parser("workspace", help="found a workspace; enrol, revoke and list its people")
    verbs = parser.add_subparsers(dest="workspace_verb", metavar="WHAT", required=True)

    init = verbs.add_parser("init", help="found a workspace: token, authority, people, log")
    init.add_argument("directory", type=Path)
    init.add_argument("--spec", choices=("-",), help="the whole specification as JSON on standard input")
    init.add_argument("--json", action="store_true", help="progress as JSON lines on standard output")

    enrol = verbs.add_parser("enrol", help="make a key for a person, certify it, put her on the roster")
    _common(enrol)
    enrol.add_argument("--uid", required=True, help="short name, for example a.turing")
    enrol.add_argument("--name", required=True, help="as printed on minutes")
    enrol.add_argument("--role", required=True, action="append", choices=[role.value for role in Role])
    enrol.add_argument("--out", type=Path, help="the credential file (credentials/UID.p12 of the workspace)")

    revoke = verbs.add_parser("revoke", help="revoke a person's certificate; her sessions end at once")
    _common(revoke)
    revoke.add_argument("--uid", required=True)
    revoke.add_argument("--reason", default="unspecified", help="CRLReason of RFC 5280 5.3.1, e.g. keyCompromise")

    renew = verbs.add_parser("renew", help="when nobody can log in because the list of revoked certificates ran out")
    renew.add_argument("directory", type=Path)
    renew.add_argument("--secrets", choices=("-",), help="the token's PIN as JSON on standard input: pin")
    renew.add_argument("--json", action="store_true")

    listing = verbs.add_parser("list", help="the people of a workspace")
    _common(listing)

    far = verbs.add_parser("connect", help="make a folder that stands for a gateway on another machine")
    far.add_argument("directory", type=Path)
    far.add_argument("--gateway", required=True, metavar="HOST:PORT", help="where it listens")
    far.add_argument("--authority", required=True, type=Path, metavar="FILE", help="authority.pem of its workspace")
    far.add_argument("--sha256", required=True, metavar="HEX", help="digest of the gateway's certificate (DER)")
    far.add_argument("--json", action="store_true")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path)
    parser.add_argument("--credential", required=True, metavar="FILE", help="yours: a .p12 file, or your short name")
    parser.add_argument("--secrets", choices=("-",), help=SECRETS + ": passphrase, pin, new_passphrase")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Run one of them. Raises ConsoleErrors."""
    acts = {"init": _init, "enrol": _enrol, "revoke": _revoke, "renew": _renew, "list": _list, "connect": _connect}
    return acts[args.workspace_verb](args)


# -- init ------------------------------------------------------------------------------------------------------


def _init(args: argparse.Namespace) -> int:
    spec = _given(args.directory) if args.spec else _asked(args.directory)

    def tell(progress: FoundingProgress) -> None:
        if args.json:
            print(msgspec.json.encode(progress).decode(), flush=True)
        elif progress.problem is None:
            sys.stderr.write(f"[{progress.n}/{progress.of}] {progress.text}\n")

    credentials = setup.run(spec, tell)
    if not args.json:
        print(f"The workspace {args.directory} is ready.")
        for uid, path in credentials.items():
            print(f"  {uid}: {path}")
        print("Move each credential file to its owner's own medium; the passphrases are kept nowhere.")
    return ExitCode.OK


def _given(directory: Path) -> FoundingSpec:
    """The specification from standard input; the folder named on the command line wins."""
    try:
        spec = msgspec.json.decode(sys.stdin.buffer.read(), type=FoundingSpec)
    except msgspec.DecodeError as error:
        raise usage("founding-unreadable", f"The specification cannot be read: {error}.") from None
    return msgspec.structs.replace(spec, directory=str(directory.absolute()))


def _asked(directory: Path) -> FoundingSpec:
    secrets = Secrets(from_stdin=False)
    name = ask("Name of the workspace", directory.name)
    environment = ask("Environment", "development-simulation")
    adapter = ask("Adapter (hsm-console adapter list)", "simulation")
    label = ask("Label of the token", re.sub(r"[^A-Za-z0-9-]", "-", directory.name)[:32])
    options = dict(pair.split("=", 1) for pair in ask("Settings of the adapter (name=value, …), or nothing").split())
    founders = _founders(secrets)
    fresh = vendors.initialises(adapter)
    if fresh and vendors.takes_initialised(adapter):
        fresh = ask("Is the token blank, so that the console initialises it? (yes, no)", "yes").lower() != "no"
    if not fresh:
        sys.stderr.write("The token was initialised by its maker's tool; its own PIN is asked for now.\n")
    with (
        secrets.new("so_pin", "The security officer's PIN for the token") if fresh else Secret("") as so_pin,
        secrets.new("pin", "The PIN that opens the token at ceremonies") as pin,
    ):
        return FoundingSpec(
            directory=str(directory.absolute()),
            name=name,
            adapter=adapter,
            environment=environment,
            token_label=label,
            so_pin=so_pin.reveal(),
            pin=pin.reveal(),
            people=founders,
            options=options,
        )


def _founders(secrets: Secrets) -> tuple[Founder, ...]:
    sys.stderr.write("The people, one after the other; an empty short name ends the list.\n")
    found: list[Founder] = []
    while uid := ask(f"Person {len(found) + 1}, short name"):
        name = ask("Name as on the minutes")
        roles = _roles(ask(f"Roles ({', '.join(role.value for role in Role)})").replace(",", " ").split())
        with secrets.new("passphrase", f"{name} chooses a passphrase for her credential") as passphrase:
            person = Person(uid=uid, name=name)
            found.append(Founder(person=person, roles=roles, passphrase=passphrase.reveal()))
    return tuple(found)


def _roles(names: list[str]) -> tuple[Role, ...]:
    try:
        return tuple(Role(name) for name in dict.fromkeys(names))
    except ValueError as error:
        raise usage("roles-refused", f"{error}.") from None


# -- people ----------------------------------------------------------------------------------------------------


def _enrol(args: argparse.Namespace) -> int:
    secrets = Secrets(from_stdin=args.secrets == "-")
    credential = args.out or args.directory / "credentials" / f"{args.uid}.p12"
    with logged_in(args.directory, args.credential, secrets, Role.ADMINISTRATOR) as session:
        _unlock(session, secrets)
        with secrets.new("new_passphrase", f"{args.name} chooses a passphrase") as passphrase:
            person = Person(uid=args.uid, name=args.name)
            view = enrolment.enrol(session, person, _roles(args.role), credential=credential, passphrase=passphrase)
    _tell([view], as_json=args.json)
    if not args.json:
        print(f"The credential is {credential}.")
    return ExitCode.OK


def _unlock(session: Session, secrets: Secrets) -> None:
    """The authority signs, so the token must be open."""
    if not device.state(session).unlocked:
        with secrets.get("pin", "PIN of the token") as pin:
            device.unlock(session, pin)


def _revoke(args: argparse.Namespace) -> int:
    secrets = Secrets(from_stdin=args.secrets == "-")
    with logged_in(args.directory, args.credential, secrets, Role.ADMINISTRATOR) as session:
        _unlock(session, secrets)
        _tell([people.revoke(session, args.uid, args.reason)], as_json=args.json)
    return ExitCode.OK


def _renew(args: argparse.Namespace) -> int:
    """No gateway lets anybody in without a fresh list, so a process of its own issues it, with the token's PIN."""
    with Secrets(from_stdin=args.secrets == "-").get("pin", "PIN of the token") as pin:
        told = setup.renew(args.directory, pin)
    if args.json:
        print(json.dumps(told))
    else:
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(told["crl_next_update_ms"] / 1000))
        print(f"List {told['crl']} of revoked certificates is in force until {until}.")
        if told["identity_renewed"]:
            print("The gateway has a new transport identity; remote screens must be told its new digest.")
    return ExitCode.OK


def _list(args: argparse.Namespace) -> int:
    secrets = Secrets(from_stdin=args.secrets == "-")
    with logged_in(args.directory, args.credential, secrets) as session:
        _tell(people.listed(session), as_json=args.json)
    return ExitCode.OK


def _connect(args: argparse.Namespace) -> int:
    """Every verb that takes a workspace takes this folder as well; nothing is asked of the gateway yet."""
    address = elsewhere.connect(args.directory, args.gateway, args.authority, args.sha256)
    if args.json:
        print(
            json.dumps({"directory": str(args.directory), "listen": address.listen, "sha256": address.gateway_sha256})
        )
    else:
        print(f"{args.directory} stands for the gateway at {address.listen}.")
        print(f"Put credential files into {args.directory / 'credentials'}, then open it:")
        print(f"  hsm-console --workspace {args.directory}")
    return ExitCode.OK


def _tell(rows: list[PersonView], *, as_json: bool) -> None:
    if as_json:
        plain: list[Any] = [msgspec.to_builtins(row) for row in rows]
        print(json.dumps(plain, ensure_ascii=False, indent=1))
        return
    for row in rows:
        state = "revoked" if row.revoked else "in force"
        roles = ", ".join(role.value for role in row.roles)
        print(f"{row.person.uid:16} {row.person.name} — {roles}; certificate {row.serial}, {state}")
