"""`hsm-console use …`: use a key: sign, verify, encrypt, decrypt, derive; and draw random octets.

A device is unlocked for as long as its gateway runs; `--unlock` opens it for this one command where none runs. What is
secret goes into a file of its owner's alone, never onto the screen. Files of more than 16 MiB are signed by a list of
their digests (`--digest`), in the form of `sha256sum`.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from hsm_console.cli.key import find
from hsm_console.cli.terminal import Secrets, logged_in, read_file, require_new, usage, write_file
from hsm_console.client import device, work
from hsm_console.client.session import Session
from hsm_console.domain.errors import EnvironmentFault, ExitCode, Problem
from hsm_console.domain.keys import SignMechanism
from hsm_console.domain.messages import work as msg

MESSAGE_BYTES = 16 * 1024 * 1024
SEALED_BYTES = 12 * 1024 * 1024
SMALL_BYTES = 64 * 1024
_WORDS = {
    "sign": "sign a file, or a list of files' digests",
    "verify": "verify a signature with a key of the workspace or with anybody's public key",
    "encrypt": "encrypt a file for a key (CMS or JWE)",
    "decrypt": "open an encrypted file with a key",
    "derive": "agree on a secret with somebody's public key (ECDH, HKDF)",
    "random": "random octets of the device, mixed with the system's",
}
_WITH_KEY = ("sign", "encrypt", "decrypt", "derive")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("use", help="sign, verify, encrypt, decrypt, derive, draw random octets")
    verbs = parser.add_subparsers(dest="use_verb", metavar="VERB", required=True)
    for name, words in _WORDS.items():
        verb = verbs.add_parser(name, help=words)
        verb.add_argument("workspace", type=Path)
        if name in _WITH_KEY:
            verb.add_argument("key", help="the key's id or name")
        _MORE[name](verb)
        verb.add_argument("--credential", required=True, metavar="FILE", help="your .p12 or short name")
        verb.add_argument("--unlock", action="store_true", help="unlock the device with the PIN first")
        verb.add_argument("--secrets", choices=("-",), help="passphrase and PIN as JSON on standard input")
        verb.add_argument("--json", action="store_true")


def _of_signing(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("files", type=Path, nargs="+", metavar="FILE")
    verb.add_argument("--digest", action="store_true", help="sign a list of the files' SHA-256, written as LIST")
    verb.add_argument("--list", type=Path, metavar="LIST", help="where the list goes; else FILE.sha256")
    verb.add_argument("--mechanism", default="", help="how; else the key's default")
    verb.add_argument("--out", type=Path, metavar="SIGNATURE", help="where the signature goes; else FILE.sig")


def _of_verifying(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", type=Path)
    verb.add_argument("signature", type=Path)
    whose = verb.add_mutually_exclusive_group(required=True)
    whose.add_argument("--key", default="", help="a key of the workspace, by id or name")
    whose.add_argument("--public", type=Path, metavar="PEM", help="anybody's public key; takes --mechanism too")
    verb.add_argument("--mechanism", default="")


def _of_sealing(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("file", type=Path)
    verb.add_argument("--bind", default="", metavar="TEXT", help="bound to it and not hidden; opening takes the same")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE")


def _of_deriving(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("public", type=Path, metavar="PEM", help="the other side's public key")
    verb.add_argument("--info", default="", help="what the secret is for; both sides take the same")
    verb.add_argument("--length", type=int, default=32, help="octets, 16 to 1024")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE")


def _of_drawing(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("length", type=int, help="octets, 1 to 4096")
    verb.add_argument("--out", type=Path, required=True, metavar="FILE")


_MORE: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "sign": _of_signing,
    "verify": _of_verifying,
    "encrypt": _of_sealing,
    "decrypt": _of_sealing,
    "derive": _of_deriving,
    "random": _of_drawing,
}


def run(args: argparse.Namespace) -> int:
    """Run one of them. Raises ConsoleErrors; a signature that does not hold is one, with exit code 1."""
    secrets = Secrets(from_stdin=args.secrets == "-")
    if getattr(args, "out", None) is not None:
        require_new(args.out)  # before a key is used: what it gave could not be kept
    with logged_in(args.workspace, args.credential, secrets) as session:
        if args.unlock and not device.state(session).unlocked:
            with secrets.get("pin", "PIN of the device") as pin:
                device.unlock(session, pin)
        found, lines = _VERBS[args.use_verb](args, session)
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n" if args.json else "".join(f"{x}\n" for x in lines))
    return ExitCode.OK


def _mechanism(given: str) -> SignMechanism:
    try:
        return SignMechanism(given)
    except ValueError:
        names = ", ".join(name.value for name in SignMechanism)
        raise usage("mechanism-unknown", f"“{given[:60]}” is none of: {names}.") from None


def _message(path: Path, most: int, hint: str) -> bytes:
    """A whole file. Raises InputError `message-too-large` before anything of a large one is read."""
    if path.exists() and path.stat().st_size > most:
        raise usage("message-too-large", f"{path} has more than {most >> 20} MiB. {hint}")
    return read_file(path, most)


def _sign(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    key = find(session, args.key)
    path, data = _to_sign(args)
    out = args.out or path.with_name(f"{path.name}.sig")
    require_new(out)
    mechanism = _mechanism(args.mechanism) if args.mechanism else None
    if mechanism is None:
        known = work.detail(session, key.object_id).mechanisms
        mechanism = known[0] if known else SignMechanism.ED25519  # the gateway says why not
    reply = work.sign(session, key.object_id, mechanism, data, path.name)
    write_file(out, reply.signature)
    lines = [
        f"{out}: {len(reply.signature)} octets, {mechanism.value}, key “{key.label}”",
        f"Verified by {reply.verified_by}; record {reply.entry} in the log.",
    ]
    return {**msgspec.to_builtins(reply), "out": str(out), "signed": str(path)}, lines


def _to_sign(args: argparse.Namespace) -> tuple[Path, bytes]:
    """(the file that is signed, its octets): the one that was given, or the list of digests that is written now."""
    if not args.digest:
        if len(args.files) != 1:
            raise usage("one-file", "One file is signed at a time; several are signed by a list: `--digest`.")
        return args.files[0], _message(args.files[0], MESSAGE_BYTES, "Sign a list of its digest: `--digest`.")
    path = args.list or args.files[0].with_name(f"{args.files[0].name}.sha256")
    data = "".join(f"{_digest(each)}  {each}\n" for each in args.files).encode()
    write_file(path, data)
    return path, data


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise EnvironmentFault(
            Problem(code="file-unreadable", what=f"{path} cannot be read: {error.strerror}.", todo="Check its name.")
        ) from error


def _verify(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    key = find(session, args.key) if args.key else None
    if key is None and not args.mechanism:
        raise usage("mechanism-missing", "With a public key the mechanism is to be said: `--mechanism`.")
    known = work.detail(session, key.object_id).mechanisms if key is not None and not args.mechanism else ()
    if key is not None and not args.mechanism and not known:
        raise usage("key-cannot-sign", f"The key “{key.label}” makes no signatures.")
    wish = msg.VerifyRequest(
        mechanism=_mechanism(args.mechanism) if args.mechanism else known[0],
        data=_message(args.file, MESSAGE_BYTES, "Verify the list of digests that was signed."),
        signature=read_file(args.signature, SMALL_BYTES),
        key_id=key.object_id if key is not None else "",
        spki_pem=read_file(args.public, SMALL_BYTES).decode("ascii", "replace") if args.public else "",
        name=args.file.name,
    )
    found = work.verify(session, wish)
    who = f"key “{found.label}”" if found.label else "this public key"
    return found, [f"It holds: {who}, {found.fingerprint}", f"Verified by {found.verified_by}; record {found.entry}."]


def _encrypt(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    data = _message(args.file, SEALED_BYTES, "Encrypt it in parts.")
    key = find(session, args.key)
    reply = work.encrypt(session, key.object_id, data, args.bind.encode(), args.file.name)
    write_file(args.out, reply.envelope)
    told = {"out": str(args.out), "entry": reply.entry, "format": reply.format, "method": reply.method}
    return told, [f"{args.out}: {reply.format}, {reply.method}", f"Record {reply.entry} in the log."]


def _decrypt(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    data = _message(args.file, MESSAGE_BYTES, "It was not made by this console.")
    reply = work.decrypt(session, find(session, args.key).object_id, data, args.bind.encode(), args.file.name)
    return _kept(args.out, reply.data, reply.entry)


def _derive(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    wish = msg.DeriveRequest(
        key_id=find(session, args.key).object_id,
        peer_spki_pem=read_file(args.public, SMALL_BYTES).decode("ascii", "replace"),
        info=args.info.encode(),
        length=args.length,
    )
    reply = work.derive(session, wish)
    return _kept(args.out, reply.secret, reply.entry)


def _random(args: argparse.Namespace, session: Session) -> tuple[Any, list[str]]:
    reply = work.random(session, args.length)
    told, lines = _kept(args.out, reply.data, reply.entry)
    lines.append(f"Mixed from {' and '.join(reply.sources)}.")
    lines.append(f"Health tests of the device's generator: passed, {reply.tested} octets so far.")
    return {**told, "sources": reply.sources, "tested": reply.tested}, lines


def _kept(out: Path, data: bytes, entry: int) -> tuple[dict[str, Any], list[str]]:
    """What is secret goes into the file and is told by its size only."""
    write_file(out, data)
    return {"out": str(out), "octets": len(data), "entry": entry}, [
        f"{out}: {len(data)} octets",
        f"Record {entry} in the log.",
    ]


_VERBS: dict[str, Callable[[argparse.Namespace, Session], tuple[Any, list[str]]]] = {
    "sign": _sign,
    "verify": _verify,
    "encrypt": _encrypt,
    "decrypt": _decrypt,
    "derive": _derive,
    "random": _random,
}
