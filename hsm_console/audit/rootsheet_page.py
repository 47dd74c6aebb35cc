"""The printed root sheet: four codes, what they say in text, and how to check it. Read back after it was drawn."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from hsm_console.audit import rootsheet, witness_files
from hsm_console.audit.receipt_page import moment
from hsm_console.audit.rootsheet import RootSheet
from hsm_console.domain.errors import EnvironmentFault, ExitCode, Problem, VerificationFailed
from hsm_console.paper import frames, qr
from hsm_console.paper.page import Paper, grouped_hex

_HOW = (
    "How to check it: scan this sheet, then run “hsm-console receipt verify RECEIPT --vkey log.vkey --root-sheet FILE "
    "--root-key root.vkey”. Each code holds a quarter of the text; without our software put the parts together "
    "(docs/audit-format.md), and verify the line of type 0x06 as C2SP tlog-cosignature says."
)
_PROVES = (
    "It proves, by a signature that a quantum computer is not known to forge, which entries this log had when it was "
    "signed. A receipt of fewer entries is tied to it by a consistency proof and need not grow."
)
_NOT = "It does not prove that what the entries say is true, nor what was logged after it."


def page(sheet: RootSheet, text: str, *, workspace: str, day: str, software: bool, simulated: bool) -> bytes:
    """The sheet as PDF. text: what its codes say (`rootsheet.for_paper`). Raises VerificationFailed qr-unreadable."""
    codes = frames.encode(text.encode(), rootsheet.CODES)
    head, key = sheet.head, sheet.key
    signed = moment(sheet.seconds * 1000, "UTC")[0]
    paper = Paper(
        f"Root sheet of {day}",
        subtitle=f"{workspace} · log {head.origin}",
        simulated=simulated,
        footer=f"{head.origin} · {head.size} entries · root {head.root.hex()[:16]}…",
    )
    where = "a software key, kept wrapped by the token" if software else "a key in the token"
    paper.fields(
        [
            ("Entries", str(head.size)),
            ("Signed", f"{signed} by {where}"),
            ("ML-DSA-44 key", f"{key.key_id.hex()}, SHA-256 of the verifier key's text below"),
        ]
    )
    paper.mono(grouped_hex(hashlib.sha256(key.text.encode()).hexdigest(), 16), size=7)
    paper.text("Merkle root over these entries (RFC 6962)")
    paper.mono(grouped_hex(head.root, 16), size=7)
    paper.codes(codes, columns=2)
    for line in (_HOW, _PROVES, _NOT):
        paper.text(line, small=True)
    _proofs(paper, text)
    data = paper.build()
    check(data, text)
    return data


def _proofs(paper: Paper, text: str) -> None:
    top, _, note = text.partition("\n\n")
    lines = top.split("\n")[1:]
    paper.heading("Consistency proofs from older receipts (in the codes, too)")
    paper.mono(lines or ["none: no receipt of fewer entries was issued"], size=6.5)
    paper.heading("The signed note")
    cut = [line[at : at + 110] for line in note.rstrip("\n").split("\n") for at in range(0, max(1, len(line)), 110)]
    paper.mono(cut, size=6)


def check(pdf: bytes, text: str) -> None:
    """Draw the sheet and read its codes. Without the program that draws pages each code alone is read back."""
    with tempfile.TemporaryDirectory(prefix="hsm-console-sheet-") as folder:
        path = Path(folder) / "sheet.pdf"
        path.write_bytes(pdf)
        try:
            found = witness_files.read(path)
        except EnvironmentFault:
            for code in frames.encode(text.encode(), rootsheet.CODES):
                qr.png(code)  # reads itself back
            return
    if found != text:
        raise VerificationFailed(
            Problem(
                code="qr-unreadable",
                what="The codes on the drawn sheet do not read back as what they should say.",
                todo="Do not print this sheet; use its text file, and report this.",
                exit_code=ExitCode.VERIFICATION,
            )
        )
