"""What is usual for one key or one person, learned entry by entry: how often in a minute, and at which hours.

Two small estimators without a library. `Rate` counts uses in a sliding minute and remembers the most there ever was
and an exponentially weighted mean over minutes in use; how surprising a count is follows from the Poisson
distribution with that mean (Chernoff's bound on its tail). `Hours` is a histogram of hours on working days and at
weekends that forgets slowly. Both say how much history they have: with too little of it a rule must not speak.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque

import msgspec

MINUTE_MS = 60_000
DAY_MS = 86_400_000
WEIGHT = 0.05  # of the newest minute: what is usual changes within some twenty minutes of use
LONGEST = 4096  # uses in one minute; more than that is surprising in any case
SUBJECTS = 4096  # keys or people at once; who was not seen for longest is forgotten
FULL = 512  # log-ons after which all counts are halved
MOSTLY = 90  # percent of all times: the hours that hold so many are called usual
_MOST_SURPRISING = 999


class RateFacts(msgspec.Struct, frozen=True):
    """now: uses in the last minute, this one included; peak: the most in any minute before this one; days: of
    history; minutes: in which it was used; surprise: minus the decimal logarithm of the chance, at most 999."""

    now: int
    peak: int
    days: int
    minutes: int
    surprise: int


class RateState(msgspec.Struct, frozen=True, array_like=True):
    """A `Rate` at rest."""

    first_ms: int
    recent: list[int]
    bucket: int
    most: int
    mean: float
    minutes: int
    peak: int


class Rate:
    """One subject's uses. Times are of one steady clock in ms."""

    __slots__ = ("_bucket", "_mean", "_most", "_recent", "first_ms", "minutes", "peak")

    def __init__(self, now_ms: int) -> None:
        self.first_ms = now_ms
        self._recent: deque[int] = deque(maxlen=LONGEST)
        self._bucket = now_ms // MINUTE_MS
        self._most = 0
        self._mean = 0.0
        self.minutes = 0
        self.peak = 0

    def state(self, now_ms: int) -> RateState:
        """What it knows, without uses that the next one would push out of the window in any case."""
        recent = [at for at in self._recent if at > now_ms - MINUTE_MS]
        return RateState(self.first_ms, recent, self._bucket, self._most, self._mean, self.minutes, self.peak)

    @classmethod
    def of(cls, state: RateState) -> Rate:
        made = cls(state.first_ms)
        made._recent.extend(state.recent)
        made._bucket, made._most, made._mean = state.bucket, state.most, state.mean
        made.minutes, made.peak = state.minutes, state.peak
        return made

    def history(self, now_ms: int) -> tuple[int, int, int]:
        """(days, minutes in which it was used, the most in one of them), the present minute counted in."""
        days = (now_ms - self.first_ms) // DAY_MS
        return days, self.minutes + bool(self._most), max(self.peak, self._most)

    def see(self, now_ms: int) -> RateFacts:
        """One use, now."""
        if now_ms // MINUTE_MS != self._bucket:
            self._close(now_ms // MINUTE_MS)
        recent = self._recent
        while recent and recent[0] <= now_ms - MINUTE_MS:
            recent.popleft()
        recent.append(now_ms)
        count = len(recent)
        self._most = max(self._most, count)
        surprise = surprise_of(count, self._mean) if count > self.peak else 0
        days = (now_ms - self.first_ms) // DAY_MS
        return RateFacts(count, self.peak, days, self.minutes, surprise)

    def _close(self, bucket: int) -> None:
        """A minute is over: it becomes history."""
        if self._most:
            self._mean = float(self._most) if not self.minutes else self._mean + WEIGHT * (self._most - self._mean)
            self.peak = max(self.peak, self._most)
            self.minutes += 1
        self._bucket, self._most = bucket, 0


def surprise_of(count: int, mean: float) -> int:
    """-log10 of a bound on P(X ≥ count) for X Poisson with this mean: 6 is one in a million. 0: nothing unusual."""
    if count <= mean:
        return 0
    mean = max(mean, 0.01)
    nats = mean - count + count * math.log(count / mean)
    return min(_MOST_SURPRISING, int(nats / math.log(10)))


class HourFacts(msgspec.Struct, frozen=True):
    """share: percent of the times before that lay within an hour of this one, on the same kind of day; times: how many
    there were; days: of history."""

    share: int
    times: int
    days: int


class HoursState(msgspec.Struct, frozen=True, array_like=True):
    """`Hours` at rest: by hour, of working days and of weekends."""

    first_ms: int
    working: list[int]
    weekend: list[int]


class Hours:
    """When one subject is at work. hour 0 to 23 of the workstation's own time."""

    __slots__ = ("_counts", "first_ms")

    def __init__(self, now_ms: int) -> None:
        self.first_ms = now_ms
        self._counts = ([0] * 24, [0] * 24)

    def state(self) -> HoursState:
        return HoursState(self.first_ms, *(list(counts) for counts in self._counts))

    @classmethod
    def of(cls, state: HoursState) -> Hours:
        made = cls(state.first_ms)
        for mine, kept in zip(made._counts, (state.working, state.weekend), strict=True):
            mine[:] = kept
        return made

    def usual(self, *, weekend: bool) -> tuple[int, int, int]:
        """(first, last, times): the fewest hours in a row, over midnight too, that hold most of the times there were;
        times 0: there were none."""
        counts = self._counts[weekend]
        total = sum(counts)
        for length in range(1, 25):
            sums = [(sum(counts[(at + n) % 24] for n in range(length)), -at) for at in range(24)]
            most, at = max(sums)
            if 100 * most >= MOSTLY * total:
                return -at, (length - 1 - at) % 24, total
        raise AssertionError("the whole day holds everything")

    def days(self, now_ms: int) -> int:
        """Of history."""
        return (now_ms - self.first_ms) // DAY_MS

    def see(self, now_ms: int, hour: int, *, weekend: bool) -> HourFacts:
        """One time, now."""
        mine, total = self._counts[weekend], sum(self._counts[0]) + sum(self._counts[1])
        near = mine[hour] + mine[hour - 1] + mine[(hour + 1) % 24]
        share = -(-100 * near // total) if total else 0
        mine[hour] += 1
        if total >= FULL:
            for day in self._counts:
                day[:] = [(count + 1) // 2 for count in day]
        return HourFacts(share, total, (now_ms - self.first_ms) // DAY_MS)


class Subject:
    """What is known of one key or person."""

    __slots__ = ("hours", "rate")

    def __init__(self, now_ms: int) -> None:
        self.rate = Rate(now_ms)
        self.hours = Hours(now_ms)


class SubjectState(msgspec.Struct, frozen=True, array_like=True):
    """One key or person at rest."""

    uid: str
    rate: RateState
    hours: HoursState


class Subjects:
    """All keys, or all people, by their ids."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Subject] = OrderedDict()

    def state(self, now_ms: int) -> list[SubjectState]:
        """Whoever was not seen for longest comes first."""
        return [SubjectState(uid, one.rate.state(now_ms), one.hours.state()) for uid, one in self._known.items()]

    def restore(self, states: list[SubjectState]) -> None:
        for state in states:
            found = self._known[state.uid] = Subject(0)
            found.rate, found.hours = Rate.of(state.rate), Hours.of(state.hours)

    def items(self) -> list[tuple[str, Subject]]:
        """All of them, who was seen last first."""
        return list(reversed(self._known.items()))

    def of(self, uid: str, now_ms: int) -> Subject:
        found = self._known.get(uid)
        if found is None:
            found = self._known[uid] = Subject(now_ms)
            if len(self._known) > SUBJECTS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(uid)
        return found
