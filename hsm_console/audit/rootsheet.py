"""A day's root under ML-DSA, on one printed sheet; older receipts are tied to it by consistency proofs (AUDIT 6).

    hsm-console root sheet v1
    old 57                        for each tied size: the consistency proof (RFC 6962 2.1.2), one base64 hash a line
    …
    (empty line)
    the signed note: checkpoint, the log's own line, and a line of C2SP type 0x06 (ML-DSA-44)

The same text stands in a file and, in four codes, on the sheet. A receipt stays as small as it is: whoever no longer
trusts its classic signature relies on the sheet, since the receipt's tree is proven to be the beginning of the sheet's.
"""

from __future__ import annotations

import base64
import binascii
from typing import NoReturn

import msgspec

from hsm_console.audit.checkpoint import Checkpoint, Vkey, parse_note, verify_line, verify_note
from hsm_console.audit.tree import verify_consistency
from hsm_console.audit.vkey import ML_DSA_44
from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed

HEAD = "hsm-console root sheet v1"
CODES = 4
MOST_BYTES = 5000
"""Of text in the codes of one sheet: each stays at version 30, error correction M."""
_MOST_PROOFS = 10_000
Proof = tuple[bytes, ...]


class RootSheet(msgspec.Struct, frozen=True, kw_only=True):
    """A verified sheet. seconds: when it was signed with ML-DSA; proofs: from older sizes to its own."""

    head: Checkpoint
    seconds: int
    key: Vkey
    note: str
    proofs: dict[int, Proof]


def write(note: str, proofs: dict[int, Proof]) -> str:
    """The sheet's text."""
    lines = [HEAD]
    for size in sorted(proofs):
        lines.append(f"old {size}")
        lines += [base64.b64encode(item).decode() for item in proofs[size]]
    return "\n".join(lines) + "\n\n" + note


def for_paper(note: str, proofs: dict[int, Proof]) -> str:
    """The text with as many proofs, the newest first, as four codes hold."""
    kept: dict[int, Proof] = {}
    for size in sorted(proofs, reverse=True):
        if len(write(note, kept | {size: proofs[size]})) > MOST_BYTES:
            break
        kept[size] = proofs[size]
    return write(note, kept)


def read(text: str, vkey: Vkey, root_key: Vkey) -> RootSheet:
    """The sheet, after both signatures were verified. vkey: of the log; root_key: the ML-DSA key, brought by whoever
    asks. Raises InputError sheet-unreadable, root-key-unusable; VerificationFailed as `verify_note`.
    """
    if root_key.kind != ML_DSA_44:
        raise _refused("root-key-unusable", "This is no ML-DSA-44 key.", "Give root.vkey, which was made with the key.")
    proofs, note = _split(text)
    head, _ = verify_note(note, vkey)
    seconds = [
        verify_line(parse_note(note).body, line, root_key)
        for line in parse_note(note).lines
        if (line.name, line.key_id) == (root_key.name, root_key.key_id)
    ]
    if not seconds:
        _wrong("FOREIGN", f"the sheet is not signed by the key {root_key.key_id.hex()}")
    return RootSheet(head=head, seconds=seconds[0], key=root_key, note=note, proofs=proofs)


def tie(sheet: RootSheet, head: Checkpoint) -> None:
    """Prove that the tree of `head` is the beginning of the sheet's. Raises InputError sheet-too-old,
    sheet-proof-missing; VerificationFailed bad-proof, foreign, fork.
    """
    if head.origin != sheet.head.origin:
        _wrong("FOREIGN", f"the sheet is of the log “{sheet.head.origin}”, the receipt of “{head.origin}”")
    if head.size > sheet.head.size:
        raise _refused(
            "sheet-too-old",
            f"The receipt is of {head.size} entries, the sheet only of {sheet.head.size}.",
            "Give a sheet that was signed after the receipt.",
        )
    if head.size == sheet.head.size:
        if head.root != sheet.head.root:
            _wrong("FORK", f"receipt and sheet name different roots for {head.size} entries")
        return
    proof = sheet.proofs.get(head.size)
    if proof is None:
        raise _refused(
            "sheet-proof-missing",
            f"The sheet holds no proof for receipts of {head.size} entries.",
            "Give the text file that was made with the sheet (it holds all proofs), or let a newer sheet be signed.",
        )
    verify_consistency(head.size, sheet.head.size, head.root, sheet.head.root, proof)


def _split(text: str) -> tuple[dict[int, Proof], str]:
    top, _, note = text.partition("\n\n")
    lines = top.split("\n")
    if lines[0].strip() != HEAD or not note:
        raise _unreadable("it does not begin as a root sheet does")
    proofs: dict[int, list[bytes]] = {}
    current: list[bytes] | None = None
    for line in lines[1:]:
        word, _, size = line.partition(" ")
        if word == "old" and size.isascii() and size.isdecimal() and len(size) < 16 and len(proofs) < _MOST_PROOFS:
            current = proofs.setdefault(int(size), [])
        elif current is None or len(current) > 64:
            raise _unreadable("a line of it is no proof")
        else:
            current.append(_hash(line))
    return {size: tuple(items) for size, items in proofs.items()}, note


def _hash(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != 32:
        raise _unreadable("a line of it is no hash")
    return data


def _unreadable(why: str) -> InputError:
    todo = "Give the text file or the PDF of the sheet, or a scan with all four codes."
    return _refused("sheet-unreadable", f"This is no root sheet: {why}.", todo)


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))


def _wrong(word: str, why: str) -> NoReturn:
    raise VerificationFailed(
        Problem(
            code=word.lower(),
            what=f"{word}: {why}.",
            todo="Do not rely on the receipt or the sheet. Keep both and show them to the auditor.",
            contact="the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )
