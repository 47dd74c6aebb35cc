"""The table's model: a million records, a handful in memory, jumps within 50 ms."""

from __future__ import annotations

import sys
import time

import pytest
from places import Gateway, entry, settle
from PySide6.QtCore import Qt

from ui.audit.entries import NUMBER, SIGNED, WHAT, EntryModel
from ui.audit.page import AuditPage
from ui.audit.rows import KEPT, PAGE, Filter, Rows

MILLION = 1_000_000
JUMPS = 120


def text(model: EntryModel, row: int, column: int) -> str:
    return model.data(model.index(row, column))


@pytest.fixture
def model(theme, calls, gateway):
    made = EntryModel(gateway, calls)
    made.start(Filter())
    settle(lambda: made.rowCount() > 0)
    yield made
    made.lane.forget()


def test_newest_first_and_pages_only_when_looked_at(model, gateway):
    assert model.rowCount() == gateway.size
    assert text(model, 0, NUMBER) == str(gateway.size - 1)
    assert len(gateway.asked) == 1
    assert text(model, 700, NUMBER) == "…"
    settle(lambda: model.entry(700) is not None)
    assert model.entry(700) == entry(gateway.size - 701, gateway.signed)
    assert len(gateway.asked) == 2


def test_every_row_is_the_record_of_its_number(model, gateway):
    for row in (0, 1, 179, 180, 181, 435, 436, 1000, gateway.size - 1):
        settle(lambda row=row: model.entry(row) is not None)
        assert model.entry(row).seq == gateway.size - 1 - row


def test_dragging_asks_for_few_pages(theme, calls):
    gateway = Gateway(MILLION)
    model = EntryModel(gateway, calls)
    model.start(Filter())
    settle(lambda: model.rowCount() > 0)
    for row in range(0, MILLION, 5_000):  # what passes by while the scroll bar is dragged
        model.data(model.index(row, WHAT))
    settle(lambda: model.entry(995_000) is not None)
    assert len(gateway.asked) <= 6
    model.lane.forget()


def test_memory_is_bounded(theme, calls):
    rows = Rows(MILLION, Filter())
    gateway = Gateway(MILLION)
    for page in range(200):
        rows.take(page, gateway._entries({"before": str(rows.before(page)), "limit": str(PAGE)}))
    assert len(rows._pages) == KEPT


def test_growth_keeps_every_record_in_its_row(model, gateway):
    settle(lambda: model.entry(700) is not None)
    before = model.entry(700)
    gateway.size += 300
    model.grow(gateway.size, gateway.signed)
    assert model.rowCount() == gateway.size
    assert model.entry(1000) == before
    settle(lambda: model.entry(0) is not None)
    assert model.entry(0).seq == gateway.size - 1


def test_a_selection_grows_as_one_scrolls(theme, calls):
    gateway = Gateway(4_000)
    model = EntryModel(gateway, calls)
    model.start(Filter(kind="device-unlock-refused"))
    settle(lambda: model.rowCount() == PAGE)
    assert not model.complete
    while model.canFetchMore(model.index(-1, -1)):
        count = model.rowCount()
        model.fetchMore(model.index(-1, -1))
        settle(lambda count=count: model.rowCount() > count or model.complete)
    expected = [n for n in range(3_999, -1, -1) if n % 6 == 3]
    assert [model.entry(row).seq for row in range(model.rowCount())] == expected


def test_signed_is_said_in_words_and_follows_the_head(model, gateway):
    assert text(model, 0, SIGNED) == "not yet"
    assert text(model, 4, SIGNED) == "signed"
    model.cover(gateway.size)
    assert text(model, 0, SIGNED) == "signed"
    assert model.data(model.index(0, SIGNED), Qt.ItemDataRole.DecorationRole) is not None


def test_a_row_is_one_sentence_for_a_screen_reader(model):
    said = model.data(model.index(0, WHAT), Qt.ItemDataRole.AccessibleTextRole)
    assert said.startswith("Record 1203, 20")
    assert said.endswith(", not yet")


def _jumps(page: AuditPage) -> tuple[float, float]:
    """99 of 100 jumps are quicker: by the clock, and by the processor's time of this process with all its threads."""
    walls, processors = [], []
    for n in range(JUMPS):
        seq = (n * 7_919 * 104_729) % MILLION
        began, spent = time.perf_counter(), time.process_time()
        page.go_to(seq)
        row = page.table.row
        settle(lambda row=row: page.model.entry(row) is not None)
        page.table.viewport().repaint()
        walls.append((time.perf_counter() - began) * 1000)
        processors.append((time.process_time() - spent) * 1000)
        assert page.model.entry(row).seq == seq
    at = int(JUMPS * 0.99) - 1
    return sorted(walls)[at], sorted(processors)[at]


def _drawing(page: AuditPage) -> float:
    """99 of 100 times the rows that are shown are drawn again in less than this, in ms of processor."""
    spent = []
    for _ in range(JUMPS):
        began = time.process_time()
        page.table.viewport().repaint()
        spent.append((time.process_time() - began) * 1000)
    return sorted(spent)[int(JUMPS * 0.99) - 1]


def test_jumping_in_a_million_records(qtbot, theme, calls):
    page = AuditPage(Gateway(MILLION), calls)
    qtbot.addWidget(page)
    page.resize(1280, 800)
    page.show()
    settle(lambda: page.model.rowCount() == MILLION)
    wall, processor = _jumps(page)
    drawing = _drawing(page)
    sys.stdout.write(
        f"jump in {MILLION:,} records, p99: {wall:.1f} ms on the clock, {processor:.1f} ms of processor; "
        f"only drawing the same rows: {drawing:.1f} ms\n"
    )
    # The processor's time: what else the machine does meanwhile is not the table's. On a busy machine even that grows,
    # so the limit grows with what drawing the same rows takes in the same run.
    assert processor <= max(50, 8 * drawing)


def test_growing_a_million_is_quick(theme, calls):
    gateway = Gateway(MILLION)
    model = EntryModel(gateway, calls)
    model.start(Filter())
    settle(lambda: model.rowCount() == MILLION)
    began = time.process_time()
    model.grow(MILLION + 1, MILLION)
    assert time.process_time() - began < 0.05
    model.lane.forget()
