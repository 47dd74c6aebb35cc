"""How each report and export is made: which files, of what population. Knows no queue and no person."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from hsm_console.audit import bundle, report_standard, siem_export
from hsm_console.audit import report as report_
from hsm_console.audit.opened import Opener
from hsm_console.audit.report_period import Period, refused
from hsm_console.domain.messages.reporting import AskExport, AskReport, ControlView, ReportView
from hsm_console.gateway.core import Core

VERIFYING, SEARCHING, DRAWING, WRITING, PACKING = "verify", "search", "draw", "write", "pack"
EXPORTS: dict[str, str] = {
    "bundle-zip": "Bundle with proof (ZIP)",
    "bundle-tar": "Bundle with proof (tar)",
    "rfc5424": "Syslog copy (RFC 5424)",
    "cef": "CEF copy",
    "csv": "CSV copy",
    "sqlite": "SQLite copy",
}
_SUFFIX = {"rfc5424": "log", "cef": "cef", "csv": "csv", "sqlite": "db"}
Told = Callable[[str, int, int], None]
"""(stage, done, of); of 0: nobody knows. Raises Stopped."""


class Stopped(Exception):
    """Somebody does not want it any more, or the gateway stops."""


@dataclass(frozen=True)
class Made:
    """names: the files in the folder; size, root: of the signed head that proves them; unsigned: left out."""

    names: tuple[str, ...]
    size: int
    root: str
    unsigned: int
    report: ReportView | None = None


def report_title(wish: AskReport) -> str:
    """Raises InputError standard-unknown, day-unreadable, period-inverted."""
    standard = report_standard.load(wish.standard)
    period = _period(wish)
    days = f"{period.start or 'the beginning'} to {period.end or 'the newest entry'}"
    return f"{standard.title}, {days}"


def make(core: Core, wish: AskReport | AskExport, folder: Path, told: Told, opener: Opener) -> Made:
    """Write the files of one wish into a folder of its own. Raises ConsoleError, OSError, Stopped."""
    if isinstance(wish, AskReport):
        return _report(core, wish, folder, told)
    if wish.form.startswith("bundle-"):
        return _bundle(core, wish.form, folder, told)
    name = f"audit-log.{_SUFFIX[wish.form]}"
    done = siem_export.export(
        core.home.log,
        folder / name,
        wish.form,
        progress=lambda done, of: told(WRITING, done, of),
        shown=opener.json,
    )
    return Made((name,), done.size, done.root, done.unsigned)


def _report(core: Core, wish: AskReport, folder: Path, told: Told) -> Made:
    from hsm_console.audit import report_page  # ReportLab takes its time

    standard, period = report_standard.load(wish.standard), _period(wish)
    made = report_.build(
        core.home.log,
        core.vkey,
        standard,
        period,
        trusted_key=False,  # it is the workspace's own file; whoever reads the report compares the key id
        progress=lambda done, of: told(VERIFYING, done, of),
        searching=lambda done, of: told(SEARCHING, done, of),
    )
    told(DRAWING, 0, 0)
    population = made.population
    stem = f"{made.standard}-{made.period_from}-{made.period_to}"
    (folder / f"{stem}.json").write_bytes(report_.encode(made))
    (folder / f"{stem}.pdf").write_bytes(report_page.page(made))
    names = (f"{stem}.pdf", f"{stem}.json")
    return Made(names, population.size, population.root, population.unsigned, _view(made))


def _bundle(core: Core, form: str, folder: Path, told: Told) -> Made:
    plain = folder / "audit-log"
    done = bundle.export(core.home.log, plain, progress=lambda done, of: told(WRITING, done, of))
    told(PACKING, 0, 0)
    files = sorted(path for path in plain.rglob("*") if path.is_file())
    name = "audit-log.zip" if form == "bundle-zip" else "audit-log.tar"
    if form == "bundle-zip":
        with zipfile.ZipFile(folder / name, "x", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            for number, path in enumerate(files):
                told(PACKING, number, len(files))
                archive.write(path, path.relative_to(folder))
    else:
        with tarfile.open(folder / name, "x") as archive:
            for number, path in enumerate(files):
                told(PACKING, number, len(files))
                archive.add(path, path.relative_to(folder).as_posix(), filter=_anonymous)
    shutil.rmtree(plain)
    return Made((name,), done.size, done.root, max(0, core.log.size - done.size))


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """The workstation's users are nobody's business."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _period(wish: AskReport) -> Period:
    return Period(_day(wish.start), _day(wish.end))


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise refused("day-unreadable", f"“{text[:40]}” is no day.", "Write it as year-month-day.") from None


def _view(made: report_.Report) -> ReportView:
    return ReportView(
        title=made.title,
        period_from=made.period_from,
        period_to=made.period_to,
        verified=made.verification.verified,
        line=made.verification.line,
        in_period=made.population.in_period,
        summary=made.summary,
        controls=tuple(_control(item) for item in made.answers),
        disclaimer=made.disclaimer,
    )


def _control(item: report_.Answer) -> ControlView:
    return ControlView(
        id=item.control.id,
        title=item.control.title,
        answer=item.control.answer,
        state=item.state,
        why=item.why,
        events=item.events,
        samples=tuple(f"{sample.seq}: {sample.summary}" for sample in item.samples),
        faults=tuple(f"{sample.seq}: {sample.why}" for sample in item.contradictions),
    )
