"""Checkpoints: C2SP tlog-checkpoint in a C2SP signed note with a timed Ed25519 signature, type 0x04 (AUDIT 4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import NoReturn, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed

TIMED_ED25519 = 4
_SIGNATURE_BYTES = 64
_LINE = re.compile(r"— (\S+) ([A-Za-z0-9+/=]+)")
_NAME = re.compile(r"[\x21-\x2a\x2c-\x7e]{1,200}")  # no space, no plus (C2SP signed-note)


class CheckpointSigner(Protocol):
    """The log key in the token. `sign` is Ed25519 (RFC 8032) over the whole message, 64 bytes."""

    @property
    def public_key_bytes(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes: ...


class Checkpoint(msgspec.Struct, frozen=True):
    """A tree head: the log's name, how many entries, the RFC 6962 root over them."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Vkey(msgspec.Struct, frozen=True):
    """A C2SP verifier key: what an auditor holds on paper. name is the log's origin; public_key is 32 bytes."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, TIMED_ED25519, self.public_key)

    @property
    def text(self) -> str:
        """`origin+hex keyid+base64(0x04 ‖ public key)`, without a newline."""
        material = base64.b64encode(bytes([TIMED_ED25519]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"


class SignatureLine(msgspec.Struct, frozen=True):
    """One `— name base64(keyid ‖ …)` line; blob is what follows the four bytes of the key id."""

    name: str
    key_id: bytes
    blob: bytes


class SignedNote(msgspec.Struct, frozen=True):
    """A parsed note: its checkpoint, the exact text that is signed, and all signature lines."""

    checkpoint: Checkpoint
    body: str
    lines: tuple[SignatureLine, ...]


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """C2SP: SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def parse_vkey(text: str) -> Vkey:
    """Read a C2SP vkey. Raises InputError `vkey-unreadable`."""
    parts = text.strip().split("+", 2)
    try:
        name, keyid, material = parts
        data = base64.b64decode(material, validate=True)
    except (ValueError, binascii.Error):
        _unreadable("it is not of the form name+keyid+key")
    if len(data) != 33 or data[0] != TIMED_ED25519:
        _unreadable("it is no timed Ed25519 key (type 0x04)")
    vkey = Vkey(name, data[1:])
    if not _NAME.fullmatch(name) or vkey.key_id.hex() != keyid:
        _unreadable("its key id does not belong to its name and key")
    return vkey


def check_origin(origin: str) -> None:
    """Raise InputError `origin-unusable` unless this may be the name of a log (C2SP: no spaces, no plus)."""
    if not _NAME.fullmatch(origin):
        raise InputError(
            Problem(
                code="origin-unusable",
                what=f"“{origin}” cannot be the name of a log.",
                todo="Use letters, digits, dots, dashes and slashes only, for example example.org/ceremony-room.",
                exit_code=ExitCode.USAGE,
            )
        )


def signed_message(checkpoint_body: str, seconds: int) -> bytes:
    """What a timed Ed25519 key signs (C2SP tlog-cosignature): header, time, note body."""
    return f"cosignature/v1\ntime {seconds}\n{checkpoint_body}".encode()


def sign_note(checkpoint: Checkpoint, seconds: int, public_key: bytes, sign: Callable[[bytes], bytes]) -> str:
    """The signed note as text. The signature is verified in a second implementation before it is returned.

    Raises VerificationFailed `bad-signature` when the token signed something else, or with another key.
    """
    signature = sign(signed_message(checkpoint.body(), seconds))
    vkey = Vkey(checkpoint.origin, public_key)
    line = signature_line(vkey, seconds.to_bytes(8, "big") + signature)
    note = f"{checkpoint.body()}\n{line}"
    verify_note(note, vkey)
    return note


def signature_line(vkey: Vkey, blob: bytes) -> str:
    return f"— {vkey.name} {base64.b64encode(vkey.key_id + blob).decode()}\n"


def parse_note(text: str) -> SignedNote:
    """Split a note into checkpoint and signature lines. Raises VerificationFailed `note-unreadable`."""
    body, separator, tail = text.partition("\n\n")
    body += "\n"
    fields = body.split("\n")
    if not separator or len(fields) < 4 or any(not field for field in fields[:3]):
        _failed("note-unreadable", "the checkpoint is not a signed note of three lines and signatures")
    lines = tail.removesuffix("\n").split("\n") if tail else []
    return SignedNote(_parse_body(fields), body, tuple(_parse_line(line) for line in lines))


def _parse_body(fields: list[str]) -> Checkpoint:
    origin, size, root = fields[:3]
    try:
        root_bytes = base64.b64decode(root, validate=True)
    except (ValueError, binascii.Error):
        root_bytes = b""
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", size) or len(root_bytes) != 32:
        _failed("note-unreadable", "size or root of the checkpoint cannot be read")
    return Checkpoint(origin, int(size), root_bytes)


def _parse_line(line: str) -> SignatureLine:
    match = _LINE.fullmatch(line)
    try:
        blob = base64.b64decode(match[2], validate=True) if match else b""
    except (ValueError, binascii.Error):
        blob = b""
    if match is None or len(blob) < 5:
        _failed("note-unreadable", "a signature line of the checkpoint cannot be read")
    return SignatureLine(match[1], blob[:4], blob[4:])


def verify_note(text: str, vkey: Vkey) -> tuple[Checkpoint, int]:
    """The checkpoint and when it was signed (Unix seconds), after its signature by `vkey` was verified.

    Lines of other keys are left to their own verifiers (witnesses), as C2SP says. Raises VerificationFailed with
    code note-unreadable, foreign (no line of this key, or another origin), downgrade (no signature at all) or
    bad-signature.
    """
    note = parse_note(text)
    if not note.lines:
        _failed("downgrade", f"the checkpoint of size {note.checkpoint.size} carries no signature")
    if note.checkpoint.origin != vkey.name:
        _failed("foreign", f"the checkpoint is of the log “{note.checkpoint.origin}”, not of “{vkey.name}”")
    mine = [line for line in note.lines if (line.name, line.key_id) == (vkey.name, vkey.key_id)]
    if not mine:
        _failed("foreign", f"the checkpoint of size {note.checkpoint.size} is not signed by key {vkey.key_id.hex()}")
    for line in mine:
        seconds = _verify_line(note.body, line, vkey)
    return note.checkpoint, seconds


def _verify_line(body: str, line: SignatureLine, vkey: Vkey) -> int:
    seconds = int.from_bytes(line.blob[:8], "big")
    if len(line.blob) != 8 + _SIGNATURE_BYTES or seconds >= 1 << 63:
        _failed("bad-signature", "the signature has not the form of a timed Ed25519 signature")
    try:
        key = Ed25519PublicKey.from_public_bytes(vkey.public_key)
        key.verify(line.blob[8:], signed_message(body, seconds))
    except (InvalidSignature, ValueError):
        _failed("bad-signature", f"the signature under “{vkey.name}” does not verify")
    return seconds


def _unreadable(why: str) -> NoReturn:
    raise InputError(
        Problem(
            code="vkey-unreadable",
            what=f"This is not a verifier key of a log: {why}.",
            todo="Use the file log.vkey, or type the key from the page that was printed at the first ceremony.",
            contact="the auditor",
            exit_code=ExitCode.USAGE,
        )
    )


def _failed(code: str, why: str) -> NoReturn:
    raise VerificationFailed(
        Problem(
            code=code,
            what=f"{'BAD-SIGNATURE' if code == 'note-unreadable' else code.upper()}: {why}.",
            todo="Do not rely on this checkpoint. Keep the file as it is; compare it with receipts and other copies.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
