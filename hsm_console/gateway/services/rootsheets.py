"""Root sheets: each day the log's root is signed with ML-DSA, and a sheet is made that ties older receipts to it.

The key is one of the token where the token has ML-DSA, else a software key that the token keeps wrapped; the sheet says
which. It is made the first time a sheet is asked for. Files lie in the workspace's folder `root-sheets`.
"""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hsm_console.audit import checkpoint as cp
from hsm_console.audit import rootsheet, tree
from hsm_console.audit.rootsheet import RootSheet
from hsm_console.audit.vkey import ML_DSA_44, Vkey, message_of, pack, parse_vkey
from hsm_console.crypto.files import write_durably
from hsm_console.crypto.pq import spki as post_quantum
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, Problem
from hsm_console.domain.events import Draft, Operation, Recorded, RootSigned
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, Custody, Grade, KeySpec, SignMechanism, Usage
from hsm_console.domain.messages.anchors import SheetView
from hsm_console.gateway import projections
from hsm_console.gateway.app import Call, Raw, Route, not_found
from hsm_console.gateway.core import Core, acting
from hsm_console.gateway.projections import KeyRow, pruned_below
from hsm_console.gateway.services import second
from hsm_console.gateway.services.recorded import perform
from hsm_console.gateway.sessions import Session
from hsm_console.paper import frames
from hsm_console.policy.roles import Action

FOLDER, KEY_FILE = "root-sheets", "root.vkey"
_MEDIA = {"pdf": "application/pdf", "txt": "text/plain; charset=utf-8", "vkey": "text/plain; charset=us-ascii"}
_MOST_TIED = 4096


