"""The device's own log held against this one: when the device is unlocked, every hour, at the end, and when asked.

The first comparison with a device takes what it finds as the beginning. A device without a log of its own says so once;
a file that its maker's tool wrote can be compared instead.
"""

from __future__ import annotations

import csv
import hashlib
import io
import threading
import time
from collections.abc import Sequence
from functools import partial

import msgspec

from hsm_console.detect import device_acts, device_log
from hsm_console.detect.device_acts import Acts, Keys, Record
from hsm_console.detect.device_log import Compared, Ours
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, Problem
from hsm_console.domain.events import Draft, Recorded
from hsm_console.domain.keys import Custody
from hsm_console.domain.messages.alerts import CompareDeviceLog, DeviceLogPast, DeviceLogReport, DeviceLogStanding
from hsm_console.domain.messages.audit import Finding
from hsm_console.gateway import projections
from hsm_console.gateway.app import Call, Route
from hsm_console.gateway.core import Core
from hsm_console.gateway.head_count import HeadCount
from hsm_console.gateway.projections import pruned_below
from hsm_console.gateway.sessions import Session
from hsm_console.hsm.pool import Priority
from hsm_console.hsm.port import Unsupported
from hsm_console.policy.roles import Action

EVERY_S = 3600.0
LARGEST = 8 << 20
SHOWN = 10  # newest comparisons
_SERVICE = ("seal-key-in-force", "root-key-made")
Rows = Sequence[dict[str, str]]


