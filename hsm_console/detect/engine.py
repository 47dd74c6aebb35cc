"""The engine: takes the log entry by entry, in order, and says which rules it fulfils.

Nothing is kept but what can be made again from the log: facts and baselines by a fold over all of it, the windows of
correlations from its tail; or all of it from a state at rest that stands for the entries up to it. Alerts, their
acknowledgements and heartbeats are folded in but never judged, so that an alert cannot make an alert.
"""

from __future__ import annotations

import re
import unicodedata
from collections import OrderedDict

import msgspec

from hsm_console.detect.correlate import Memory, Window
from hsm_console.detect.entry import KIND, Flat, flatten, text_of
from hsm_console.detect.facts import Facts, FactsState
from hsm_console.detect.rules import Level, Rule, RuleSet

NOT_JUDGED = frozenset({"alert-raised", "alert-acknowledged"})
TEXT_LENGTH = 1500
QUIET_GROUPS = 4096
_FIELD = re.compile(r"\{([A-Za-z0-9_.|-]+)\}")


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A rule was fulfilled by the entries first to last. text: why, in plain words; sha256: of the rule's file."""

    rule: str
    title: str
    level: Level
    first: int
    last: int
    text: str
    todo: str
    sha256: str
    subject: str = ""


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """An engine at rest. windows: of each correlation by its name; told: when a rule spoke last about what, and how
    often it was silent since."""

    facts: FactsState
    windows: dict[str, list[Window]]
    told: list[tuple[tuple[str, ...], int, int]]


class Engine:
    """One run over one log. Not thread-safe."""

    def __init__(self, rules: RuleSet) -> None:
        self.rules = rules
        self.facts = Facts()
        self.faults: dict[str, str] = {}
        self._searches = [rule for rule in rules.rules if rule.search is not None]
        self._by_kind: dict[str, tuple[Rule, ...]] = {}
        self._parts: dict[str, list[tuple[Rule, Memory]]] = {}
        self._memories: dict[str, Memory] = {}
        for rule in rules.rules:
            if rule.correlation is not None:
                memory = Memory(rule.correlation)
                for part in rule.correlation.rules:
                    self._parts.setdefault(part, []).append((rule, memory))
                self._memories[rule.name] = memory
        self._told: OrderedDict[tuple[str, ...], tuple[int, int]] = OrderedDict()

    def state(self) -> EngineState:
        """Everything that it knows of the entries so far. Faults of rules are of one run only."""
        now = self.facts.clock.now_ms
        return EngineState(
            facts=self.facts.state(),
            windows={name: memory.state(now) for name, memory in self._memories.items()},
            told=[(key, last_ms, passed) for key, (last_ms, passed) in self._told.items()],
        )

    def restore(self, state: EngineState) -> None:
        """Go on from there. Of a new engine only, and with the very rules that made the state."""
        self.facts.restore(state.facts)
        for name, windows in state.windows.items():
            self._memories[name].restore(windows)
        self._told.update((key, (last_ms, passed)) for key, last_ms, passed in state.told)

    def fold(self, body: bytes) -> None:
        """Learn from an entry without judging it. Raises msgspec.DecodeError when it is unreadable."""
        flat = flatten(body)
        self.facts.see(flat.get(KIND, ""), flat)

    def judge(self, body: bytes) -> list[Alert]:
        """Learn from an entry, and judge it. Raises msgspec.DecodeError when it is unreadable."""
        flat = flatten(body)
        kind = flat.get(KIND, "")
        now = self.facts.see(kind, flat)
        if kind in NOT_JUDGED:
            return []
        rules = self._by_kind.get(kind)
        if rules is None:
            rules = self._by_kind[kind] = tuple(r for r in self._searches if _possible(r, kind))
        found: list[Alert] = []
        for rule in rules:
            try:
                if rule.search.match(flat):  # type: ignore[union-attr]
                    self._matched(rule, flat["metadata.sequence"], now, flat, found)
            except Exception as fault:  # noqa: BLE001 - one rule's fault must not silence the others
                self.faults[rule.name] = f"{type(fault).__name__} at entry {flat.get('metadata.sequence')}"
        return found

    def _matched(self, rule: Rule, first: int, now: int, flat: Flat, found: list[Alert]) -> None:
        seq = flat["metadata.sequence"]
        if rule.raises and (more := self._let(rule, now, flat)) is not None:
            found.append(_alert(rule, first, flat, more))
        for correlated, memory in self._parts.get(rule.name, ()):
            hit = memory.step(rule.name, seq, now, flat)
            if hit is not None:
                given = {"count": hit.count, "values": hit.values, "first": hit.first, **hit.group}
                self._matched(correlated, hit.first, now, flat | given, found)

    def _let(self, rule: Rule, now: int, flat: Flat) -> int | None:
        """How many like it were passed over since the last alert; None: pass this one over too."""
        if not rule.quiet_ms:
            return 0
        per = rule.per or (rule.correlation.group if rule.correlation else ())
        key = (rule.name, *(text_of(flat.get(field)) for field in per))
        last_ms, passed = self._told.get(key, (None, 0))
        if last_ms is not None and now - last_ms < rule.quiet_ms:
            self._told[key] = (last_ms, passed + 1)
            return None
        self._told[key] = (now, 0)
        self._told.move_to_end(key)
        if len(self._told) > QUIET_GROUPS:
            self._told.popitem(last=False)
        return passed


def _possible(rule: Rule, kind: str) -> bool:
    return rule.search is not None and (rule.search.kinds is None or kind in rule.search.kinds)


def _alert(rule: Rule, first: int, flat: Flat, more: int) -> Alert:
    text = _FIELD.sub(lambda match: _said(flat, match[1]), rule.text)
    if more:
        text += f" It happened {more} more times since the last alert about it."
    subject = flat.get(rule.subject)
    return Alert(
        rule=rule.name,
        title=rule.title,
        level=rule.level,
        first=first,
        last=flat["metadata.sequence"],
        text=unicodedata.normalize("NFC", text[:TEXT_LENGTH]),
        todo=rule.todo,
        sha256=rule.sha256,
        subject=subject if isinstance(subject, str) else "",
    )


def _said(flat: Flat, names: str) -> str:
    """The first of these fields (`a|b`) that the entry has, in words."""
    for name in names.split("|"):
        value = flat.get(name)
        if value is not None and value != "":
            return text_of(value)
    return "(nobody)" if names.startswith("actor.") else "(not said)"
