"""Reports and exports over the wire: made one after the other in a thread of their own, recorded, proven, fetched in
pieces. What they contain is made by the audit room, the same as on the command line.

Files live in the workspace's folder `exports` until the gateway stops. Every file's SHA-256 is in the log before
anybody can fetch it, and each taking out is recorded, too.
"""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import hashlib
import queue
import shutil
import threading
from pathlib import Path

from msgspec.structs import replace

from hsm_console.audit import report_standard
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, InputError, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.ids import uuid7
from hsm_console.domain.messages import reporting as msg
from hsm_console.domain.messages.reporting import JobView, MadeFile, ReportingView, StandardView
from hsm_console.gateway.app import Call, Raw, Route, not_found, refused
from hsm_console.gateway.core import Core
from hsm_console.gateway.services import receipt_check, report_jobs
from hsm_console.gateway.services.receipts import PDF, PROOF, Receipts
from hsm_console.gateway.services.report_jobs import Made, Stopped
from hsm_console.gateway.sessions import Session
from hsm_console.policy.roles import Action

FOLDER = "exports"
KEPT = 12
WAITING = 8


class _Job:
    """One thing to make. Only the making thread changes `view` once it is queued, under the service's lock."""

    def __init__(self, view: JobView, session: Session, wish: msg.AskReport | msg.AskExport) -> None:
        self.view = view
        self.session = session
        self.wish = wish
        self.stop = False


