"""The log's own signatures pass every lease: what the device tells and what is counted must belong together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hsm_console.gateway.head_count import HeadCount


def counted(monkeypatch: pytest.MonkeyPatch, *totals: tuple[int, bool]) -> tuple[list[str], HeadCount]:
    """(what was read, the count) when the count is these at one look after another. bool: one is under way."""
    looks = iter(totals)

    def take(*_: Any) -> HeadCount:
        total, under_way = next(looks)
        return HeadCount(key_id="00", checkpoints=total, roots=0, failed=0, under_way=under_way)

    monkeypatch.setattr(HeadCount, "take", take)
    log: Any = None
    reads: list[str] = []

    def read() -> list[str]:
        reads.append("read")
        return list(reads)

    return HeadCount.around(log, "00", read)


def test_nothing_was_signed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, count = counted(monkeypatch, (7, False), (7, False))
    assert (rows, count.total, count.failed) == (["read"], 7, 0)


def test_a_signature_between_reading_and_counting_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted without being read it would be missed now, and be one too many the next time."""
    rows, count = counted(monkeypatch, (7, False), (8, False), (8, False))
    assert (rows, count.total, count.failed) == (["read", "read"], 8, 0)


def test_a_signature_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, count = counted(monkeypatch, (7, True), (7, True), (8, False), (8, False))
    assert (len(rows), count.total, count.under_way) == (3, 8, False)


def test_a_log_that_signs_without_end_leaves_one_open(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, count = counted(monkeypatch, *((number, False) for number in range(6)))
    assert (len(rows), count.total, count.failed) == (5, 5, 1)
    assert msgspec.structs.asdict(count)["under_way"] is False
