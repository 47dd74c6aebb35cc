"""Receipts: made, recorded, shown, printed, and read back (AUDIT 6).

A receipt is signed by the token, so one that was recorded but not written before a crash is made anew at the next
unlock: another receipt of the same entry under a newer head proves no less.
"""

from __future__ import annotations

import base64
import threading
from pathlib import Path

from hsm_console.audit import ocsf, receipt_files, receipt_page
from hsm_console.audit import receipt as rc
from hsm_console.audit.opened import Opener
from hsm_console.audit.receipt import Receipt
from hsm_console.audit.receipt_page import Setting
from hsm_console.crypto.files import write_durably
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.ceremony import ReceiptView
from hsm_console.gateway.core import Core
from hsm_console.gateway.sessions import Session
from hsm_console.paper import qr

PUBLIC_MODE = 0o644
PDF, PNG, PROOF = "pdf", "png", "tlog-proof"
KEPT = 64


class Receipts:
    """Makes receipts and keeps the newest in memory; those of ceremonies lie in their evidence folder."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._made: dict[int, Receipt] = {}

    def check(self, text: str) -> dict[str, str]:
        """What was scanned, verified with the log's key. Raises VerificationFailed; for `Context.check_receipt`."""
        proven = rc.verify(rc.parse(text, "the scanned receipt"), self._core.vkey)
        return {"index": str(proven.index), "log size": str(proven.head.size), "root": proven.head.root.hex()}

    def issue(self, index: int, *, medium: str, ceremony_id: str = "", by: Session | None = None) -> Receipt:
        """Make a receipt and record that it was. Raises `entry-missing`, `log-key-locked`, the device's errors."""
        receipt = self._make(index)
        size = rc.checkpoint_of(receipt).size
        event = ev.ReceiptIssued(index=index, size=size, medium=medium, ceremony_id=ceremony_id)
        if by is not None:
            self._core.append(by, [Draft(event=event, actor=by.actor)])
        else:
            self._core.log.append([Draft(event=event)])
        return receipt

    def _make(self, index: int) -> Receipt:
        try:
            receipt = rc.issue(self._core.log, index)
        except ConsoleError as error:
            self._core.device.failed(error)
            raise
        with self._lock:
            self._made[index] = receipt
            while len(self._made) > KEPT:
                del self._made[next(iter(self._made))]
        return receipt

    def of_ceremony(self, index: int, folder: Path) -> Receipt:
        """The receipt that was issued: from memory, from the evidence folder, or made anew."""
        with self._lock:
            known = self._made.get(index)
        if known is not None:
            return known
        stem = self.stem(index)
        proof, code = folder / f"{stem}.{PROOF}", folder / f"{stem}.{PNG}"
        if proof.exists() and code.exists():
            found = Receipt(proof=proof.read_text("utf-8"), qr=receipt_files.read(code)[0].qr, name=proof.name)
            with self._lock:
                self._made[index] = found
            return found
        return self._make(index)

    def stem(self, index: int) -> str:
        """`receipts/0042-operation-succeeded`: the entry's number and what it is."""
        return f"receipts/{index:04d}-{self._core.log.read(index).event.__struct_config__.tag}"

    def write(self, index: int, folder: Path, ceremony: str) -> None:
        """The three files of a receipt, those that are missing; the proof last, since it means `complete`."""
        stem = self.stem(index)
        if (folder / f"{stem}.{PROOF}").exists():
            return
        receipt = self.of_ceremony(index, folder)
        (folder / "receipts").mkdir(mode=0o700, parents=True, exist_ok=True)
        for form in (PDF, PNG, PROOF):
            write_durably(folder / f"{stem}.{form}", self.file(receipt, form, ceremony), PUBLIC_MODE)

    def file(self, receipt: Receipt, form: str, ceremony: str = "", by: Session | None = None) -> bytes:
        """A receipt as a page, as a picture of its code, or as text. Page and picture were read back before.

        by: who asked; None: those who take part in the ceremony.
        """
        if form == PDF:
            core = self._core
            setting = Setting(
                workspace=core.file.name,
                environment=core.environment.title,
                simulated=core.file.token.simulated,
                ceremony=ceremony,
            )
            return receipt_page.page(receipt, core.vkey, setting, self._opener(by).struct)
        return qr.png(receipt.qr) if form == PNG else receipt.proof.encode()

    def _opener(self, by: Session | None) -> Opener:
        return self._core.opener(by) if by is not None else self._core.seals.opener

    def view(self, receipt: Receipt, *, files: tuple[str, ...] = (), by: Session | None = None) -> ReceiptView:
        """What a page shows of it. by: as in `file`."""
        proven = rc.verify(receipt, self._core.vkey)
        recorded = proven.recorded
        title = ocsf.summary(self._opener(by).struct(recorded)) if recorded is not None else f"Entry {proven.index}"
        return ReceiptView(
            index=proven.index,
            size=proven.head.size,
            title=title,
            qr_text=receipt.qr,
            png=base64.b64encode(qr.png(receipt.qr)).decode(),
            text=f"Entry {proven.index} of {proven.head.size}, log {proven.origin}, root {proven.head.root.hex()}",
            files=files,
        )

    def minutes_pdf(self, data: bytes) -> bytes:
        from hsm_console.ceremony import minutes_pdf  # ReportLab takes its time

        return minutes_pdf.write(data)

    def script_paper(self, text: str) -> bytes:
        from hsm_console.ceremony import script_pdf

        return script_pdf.write(text)
