"""The circuit breaker: one change told for many refusals, rests that double, a latch that only a person opens."""

from __future__ import annotations

import pytest

from hsm_console.domain.errors import DeviceError
from hsm_console.hsm.breaker import Breaker, Change, Phase


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told() -> list[Change]:
    return []


@pytest.fixture
def breaker(clock: Clock, told: list[Change]) -> Breaker:
    return Breaker(told.append, threshold=3, rest_s=1.0, latch_after=3, now=clock)


def refused(breaker: Breaker) -> str:
    with pytest.raises(DeviceError) as caught:
        breaker.enter()
    assert caught.value.problem.todo
    return caught.value.problem.code


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failed("device-failed")


def test_storm_of_failures_is_told_once_and_the_next_change_counts_the_refused(
    breaker: Breaker, clock: Clock, told: list[Change]
) -> None:
    fail(breaker, 3)
    for _ in range(1000):
        assert refused(breaker) == "device-resting"
    assert [change.phase for change in told] == [Phase.RESTING]
    clock.now += 2
    breaker.enter()
    breaker.succeeded()
    assert [(change.phase, change.refused) for change in told] == [(Phase.RESTING, 0), (Phase.CLOSED, 1000)]
    breaker.enter()


def test_what_says_nothing_of_the_device_ends_a_row_of_failures(breaker: Breaker, told: list[Change]) -> None:
    for code in ("pin-incorrect", "object-missing", "unsupported", "device-latched", ""):
        fail(breaker, 2)
        breaker.failed(code)
    assert told == []
    breaker.enter()


def test_only_one_call_makes_the_trial(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 2
    breaker.enter()
    assert refused(breaker) == "device-resting"
    clock.now += 31  # the trial never came back
    breaker.enter()


def test_rests_double_and_end_in_a_latch_that_only_a_reset_opens(
    breaker: Breaker, clock: Clock, told: list[Change]
) -> None:
    fail(breaker, 3)
    for _ in range(2):
        clock.now += 100
        breaker.enter()
        breaker.failed("device-hung")
    assert [change.phase for change in told] == [Phase.RESTING, Phase.RESTING, Phase.LATCHED]
    assert 0.75 <= told[0].rest_s <= 1.25
    assert 1.5 <= told[1].rest_s <= 2.5
    clock.now += 10_000
    assert refused(breaker) == "device-latched"
    breaker.succeeded()  # a health check that happens to pass
    assert breaker.phase is Phase.LATCHED
    breaker.reset()
    breaker.enter()
    breaker.succeeded()
    assert breaker.phase is Phase.CLOSED