class RootSheets:
    """Handlers under /v1/root-sheets."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._newest = (-1, "")
        self._folder = core.home.directory / FOLDER

    def routes(self) -> tuple[Route, ...]:
        """What this service answers to."""
        base, look, sign = "/v1/root-sheets", Action.ISSUE_RECEIPT, Action.SIGN_SHEET
        return (
            Route("GET", base, self.listed, list[SheetView], action=look),
            Route("POST", base, self.sign, SheetView, action=sign),
            Route("GET", f"{base}/{{entry}}/{{form}}", self.file, "application/octet-stream", action=look),
        )

    def listed(self, call: Call) -> list[SheetView]:
        """Every root sheet, the newest first"""
        return [self._view(item) for item in reversed(self._told("root-signed"))]

    def sign(self, call: Call) -> SheetView:
        """Sign the newest root with ML-DSA, and make the sheet"""
        recorded = self.make(call.session)
        assert recorded is not None  # noqa: S101 - nothing was asked before
        return self._view(recorded)

    def make(self, session: Session | None, *, only_if: Callable[[], bool] = lambda: True) -> Recorded | None:
        """Sign and make the sheet; session None: the gateway by itself. only_if: asked when nobody else makes one.

        Raises EnvironmentFault `root-key-unsupported`, the device's errors.
        """
        core = self._core
        with self._lock, core.device.working("signing the day's root"):
            if not only_if():
                return None
            row, made = self._key(session)
            note = core.log.checkpoint()
            head = cp.parse_note(note).checkpoint
            seconds = core.now_ms() // 1000
            vkey = parse_vkey(made.vkey)
            body = cp.parse_note(note).body
            message = message_of(vkey, body, (head.origin, head.size, head.root), seconds)
            signature = self._sign(session, row, message)
            note += cp.signature_line(vkey, pack(vkey, seconds, signature))
            cp.verify_note(note, core.vkey, (vkey,))
            event = ev.RootSigned(
                day=f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}",
                size=head.size,
                root=head.root.hex(),
                key=vkey.key_id.hex(),
                note=note,
            )
            (recorded,) = core.log.append([acting(Draft(event=event, critical=True), session)])
            self._write(recorded)
        return recorded

    def newest_day(self) -> str:
        """Day of the newest sheet, like 2026-11-25; empty: there is none yet."""
        with self._core.reading() as conn:
            query = "SELECT max(seq) FROM entry_row WHERE kind = 'root-signed' AND seq >= ?"
            seq = conn.execute(query, (pruned_below(conn),)).fetchone()[0]
        if seq is None:
            return ""
        if self._newest[0] != seq:
            self._newest = (seq, getattr(self._core.log.read(seq).event, "day", ""))
        return self._newest[1]

    def file(self, call: Call) -> Raw:
        """One sheet as PDF or text, or the key that verifies it"""
        number, form = call.params["entry"], call.params["form"]
        found = next((item for item in self._told("root-signed") if str(item.seq) == number), None)
        if found is None or form not in _MEDIA:
            raise not_found(f"There is no root sheet “{number[:20]}” in the form “{form[:20]}”.")
        name = KEY_FILE if form == "vkey" else f"{_stem(found)}.{form}"
        if not (self._folder / name).exists():
            self._write(found)
        return Raw(_MEDIA[form], (self._folder / name).read_bytes(), name)

    # -- the key --------------------------------------------------------------------------------------------

    def _key(self, session: Session | None) -> tuple[KeyRow, ev.RootKeyMade]:
        """The key in force; made, announced and recorded when there is none. Raises EnvironmentFault
        `root-key-unsupported`."""
        told = [item.event for item in self._told("root-key-made") if isinstance(item.event, ev.RootKeyMade)]
        with self._core.reading() as conn:
            row = projections.key(conn, told[-1].key_id) if told else None
        if told and row is not None and row.state == "active":
            return row, told[-1]
        return self._make_key(session)

    def _make_key(self, session: Session | None) -> tuple[KeyRow, ev.RootKeyMade]:
        core, info = self._core, self._core.device.info
        known = (*info.algorithms, *info.software_algorithms) if info else ()
        if Algorithm.ML_DSA_44 not in known:
            raise _unsupported()
        hsm = core.device.hsm()
        label = f"root {core.log.chain_uid[-12:]} {core.log.size}"
        intent = ev.OperationIntended(
            operation=Operation.GENERATE, algorithm=Algorithm.ML_DSA_44, label=label, usages=(Usage.SIGN,)
        )

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, str]:
            wanted = object_id(bytes.fromhex(announced.fingerprint))
            spec = KeySpec(algorithm=Algorithm.ML_DSA_44, label=label, object_id=wanted, usages=(Usage.SIGN,))
            made = hsm.generate(spec)
            done = ev.OperationSucceeded(
                intent=announced.seq,
                operation=Operation.GENERATE,
                key_id=wanted.hex(),
                label=made.label,
                algorithm=made.algorithm,
                custody=made.custody,
                spki=base64.b64encode(made.spki).decode(),
                fingerprint=hashlib.sha256(made.spki).hexdigest(),
                attributes=hsm.attributes(wanted),
                grade=Grade.D if core.file.token.simulated else Grade.C,
            )
            return done, wanted.hex()

        _, key_id = perform(core, session, intent, act)
        with core.reading() as conn:
            row = projections.key(conn, key_id)
        assert row is not None  # noqa: S101 - its entry was just appended
        _, public = post_quantum.decode(base64.b64decode(row.spki))
        event = ev.RootKeyMade(
            vkey=Vkey(core.vkey.name, public, ML_DSA_44).text,
            software=row.custody is Custody.SOFTWARE_WRAPPED,
            key_id=key_id,
        )
        core.log.append([acting(Draft(event=event, critical=True), session)])
        return row, event

    def _sign(self, session: Session | None, row: KeyRow, message: bytes) -> bytes:
        intent = ev.OperationIntended(
            operation=Operation.SIGN,
            algorithm=Algorithm.ML_DSA_44,
            label=row.label,
            key_id=row.object_id,
            mechanism=SignMechanism.ML_DSA.value,
            input_sha256=hashlib.sha256(message).hexdigest(),
            input_name="root of the log",
        )

        def act(announced: Recorded) -> tuple[ev.OperationSucceeded, bytes]:
            hsm = self._core.device.hsm()
            signature = hsm.sign(bytes.fromhex(row.object_id), SignMechanism.ML_DSA, message)
            second.verify(base64.b64decode(row.spki), SignMechanism.ML_DSA, message, signature, row.custody)
            done = ev.OperationSucceeded(
                intent=announced.seq,
                operation=Operation.SIGN,
                key_id=row.object_id,
                label=row.label,
                signature=base64.b64encode(signature).decode(),
                output_sha256=hashlib.sha256(signature).hexdigest(),
            )
            return done, signature

        return perform(self._core, session, intent, act)[1]

    # -- sheets ---------------------------------------------------------------------------------------------

    def _told(self, kind: str) -> list[Recorded]:
        with self._core.reading() as conn:
            query = "SELECT seq FROM entry_row WHERE kind = ? AND seq >= ? ORDER BY seq"
            rows = conn.execute(query, (kind, pruned_below(conn))).fetchall()
        return [self._core.log.read(seq) for (seq,) in rows]

    def _proofs(self, size: int) -> dict[int, rootsheet.Proof]:
        """From the head of every receipt that was issued before, and of every sheet, to this size."""
        found = {getattr(item.event, "size", 0) for item in self._told("receipt-issued")}
        found |= {getattr(item.event, "size", 0) for item in self._told("root-signed")}
        nodes = self._core.log.nodes()
        older = sorted(old for old in found if 0 < old < size)[-_MOST_TIED:]
        return {old: tree.consistency_proof(nodes, old, size) for old in older}

    def _sheet(self, event: RootSigned) -> tuple[RootSheet, bool]:
        made = [item.event for item in self._told("root-key-made") if isinstance(item.event, ev.RootKeyMade)]
        key = next(item for item in made if parse_vkey(item.vkey).key_id.hex() == event.key)
        text = rootsheet.write(event.note, self._proofs(event.size))
        return rootsheet.read(text, self._core.vkey, parse_vkey(key.vkey)), key.software

    def _write(self, recorded: Recorded) -> None:
        """The text with all proofs, the sheet, and the key. They can be made again from the log."""
        from hsm_console.audit import rootsheet_page  # ReportLab takes its time

        core, event = self._core, recorded.event
        assert isinstance(event, RootSigned)  # noqa: S101 - its caller asked for this kind
        sheet, software = self._sheet(event)
        paper = rootsheet.for_paper(sheet.note, sheet.proofs)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._folder / _stem(recorded)
        write_durably(self._folder / KEY_FILE, (sheet.key.text + "\n").encode(), 0o644)
        write_durably(Path(f"{path}.txt"), rootsheet.write(sheet.note, sheet.proofs).encode(), 0o644)
        try:
            pdf = rootsheet_page.page(
                sheet,
                paper,
                workspace=core.file.name,
                day=event.day,
                software=software,
                simulated=core.file.token.simulated,
            )
        except ConsoleError as error:
            core.incidents.note(f"root sheet: {error.problem.code}", error)
            raise
        write_durably(Path(f"{path}.pdf"), pdf, 0o644)

    def _view(self, recorded: Recorded) -> SheetView:
        event = recorded.event
        assert isinstance(event, RootSigned)  # noqa: S101 - its caller asked for this kind
        sheet, software = self._sheet(event)
        return SheetView(
            entry=recorded.seq,
            day=event.day,
            size=event.size,
            root=event.root,
            key=sheet.key.text,
            software=software,
            note=event.note,
            codes=frames.encode(rootsheet.for_paper(sheet.note, sheet.proofs).encode(), rootsheet.CODES),
        )


def _stem(recorded: Recorded) -> str:
    event = recorded.event
    assert isinstance(event, RootSigned)  # noqa: S101 - its callers asked for this kind
    return f"root-{event.day}-{event.size:08d}"


def _unsupported() -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="root-key-unsupported",
            what="Neither the token nor this installation can make an ML-DSA-44 key.",
            todo="Use a token that knows ML-DSA, or AES-GCM to keep a software key wrapped.",
        )
    )
