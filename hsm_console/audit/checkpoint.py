"""Checkpoints: C2SP tlog-checkpoint in a C2SP signed note. The log's own line is of type 0x04 (timed Ed25519), or 0x02
where its HSM has ECDSA only; a line of type 0x06 (ML-DSA-44) may stand beside (AUDIT 4; types in `vkey`)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from typing import NoReturn, Protocol

import msgspec

from hsm_console.audit.vkey import (
    NAME,
    TIMED_ED25519,
    Vkey,
    check_signature,
    key_id,
    message_of,
    pack,
    parse_vkey,
    timed_message,
    unpack,
)
from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed

__all__ = [
    "TIMED_ED25519",
    "Checkpoint",
    "CheckpointSigner",
    "SignatureLine",
    "SignedNote",
    "Vkey",
    "check_origin",
    "cosign",
    "key_id",
    "parse_note",
    "parse_vkey",
    "sign_note",
    "signature_line",
    "signed_message",
    "signer_key",
    "strict_b64",
    "verify_line",
    "verify_note",
]
_LINE = re.compile(r"— (\S+) ([A-Za-z0-9+/=]+)")


class CheckpointSigner(Protocol):
    """The log key in the token. `sign` works on the whole message: Ed25519 (RFC 8032), 64 bytes; a signer with a
    member `kind` = 0x02 gives DER ECDSA-Sig-Value with SHA-256 and its public key as SPKI; 0x06 is ML-DSA-44."""

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


def check_origin(origin: str) -> None:
    """Raise InputError `origin-unusable` unless this may be the name of a log (C2SP: no spaces, no plus)."""
    if not NAME.fullmatch(origin):
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
    return timed_message(checkpoint_body, seconds)


def signer_key(origin: str, signer: CheckpointSigner) -> Vkey:
    """The vkey of the key that this signer holds."""
    return Vkey(origin, signer.public_key_bytes, getattr(signer, "kind", TIMED_ED25519))


def sign_note(
    checkpoint: Checkpoint,
    seconds: int,
    vkey: Vkey,
    sign: Callable[[bytes], bytes],
) -> str:
    """The signed note as text. The signature is verified in a second implementation before it is returned.

    Raises VerificationFailed `bad-signature` when the token signed something else, or with another key.
    """
    note = f"{checkpoint.body()}\n"
    note += cosign(note, seconds, vkey, sign)
    verify_note(note, vkey)
    return note


def cosign(note: str, seconds: int, vkey: Vkey, sign: Callable[[bytes], bytes]) -> str:
    """The signature line of `vkey` for this note's head. Raises VerificationFailed `bad-signature`."""
    body = note.partition("\n\n")[0] + "\n"
    head = _parse_body(body.split("\n"))
    message = message_of(vkey, body, (head.origin, head.size, head.root), seconds)
    line = signature_line(vkey, pack(vkey, seconds, sign(message)))
    verify_line(body, _parse_line(line.removesuffix("\n")), vkey)
    return line


def signature_line(vkey: Vkey, blob: bytes) -> str:
    return f"— {vkey.name} {base64.b64encode(vkey.key_id + blob).decode()}\n"


def strict_b64(text: str) -> bytes:
    """Base64 in its only form: the bits that pad the last sign are zero, so that no two texts say the same. Raises
    ValueError."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not the Base64 of these bytes")
    return data


def parse_note(text: str) -> SignedNote:
    """Split a note into checkpoint and signature lines. Raises VerificationFailed `note-unreadable`."""
    body, separator, tail = text.partition("\n\n")
    body += "\n"
    fields = body.split("\n")
    whole = bool(separator) and (not tail or tail.endswith("\n"))
    if not whole or len(fields) < 4 or any(not field for field in fields[:3]):
        _failed("note-unreadable", "the checkpoint is not a signed note of three lines and signatures")
    lines = tail.removesuffix("\n").split("\n") if tail else []
    return SignedNote(_parse_body(fields), body, tuple(_parse_line(line) for line in lines))


def _parse_body(fields: list[str]) -> Checkpoint:
    origin, size, root = fields[:3]
    try:
        root_bytes = strict_b64(root)
    except ValueError:
        root_bytes = b""
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", size) or len(root_bytes) != 32:
        _failed("note-unreadable", "size or root of the checkpoint cannot be read")
    return Checkpoint(origin, int(size), root_bytes)


def _parse_line(line: str) -> SignatureLine:
    match = _LINE.fullmatch(line)
    try:
        blob = strict_b64(match[2]) if match else b""
    except ValueError:
        blob = b""
    if match is None or len(blob) < 5:
        _failed("note-unreadable", "a signature line of the checkpoint cannot be read")
    return SignatureLine(match[1], blob[:4], blob[4:])


def verify_note(text: str, vkey: Vkey, also: Sequence[Vkey] = ()) -> tuple[Checkpoint, int]:
    """The checkpoint and when it was signed (Unix seconds; -1: type 0x02 does not say), after its signature by `vkey`
    was verified. also: further keys of the log; their lines are verified where they stand.

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
        seconds = verify_line(note.body, line, vkey)
    for key in also:
        for line in note.lines:
            if (line.name, line.key_id) == (key.name, key.key_id):
                verify_line(note.body, line, key)
    return note.checkpoint, seconds


def verify_line(body: str, line: SignatureLine, vkey: Vkey) -> int:
    """When this line was signed, after it was verified (types 0x02, 0x04, 0x06). Raises VerificationFailed
    `bad-signature`."""
    try:
        seconds, signature = unpack(vkey, line.blob)
    except ValueError:
        _failed("bad-signature", f"the signature under “{vkey.name}” has not the form of type 0x{vkey.kind:02x}")
    head = _parse_body(body.split("\n"))
    try:
        check_signature(vkey, message_of(vkey, body, (head.origin, head.size, head.root), max(0, seconds)), signature)
    except ValueError:
        _failed("bad-signature", f"the signature under “{vkey.name}” does not verify")
    return seconds


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
