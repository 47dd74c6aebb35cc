"""Receipts: proof that one entry is in the log, which needs nothing but the log's public key (AUDIT 6).

Two forms of one thing: a C2SP `.tlog-proof` file (entry, path, checkpoint) and the text of a QR code
(`HSM1:` + Base45 of a COSE receipt, RFC 9942). `verify` raises; what it returns says what was proven and what not.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, NoReturn

import msgspec

from hsm_console.audit import cose, ocsf
from hsm_console.audit.anchors import Anchor
from hsm_console.audit.checkpoint import Checkpoint, Vkey, parse_note, strict_b64, verify_note
from hsm_console.audit.tree import leaf_hash, verify_inclusion
from hsm_console.crypto import base45
from hsm_console.domain.errors import (
    ConsoleError,
    EnvironmentFault,
    ExitCode,
    InputError,
    Problem,
    VerificationFailed,
)
from hsm_console.domain.events import Recorded
from hsm_console.paper import qr

if TYPE_CHECKING:
    from hsm_console.audit.log import AuditLog

MAGIC = "c2sp.org/tlog-proof@v1"
QR_PREFIX = "HSM1:"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,17})")


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt as read or issued, not yet verified. Either proof or qr is empty when only the other is known."""

    proof: str = ""
    qr: str = ""
    name: str = "receipt"


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """What a receipt proved. body is empty when it carries only the hash of its entry."""

    name: str
    origin: str
    index: int
    head: Checkpoint
    seconds: int
    leaf: bytes
    body: bytes
    form: str

    @property
    def recorded(self) -> Recorded | None:
        return ocsf.decode(self.body) if self.body else None

    @property
    def simulated(self) -> bool:
        return bool(self.body) and ocsf.open_envelope(self.body).hsm_console.simulated


def issue(log: AuditLog, seq: int) -> Receipt:
    """A receipt for entry seq in both forms. Raises InputError entry-missing, EnvironmentFault log-key-locked."""
    evidence = log.evidence(seq)
    if evidence.signature is None:
        raise _locked()
    proof = proof_text(evidence.index, evidence.body, evidence.path, evidence.note)
    text = qr_text(evidence.signature, evidence.head.size, evidence.index, evidence.path, evidence.body)
    return Receipt(proof=proof, qr=text, name=f"receipt of entry {seq}")


def proof_text(index: int, body: bytes, path: tuple[bytes, ...], note: str) -> str:
    """The C2SP tlog-proof; the entry's bytes travel in its `extra` line."""
    lines = [MAGIC, f"extra {_b64(body)}", f"index {index}", *(_b64(item) for item in path), ""]
    return "\n".join(lines) + "\n" + note


def qr_text(signature: cose.RootSignature, size: int, index: int, path: tuple[bytes, ...], body: bytes) -> str:
    """With the entry where one symbol can hold it, else with the entry's hash."""
    for with_entry in (True, False):
        data = cose.encode(signature, size, index, path, body, with_entry=with_entry)
        text = QR_PREFIX + base45.encode(data)
        if qr.fits(text):
            break
    return text


def verify(receipt: Receipt, vkey: Vkey) -> Proven:
    """Verify every form the receipt has; both must prove the same entry.

    Raises VerificationFailed foreign, bad-signature, bad-proof, downgrade, receipt-unreadable.
    """
    results = []
    if receipt.proof:
        results.append(_verify_proof(receipt.proof, vkey, receipt.name))
    if receipt.qr:
        results.append(_verify_qr(receipt.qr, vkey, receipt.name))
    if not results:
        _unreadable("there is no receipt in it")
    if len({(item.index, item.leaf) for item in results}) > 1:
        _unreadable("the code and the file beside it are receipts of two different entries")
    return results[0]


def _verify_proof(text: str, vkey: Vkey, name: str) -> Proven:
    index, body, path, note = _parse_proof(text)
    head, seconds = verify_note(note, vkey)
    leaf = leaf_hash(body)
    verify_inclusion(leaf, index, head.size, path, head.root)
    form = "tlog-proof"
    return Proven(name=name, origin=vkey.name, index=index, head=head, seconds=seconds, leaf=leaf, body=body, form=form)


def _parse_proof(text: str) -> tuple[int, bytes, tuple[bytes, ...], str]:
    top, separator, note = text.partition("\n\n")
    lines = top.split("\n")
    if not separator or lines[0] != MAGIC or len(lines) < 3:
        _unreadable("it is no tlog-proof")
    if not lines[1].startswith("extra "):
        _unreadable("the entry is not in it; put its bytes into the line “extra”")
    match = _INDEX.fullmatch(lines[2])
    if match is None:
        _unreadable("it does not say which entry it proves")
    body = _unb64(lines[1].removeprefix("extra "))
    return int(match[1]), body, tuple(_unb64(line) for line in lines[3:]), note


def _verify_qr(text: str, vkey: Vkey, name: str) -> Proven:
    if not text.startswith(QR_PREFIX):
        _unreadable("it does not begin with HSM1:")
    try:
        data = base45.decode(text.removeprefix(QR_PREFIX))
    except InputError as fault:
        _unreadable(fault.problem.what)
    found = cose.verify(data, vkey)
    return Proven(
        name=name,
        origin=vkey.name,
        index=found.index,
        head=found.head,
        seconds=found.seconds,
        leaf=found.leaf,
        body=found.body,
        form="code",
    )


def anchor(receipt: Receipt, vkey: Vkey) -> Anchor:
    """The verified receipt as something to hold a log against. Raises as `verify`."""
    proven = verify(receipt, vkey)
    return Anchor(
        kind="receipt",
        name=proven.name,
        origin=proven.origin,
        size=proven.head.size,
        root=proven.head.root,
        index=proven.index,
        leaf=proven.leaf,
    )


def parse(text: str, name: str = "receipt") -> Receipt:
    """A receipt from text: a tlog-proof, or what a scanner typed. Raises VerificationFailed receipt-unreadable."""
    if text.startswith(MAGIC):
        return Receipt(proof=text, name=name)
    bare = text.strip("\r\n")
    if not bare.startswith(QR_PREFIX):
        _unreadable("it begins neither with “c2sp.org/tlog-proof@v1” nor with “HSM1:”")
    return Receipt(qr=bare, name=name)


def checkpoint_of(receipt: Receipt) -> Checkpoint:
    """The head in the file's checkpoint, unverified (for showing)."""
    return parse_note(_parse_proof(receipt.proof)[3]).checkpoint


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    try:
        return strict_b64(text)
    except ValueError:
        _unreadable("a line of it is no Base64")


def _unreadable(why: str) -> NoReturn:
    raise VerificationFailed(
        Problem(
            code="receipt-unreadable",
            what=f"BAD-PROOF: this receipt cannot be read: {why}.",
            todo="Scan it again, or use the .tlog-proof file that was issued with it.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def _locked() -> ConsoleError:
    return EnvironmentFault(
        Problem(
            code="log-key-locked",
            what="A receipt is signed by the token, and the token is locked.",
            todo="Unlock the device, then ask for the receipt again.",
        )
    )