class Reporting:
    """Handlers under /v1/reporting, and of the checking of receipts."""

    def __init__(self, core: Core, receipts: Receipts) -> None:
        self._core = core
        self._receipts = receipts
        self._folder = core.home.directory / FOLDER
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        shutil.rmtree(self._folder, ignore_errors=True)  # what a crash left; the log says what it was

    def routes(self) -> tuple[Route, ...]:
        a, base, job = Action, "/v1/reporting", "/v1/reporting/jobs/{job}"
        return (
            Route("GET", base, self.listed, ReportingView, action=a.EXPORT_EVIDENCE),
            Route("POST", f"{base}/reports", self.ask_report, JobView, body=msg.AskReport, action=a.EXPORT_EVIDENCE),
            Route("POST", f"{base}/exports", self.ask_export, JobView, body=msg.AskExport, action=a.EXPORT_EVIDENCE),
            Route("GET", job, self.job, JobView, action=a.EXPORT_EVIDENCE),
            Route("POST", f"{job}/stop", self.stop, JobView, action=a.EXPORT_EVIDENCE),
            Route("GET", f"{job}/files/{{name}}", self.file, "application/octet-stream", action=a.EXPORT_EVIDENCE,
                  query=("from",)),
            Route("POST", "/v1/receipts/check", self.check, msg.CheckedFile, body=msg.CheckFile,
                  action=a.ISSUE_RECEIPT),
        )  # fmt: skip

    # -- handlers --------------------------------------------------------------------------------------------

    def listed(self, call: Call) -> ReportingView:
        """The standards, and the reports and exports of this run, newest first"""
        log = self._core.log
        with self._lock:
            jobs = tuple(job.view for job in reversed(self._jobs.values()))
        return ReportingView(
            standards=tuple(_standard(name) for name in report_standard.STANDARDS),
            jobs=jobs,
            first_ms=log.read(0).time_ms,
            last_ms=log.read(log.size - 1).time_ms,
        )

    def ask_report(self, call: Call) -> JobView:
        """Make a report against a standard, as PDF and JSON, in the background"""
        wish: msg.AskReport = call.body
        title = report_jobs.report_title(wish)  # raises before anything is begun
        return self._ask(call.session, "report", title, wish)

    def ask_export(self, call: Call) -> JobView:
        """Make a copy of the log, in the background"""
        wish: msg.AskExport = call.body
        return self._ask(call.session, "export", report_jobs.EXPORTS[wish.form], wish)

    def job(self, call: Call) -> JobView:
        """How far a report or export is"""
        return self._job(call.params["job"]).view

    def stop(self, call: Call) -> JobView:
        """Stop making it; nothing is kept"""
        job = self._job(call.params["job"])
        job.stop = True
        with self._lock:
            if job.view.state == "waiting":
                job.view = replace(job.view, state="stopped", stage="")
        return job.view

    def file(self, call: Call) -> Raw:
        """A piece of a file, from the given byte on; the first piece is recorded as taken out"""
        job, name = self._job(call.params["job"]), call.params["name"]
        made = next((item for item in job.view.files if item.name == name), None)
        if made is None:
            raise not_found(f"This report or export has no file “{name[:80]}”.")
        start = call.number("from", 0, most=made.size)
        if start == 0:
            self._record(call.session, f"{name}, taken out", job.view, made.sha256)
        try:
            with (self._folder / job.view.id / name).open("rb") as stream:
                stream.seek(start)
                return Raw("application/octet-stream", stream.read(msg.PIECE), name)
        except OSError as error:
            raise _gone(name, error) from error

    def check(self, call: Call) -> msg.CheckedFile:
        """What a receipt proves and what not, in words"""
        wish: msg.CheckFile = call.body
        return receipt_check.check(self._core, wish)

    def close(self) -> None:
        """At the end of the gateway: stop what is being made, keep nothing."""
        with self._lock:
            for job in self._jobs.values():
                job.stop = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(5)
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- making ----------------------------------------------------------------------------------------------

    def _ask(self, session: Session, kind: str, title: str, wish: msg.AskReport | msg.AskExport) -> JobView:
        view = JobView(
            id=uuid7(),
            kind="report" if kind == "report" else "export",
            title=title,
            state="waiting",
            asked_by=session.person.name,
            asked_ms=self._core.now_ms(),
        )
        job = _Job(view, session, wish)
        with self._lock:
            waiting = sum(1 for known in self._jobs.values() if known.view.state in ("waiting", "running"))
            if waiting >= WAITING:
                raise refused("too-many-jobs", f"{waiting} reports and exports are being made already.")
            self._jobs[view.id] = job
            self._forget_old()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="reporting", daemon=True)
                self._thread.start()
        self._queue.put(job)
        return job.view

    def _forget_old(self) -> None:
        ended = [id_ for id_, job in self._jobs.items() if job.view.state not in ("waiting", "running")]
        for id_ in ended[: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[id_]
            shutil.rmtree(self._folder / id_, ignore_errors=True)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            if not job.stop:
                self._make(job)

    def _make(self, job: _Job) -> None:
        folder = self._folder / job.view.id
        self._tell(job, state="running")
        try:
            folder.mkdir(mode=0o700, parents=True)
            opener = self._core.opener(job.session)
            made = report_jobs.make(self._core, job.wish, folder, lambda *told: self._told(job, *told), opener)
            self._finish(job, folder, made)
            return
        except Stopped:
            self._tell(job, state="stopped", stage="")
        except ConsoleError as error:
            self._tell(job, state="failed", stage="", problem=error.problem)
        except OSError as error:
            self._tell(job, state="failed", stage="", problem=_unwritten(error))
        except Exception as error:  # noqa: BLE001 - a thread's last line: told to the person and in the diagnostics
            bug = self._core.incidents.bug(error, "reporting")
            self._tell(job, state="failed", stage="", problem=bug.problem)
        shutil.rmtree(folder, ignore_errors=True)

    def _finish(self, job: _Job, folder: Path, made: Made) -> None:
        """Record what was made, then prove the record with a receipt, then let it be fetched."""
        files = [_measured(folder / name) for name in made.names]
        self._tell(job, size=made.size, root=made.root, unsigned=made.unsigned, report=made.report)
        seqs = [self._record(job.session, f"{job.view.title}: {item.name}", job.view, item.sha256) for item in files]
        problem = None
        try:
            receipt = self._receipts.issue(seqs[0], medium=PDF, by=job.session)
            for form in (PDF, PROOF):
                path = folder / f"receipt-{seqs[0]:04d}.{form}"
                path.write_bytes(self._receipts.file(receipt, form, by=job.session))
                files.append(_measured(path))
        except ConsoleError as error:
            problem = error.problem
        self._tell(job, state="done", stage="", entry=seqs[0], files=tuple(files), receipt=problem)

    def _record(self, session: Session, what: str, view: JobView, sha256: str) -> int:
        event = ev.LogExported(what=what, size=view.size, root=view.root, sha256=sha256)
        draft = Draft(event=event, actor=session.actor, src=session.source, critical=True)
        return self._core.log.append([draft])[0].seq

    def _told(self, job: _Job, stage: str, done: int, of: int) -> None:
        if job.stop:
            raise Stopped
        self._tell(job, stage=stage, done=done, of=of)

    def _tell(self, job: _Job, **changes: object) -> None:
        with self._lock:
            job.view = replace(job.view, **changes)

    def _job(self, id_: str) -> _Job:
        with self._lock:
            found = self._jobs.get(id_)
        if found is None:
            raise not_found("This report or export is not known; they are forgotten when the gateway stops.")
        return found


def _standard(name: str) -> StandardView:
    found = report_standard.load(name)
    return StandardView(id=found.id, title=found.title, scope=found.scope, controls=len(found.controls))


def _measured(path: Path) -> MadeFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return MadeFile(name=path.name, size=path.stat().st_size, sha256=digest)


def _unwritten(error: OSError) -> Problem:
    return Problem(
        code="export-failed",
        what=f"It could not be written: {error.strerror}.",
        todo="Make room on the workspace's disk, then ask for it again.",
    )


def _gone(name: str, error: OSError) -> InputError | EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="file-gone",
            what=f"The file {name} is not there any more: {error.strerror}.",
            todo="Make the report or export again.",
        )
    )
