"""What the watch says by itself, without a rule file: rules that changed, a storm of alerts, what is wrong with it."""

from __future__ import annotations

from collections import deque

from msgspec.structs import replace

from hsm_console.detect.engine import Alert
from hsm_console.detect.rules import RuleSet
from hsm_console.domain import events as ev
from hsm_console.domain.errors import Problem
from hsm_console.domain.events import Draft

RULES_CHANGED, STORM = "rules-changed", "alert-storm"
A_MINUTE = 60
_NAMED = 10


def loaded(rules: RuleSet, before: dict[str, str] | None, since: int) -> ev.RulesLoaded:
    """The rules in force, beside those of the run before (None: there was none)."""
    known = rules.files if before is None else before
    both = known.keys() & rules.files.keys()
    return ev.RulesLoaded(
        sha256=rules.sha256,
        rules=rules.files,
        since=since,
        added=tuple(sorted(rules.files.keys() - known.keys())),
        changed=tuple(sorted(name for name in both if known[name] != rules.files[name])),
        removed=tuple(sorted(known.keys() - rules.files.keys())),
    )


def changed(event: ev.RulesLoaded, seq: int) -> Alert:
    """Rules are gone or others than before. No rule file can switch this alert off. seq: where the event will stand."""
    parts = [(event.removed, "not in force any more"), (event.changed, "changed"), (event.added, "new")]
    said = [f"{words}: {_few(names)}" for names, words in parts if names]
    return Alert(
        rule=RULES_CHANGED,
        title="The rules that watch the log were changed",
        level="high" if event.removed else "medium",
        first=seq,
        last=seq,
        text=f"Since the last start rules of detection are other ones. {'; '.join(said)}.",
        todo="Compare with an update of the software or a change in the workspace's folder “rules” that was decided. "
        "If nobody decided it, restore the files and start the gateway again.",
        sha256=event.sha256,
    )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


class Storm:
    """So many alerts a minute are entries of their own; what is beyond is counted, and the count is told."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque()
        self._cut = 0

    def let(self, alert: Alert, now_s: float) -> list[Alert]:
        """The alerts to record instead of this one: itself, with the count of those cut before it; or none."""
        while self._recent and self._recent[0] < now_s - 60:
            self._recent.popleft()
        if len(self._recent) >= A_MINUTE:
            self._cut += 1
            return [self._told(alert)] if self._cut == 1 else []
        self._recent.append(now_s)
        cut, self._cut = self._cut, 0
        if cut > 1:
            return [replace(alert, text=f"{alert.text} Before it {cut} alerts were counted but not recorded.")]
        return [alert]

    @staticmethod
    def _told(alert: Alert) -> Alert:
        return Alert(
            rule=STORM,
            title="More alerts than anybody can read",
            level="high",
            first=alert.first,
            last=alert.last,
            text=f"More than {A_MINUTE} alerts came within a minute. From here on they are only counted until it is "
            f"quieter; the entries that cause them are in the log all the same. This one was “{alert.title}”.",
            todo="Look at the entries themselves from here on. Somebody may want one alert to drown among many.",
            sha256=alert.sha256,
            subject=alert.subject,
        )


def plain(draft: Draft) -> Draft:
    """An alert whose text the log does not take, without that text."""
    assert isinstance(draft.event, ev.AlertRaised)  # noqa: S101 - the watch writes nothing else
    event = replace(draft.event, text=f"Look at entry {draft.event.last}.", subject="")
    return replace(draft, event=event)


def cannot_write(problem: Problem, waiting: int) -> Problem:
    return Problem(
        code="alerts-wait",
        what=f"{waiting} alerts cannot be recorded: {problem.what}",
        todo=problem.todo,
        contact=problem.contact,
    )


def rule_fault(name: str, why: str) -> Problem:
    return Problem(
        code="rule-failed",
        what=f"The detection rule “{name}” failed on an entry ({why}). What it watches for may have been missed.",
        todo="Correct the rule; it is asked again at every entry.",
        contact="whoever wrote the rule",
    )
