"""The memory of a correlation: what it saw in its window, group by group. Time is the workstation's uptime, so that
a clock that is set back or ahead neither hides a burst nor makes one."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

import msgspec

from hsm_console.detect.entry import Flat, text_of
from hsm_console.detect.rules import Correlation

GROUPS = 4096  # more at once are no people of one house; the oldest group is forgotten
VALUES = 4096


class Seen(msgspec.Struct, frozen=True):
    """One match: its time, its entry, what it counts as (rule or value)."""

    time_ms: int
    seq: int
    what: str


class Window(msgspec.Struct, frozen=True):
    """What a correlation saw for one group, at rest."""

    group: tuple[str, ...]
    seen: list[Seen]


class Hit(msgspec.Struct, frozen=True):
    """The correlation is fulfilled. first: the oldest entry of the window; group: the values it was grouped by."""

    first: int
    count: int
    group: dict[str, str]
    values: str


class Memory:
    """One correlation's windows."""

    def __init__(self, rule: Correlation) -> None:
        self.rule = rule
        self._groups: OrderedDict[tuple[str, ...], deque[Seen]] = OrderedDict()

    def state(self, now_ms: int) -> list[Window]:
        """Its windows, the oldest group first, without what the next step would push out in any case."""
        least = now_ms - self.rule.span_ms
        found = (Window(key, [one for one in seen if one.time_ms >= least]) for key, seen in self._groups.items())
        return [window for window in found if window.seen]

    def restore(self, windows: list[Window]) -> None:
        for window in windows:
            self._groups[window.group] = deque(window.seen, maxlen=VALUES)

    def step(self, name: str, seq: int, now_ms: int, flat: Flat) -> Hit | None:
        """A rule that is correlated matched this entry. A fulfilled window is emptied: new alerts need new causes."""
        key = tuple(self._value(alias, name, flat) for alias in self.rule.group)
        window = self._groups.get(key)
        if window is None:
            window = self._groups[key] = deque(maxlen=VALUES)
            if len(self._groups) > GROUPS:
                self._groups.popitem(last=False)
        else:
            self._groups.move_to_end(key)
        while window and window[0].time_ms < now_ms - self.rule.span_ms:
            window.popleft()
        window.append(Seen(now_ms, seq, self._counted(name, flat)))
        if not self._fulfilled(window):
            return None
        values = dict.fromkeys(item.what for item in window)
        hit = Hit(window[0].seq, len(window), dict(zip(self.rule.group, key, strict=True)), ", ".join(values))
        del self._groups[key]
        return hit

    def _value(self, alias: str, name: str, flat: Flat) -> str:
        field = self.rule.aliases.get(alias, {}).get(name, alias)
        value: Any = flat.get(field)
        return "" if value is None else text_of(value)

    def _counted(self, name: str, flat: Flat) -> str:
        return text_of(flat.get(self.rule.field)) if self.rule.field else name

    def _fulfilled(self, window: deque[Seen]) -> bool:
        if self.rule.type == "event_count":
            return len(window) >= self.rule.count
        if self.rule.type == "value_count":
            return len({item.what for item in window}) >= self.rule.count
        if self.rule.type == "temporal":
            return {item.what for item in window} >= set(self.rule.rules)
        wanted = iter(self.rule.rules)
        now = next(wanted)
        for item in window:
            if item.what == now:
                following = next(wanted, None)
                if following is None:
                    return True
                now = following
        return False
