"""The receipt on paper: what happened, who, when, the proof, and how a stranger checks it (AUDIT 6)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from hsm_console.audit import cose, ocsf
from hsm_console.audit.checkpoint import Vkey
from hsm_console.audit.receipt import QR_PREFIX, Proven, Receipt, verify
from hsm_console.audit.receipt_files import read
from hsm_console.crypto import base45
from hsm_console.domain.errors import ExitCode, InputError, Problem, VerificationFailed
from hsm_console.domain.events import Recorded
from hsm_console.domain.keys import Grade
from hsm_console.paper import qr

if TYPE_CHECKING:
    from hsm_console.paper.page import Paper

PROVES = (
    "This receipt proves that exactly the entry described here is number {index} of the log “{origin}”, that the log "
    "had {size} entries when its key signed it, and that none of them can be changed since without contradicting "
    "this page."
)
DOES_NOT_PROVE = (
    "It does not prove that what the entry says is true, that the clock was right, or that the holder of the log's "
    "key signed no other history: compare receipts of different people, and the log itself, to find that out."
)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What stands around the receipt. zone: IANA name of the local time zone, empty: the workstation's own."""

    workspace: str
    environment: str
    simulated: bool
    ceremony: str = ""
    zone: str = ""
    size: str = "A4"


def page(receipt: Receipt, vkey: Vkey, setting: Setting, shown: Callable[[Recorded], Recorded] | None = None) -> bytes:
    """The PDF page. The receipt is verified before, and the drawn page is read back after (where pdftoppm is
    installed). Raises as `receipt.verify`, and VerificationFailed qr-unreadable."""
    from hsm_console.paper.page import Paper  # ReportLab takes its time

    proven = verify(receipt, vkey)
    recorded = proven.recorded
    if recorded is not None and shown is not None:
        recorded = shown(recorded)
    simulated = setting.simulated or proven.simulated
    paper = Paper(
        f"Receipt for entry {proven.index}",
        subtitle=f"{setting.workspace} · {setting.environment} · log {proven.origin}",
        simulated=simulated,
        size=setting.size,
        footer=f"{proven.origin} entry {proven.index} of {proven.head.size}",
    )
    if recorded is not None:
        _event(paper, recorded, setting)
        _key(paper, recorded.event, simulated=simulated)
    _proof(paper, proven, receipt, vkey)
    _how(paper, proven, receipt)
    data = paper.build()
    check(data, receipt)
    return data


def check(pdf: bytes, receipt: Receipt) -> None:
    """Draw the page at 150 dpi and read its code. Raises VerificationFailed qr-unreadable when it says another text.

    Without pdftoppm the code alone is drawn and read.
    """
    if shutil.which("pdftoppm") is None:
        qr.png(receipt.qr)
        return
    with tempfile.TemporaryDirectory(prefix="hsm-console-page-") as name:
        path = Path(name) / "receipt.pdf"
        path.write_bytes(pdf)
        command = ["pdftoppm", "-r", "150", "-gray", "-png", str(path), f"{name}/page"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        texts = [item.qr for picture in sorted(Path(name).glob("page*.png")) for item in _codes(picture)]
    if receipt.qr not in texts:
        raise VerificationFailed(
            Problem(
                code="qr-unreadable",
                what="The code on the drawn page does not read back as what it should say.",
                todo="Do not print this page; use the .tlog-proof file, and report this.",
                exit_code=ExitCode.VERIFICATION,
            )
        )


def _codes(picture: Path) -> tuple[Receipt, ...]:
    try:
        return read(picture)
    except InputError:
        return ()  # a page without a code: the last one, or text only


def _event(paper: Paper, recorded: Recorded, setting: Setting) -> None:
    actor = recorded.actor
    who = (
        f"{ocsf.name_of(recorded)} ({actor.uid}), {', '.join(role.value for role in actor.roles)}"
        if actor
        else "the workstation"
    )
    utc, local = moment(recorded.time_ms, setting.zone)
    event: Any = recorded.event
    rows = [("What", ocsf.summary(recorded)), ("Who", who), ("When (UTC)", utc), ("When (local)", local)]
    if getattr(event, "ceremony_id", ""):
        step = f", step “{event.step}”" if getattr(event, "step", "") else ""
        rows.append(("Ceremony", f"{setting.ceremony or event.ceremony_id}{step}"))
    rows.append(("Result", ocsf.status(recorded)))
    paper.fields(rows)


def _key(paper: Paper, event: Any, *, simulated: bool) -> None:
    fingerprint = getattr(event, "fingerprint", "")
    if fingerprint:
        paper.digest("Fingerprint of the public key (SHA-256 of its SubjectPublicKeyInfo)", fingerprint)
    grade = Grade.D if simulated else getattr(event, "grade", None)
    if grade is not None:
        paper.fields([(f"Evidence grade {grade.value}", f"{grade.meaning} {grade.does_not_prove}")])


def _proof(paper: Paper, proven: Proven, receipt: Receipt, vkey: Vkey) -> None:
    from hsm_console.paper.page import grouped_hex

    signed, _ = moment(proven.seconds * 1000, "UTC")
    paper.heading("The proof")
    rows = [
        ("Entry", f"number {proven.index} (counted from 0) of {proven.head.size}"),
        ("Signed", f"{signed} by log key {vkey.key_id.hex()}"),
    ]
    paper.fields(rows)
    paper.text("Merkle root over these entries (RFC 6962)")
    paper.mono(grouped_hex(proven.head.root, 16), size=7)
    if receipt.proof:
        paper.text("Checkpoint (C2SP signed note)")
        note = receipt.proof.partition("\n\n")[2].rstrip("\n")
        paper.mono(
            [line[at : at + 96] for line in note.split("\n") for at in range(0, max(1, len(line)), 96)], size=6.5
        )


def _how(paper: Paper, proven: Proven, receipt: Receipt) -> None:
    carried = "the entry itself" if _carries_entry(receipt) else "the entry's hash"
    check = (
        "How to check it: scan this page or the code, then run “hsm-console receipt verify FILE --vkey log.vkey”. "
        "Without our software: docs/verify.py with Python and openssl, and the .tlog-proof file that was issued with "
        "this page. The key log.vkey was printed at the first ceremony; take it from there, never from the machine "
        "that is being checked."
    )
    proves = PROVES.format(index=proven.index, origin=proven.origin, size=proven.head.size)
    below = f"The code carries {carried}, its inclusion proof and the log key's signature (RFC 9942)."
    paper.qr(receipt.qr, below, beside=(check, proves, DOES_NOT_PROVE))


def _cut(line: str, width: int = 120) -> list[str]:
    return [line[at : at + width] for at in range(0, max(1, len(line)), width)]


def _carries_entry(receipt: Receipt) -> bool:
    return cose.carries_entry(base45.decode(receipt.qr.removeprefix(QR_PREFIX)))


def moment(time_ms: int, zone: str) -> tuple[str, str]:
    """(UTC, local) of a Unix time in ms, to the second, with offset and zone named."""
    utc = datetime.fromtimestamp(time_ms // 1000, UTC)
    try:
        local = utc.astimezone(ZoneInfo(zone)) if zone else utc.astimezone()
    except (ZoneInfoNotFoundError, ValueError):
        local = utc.astimezone()
    name = zone or local.tzname() or ""
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC", f"{local:%Y-%m-%d %H:%M:%S %z} {name}".rstrip()