class DeviceLog:
    """Runs one comparison at a time. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._offered = True
        self._due = time.monotonic() + EVERY_S
        self._thread: threading.Thread | None = None

    def routes(self) -> tuple[Route, ...]:
        """What this service answers to."""
        path = "/v1/device/log-comparison"
        return (
            Route(
                "POST",
                path,
                self.compare,
                DeviceLogReport,
                body=CompareDeviceLog,
                action=Action.COMPARE_DEVICE_LOG,
            ),
            Route("GET", path, self.standing, DeviceLogStanding, action=Action.READ_ALERTS),
        )

    def compare(self, call: Call) -> DeviceLogReport:
        """Hold the log of the HSM itself against this one"""
        body: CompareDeviceLog = call.body
        if body.data:
            return self._run(call.session, read(body.data), "file")
        return self._run(call.session, None, "device")

    def standing(self, call: Call) -> DeviceLogStanding:
        """Whether the HSM tells its own log, and the newest comparisons"""
        core = self._core
        with core.reading() as conn:
            query = (
                "SELECT seq FROM entry_row WHERE kind = 'device-log-compared' AND seq >= ? ORDER BY seq DESC LIMIT ?"
            )
            rows = conn.execute(query, (pruned_below(conn), SHOWN)).fetchall()
        view = DeviceLogStanding(
            offered=self._offered,
            unlocked=core.device.unlocked,
            serial=core.device.info.serial if core.device.info else "",
            past=tuple(_past(core.log.read(seq)) for (seq,) in rows),
        )
        return core.opener(call.session).struct(view)

    # -- by itself ----------------------------------------------------------------------------------------

    def quietly(self) -> None:
        """Compare if the device is unlocked and has a log of its own. What fails is in the diagnostics."""
        self._due = time.monotonic() + EVERY_S
        if not self._offered or not self._core.device.unlocked:
            return
        try:
            self._run(None, None, "device")
        except Unsupported:
            self._offered = False
        except ConsoleError as error:
            self._core.incidents.note(f"device log: {error.problem.code}", error)

    def tick(self) -> None:
        """Once a second: begin a comparison when one is due."""
        if time.monotonic() < self._due or (self._thread and self._thread.is_alive()):
            return
        self._due = time.monotonic() + EVERY_S
        self._thread = threading.Thread(target=self.quietly, name="device-log", daemon=True)
        self._thread.start()

    # -- the comparison -----------------------------------------------------------------------------------

    def _run(self, session: Session | None, rows: Rows | None, source: str) -> DeviceLogReport:
        core = self._core
        with self._lock:
            before = self._before(source)
            if rows is None:
                # Nobody's calls come between, so that what the device tells and what the log tells end together.
                with core.device.station.lease("reading the log of the HSM"):
                    told_now, heads = HeadCount.around(core.log, self._keys().log, partial(self._told, before.last))
                    rows, until = told_now, core.log.size
            else:
                heads, until = HeadCount.take(core.log, self._keys().log), core.log.size
            records = [one for one in device_acts.records(rows) if one.index > before.last]
            found = self._compared(records, before, until, heads, complete=source == "device")
            event = self._event(found, rows, source, until)
            told = heads.told(records, before, complete=source == "device")
            event = msgspec.structs.replace(event, heads=told)
            entry = -1
            if records or found.findings or session is not None:
                draft = Draft(event=event, actor=session.actor if session else None, critical=bool(found.findings))
                entry = core.log.append([draft])[0].seq
        return DeviceLogReport(
            source=source,
            serial=event.serial,
            records=len(records),
            matched=found.matched,
            findings=tuple(_finding(text) for text in found.findings),
            entry=entry,
            beginning=before.until < 0,
        )

    def _told(self, after: int) -> Rows:
        rows: Rows = self._core.device.run_here("native_log", max(0, after), priority=Priority.BULK)
        return rows

    def _compared(
        self, records: Sequence[Record], before: ev.DeviceLogCompared, until: int, heads: HeadCount, *, complete: bool
    ) -> Compared:
        numbers = [record.index for record in records]
        if before.until < 0:
            return Compared(first=min(numbers, default=0), last=max(numbers, default=0), matched=0, findings=())
        keys = self._keys()
        acts = self._acts(before.until, until, keys, heads.not_told(self._core.log, before))
        ours = Ours(
            acts=acts.acts,
            allowed=acts.allowed,
            free=acts.free if keys.log in before.heads else acts.free | {("sign", keys.log)},
            names=keys.names,
            ceremonies=tuple(acts.ceremonies.values()),
        )
        found = device_log.compare(records, ours, after=before.last, complete=complete)
        return found if numbers else msgspec.structs.replace(found, first=before.last, last=before.last)

    def _before(self, source: str) -> ev.DeviceLogCompared:
        """The comparison before; one with until -1 when there was none with this device, or none from files."""
        core, serial = self._core, self._serial()
        with core.reading() as conn:
            query = "SELECT seq FROM entry_row WHERE kind = 'device-log-compared' AND seq >= ? ORDER BY seq DESC"
            rows = conn.execute(query, (pruned_below(conn),)).fetchall()
        for (seq,) in rows:
            event = core.log.read(seq).event
            if isinstance(event, ev.DeviceLogCompared) and (event.serial, event.source) == (serial, source):
                return event
        return ev.DeviceLogCompared(source="device", serial=serial, sha256="", first=0, last=0, until=-1, matched=0)

    def _serial(self) -> str:
        info = self._core.device.info
        if info is None:
            raise EnvironmentFault(Problem(code="token-missing", what="No token is there.", todo="Connect it."))
        return info.serial

    def _keys(self) -> Keys:
        with self._core.reading() as conn:
            rows = projections.keys(conn)
        purposes = {row.purpose: row.object_id for row in rows if row.purpose}
        return Keys(
            names={row.object_id: row.label for row in rows},
            software=frozenset(row.object_id for row in rows if row.custody is not Custody.DEVICE),
            authority=purposes.get("authority", ""),
            log=purposes.get("log", ""),
        )

    def _acts(self, since: int, until: int, keys: Keys, heads: device_acts.Heads) -> Acts:
        core = self._core
        with core.reading() as conn:
            marks = ",".join("?" * len(_SERVICE))
            query = f"SELECT seq FROM entry_row WHERE kind IN ({marks}) AND seq >= ? AND seq < ? ORDER BY seq"  # noqa: S608
            service = [seq for (seq,) in conn.execute(query, (*_SERVICE, pruned_below(conn), since))]
        entries = [core.log.read(seq) for seq in service]
        return device_acts.fold([*entries, *core.log.scan(since, until)], since, keys, heads)

    def _event(self, found: Compared, rows: Rows, source: str, until: int) -> ev.DeviceLogCompared:
        digest = hashlib.sha256(msgspec.json.encode(list(rows), order="deterministic")).hexdigest()
        return ev.DeviceLogCompared(
            source="file" if source == "file" else "device",
            serial=self._serial(),
            sha256=digest,
            first=max(0, found.first),
            last=max(0, found.last),
            until=until,
            matched=found.matched,
            findings=found.findings,
        )


def read(data: bytes) -> Rows:
    """Rows of a file: JSON (a list of objects, or one object a line), else CSV with a head line.

    Raises InputError `device-log-unreadable`.
    """
    if len(data) > LARGEST:
        raise device_acts.unreadable(f"the file is longer than {LARGEST >> 20} MiB")
    try:
        text = data.decode("utf-8-sig")
        if text.lstrip().startswith("["):
            return [_row(item) for item in msgspec.json.decode(text, type=list[dict[str, str | int]])]
        if text.lstrip().startswith("{"):
            lines = [line for line in text.splitlines() if line.strip()]
            return [_row(msgspec.json.decode(line, type=dict[str, str | int])) for line in lines]
        return [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(io.StringIO(text), strict=True)]
    except (UnicodeDecodeError, msgspec.DecodeError, csv.Error, AttributeError) as fault:
        raise device_acts.unreadable(" ".join(str(fault).split())[:200]) from fault


def _row(item: dict[str, str | int]) -> dict[str, str]:
    return {name: str(value) for name, value in item.items()}


def _past(recorded: Recorded) -> DeviceLogPast:
    event = recorded.event
    assert isinstance(event, ev.DeviceLogCompared)  # noqa: S101 - its caller asked for this kind
    return DeviceLogPast(
        entry=recorded.seq,
        time_ms=recorded.time_ms,
        source=event.source,
        serial=event.serial,
        first=event.first,
        last=event.last,
        matched=event.matched,
        by=recorded.actor.name if recorded.actor else "",
        findings=tuple(_finding(text) for text in event.findings),
    )


def _finding(text: str) -> Finding:
    word, _, rest = text.partition(": ")
    return Finding(word=word, text=rest)
