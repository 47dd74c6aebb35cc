"""`hsm-console witness sign`: the witness's own side. It trusts nothing but the log's key and its own memory."""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from hsm_console.audit import witness, witness_files
from hsm_console.audit.anchors import Anchor
from hsm_console.audit.checkpoint import Checkpoint, cosign
from hsm_console.audit.vkey import ML_DSA_44, NAME, TIMED_ED25519, Vkey, person_key
from hsm_console.cli.audit import load_vkey
from hsm_console.cli.terminal import Secrets, credential_of, logged_in, usage
from hsm_console.client import anchors
from hsm_console.client.session import OPEN_SECONDS, AgentLink
from hsm_console.crypto.files import write_durably
from hsm_console.domain.errors import ExitCode, VerificationFailed
from hsm_console.domain.messages.agent import Open, Opened, Signed, SignStatement
from hsm_console.domain.reading import read_whole

Sign = Callable[[str, int], str]
"""(note, seconds) → signature line."""


class _Memory(msgspec.Struct):
    """The largest head that this witness cosigned of one log."""

    origin: str
    size: int
    root: str
    seconds: int


def arguments(parser: argparse.ArgumentParser) -> None:
    what = "file with the head (text, .png, .pdf), - for standard input; or a workspace: then you sign there at once"
    parser.add_argument("head", metavar="HEAD", help=what)
    parser.add_argument("--vkey", help="verifier key of the log: file or text (offline: needed)")
    parser.add_argument("--key", type=Path, metavar="PEM", help="the witness's private key, Ed25519 or ML-DSA-44")
    parser.add_argument("--name", default="", help="the witness's name, as in its vkey (for example w.example/1)")
    parser.add_argument("--credential", metavar="FILE", help="a person's .p12 instead of --key")
    parser.add_argument("--card", metavar="MODULE", help="a smart card instead: its PKCS#11 module, by its whole path")
    parser.add_argument("--card-token", default="", metavar="LABEL", help="label of the card's token")
    parser.add_argument("--card-key", default="", metavar="LABEL", help="label of the card's Ed25519 or ML-DSA-44 key")
    parser.add_argument("--secrets", choices=("-",), help="passphrase, or pin, as JSON on standard input")
    parser.add_argument("--state", type=Path, metavar="FILE", help="what this witness cosigned last (default: per log)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the cosigned head here")
    parser.add_argument("--png", type=Path, metavar="FILE", help="also as QR code; several get numbers")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def run(args: argparse.Namespace) -> int:
    """Raises VerificationFailed when the head must not be signed."""
    secrets = Secrets(from_stdin=args.secrets == "-")
    if Path(args.head).is_dir():
        return _here(args, secrets)
    if not args.vkey:
        raise usage("vkey-missing", "The log's verifier key is needed: --vkey log.vkey, or the printed line.")
    text = sys.stdin.read() if args.head == "-" else witness_files.read(Path(args.head))
    request = witness.parse_request(text)
    with_key, sign = _signer(args, secrets)
    vkey, _ = load_vkey(args.vkey, Path())
    place = args.state or _place(with_key, vkey.name)
    head = witness.check_request(request, vkey, _remembered(place))
    seconds = int(time.time())
    line = sign(request.note, seconds)
    _remember(place, head, seconds)
    from hsm_console.cli.witness import hand_out

    note = witness.add_line(request.note, line)
    facts = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "witness": with_key.name}
    hand_out(note, args, {**facts, "vkey": with_key.text})
    if not args.json:
        sys.stderr.write(f"Signed as {with_key.name}. The witness's verifier key:\n{with_key.text}\n")
    return ExitCode.OK


def _here(args: argparse.Namespace, secrets: Secrets) -> int:
    """In a workspace, as the person who logs in."""
    if not args.credential:
        raise usage("credential-missing", "In a workspace people sign with their own certificate: give --credential.")
    with logged_in(Path(args.head), args.credential, secrets) as session:
        (found, *_) = anchors.cosign(session)
    if args.json:
        print(msgspec.json.encode(found).decode())
    else:
        print(f"{found.witness} cosigned {found.size} entries; it stands in entry {found.entry} and in {found.file}.")
    if args.out:
        write_durably(args.out, found.note.encode(), 0o644)
    return ExitCode.OK


