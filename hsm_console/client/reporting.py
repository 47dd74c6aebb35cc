"""Reports, exports and the checking of receipts. Every function raises ConsoleError with the gateway's Problem."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from hsm_console.client.brought import brought
from hsm_console.client.session import Session
from hsm_console.domain.errors import EnvironmentFault, Problem, VerificationFailed
from hsm_console.domain.messages.reporting import (
    AskExport,
    AskReport,
    CheckedFile,
    CheckFile,
    ExportForm,
    JobView,
    MadeFile,
    ReportingView,
)

FORMS: tuple[ExportForm, ...] = ("bundle-zip", "bundle-tar", "csv", "sqlite", "rfc5424", "cef")


def listed(session: Session) -> ReportingView:
    return session.call("GET", "/v1/reporting", None, ReportingView)


def report(session: Session, standard: str, start: str = "", end: str = "") -> JobView:
    """Ask for a report. start, end: days in UTC (YYYY-MM-DD), both included; empty: all there is."""
    wish = AskReport(standard=standard, start=start, end=end)
    return session.call("POST", "/v1/reporting/reports", wish, JobView)


def export(session: Session, form: ExportForm) -> JobView:
    return session.call("POST", "/v1/reporting/exports", AskExport(form=form), JobView)


def job(session: Session, id_: str) -> JobView:
    return session.call("GET", f"/v1/reporting/jobs/{_part(id_)}", None, JobView)


def stop(session: Session, id_: str) -> JobView:
    return session.call("POST", f"/v1/reporting/jobs/{_part(id_)}/stop", None, JobView)


def piece(session: Session, id_: str, name: str, start: int) -> bytes:
    """Bytes of a file from `start` on, at most PIECE of them. The first piece is recorded as taken out."""
    return session.raw("GET", f"/v1/reporting/jobs/{_part(id_)}/files/{_part(name)}?from={start}")


def save(
    session: Session, id_: str, file: MadeFile, path: Path, told: Callable[[int, int], None] = lambda _done, _of: None
) -> Path:
    """Fetch a file and give it its name when it is whole and has the SHA-256 that stands in the log.

    Raises EnvironmentFault `file-not-written`, VerificationFailed `file-differs`.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    digest, at = hashlib.sha256(), 0
    try:
        with part.open("xb") as stream:
            while at < file.size:
                data = piece(session, id_, file.name, at)
                if not data:
                    break
                digest.update(data)
                stream.write(data)
                at += len(data)
                told(at, file.size)
            stream.flush()
            os.fsync(stream.fileno())
        if digest.hexdigest() != file.sha256:
            raise _differs(path)
        part.replace(path)
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        part.unlink(missing_ok=True)
    return path


def check_receipt(session: Session, path: Path) -> CheckedFile:
    """What the receipts in a file prove and what not. Raises EnvironmentFault `file-unreadable`."""
    data = brought(path)
    return check_receipt_data(session, path.name, data)


def check_receipt_data(session: Session, name: str, data: bytes) -> CheckedFile:
    return session.call("POST", "/v1/receipts/check", CheckFile(name=name, data=data), CheckedFile)


def _part(text: str) -> str:
    return quote(text, safe="")


def _differs(path: Path) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="file-differs",
            what=f"What came for {path.name} is not what the log says was made; nothing was kept.",
            todo="Save it again. If that happens twice, verify the log and call the auditor.",
            contact="the auditor",
        )
    )


def _unwritten(path: Path, error: OSError) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="file-not-written",
            what="The file could not be written.",
            todo="Choose another place, for example a medium that is not full, and save it again.",
            details={"path": str(path), "error": str(error)},
        )
    )
