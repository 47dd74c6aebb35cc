"""Witness cosignatures: somebody outside signs a head of the log, so that its key's holder cannot show two histories.

What travels is C2SP throughout. Out: the signed checkpoint, or the body of a tlog-witness add-checkpoint request
(`old N`, consistency proof, empty line, checkpoint). Back: the same checkpoint with one more signature line: type 0x04
of a device with an Ed25519 key, type 0x06 (ML-DSA-44), or type 0xff of a person, a CMS signature that
`openssl cms -verify` checks (see `vkey`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import NoReturn

import msgspec
from asn1crypto import cms as asn1
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsm_console.audit.anchors import Anchor
from hsm_console.audit.checkpoint import (
    Checkpoint,
    SignatureLine,
    SignedNote,
    parse_note,
    signature_line,
    verify_line,
    verify_note,
)
from hsm_console.audit.tree import verify_consistency
from hsm_console.audit.vkey import NAME, OTHER, Vkey, pack, person_key, timed_message, unpack
from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed
from hsm_console.pki import cms

MAX_NOTE_CHARS = 64 * 1024
MAX_LINES = 32
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")


class Request(msgspec.Struct, frozen=True):
    """What a witness gets. old: the size that the proof begins at, 0 when there is none."""

    note: str
    old: int = 0
    path: tuple[bytes, ...] = ()

    @property
    def text(self) -> str:
        """As C2SP tlog-witness has it; the bare checkpoint when there is no proof."""
        if not self.old:
            return self.note
        proof = [base64.b64encode(item).decode() for item in self.path]
        return "\n".join([f"old {self.old}", *proof, "", ""]) + self.note


class Trusted(msgspec.Struct, frozen=True):
    """Whose cosignatures count. people: certificates of single persons; authorities: of whoever they certified."""

    keys: tuple[Vkey, ...] = ()
    people: tuple[x509.Certificate, ...] = ()
    authorities: tuple[x509.Certificate, ...] = ()


class Cosignature(msgspec.Struct, frozen=True):
    """One verified line of a witness. key: whose; certificate: of a person (DER), else empty."""

    witness: str
    key: Vkey
    seconds: int
    certificate: bytes = b""


class Witnessed(msgspec.Struct, frozen=True):
    """A head that was cosigned. unknown: names whose lines could not be judged, since their keys were not given."""

    head: Checkpoint
    note: str
    cosignatures: tuple[Cosignature, ...]
    unknown: tuple[str, ...] = ()

    def anchors(self) -> list[Anchor]:
        """One for each witness, to hold a log against."""
        head = self.head
        return [
            Anchor(
                kind="witness",
                name=f"witness {item.witness}",
                origin=head.origin,
                size=head.size,
                root=head.root,
                by=item.key.text,
            )
            for item in self.cosignatures
        ]


def parse_request(text: str) -> Request:
    """An add-checkpoint request or a bare checkpoint. Raises VerificationFailed note-unreadable."""
    if len(text) > MAX_NOTE_CHARS:
        _failed("note-unreadable", "BAD-SIGNATURE: this is far too long for a checkpoint")
    first = text.partition("\n")[0]
    match = _OLD.fullmatch(first)
    if match is None:
        parse_note(text)
        return Request(text)
    proof, separator, note = text.partition("\n\n")
    try:
        path = tuple(base64.b64decode(line, validate=True) for line in proof.split("\n")[1:])
    except ValueError:
        path = ()
        separator = ""
    if not separator:
        _failed("note-unreadable", "BAD-PROOF: the request for a cosignature cannot be read")
    parse_note(note)
    return Request(note, int(match[1]), path)


def check_request(request: Request, log: Vkey, known: Checkpoint | None) -> Checkpoint:
    """What a witness must see before it signs: the log's own signature, and that this head continues the one it
    cosigned last (`known`).

    Raises VerificationFailed: as `verify_note`; witness-conflict (another root at a size that was cosigned);
    head-older; proof-needed; bad-proof.
    """
    head, _ = verify_note(request.note, log)
    if known is None:
        return head
    if known.origin != head.origin:
        _failed("foreign", f"FOREIGN: the last head was of “{known.origin}”, this one is of “{head.origin}”")
    if head.size == known.size and head.root != known.root:
        _failed(
            "witness-conflict",
            f"WITNESS-CONFLICT: at {head.size} entries this witness cosigned another root; one of the two is false",
        )
    if head.size < known.size:
        _failed("head-older", f"ROLLED-BACK: {known.size} entries were cosigned already, this head has {head.size}")
    if head.size > known.size:
        if request.old != known.size:
            _failed(
                "proof-needed",
                f"INCOMPLETE: it is not shown that this head continues the one of {known.size} entries; ask for "
                f"“hsm-console witness head --since {known.size}”",
            )
        verify_consistency(known.size, head.size, known.root, head.root, request.path)
    return head


def statement(note: str, seconds: int) -> str:
    """The text that a person signs as detached CMS: `cosignature/v1`, the time, the checkpoint."""
    return timed_message(parse_note(note).body, seconds).decode()


def person_line(note: str, name: str, seconds: int, untrusted_cms: bytes) -> str:
    """The signature line of a person. Raises VerificationFailed when the CMS is not over this head."""
    certificate = certificate_of(untrusted_cms)
    key = person_key(_usable(name), spki_of(certificate))
    _check_person(parse_note(note).body, key, seconds, untrusted_cms)
    return signature_line(key, pack(key, seconds, untrusted_cms))


def add_line(note: str, line: str) -> str:
    """The note with one more line; a line that stands there already is not repeated."""
    return note if line in note else note + line


def verify(note: str, log: Vkey, trusted: Trusted) -> Witnessed:
    """Verify the log's own line and every line of a witness that is trusted.

    Raises VerificationFailed: as `verify_note`; bad-signature when a trusted witness's line is wrong.
    """
    head, _ = verify_note(note, log)
    parsed = parse_note(note)
    if len(parsed.lines) > MAX_LINES:
        _failed("note-unreadable", "BAD-SIGNATURE: the checkpoint carries more signatures than anybody asked for")
    found: list[Cosignature] = []
    unknown: list[str] = []
    for line in parsed.lines:
        if line.name == log.name:
            continue
        one = _cosignature(parsed, line, trusted)
        if one is None:
            unknown.append(line.name)
        else:
            found.append(one)
    return Witnessed(head, note, tuple(found), tuple(unknown))


def _cosignature(note: SignedNote, line: SignatureLine, trusted: Trusted) -> Cosignature | None:
    for key in trusted.keys:
        if (key.name, key.key_id) == (line.name, line.key_id):
            if key.kind == OTHER:
                return _person(note, line, key)
            return Cosignature(key.name, key, verify_line(note.body, line, key))
    for certificate in trusted.people:
        key = person_key(line.name, spki_of(certificate))
        if key.key_id == line.key_id:
            return _person(note, line, key)
    return _certified(note, line, trusted.authorities) if trusted.authorities else None


def _certified(note: SignedNote, line: SignatureLine, authorities: Sequence[x509.Certificate]) -> Cosignature | None:
    """A person whom one of these authorities certified."""
    try:
        certificate = certificate_of(line.blob[8:])
    except VerificationFailed:
        return None
    key = person_key(line.name, spki_of(certificate))
    if key.key_id != line.key_id:
        return None
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError):
            continue
        except Exception as fault:  # cryptography raises InvalidSignature, which is no ValueError
            if type(fault).__name__ != "InvalidSignature":
                raise
            continue
        return _person(note, line, key)
    return None


def _person(note: SignedNote, line: SignatureLine, key: Vkey) -> Cosignature:
    try:
        seconds, signature = unpack(key, line.blob)
    except ValueError:
        _failed("bad-signature", f"BAD-SIGNATURE: the line of “{line.name}” has not the form of a cosignature")
    certificate = _check_person(note.body, key, seconds, signature)
    return Cosignature(line.name, key, seconds, certificate.public_bytes(Encoding.DER))


def _check_person(body: str, key: Vkey, seconds: int, untrusted_cms: bytes) -> x509.Certificate:
    certificate = certificate_of(untrusted_cms)
    if spki_of(certificate) != key.spki:
        _failed("bad-signature", f"BAD-SIGNATURE: the cosignature of “{key.name}” was made with another key")
    try:
        cms.verify_detached(certificate, timed_message(body, seconds), untrusted_cms)
    except VerificationFailed as fault:
        why = fault.problem.what.rstrip(".")
        _failed("bad-signature", f"BAD-SIGNATURE: the cosignature of “{key.name}” does not verify: {why}")
    return certificate


def certificate_of(untrusted_cms: bytes) -> x509.Certificate:
    """The one certificate that travels in the signature. Whether it is trusted is the caller's question."""
    try:
        content = asn1.ContentInfo.load(untrusted_cms, strict=True)["content"]
        (choice,) = content["certificates"]
        return x509.load_der_x509_certificate(choice.chosen.dump())
    except (ValueError, TypeError, KeyError, OverflowError):
        _failed("bad-signature", "BAD-SIGNATURE: the cosignature is no CMS signature with one certificate")


def spki_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _usable(name: str) -> str:
    if NAME.fullmatch(name):
        return name
    raise InputError(
        Problem(
            code="witness-name-unusable",
            what=f"“{name}” cannot be the name of a witness.",
            todo="Use letters, digits, dots, dashes and slashes only, for example witness.example.org/w1.",
            exit_code=ExitCode.USAGE,
        )
    )


def _failed(code: str, why: str) -> NoReturn:
    raise VerificationFailed(
        Problem(
            code=code,
            what=f"{why}.",
            todo="Do not sign and do not rely on it. Keep both texts as they are and show them to the auditor.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
