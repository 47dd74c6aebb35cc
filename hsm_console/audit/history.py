"""The sense of a log, entry by entry: runs, clock, operations, and what ought to be signed by now.

The hashes are checked elsewhere (`verify`); this looks at what the entries say. Small state, one pass.
"""

# ruff: noqa: ARG002 (the handlers in the table at the end all take the same arguments)

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hsm_console.audit.findings import Findings, Word
from hsm_console.audit.lean import Extension, Lean, LeanEvent

CLOCK_SLACK_MS = 5_000
CLOCK_DRIFT = 1000  # one part in a thousand: what time services correct without a step
NEAR_ENTRIES = 16
SHIFT_SLACK_MS = 60_000
OPEN_INTENTS = 20_000
UNSIGNED_ENTRIES = 256
UNSIGNED_ENTRIES_LIVE = 512
UNSIGNED_MS = 90_000  # the 60 s of the policy, and time for a slow token
_ENDINGS = {"operation-succeeded", "operation-failed", "operation-interrupted"}


class _Step(msgspec.Struct):
    """A jump of the clock that nobody declared yet."""

    entry: int
    shift_ms: int


class History:
    """Fold over what the entries say.

    before: entries below are somebody else's; loose: (intent below it, succeeded) of outcomes met here, in order.
    """

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.time_ms = 0  # of the last entry, 0 where that is not known
        self._boot_id: str | None = None
        self._uptime = 0
        self.steps: list[_Step] = []
        self._declared: list[_Step] = []
        self.running: int | None = None
        self.intents: dict[int, LeanEvent] = {}
        self.unlocked: int | None = None
        self.due: tuple[int, int] | None = None  # critical entry of an unlocked run: (seq, uptime)
        self.before = 0
        self.loose: list[tuple[int, bool]] = []
        self.marks: list[tuple[int, int]] = []  # (seq, uptime) of the unlocked run, thinned out

    def step(self, seq: int, lean: Lean, extension: Extension) -> None:
        """One entry. On the way of every one: positional, and no call where nothing is out of the ordinary."""
        time_ms, boot_id, uptime = lean.time, lean.device.boot_uid, extension.boottime_ms
        drift = (time_ms - self.time_ms) - (uptime - self._uptime)
        if boot_id != self._boot_id or uptime < self._uptime or not -CLOCK_SLACK_MS <= drift <= CLOCK_SLACK_MS:
            self._look_at_clock(seq, time_ms, boot_id, uptime)
        self.time_ms, self._boot_id, self._uptime = time_ms, boot_id, uptime
        event = extension.event
        handler = _HANDLERS.get(event.kind)
        if handler:
            handler(self, seq, uptime, event)
        elif event.kind == "time-change-declared" and lean.actor.user is not None:
            self._declare(seq, event.shift_ms)
        if self.unlocked is not None and (extension.critical or not self.marks):
            self._owe(seq, uptime, critical=extension.critical)

    @property
    def clock(self) -> tuple[int, str, int]:
        """(time, boot id, uptime) of the last entry."""
        return self.time_ms, self._boot_id or "", self._uptime

    @property
    def settled(self) -> bool:
        """Nothing waits for a declaration, and no signature is owed: what follows can be judged on its own."""
        return not self.steps and self.due is None and not self.marks

    def begin_at(self, clock: tuple[int, str, int], running: int | None, unlocked: int | None) -> None:
        """Go on as if an entry of this time had been read and nothing were pending."""
        self.running, self.unlocked = running, unlocked
        self.time_ms, self._boot_id, self._uptime = clock

    def settle(self, loose: Sequence[tuple[int, bool]]) -> None:
        """Outcomes, met by somebody else, of intents that stand here."""
        for intent, succeeded in loose:
            self._close(intent, succeeded=succeeded)

    def pass_over(self) -> None:
        """Entries were pruned here: what they said of clock, runs and operations is not known."""
        self.time_ms, self._boot_id, self.running, self.unlocked = 0, None, None, None
        self.intents.clear()

    # -- clock ------------------------------------------------------------------------------------------

    def _look_at_clock(self, seq: int, time_ms: int, boot_id: str, uptime: int) -> None:
        if self._boot_id is None:
            return
        shift = time_ms - self.time_ms
        if boot_id == self._boot_id:
            elapsed = uptime - self._uptime
            if elapsed < 0:
                self._findings.add(Word.CLOCK, f"the uptime runs backwards before entry {seq}", seq)
            shift -= elapsed
            if abs(shift) > CLOCK_SLACK_MS + abs(elapsed) // CLOCK_DRIFT:
                self._jump(_Step(seq, shift))
        elif shift < -CLOCK_SLACK_MS:
            self._jump(_Step(seq, shift))

    def _jump(self, step: _Step) -> None:
        for told in self._declared:
            if _excuses(told, step):
                self._declared.remove(told)
                return
        self.steps.append(step)
        if len(self.steps) > UNSIGNED_ENTRIES:
            self._tell(self.steps.pop(0))

    def _declare(self, seq: int, shift_ms: int) -> None:
        told = _Step(seq, shift_ms)
        for step in self.steps:
            if _excuses(told, step):
                self.steps.remove(step)
                return
        self._declared = [*self._declared[-NEAR_ENTRIES:], told]

    def _tell(self, step: _Step) -> None:
        way = "ahead" if step.shift_ms > 0 else "back"
        text = f"the clock jumped {way} by {abs(step.shift_ms) / 1000:.0f} s before entry {step.entry}, undeclared"
        self._findings.add(Word.CLOCK, text, step.entry)

    # -- runs and operations ----------------------------------------------------------------------------

    def _started(self, seq: int, uptime: int, event: LeanEvent) -> None:
        if self.running is not None and event.previous_end != "unclean":
            text = f"the run that began at entry {self.running} has no stop, and entry {seq} does not say so"
            self._findings.add(Word.UNCLEAN, text, seq)
        self.running = seq
        self._lock(seq, uptime, event)

    def _ended(self, seq: int, uptime: int, event: LeanEvent) -> None:
        if self.unlocked is not None:
            self._owe(seq, uptime, critical=True)
        due, marks = self.due, self.marks
        self.running = None
        self.unlocked = None
        self.due, self.marks = due, marks  # a stop does not forgive what was never signed

    def _unlock(self, seq: int, uptime: int, event: LeanEvent) -> None:
        self.unlocked = seq

    def _lock(self, seq: int, uptime: int, event: LeanEvent) -> None:
        self.unlocked, self.due, self.marks = None, None, []

    def _intend(self, seq: int, uptime: int, event: LeanEvent) -> None:
        self.intents[seq] = event
        if len(self.intents) > OPEN_INTENTS:  # a hostile file must not fill the memory
            self._tell_intent(next(iter(self.intents)))

    def _finish(self, seq: int, uptime: int, event: LeanEvent) -> None:
        if event.intent < self.before:
            self.loose.append((event.intent, event.kind == "operation-succeeded"))
        else:
            self._close(event.intent, succeeded=event.kind == "operation-succeeded")

    def _close(self, seq: int, *, succeeded: bool) -> None:
        intent = self.intents.get(seq)
        if intent is None:
            return
        intent.count -= 1
        if intent.count <= 0 or not succeeded:
            del self.intents[seq]

    def _tell_intent(self, seq: int) -> None:
        text = f"the operation “{self.intents.pop(seq).operation}” announced in entry {seq} has no ending"
        self._findings.add(Word.INTERRUPTED, text, seq)

    # -- signatures that are due ------------------------------------------------------------------------

    def signed(self, size: int) -> None:
        """The log is signed up to here."""
        if self.due is not None and self.due[0] < size:
            self.due = None
        self.marks = [mark for mark in self.marks if mark[0] >= size]

    def _owe(self, seq: int, uptime: int, *, critical: bool) -> None:
        if critical and self.due is None:
            self.due = (seq, uptime)
        if not self.marks:
            self.marks.append((seq, uptime))

    def finish(self, entries: int, signed: int, *, live: bool) -> None:
        """At the end of the log."""
        for step in self.steps:
            self._tell(step)
        if self.running is not None and not live:
            text = f"the log ends without a proper stop of the run that began at entry {self.running}"
            self._findings.add(Word.UNCLEAN, text, entries - 1)
        if not live:
            for seq in list(self.intents):
                self._tell_intent(seq)
        self._look_at_signatures(entries, signed, live=live)

    def _look_at_signatures(self, entries: int, signed: int, *, live: bool) -> None:
        add = self._findings.add
        if entries and not signed:
            add(Word.UNSIGNED, "no valid checkpoint signs any entry of this log", 0)
            return
        limit = UNSIGNED_ENTRIES_LIVE if live else UNSIGNED_ENTRIES
        if entries - signed > limit:
            add(Word.UNSIGNED, f"{entries - signed} entries at the end are not signed, at most {limit} may be", signed)
        elif self.due is not None and (not live or self._uptime - self.due[1] > UNSIGNED_MS):
            text = f"entry {self.due[0]} had to be signed at once (the log key was at hand) and is not"
            add(Word.UNSIGNED, text, self.due[0])
        elif self.marks and self._uptime - self.marks[0][1] > UNSIGNED_MS:
            text = f"entry {self.marks[0][0]} is unsigned for more than a minute although the log key was at hand"
            add(Word.UNSIGNED, text, self.marks[0][0])


def _excuses(told: _Step, step: _Step) -> bool:
    return abs(told.entry - step.entry) <= NEAR_ENTRIES and abs(told.shift_ms - step.shift_ms) <= SHIFT_SLACK_MS


_HANDLERS = {
    "gateway-started": History._started,
    "gateway-stopped": History._ended,
    "device-unlocked": History._unlock,
    "device-down": History._lock,
    "operation-intended": History._intend,
    **dict.fromkeys(_ENDINGS, History._finish),
}
