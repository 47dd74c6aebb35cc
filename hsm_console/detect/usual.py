"""What is usual for each key and person, as people may read it. The limits are those of the rules that ship."""

from __future__ import annotations

from hsm_console.detect.baseline import Hours, Subject
from hsm_console.detect.facts import Facts
from hsm_console.domain.messages.alerts import Usual, UsualHours

DAYS = 7
MINUTES_KEY, MINUTES_PERSON = 10, 20
HOUR_DAYS = 14
TIMES_KEY, TIMES_PERSON = 50, 20


def of_keys(facts: Facts) -> list[Usual]:
    """By their use, the one used last first."""
    now = facts.clock.now_ms
    return [
        _usual(uid, facts.key_label(uid), one, now, minutes=MINUTES_KEY, times=TIMES_KEY)
        for uid, one in facts.subjects()[0]
    ]


def of_people(facts: Facts) -> list[Usual]:
    """By everything that they do, and by the hours of their log-ons. Names are not here."""
    now = facts.clock.now_ms
    return [
        _usual(uid, "", one, now, minutes=MINUTES_PERSON, times=TIMES_PERSON) for uid, one in facts.subjects()[1] if uid
    ]


def _usual(uid: str, name: str, one: Subject, now_ms: int, *, minutes: int, times: int) -> Usual:
    days, active, peak = one.rate.history(now_ms)
    working, weekend = (_hours(one.hours, weekend=kind) for kind in (False, True))
    return Usual(
        uid=uid,
        name=name,
        days=days,
        minutes=active,
        peak=peak,
        working=working,
        weekend=weekend,
        rate_known=days >= DAYS and active >= minutes,
        hours_known=one.hours.days(now_ms) >= HOUR_DAYS and working.times + weekend.times >= times,
    )


def _hours(hours: Hours, *, weekend: bool) -> UsualHours:
    first, last, times = hours.usual(weekend=weekend)
    return UsualHours(first=first, last=last, times=times)
