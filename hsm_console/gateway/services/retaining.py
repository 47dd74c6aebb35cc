"""Orders about what is kept: segments for the auditor, pruning, erasing sealed values (AUDIT 2 and 8).

What an order deletes is deleted in the transaction of the entry that tells of it (`audit/retention`). Nothing is pruned
before its segments lie where they were written, unchanged, and the longest term that policy names is over.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from hsm_console.audit import report_standard, segment
from hsm_console.audit.in_clear import classes_of
from hsm_console.audit.retained import FOLDER
from hsm_console.audit.retention import KEPT
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ExitCode, InputError, PolicyRefusal, Problem
from hsm_console.domain.events import Draft, Recorded, SegmentFile
from hsm_console.domain.people import Role
from hsm_console.gateway.core import Core, placed
from hsm_console.gateway.ordering import Job, OrderKind, OrderStopped
from hsm_console.gateway.projections import pruned_below
from hsm_console.gateway.sessions import Session

ROTATE, PRUNE, ERASE = "rotate-log", "prune-log", "erase-values"
MOST_ERASED = 256
_MONTH_MS = 30.4375 * 86_400_000  # a twelfth of a year of 365.25 days


class Retaining:
    """Makes the kinds of order; `compose` registers them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._writing = threading.Lock()

    def kinds(self) -> tuple[OrderKind, ...]:
        months = self.months()
        return (
            OrderKind(
                action=ROTATE,
                title="Write complete segments of the log for the auditor",
                parameters={"recipient": "The auditor's age recipient (age1…)"},
                check=self._check_rotate,
                summary=lambda given: f"Write the complete segments of the log, encrypted to {given['recipient']}.",
                run=self._rotate,
                needs_quorum=False,
                openers=(Role.ADMINISTRATOR, Role.AUDITOR),
            ),
            OrderKind(
                action=PRUNE,
                title="Remove old entries that stand in segments",
                parameters={"below": f"Entries below this number go (nothing younger than {months} months)"},
                check=self._check_prune,
                summary=lambda given: (
                    f"Remove the entries below {given['below']} for ever; their hashes and segments stay."
                ),
                run=self._prune,
                irreversible=True,
                openers=(Role.ADMINISTRATOR,),
            ),
            OrderKind(
                action=ERASE,
                title="Erase sealed values",
                parameters={"entries": "Numbers of the entries, with commas", "why": "Why they are erased"},
                check=self._check_erase,
                summary=lambda given: (
                    f"Erase every sealed value of the entries {given['entries']} for ever, because: {given['why']}."
                ),
                run=self._erase,
                irreversible=True,
                openers=(Role.ADMINISTRATOR, Role.AUDITOR),
            ),
        )

    def months(self) -> int:
        """The least age of what may be pruned: the house's own term, or a longer one of a standard it follows."""
        rules = self._core.environment.log
        return max(rules.retention_months, *(report_standard.load(s).retention_months for s in rules.standards), 0)

    # -- segments -----------------------------------------------------------------------------------------

    def _check_rotate(self, given: dict[str, str], session: Session) -> None:
        del session
        segment.check_recipient(given["recipient"])

    def _rotate(self, job: Job) -> dict[str, str]:
        core, recipient = self._core, job.order.parameters["recipient"]
        step, folder = core.environment.log.segment_entries, core.home.directory / FOLDER
        with self._writing:
            if core.device.unlocked:
                core.log.checkpoint()
            known = {item.segment for item in self.files()}
            waiting = [n for n in range(core.log.signed_size // step) if n not in known]
            if not waiting:
                raise _refused(
                    "segment-incomplete",
                    f"There is no complete segment that was not written: {core.log.signed_size} entries are signed, "
                    f"a segment has {step}.",
                    "Rotate again when the log is longer.",
                )
            for done, number in enumerate(waiting):
                job.progress(done, len(waiting))
                if job.stopped():
                    raise OrderStopped(f"{done} of {len(waiting)} segments were written.", {"segments": str(done)})
                event = segment.write(core.home.log, folder, number, recipient, entries=step)
                self._append(job, event)
        job.progress(len(waiting), len(waiting))
        files = ", ".join(segment.name_of(number) for number in waiting)
        return {"segments": str(len(waiting)), "files": files, "folder": FOLDER}

    def files(self) -> tuple[SegmentFile, ...]:
        """Every segment that was ever written, as the log tells of it."""
        found: dict[int, SegmentFile] = {}
        for event in (item.event for item in self._told("log-pruned", "log-rotated")):
            if isinstance(event, ev.LogPruned):
                found |= {item.segment: item for item in event.segments}
            elif isinstance(event, ev.LogRotated):
                found[event.segment] = SegmentFile(
                    segment=event.segment, first=event.first, last=event.last, file=event.file, sha256=event.sha256
                )
        return tuple(found[number] for number in sorted(found))

    def _told(self, *kinds: str) -> list[Recorded]:
        marks = ",".join("?" * len(kinds))
        with self._core.reading() as conn:
            query = f"SELECT seq FROM entry_row WHERE kind IN ({marks}) AND seq >= ? ORDER BY seq"  # noqa: S608
            rows = conn.execute(query, (*kinds, pruned_below(conn))).fetchall()
        return [self._core.log.read(seq) for (seq,) in rows]

    # -- pruning ------------------------------------------------------------------------------------------

    def _check_prune(self, given: dict[str, str], session: Session) -> None:
        del session
        self._prunable(given["below"])

    def _prunable(self, text: str) -> ev.LogPruned:
        """What the order would prune, after every condition was looked at. order_id is still empty."""
        core, below = self._core, _number(text)
        with core.reading() as conn:
            gone = pruned_below(conn)
        segments = [item for item in self.files() if item.first < below]
        if below <= gone:
            raise _refused("prune-nothing", f"Entries below {gone} are gone already.", "Name a higher number.")
        covered = 0
        for item in segments:
            covered = item.last + 1 if item.first == covered else covered
        if covered != below:
            raise _refused(
                "prune-not-rotated",
                f"Only entries below {covered} stand in segments that end there."
                if covered
                else "No segment was written yet: entries that stand in none are not removed.",
                "Write the segments first (“rotate”), and name the number where one of them ends.",
            )
        last = core.log.read(below - 1)
        self._require_age(last)
        for item in segments:
            segment.check_file(core.home.directory / FOLDER, item.file, item.sha256, item.segment)
        return ev.LogPruned(
            order_id="",
            first=max(gone, KEPT),
            below=below,
            fingerprint=hashlib.sha256(core.log.body(below - 1)).hexdigest(),
            segments=tuple(segments),
            sealing=self._sealing_at(below),
        )

    def _sealing_at(self, below: int) -> tuple[str, ...]:
        """The classes of values that were sealed at this entry: by the policy before it, if there was a key."""
        log = self._core.log
        with self._core.reading() as conn:
            gone = pruned_below(conn)
            query = "SELECT max(seq) FROM entry_row WHERE kind = ? AND seq < ?"
            kinds = ("policy-in-force", "data-key-made")
            policy, key = (conn.execute(query, (kind, below)).fetchone()[0] for kind in kinds)
            before = conn.execute("SELECT max(seq) FROM pruned").fetchone()[0]
        if key is None:
            return ()
        if KEPT <= policy < gone:
            return cast("ev.LogPruned", log.read(before).event).sealing
        return tuple(classes_of(cast("ev.PolicyInForce", log.read(policy).event).settings))

    def _require_age(self, last: Recorded) -> None:
        months = self.months()
        until = last.time_ms + months * _MONTH_MS
        if self._core.now_ms() < until:
            day = datetime.fromtimestamp(until / 1000, UTC).date()
            raise PolicyRefusal(
                Problem(
                    code="prune-too-young",
                    what=f"Entry {last.seq} must be kept for {months} months, until {day}.",
                    todo="Wait until then, or name an older entry.",
                    contact="the auditor",
                    exit_code=ExitCode.POLICY,
                )
            )

    def _prune(self, job: Job) -> dict[str, str]:
        from msgspec.structs import replace

        with self._writing:
            event = replace(self._prunable(job.order.parameters["below"]), order_id=job.order.id)
            self._append(job, event)
        return {"removed": str(event.below - event.first), "below": str(event.below)}

    # -- erasing ------------------------------------------------------------------------------------------

    def _check_erase(self, given: dict[str, str], session: Session) -> None:
        del session
        if not given["why"].strip():
            raise _refused("why-missing", "It is not said why the values are erased.", "Say why.")
        self._erasable(given["entries"])

    def _erasable(self, text: str) -> tuple[ev.Erased, ...]:
        wanted = sorted({_number(item) for item in text.split(",")})
        marks = ",".join("?" * len(wanted))
        with self._core.reading() as conn:
            query = f"SELECT seq, digest FROM disclosure WHERE seq IN ({marks}) ORDER BY seq, digest"  # noqa: S608
            rows: Sequence[tuple[int, str]] = conn.execute(query, wanted[:MOST_ERASED]).fetchall()
        empty = set(wanted) - {seq for seq, _ in rows}
        if empty or len(rows) > MOST_ERASED:
            said = f"Entry {min(empty)} has no sealed value." if empty else f"At most {MOST_ERASED} values at once."
            raise _refused("erase-nothing", said, "Name entries that have sealed values, fewer at once.")
        return tuple(ev.Erased(entry=seq, digest=digest) for seq, digest in rows)

    def _erase(self, job: Job) -> dict[str, str]:
        given = job.order.parameters
        erased = self._erasable(given["entries"])
        self._append(job, ev.DisclosuresErased(order_id=job.order.id, erased=erased, why=given["why"]))
        self._core.seals.opener.forget()
        self._core.seals.closed.forget()
        return {"erased": str(len(erased))}

    def _append(self, job: Job, event: ev.AnyEvent) -> None:
        draft = Draft(event=event, actor=job.session.actor, correlation=job.correlation, critical=True)
        self._core.log.append([placed(draft, job.session)])


def _number(text: str) -> int:
    text = text.strip()
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise _refused("number-unreadable", f"“{text[:40]}” is no number of an entry.", "Give a whole number.")
    return int(text)


def _refused(code: str, what: str, todo: str) -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