def _signer(args: argparse.Namespace, secrets: Secrets) -> tuple[Vkey, Sign]:
    if sum(map(bool, (args.key, args.credential, args.card))) != 1:
        raise usage(
            "witness-key-missing", "A witness signs with one of --key (a file), --card, or --credential (a person)."
        )
    if args.credential:
        return _person(args, secrets)
    if not NAME.fullmatch(args.name):
        raise usage("witness-name-unusable", "Give the witness a --name without spaces and plus signs.")
    if args.card:
        from hsm_console.cli import witness_card

        return witness_card.signer(args, secrets)
    key = _private(args.key, secrets)
    kind = TIMED_ED25519 if isinstance(key, Ed25519PrivateKey) else ML_DSA_44
    vkey = Vkey(args.name, key.public_key().public_bytes_raw(), kind)
    return vkey, lambda note, seconds: cosign(note, seconds, vkey, key.sign)


def _private(path: Path, secrets: Secrets) -> Ed25519PrivateKey | MLDSA44PrivateKey:
    try:
        data = read_whole(path, 64 * 1024)
    except OSError as fault:
        raise usage("witness-key-unreadable", f"{path} cannot be read: {fault.strerror}.") from fault
    try:
        passphrase = None
        if b"ENCRYPTED" in data:
            with secrets.get("passphrase", f"Passphrase of {path.name}") as given:
                passphrase = given.reveal_bytes()
        key = load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as fault:
        raise usage("witness-key-unreadable", f"{path.name} is no private key, or the passphrase is wrong.") from fault
    if not isinstance(key, Ed25519PrivateKey | MLDSA44PrivateKey):
        raise usage("witness-key-unreadable", f"{path.name} is neither an Ed25519 nor an ML-DSA-44 key.")
    return key


def _person(args: argparse.Namespace, secrets: Secrets) -> tuple[Vkey, Sign]:
    """The credential agent opens the file and signs; the key never comes here."""
    path = credential_of(Path(), args.credential)
    agent = AgentLink(lambda _: None)
    with secrets.get("passphrase", f"Passphrase of {path.name}") as passphrase:
        request = Open(id=agent.new_id(), path=str(path), passphrase=passphrase.reveal_bytes())
        agent.ask(request, Opened, OPEN_SECONDS)

    def signed(text: str) -> bytes:
        asked = SignStatement(id=agent.new_id(), statement=text.encode())
        return agent.ask(asked, Signed, OPEN_SECONDS).cms

    certificate = witness.certificate_of(signed("hsm-console witness\n"))
    from hsm_console.pki.profiles import user_id

    name = args.name or user_id(certificate) or "person"

    def line(note: str, seconds: int) -> str:
        try:
            return witness.person_line(note, name, seconds, signed(witness.statement(note, seconds)))
        finally:
            agent.close()

    return person_key(name, witness.spki_of(certificate)), line


def _place(vkey: Vkey, origin: str) -> Path:
    import platformdirs

    mark = hashlib.sha256(f"{vkey.text}\n{origin}".encode()).hexdigest()[:16]
    return Path(platformdirs.user_data_path("hsm-console")) / "witness" / f"{mark}.json"


def _remembered(place: Path) -> Checkpoint | None:
    """Raises InputError witness-memory-unreadable: a witness that forgot must not sign as if it knew nothing."""
    try:
        found = msgspec.json.decode(read_whole(place, 64 * 1024), type=_Memory)
        return Checkpoint(found.origin, found.size, bytes.fromhex(found.root))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise usage("witness-memory-unreadable", f"{place}, which says what was cosigned last, is damaged.") from fault


def _remember(place: Path, head: Checkpoint, seconds: int) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    memory = _Memory(head.origin, head.size, head.root.hex(), seconds)
    write_durably(place, msgspec.json.encode(memory) + b"\n")


def held(
    paths: list[Path], keys: list[str], vkey: Vkey, log: Path
) -> tuple[list[Anchor], list[tuple[str, str]], list[str]]:
    """Cosigned heads for `audit verify`: (anchors, (word, text) of those that were refused, what was not checked).

    Raises InputError witness-key-missing when none of a head's witnesses can be judged.
    """
    folder = log if log.is_dir() else log.parent
    own = folder / "authority.pem"
    trusted = witness_files.trusted(keys or ([str(own)] if own.is_file() else []))
    found, refused, left = [], [], []
    if paths and not keys and own.is_file():
        left.append("origin of the witness's key (authority.pem of the folder itself)")
    for path in paths:
        try:
            one = witness.verify(witness_files.read(path), vkey, trusted)
        except VerificationFailed as fault:
            word, text = witness_files.word_of(fault)
            refused.append((word, f"{path.name}: {text}"))
            continue
        if not one.cosignatures:
            who = " and ".join(one.unknown) or "nobody"
            raise usage("witness-key-missing", f"{path.name} was cosigned by {who}: give the key with --witness-key.")
        found += one.anchors()
        left += [f"cosignature of {name} (key not given)" for name in one.unknown]
    return found, refused, list(dict.fromkeys(left))
