"""What is usual: the estimators themselves, and facts as a pure fold."""

from __future__ import annotations

import random
import time
from typing import Any

from hsm_console.detect import facts, usual
from hsm_console.detect.baseline import DAY_MS, MINUTE_MS, Hours, Rate, Subjects, surprise_of
from hsm_console.detect.engine import Engine
from hsm_console.domain import events as ev


def test_surprise_grows_with_the_count_and_is_nothing_below_the_mean() -> None:
    assert surprise_of(3, 3.0) == 0
    found = [surprise_of(count, 3.0) for count in (4, 10, 20, 40, 4000)]
    assert found == sorted(found)
    assert found[0] == 0
    assert found[2] >= 6
    assert found[-1] == 999


def test_ordinary_days_surprise_nobody() -> None:
    """Uses that come by chance at a steady mean: the threshold of the rule is not reached in a year of days."""
    chance = random.Random(7)
    rate, now, most = Rate(0), 0, 0
    for _ in range(20_000):
        now += int(chance.expovariate(1 / 12_000))
        seen = rate.see(now)
        if seen.days >= 1 and seen.now >= 10:
            most = max(most, seen.surprise)
    assert most < 6


def test_a_rate_counts_a_sliding_minute_and_remembers_the_most_before() -> None:
    rate = Rate(0)
    for at in (0, 10_000, 20_000):
        seen = rate.see(at)
    assert (seen.now, seen.peak) == (3, 0)
    seen = rate.see(10 * MINUTE_MS)
    assert (seen.now, seen.peak, seen.minutes) == (1, 3, 1)
    assert rate.see(3 * DAY_MS).days == 3


def test_hours_know_kinds_of_days_and_forget_slowly() -> None:
    hours = Hours(0)
    for day in range(30):
        hours.see(day * DAY_MS, 9, weekend=False)
    assert hours.see(31 * DAY_MS, 10, weekend=False).share == 100
    assert hours.see(31 * DAY_MS, 9, weekend=True).share == 0
    assert hours.see(31 * DAY_MS, 23, weekend=False).share == 0
    for _ in range(2000):
        last = hours.see(32 * DAY_MS, 3, weekend=False)
    assert last.times <= 700, "old habits lose their weight"


def test_usual_hours_are_the_fewest_that_hold_nearly_all_over_midnight_too() -> None:
    hours = Hours(0)
    assert hours.usual(weekend=False) == (0, 0, 0)
    for hour in [22] * 30 + [23] * 30 + [0] * 30 + [1] * 30 + [12]:
        hours.see(0, hour, weekend=False)
    assert hours.usual(weekend=False) == (22, 1, 121)
    for _ in range(9):
        hours.see(0, 8, weekend=True)
    assert hours.usual(weekend=True) == (8, 8, 9)


def test_what_people_read_of_a_key_is_what_the_shipped_rules_go_by(story: Any, shipped: Any) -> None:
    """The limits that are said to people are those that stand in the rule files."""
    from importlib.resources import files

    wanted = {
        "key-rate-jump.yml": (("key_rate_days", usual.DAYS), ("key_rate_minutes", usual.MINUTES_KEY)),
        "person-rate-jump.yml": (("person_rate_days", usual.DAYS), ("person_rate_minutes", usual.MINUTES_PERSON)),
        "key-unusual-hour.yml": (("key_hour_days", usual.HOUR_DAYS), ("key_hour_times", usual.TIMES_KEY)),
        "person-unusual-hour.yml": (("person_hour_days", usual.HOUR_DAYS), ("person_hour_times", usual.TIMES_PERSON)),
    }
    for name, limits in wanted.items():
        text = (files("resources") / "rules" / name).read_text()
        for fact, least in limits:
            assert f"facts.{fact}|gte: {least}\n" in text, (name, fact)
    for number in range(60):
        story.intend("sign", mechanism="ecdsa-sha384", after_ms=(DAY_MS // 4, 300)[number % 2])
    (key,) = usual.of_keys(story.engine.facts)
    assert (key.uid, key.name) == ("22" * 16, "log")
    assert (key.days, key.minutes, key.peak) == (7, 30, 2)
    assert (key.rate_known, key.hours_known) == (True, False)
    (alice,) = usual.of_people(story.engine.facts)
    assert alice.uid == story.alice.uid


def test_memory_is_bounded() -> None:
    subjects = Subjects()
    for number in range(10_000):
        subjects.of(str(number), 0)
    assert len(subjects._known) <= 4096


def test_every_fact_that_is_given_is_named_and_documented(story: Any) -> None:
    from pathlib import Path

    document = (Path(__file__).parents[3] / "docs" / "detection.md").read_text()
    for name in facts.NAMES:
        assert f"`facts.{name}`" in document, name
    source = Path(facts.__file__).read_text()
    for name in facts.NAMES:
        stem = name.rsplit("_", 1)[0]
        assert name in source or stem in source
    for name in {key for _ in range(3) for key in _flat(story) if key.startswith("facts.")}:
        assert name.removeprefix("facts.") in facts.NAMES, name


def _flat(story: Any) -> dict[str, Any]:
    from hsm_console.detect.entry import KIND, flatten

    story.intend("sign", mechanism="ml-dsa")
    flat = flatten(story.bodies[-1])
    story.engine.facts.see(flat[KIND], flat)
    return flat


def test_state_is_a_fold(story: Any, shipped: Any) -> None:
    """An engine that folded the past raises for the next entries what one that judged all along raises."""
    for number in range(200):
        story.intend("sign", mechanism="ecdsa-sha384", after_ms=(DAY_MS // 3, 200)[number % 2])
    again = Engine(shipped)
    for body in story.bodies[:-50]:
        again.fold(body)
    late = [alert for body in story.bodies[-50:] for alert in again.judge(body)]
    assert late == [alert for alert in story.all if alert.last >= len(story.bodies) - 50]


def test_ten_thousand_entries_are_folded_in_a_moment_and_fifty_rules_cost_little(story: Any, shipped: Any) -> None:
    """Budget: one microsecond a rule and event. The bound here leaves a busy machine four times that."""
    for number in range(500):
        story.intend("sign", mechanism="ecdsa-sha384")
        story.tell(ev.LogViewed(first=0, last=number), story.grace)
    engine, bodies = Engine(shipped), story.bodies * 10
    began = time.process_time()
    for body in bodies:
        engine.fold(body)
    folded = time.process_time() - began
    began = time.process_time()
    for body in bodies:
        engine.judge(body)
    judged = time.process_time() - began
    assert folded < 4.0, "10,000 entries at the start"
    assert (judged - folded) / len(bodies) / len(shipped.rules) < 4e-6
