"""Rules and habits in words: what watches, what is usual, and from when on it counts."""

from __future__ import annotations

from hsm_console.domain.messages.alerts import RulesView, RuleView, Usual, UsualHours
from ui import texts
from ui.texts import tr

_GRAVE = ("critical", "high", "medium", "low")


def gravity(rule: RuleView) -> tuple[bool, int, str]:
    """Order of reading: rules that failed, then the gravest."""
    return not rule.fault, _GRAVE.index(rule.level), rule.title


def state(rule: RuleView) -> str:
    return tr("Failed") if rule.fault else tr("On")


def fired(rule: RuleView) -> str:
    if not rule.fired:
        return tr("never")
    return tr("once") if rule.fired == 1 else tr("{n} times", n=f"{rule.fired:,}")


def last(rule: RuleView) -> str:
    return texts.moment(rule.last_ms) if rule.fired else ""


def origin(rule: RuleView) -> str:
    return tr("this house, in the workspace's folder “rules”") if rule.own else tr("it comes with the software")


def standing(view: RulesView) -> tuple[str, bool]:
    """One sentence on how far the rules are, and whether all is well."""
    count = tr("{n} rules are on.", n=len(view.rules))
    if view.evaluated < view.size - 1:
        far = tr("They still learn what the log says: {n} of {m} records so far. New alerts come after that.",
                 n=f"{view.evaluated:,}", m=f"{view.size:,}")  # fmt: skip
        return f"{count} {far}", False
    return f"{count} {tr('They have judged all {n} records.', n=f'{view.size:,}')}", not view.refused


def hours(found: UsualHours) -> str:
    """When most of it happens on such days."""
    if not found.times:
        return tr("never yet")
    if (found.last + 1) % 24 == found.first:
        return tr("at all hours")
    return tr("{a} to {b}", a=_clock(found.first), b=_clock(found.last + 1))


def history(one: Usual) -> str:
    if not one.days:
        return tr("since today")
    return tr("one day") if one.days == 1 else tr("{n} days", n=one.days)


def known_for(one: Usual) -> str:
    """The same within a sentence."""
    if not one.days:
        return tr("since today")
    return tr("for one day") if one.days == 1 else tr("for {n} days", n=one.days)


def name(one: Usual) -> str:
    return one.name or tr("unknown, id {id}", id=one.uid[:16])


def told(one: Usual, *, key: bool) -> list[tuple[str, str]]:
    """Everything that is known of one, as names and sentences."""
    busy = tr("at most {n} times in one minute; active in {m} different minutes; known {days}", n=f"{one.peak:,}",
              m=f"{one.minutes:,}", days=known_for(one))  # fmt: skip
    return [
        (tr("How often"), busy),
        (tr("On working days"), _when(one.working, key=key)),
        (tr("At weekends"), _when(one.weekend, key=key)),
        (tr("A sudden burst"), _rate_limit(one, key=key)),
        (tr("An unusual hour"), _hour_limit(one, key=key)),
    ]


def _when(found: UsualHours, *, key: bool) -> str:
    if not found.times:
        return tr("never used yet") if key else tr("never logged in yet")
    if key:
        return tr("{n} uses, nearly all at {hours}", n=f"{found.times:,}", hours=hours(found))
    return tr("{n} log-ins, nearly all at {hours}", n=f"{found.times:,}", hours=hours(found))


def _rate_limit(one: Usual, *, key: bool) -> str:
    if one.rate_known:
        return tr("raises an alert")
    least = 10 if key else 20
    return tr("raises no alert yet: that needs seven days and {n} minutes of use", n=least)


def _hour_limit(one: Usual, *, key: bool) -> str:
    if one.hours_known:
        return tr("raises an alert")
    if key:
        return tr("raises no alert yet: that needs fourteen days and 50 uses")
    return tr("raises no alert yet: that needs fourteen days and 20 log-ins")


def _clock(hour: int) -> str:
    return f"{hour % 24:02}:00"
