"""The gateway watches its own log: each entry is judged as soon as it is durable, what is found is an entry (AUDIT 9).

One thread follows the log. It first learns the past in silence, from what an earlier run kept where the log vouches
for that, then judges from where the run before ended, so that what happened between a cause and a crash is still told,
and nothing is told twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import msgspec

from hsm_console.detect import usual
from hsm_console.detect.engine import Alert, Engine
from hsm_console.detect.rulebook import FOLDER, in_force
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.alerts import Usual
from hsm_console.gateway import alert_rows, watch_alerts
from hsm_console.gateway.core import Core
from hsm_console.gateway.projections import pruned_below
from hsm_console.gateway.watch_state import Keeper, Kept

HEARTBEAT_S = 600
TAIL = 5000  # entries before the first that is judged whose windows are primed; older ones are folded into facts only
CHUNK = 256
LOOK_S = 0.2  # how soon a stop is noticed; new entries wake the thread at once
AGAIN_S = 1.0
KEEP_LEAST = 256  # entries: fewer are learned again in a moment
KEEP_EVERY = 16_384


class Watch:
    """Made before the gateway listens; `begin` after the entry of its start. Thread-safe."""

    def __init__(self, core: Core, *, sound: bool = True) -> None:
        """sound: the check at the start found nothing; else what was kept is not used."""
        self._core = core
        self.rules, self._refused = in_force(core.home.directory / FOLDER)
        self._before, mark = self._known()
        self.since = core.log.size if mark is None else mark
        self._engine = Engine(self.rules)
        self._at = 0
        self._keeper, self._sound = Keeper(core, self.rules), sound
        self._kept: Kept | None = None
        self._judging = threading.Lock()  # who looks at what is usual must not meet an entry half learned
        self._keep_due = 0.0
        self.begun_at = 0  # entries that this run did not learn anew
        self._pending: list[Draft] = []
        self._storm = watch_alerts.Storm()
        self._stop, self._to_sign = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._beat_due = 0.0
        self._fault: Problem | None = None

    @property
    def refused(self) -> Sequence[Problem]:
        """Rule files that could not be used."""
        return self._refused

    @property
    def faults(self) -> dict[str, str]:
        """Rules that failed on an entry of this run, and on which."""
        return dict(self._engine.faults)

    def usual(self) -> tuple[list[Usual], list[Usual]]:
        """(keys, people): what is usual for each, who was seen last first."""
        with self._judging:
            return usual.of_keys(self._engine.facts), usual.of_people(self._engine.facts)

    @property
    def evaluated(self) -> int:
        """Entries that were judged, or learned in silence."""
        return self._at

    def _known(self) -> tuple[dict[str, str] | None, int | None]:
        """The rules of the run before, and the first entry that it did not judge; None: nobody watched yet, or what
        was said of it was pruned."""
        log = self._core.log
        with self._core.reading() as conn:
            query, below = "SELECT max(seq) FROM entry_row WHERE kind = ? AND seq >= ?", pruned_below(conn)
            rules, beat = (conn.execute(query, (kind, below)).fetchone()[0] for kind in ("rules-loaded", "heartbeat"))
        loaded = log.read(rules).event if rules is not None else None
        marks = [loaded.since] if isinstance(loaded, ev.RulesLoaded) else []
        if beat is not None:
            marks.append(getattr(log.read(beat).event, "evaluated", 0))
        known = loaded.rules if isinstance(loaded, ev.RulesLoaded) else None
        return known, min(max(marks), log.size) if marks else None

    # -- begin and end ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Record the rules in force, and begin to watch."""
        log = self._core.log
        loaded = watch_alerts.loaded(self.rules, self._before, self.since)
        drafts = [Draft(event=loaded, critical=True)]
        if loaded.changed or loaded.removed:
            drafts.append(_draft(watch_alerts.changed(loaded, log.size)))
        log.append(drafts)
        self._beat()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()
        threading.Thread(target=self._sign, name="watch-sign", daemon=True).start()

    def close(self) -> None:
        """Judge what is there, say up to where, and end."""
        thread, self._thread = self._thread, None
        self._stop.set()
        if thread is not None:
            thread.join(30)
            if not thread.is_alive():
                self._keep(KEEP_LEAST)
            self._core.log.append([self._heartbeat(0)])

    def tick(self) -> None:
        """Once a second: the sign of life when it is due."""
        if self._thread is not None and time.monotonic() >= self._beat_due:
            self._beat()

    def _beat(self) -> None:
        self._beat_due = time.monotonic() + HEARTBEAT_S
        self._core.log.append([self._heartbeat(HEARTBEAT_S)])

    def _heartbeat(self, next_s: int) -> Draft:
        evaluated = max(self._at, self.since) if not self._pending else self.since
        kept = self._kept or Kept(0, "")
        event = ev.Heartbeat(
            run_uid=self._core.run_uid,
            evaluated=evaluated,
            next_s=next_s,
            state_at=kept.at,
            state_sha256=kept.sha256,
        )
        return Draft(event=event)

    def problems(self) -> Sequence[Problem]:
        """Notices: rules that could not be used, and a watch that stands still."""
        found = list(self._refused)
        if self._fault is not None:
            found.append(self._fault)
        found += [watch_alerts.rule_fault(name, why) for name, why in tuple(self._engine.faults.items())]
        return found

    # -- the thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if not self._learn():
                return
            while not self._stop.is_set():
                self._judge(self._core.log.wait(self._at, LOOK_S))
                self._keep(KEEP_LEAST if time.monotonic() >= self._keep_due else KEEP_EVERY)
            self._judge(self._core.log.size)
        except Exception as error:  # noqa: BLE001 - a thread's last line: told to everybody, never lost
            self._fault = self._core.incidents.bug(error, "watch").problem

    def _sign(self) -> None:
        """Alerts are signed beside the thread that judges: a busy device must not keep the next alert waiting."""
        while not self._stop.is_set():
            if self._to_sign.wait(LOOK_S):
                self._to_sign.clear()
                self._core.log.sign_due()

    def _learn(self) -> bool:
        """The past: facts from all of it, windows from its tail, nothing told but what the run before owed.

        False: the gateway stops meanwhile; then nothing was judged.
        """
        size, primed = self._core.log.size, max(0, self.since - TAIL)
        found = self._keeper.find(self.since) if self._sound else None
        if found is not None:
            self._engine.restore(found.engine)
            self._kept, self.begun_at, primed = found.kept, found.kept.at, 0
        for seq, body in self._bodies(self.begun_at, self.since):
            if self._stop.is_set():
                return False
            self._read(body, judged=seq >= primed)
        self._at = self.since
        with self._core.reading() as conn:
            told = alert_rows.raised(conn, self.since)
        for _, body in self._bodies(self.since, size):
            self._tell([a for a in self._read(body, judged=True) if (a.rule, a.last, a.text) not in told])
        self._at = max(self._at, size)
        return True

    def _judge(self, size: int) -> None:
        if self._pending:
            self._write()
        for _, body in self._bodies(self._at, size):
            self._tell(self._read(body, judged=True))
        self._at = max(self._at, size)

    def _keep(self, least: int) -> None:
        """Keep what was learned when so many entries came since; never while alerts wait, which it would swallow."""
        if self._pending or self._at - (self._kept.at if self._kept else 0) < least:
            return
        self._keep_due = time.monotonic() + HEARTBEAT_S
        kept = self._keeper.keep(self._engine, self._at)
        if kept is not None:
            first, self._kept = self._kept is None, kept
            if first:
                self._beat_due = 0.0  # named at once: a crash must not cost what took long to learn

    def _bodies(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Entries in order by their numbers, but for those that were pruned."""
        while start < stop:
            until = min(start + CHUNK, stop)
            with self._core.reading() as conn:
                query = "SELECT seq, body FROM entry WHERE seq >= ? AND seq < ? ORDER BY seq"
                rows = conn.execute(query, (start, until)).fetchall()
            yield from ((seq, bytes(body)) for seq, body in rows)
            start = until

    def _read(self, body: bytes, *, judged: bool) -> list[Alert]:
        try:
            with self._judging:
                if judged:
                    return self._engine.judge(body)
                self._engine.fold(body)
        except msgspec.DecodeError as error:
            self._core.incidents.note("watch: an entry is unreadable", error)
        return []

    def _tell(self, found: list[Alert]) -> None:
        for alert in found:
            self._pending += [_draft(one) for one in self._storm.let(alert, time.monotonic())]
        if self._pending:
            self._write()

    def _write(self) -> None:
        """Alerts become entries. While the log cannot be written they wait, and are tried again."""
        while self._pending:
            try:
                self._core.log.append(self._pending[:CHUNK], sign=False)
                del self._pending[:CHUNK]
                self._fault = None
                self._to_sign.set()
            except ConsoleError as error:
                if error.problem.code == "canon-refused":
                    self._pending = [watch_alerts.plain(draft) for draft in self._pending]
                    continue
                self._fault = watch_alerts.cannot_write(error.problem, len(self._pending))
                if self._stop.wait(AGAIN_S):
                    return


def _draft(alert: Alert) -> Draft:
    event = ev.AlertRaised(
        rule=alert.rule,
        title=alert.title,
        level=alert.level,
        first=alert.first,
        last=alert.last,
        text=alert.text,
        rules_sha256=alert.sha256,
        todo=alert.todo,
        subject=alert.subject,
    )
    # A note of level low may wait for the next checkpoint; others are signed at once.
    return Draft(event=event, critical=alert.level != "low")
