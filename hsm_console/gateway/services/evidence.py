"""Evidence of a ceremony: receipts, minutes, public files. All of it is made from the log, and can be made again.

A kill while files are written costs nothing: at the next start, and whenever a list of files is asked for, what is
missing is written anew with the same content.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from pathlib import Path

from hsm_console.audit.checkpoint import parse_note
from hsm_console.audit.disclosure import HIDDEN
from hsm_console.audit.opened import ERASED, has_sealed
from hsm_console.ceremony import fold, minutes, script
from hsm_console.ceremony import state as st
from hsm_console.ceremony.minutes import LogHead
from hsm_console.ceremony.plans import ClosePlan
from hsm_console.ceremony.state import State
from hsm_console.ceremony.view import pem
from hsm_console.crypto.files import write_durably
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, ExitCode, Problem, VerificationFailed
from hsm_console.domain.events import Draft, Recorded
from hsm_console.domain.messages.ceremony import ReceiptView
from hsm_console.gateway import projections
from hsm_console.gateway.app import Call, Raw, not_found
from hsm_console.gateway.core import Core, placed
from hsm_console.gateway.services.operations import unchanged
from hsm_console.gateway.services.receipts import PDF, PNG, PROOF, Receipts
from hsm_console.gateway.sessions import Session

PUBLIC_MODE = 0o644
FORMS = (PDF, PNG, PROOF)
MINUTES_JSON, MINUTES_PDF = "minutes.json", "minutes.pdf"
_MEDIA = {
    ".json": "application/json",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".pem": "application/x-pem-file",
    ".tlog-proof": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}


class Evidence:
    """Handlers under /v1/ceremonies/{id}/files, and the writing of what they show."""

    def __init__(self, core: Core, receipts: Receipts) -> None:
        self._core = core
        self._receipts = receipts
        self._writing = threading.Lock()

    # -- what the engine and the pages need -----------------------------------------------------------------

    def scripts(self) -> dict[str, str]:
        """Shipped scripts and the workspace's own, by id."""
        return {**script.library(), **script.own(self._core.home.directory / "scripts")}

    def head(self) -> LogHead:
        """The newest signed head."""
        return _head(self._core.log.last_checkpoint)

    def script_paper(self, text: str) -> bytes:
        """The script for pen and ink, as PDF."""
        return self._receipts.script_paper(text)

    def check_receipt(self, text: str) -> dict[str, str]:
        return self._receipts.check(text)

    def issue_receipts(self, state: State) -> bool:
        """When the receipt step is reached, the key's entries get their receipts; recorded once each.

        True when one was issued: the ceremony's state has moved on.
        """
        step = st.current(state)
        if step is None or step.kind.value != "receipt" or state.key is None:
            return False
        issued = {receipt.index for receipt in state.receipts}
        wanted = [state.key.seq, *(e.seq for e in state.endings if e.intent.operation is ev.Operation.CERTIFY)]
        missing = [index for index in wanted if index not in issued]
        for index in missing:
            self._receipts.issue(index, medium="screen", ceremony_id=state.id)
        return bool(missing)

    def receipts(self, state: State) -> tuple[ReceiptView, ...]:
        """The receipts to show: while they are asked for, and when all is over.

        One that a crash left unwritten comes back when the device is unlocked.
        """
        step = st.current(state)
        if step is not None and step.kind.value not in ("receipt", "sign-off"):
            return ()
        shown = []
        folder = self._folder(state.id)
        for index in dict.fromkeys(receipt.index for receipt in state.receipts):
            stem = self._receipts.stem(index)
            files = tuple(f"{stem}.{form}" for form in FORMS)
            try:
                receipt = self._receipts.of_ceremony(index, folder)
            except ConsoleError as error:
                self._core.incidents.note(f"receipt {index}: {error.problem.code}", error)
                continue
            shown.append(self._receipts.view(receipt, files=files))
        return tuple(shown)

    # -- closing ---------------------------------------------------------------------------------------------

    def close(self, state: State, plan: ClosePlan, session: Session | None) -> None:
        """Write the minutes' digest and the end into the log, then the files.

        session None: the gateway goes on by itself after a crash.
        """
        core = self._core
        if core.device.unlocked:
            core.log.checkpoint()
        data = self._minutes(state, self._records(state.id), plan, core.log.last_checkpoint)
        written = ev.MinutesWritten(ceremony_id=state.id, minutes_sha256=minutes.digest(data))
        closed = ev.CeremonyClosed(ceremony_id=state.id, outcome=plan.outcome, text=plan.text)
        drafts = [
            Draft(event=written, actor=plan.actor, correlation=state.correlation),
            Draft(event=closed, actor=plan.actor, correlation=state.correlation, critical=True),
        ]
        placed_drafts = [placed(draft, session) if session else draft for draft in drafts]
        core.log.append(placed_drafts, expect=unchanged(state))
        core.device.try_anchor()
        self._complete_quietly(state.id)  # the ceremony is closed in the log; its files can be made at any time

    def _minutes(self, state: State, records: tuple[Recorded, ...], plan: ClosePlan, note: str) -> bytes:
        return minutes.build(
            state,
            [record for record in records if record.seq <= state.revision],
            plan=plan,
            environment=self._core.environment,
            workspace=self._core.file.name,
            head=_head(note),
        )

    def _records(self, ceremony_id: str) -> tuple[Recorded, ...]:
        with self._core.reading() as conn:
            rows = conn.execute(
                "SELECT seq FROM entry_row WHERE ceremony_id = ? ORDER BY seq", (ceremony_id,)
            ).fetchall()
        return tuple(self._core.shown(self._core.log.read(seq)) for (seq,) in rows)

    def _minutes_again(self, ceremony_id: str) -> bytes:
        """The minutes from the log alone, the same bytes whose digest stands in it. Raises `minutes-differ`."""
        records = self._records(ceremony_id)
        written = next((r for r in records if isinstance(r.event, ev.MinutesWritten)), None)
        closed = next((r.event for r in records if isinstance(r.event, ev.CeremonyClosed)), None)
        if written is None or closed is None:
            raise not_found("The minutes are written when the ceremony is closed.")
        state: State | None = None
        for record in (r for r in records if r.seq < written.seq):
            state = fold.apply(state, record)
        assert state is not None  # noqa: S101 - it was opened before it was closed
        assert isinstance(written.event, ev.MinutesWritten)  # noqa: S101 - told to mypy
        plan = ClosePlan(outcome=closed.outcome, text=closed.text, actor=written.actor)
        for note in self._notes(written.seq):
            data = self._minutes(state, records, plan, note)
            if minutes.digest(data) == written.event.minutes_sha256:
                return data
        raise VerificationFailed(
            Problem(
                code="minutes-differ",
                what="The minutes made from the log now are not those whose digest the log holds.",
                todo="Use the software version that wrote them (it stands in the log) to make them again.",
                contact="the auditor",
                exit_code=ExitCode.VERIFICATION,
            )
        )

    @staticmethod
    def _written(path: Path, state: State) -> bytes:
        """The minutes on the disk, when they are those whose digest the log holds; empty otherwise."""
        data = path.read_bytes() if path.exists() else b""
        return data if minutes.digest(data) == state.minutes_sha256 else b""

    def _notes(self, before: int) -> list[str]:
        """The checkpoints that may have been the newest one when entry `before` was written, newest first."""
        with self._core.reading() as conn:
            rows = conn.execute(
                "SELECT note FROM checkpoint WHERE size <= ? ORDER BY size DESC LIMIT 8", (before,)
            ).fetchall()
        return [str(note) for (note,) in rows] or [""]

    # -- files -----------------------------------------------------------------------------------------------

    def complete_all(self) -> None:
        """At the start: whatever a crash left unwritten. A failure is noted, it does not stop the gateway."""
        with self._core.reading() as conn:
            closed = [s.id for s in projections.ceremonies(conn) if s.status in (st.COMPLETED, st.ABANDONED)]
        for ceremony_id in closed:
            if not (self._folder(ceremony_id) / MINUTES_PDF).exists():
                self._complete_quietly(ceremony_id)

    def _complete_quietly(self, ceremony_id: str) -> None:
        try:
            self.complete(ceremony_id)
        except ConsoleError as error:
            self._core.incidents.note(f"evidence of {ceremony_id}: {error.problem.code}", error)

    def complete(self, ceremony_id: str) -> None:
        """Write every file of a ceremony that is not there; the minutes as PDF last, since they mean `complete`."""
        with self._writing:
            with self._core.reading() as conn:
                state = projections.ceremony(conn, ceremony_id)
            if state is None:
                raise not_found(f"There is no ceremony “{ceremony_id[:80]}”.")
            with self._core.reading() as conn:
                if state.opened_seq < projections.pruned_below(conn):
                    return  # its entries stand in segments; what was written of it stays as it is
            if has_sealed(state) and not self._core.seals.opener.is_open:
                return  # what is missing is written at the next unlock; what is there stays as it is
            state = self._core.shown(state)
            folder = self._folder(ceremony_id)
            for name, data in self._public(state).items():
                _write(folder / name, data)
            for index in dict.fromkeys(receipt.index for receipt in state.receipts):
                self._receipts.write(index, folder, state.title)
            if state.minutes_sha256:
                data = self._written(folder / MINUTES_JSON, state) or self._minutes_again(ceremony_id)
                _write(folder / MINUTES_JSON, data)
                if not (folder / MINUTES_PDF).exists():
                    _write(folder / MINUTES_PDF, self._receipts.minutes_pdf(data))

    def _folder(self, ceremony_id: str) -> Path:
        return self._core.home.evidence / ceremony_id

    @staticmethod
    def _public(state: State) -> dict[str, bytes]:
        """What may be given to anybody: public key, request, certificate, signatures, the script."""
        found = {f"script-{state.script_id}.toml": state.script.encode()}
        if state.key is not None:
            stem = _stem(state.key.label)
            found[f"keys/{stem}.pem"] = pem("PUBLIC KEY", state.key.spki).encode()
            if state.request:
                found[f"certificates/{stem}.csr.pem"] = pem("CERTIFICATE REQUEST", state.request).encode()
            if state.certificate:
                found[f"certificates/{stem}.pem"] = pem("CERTIFICATE", state.certificate).encode()
        signed: tuple[st.Vote | st.SignOff, ...] = (*state.votes, *state.sign_offs)
        for vote in (item for item in signed if item.statement not in (ERASED, HIDDEN)):
            name = f"statements/{vote.seq:04d}-{_stem(vote.uid)}"
            found[f"{name}.json"] = vote.statement.encode()
            found[f"{name}.p7s"] = base64.b64decode(vote.cms)
        for number, document in enumerate(state.documents, 1):
            found[f"documents/{number:02d}-{_stem(document.name)}.sig"] = base64.b64decode(document.signature)
        return found

    def listed(self, call: Call) -> list[str]:
        """Names of the evidence so far"""
        ceremony_id = call.params["id"]
        self.complete(ceremony_id)
        folder = self._folder(ceremony_id)
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name[0] != ".")

    def file(self, call: Call) -> Raw:
        """One piece of evidence; taking it out is recorded"""
        name = call.params["name"]
        if name not in self.listed(call):
            raise not_found(f"There is no file “{name[:120]}” in this ceremony's evidence.")
        path = self._folder(call.params["id"]) / name
        data = path.read_bytes()
        head = self.head()
        event = ev.LogExported(
            what=f"{call.params['id']}/{name}",
            size=head.size,
            root=head.root,
            sha256=hashlib.sha256(data).hexdigest(),
        )
        self._core.append(call.session, [Draft(event=event, actor=call.session.actor)])
        return Raw(_MEDIA.get(path.suffix, "application/octet-stream"), data, path.name)


def _head(note: str) -> LogHead:
    if not note:
        return LogHead(origin="", size=0, root="")
    checkpoint = parse_note(note).checkpoint
    root = base64.b64encode(checkpoint.root).decode()
    return LogHead(origin=checkpoint.origin, size=checkpoint.size, root=root, note=note)


def _stem(text: str) -> str:
    """A label as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80] or "unnamed"


def _write(path: Path, data: bytes) -> None:
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(path, data, PUBLIC_MODE)
