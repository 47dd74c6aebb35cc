"""What a receipt that somebody brings proves, in words: by the log's key, and held against this workspace's log.

The file comes from outside. It is written into a folder of its own for the tool that draws PDFs, and never named by
the name it came with.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from hsm_console.audit import ocsf, receipt_files
from hsm_console.audit.receipt import Proven, Receipt, verify
from hsm_console.audit.receipt_page import DOES_NOT_PROVE, moment
from hsm_console.audit.tree import leaf_hash
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.messages.reporting import CheckedFile, CheckedReceipt, CheckFile
from hsm_console.gateway.core import Core

MAX_BYTES = 16 * 1024 * 1024
MAX_RECEIPTS = 24
_NAME = 120
_NOT_HERE = (
    "This workspace's log does NOT hold that entry today. One of the two was changed, or the log is an older copy: "
    "call the auditor."
)


def check(core: Core, wish: CheckFile) -> CheckedFile:
    """Every receipt of the file, verified or refused. Never raises for what the file holds."""
    name = "".join(c for c in wish.name if c.isprintable())[-_NAME:] or "receipt"
    try:
        found = _read(wish.data[: MAX_BYTES + 1], name)
    except ConsoleError as error:
        return CheckedFile(receipts=(CheckedReceipt(name=name, problem=error.problem),))
    return CheckedFile(receipts=tuple(_one(core, item) for item in found[:MAX_RECEIPTS]))


def _read(untrusted_data: bytes, name: str) -> tuple[Receipt, ...]:
    with tempfile.TemporaryDirectory(prefix="hsm-console-check-") as folder:
        path = Path(folder) / "receipt"
        path.write_bytes(untrusted_data)
        found = receipt_files.read(path)
    numbered = len(found) > 1
    return tuple(
        Receipt(proof=item.proof, qr=item.qr, name=f"{name} no. {n}" if numbered else name)
        for n, item in enumerate(found, 1)
    )


def _one(core: Core, receipt: Receipt) -> CheckedReceipt:
    try:
        proven = verify(receipt, core.vkey)
    except ConsoleError as error:
        return CheckedReceipt(name=receipt.name, problem=error.problem)
    in_log = _in_log(core, proven)
    recorded = proven.recorded
    return CheckedReceipt(
        name=receipt.name,
        index=proven.index,
        size=proven.head.size,
        signed_ms=proven.seconds * 1000,
        summary=ocsf.summary(recorded) if recorded else f"Entry {proven.index}; the code carries only its hash.",
        proves=_proves(proven, in_log=in_log),
        not_proven=_not_proven(proven, in_log=in_log),
        simulated=proven.simulated,
        in_log=in_log,
    )


def _in_log(core: Core, proven: Proven) -> bool:
    """Whether this log still holds that entry, byte for byte. A shorter or other log is told, never raised."""
    try:
        return leaf_hash(core.log.body(proven.index)) == proven.leaf
    except ConsoleError:
        return False


def _proves(proven: Proven, *, in_log: bool) -> tuple[str, ...]:
    signed = moment(proven.seconds * 1000, "UTC")[0]
    covered = f"Entry {proven.index} was among the first {proven.head.size} entries of the log “{proven.origin}”"
    said = [f"{covered} when the log's key signed them, on {signed}."]
    if proven.recorded is not None:
        said += ocsf.explain(proven.recorded)
    if in_log:
        said.append("This workspace's log holds that very entry today.")
    return tuple(said)


def _not_proven(proven: Proven, *, in_log: bool) -> tuple[str, ...]:
    said = [DOES_NOT_PROVE]
    if not in_log:
        said.insert(0, _NOT_HERE)
    if proven.simulated:
        said.append("It was made on a simulation (grade D): nothing was protected by hardware.")
    if not proven.body:
        said.append("What the entry says stands in the .tlog-proof file and in the log, not in this code.")
    return tuple(said)
