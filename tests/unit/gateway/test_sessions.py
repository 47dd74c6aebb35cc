"""Refusals are recorded, but nobody can storm the log with them."""

from __future__ import annotations

from hsm_console.gateway.sessions import Flood


def test_a_flood_is_counted_and_told_with_the_next_one() -> None:
    flood = Flood(3)
    assert [flood.admit(1000) for _ in range(3)] == [0, 0, 0]
    assert [flood.admit(2000) for _ in range(5)] == [None] * 5
    assert flood.admit(61_500) == 5
    assert flood.admit(61_501) == 0
