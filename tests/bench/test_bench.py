"""The form of what `hsm-console bench` prints. Figures are not judged here: a busy machine must not fail a build."""

from __future__ import annotations

import contextlib
import io
import json

import pytest

from hsm_console.cli import bench, bench_measure
from hsm_console.cli.bench_measure import Row
from hsm_console.cli.main import main

FIELDS = {"name", "median", "p99", "unit", "limit", "ratio", "budget", "ok", "note"}
FAST = {
    "append-1": ["append-1"],
    "append-32": ["append-32"],
    "verify": ["verify", "verify-2", "verify-memory"],
    "inclusion": ["inclusion"],
    "start-up": ["start-up"],
    "sign": ["sign-ec-p384"],
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """One quick run over the fast measurements, as a program would read it."""
    folder = tmp_path_factory.mktemp("bench")
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        code = main(["bench", "--json", "--quick", "--events", "600", "--folder", str(folder), "--only", *FAST])
    assert code == 0
    assert list(folder.iterdir()) == []
    return json.loads(written.getvalue())


def test_rows_have_the_fields_that_programs_rely_on(rows):
    assert [row["name"] for row in rows] == [name for names in FAST.values() for name in names]
    for row in rows:
        assert set(row) == FIELDS
        assert 0 < row["median"] <= row["p99"], row
        assert row["budget"], row
        assert isinstance(row["ok"], bool), row


def test_limits_are_measured_in_the_same_run(rows):
    by_name = {row["name"]: row for row in rows}
    for name in ("append-1", "append-32", "verify", "start-up", "sign-ec-p384"):
        assert by_name[name]["limit"] > 0
        assert by_name[name]["ratio"] > 0
    assert "OK entries=600" in by_name["verify"]["note"]


@pytest.mark.parametrize(
    ("row", "strict", "code"),
    [
        (Row(name="a", median=1.0, p99=2.0, budget="≤ 1", ok=False), [], 0),
        (Row(name="a", median=1.0, p99=2.0, budget="≤ 1", ok=False), ["--strict"], 1),
        (Row(name="a", median=1.0, p99=2.0, budget="≤ 9", ok=True), ["--strict"], 0),
        (Row(name="a", median=1.0, p99=2.0), ["--strict"], 0),
        (Row(name="a", median=None, p99=None, note="no module"), ["--strict"], 1),
    ],
)
def test_a_missed_budget_fails_only_when_asked(monkeypatch, capsys, row, strict, code):
    monkeypatch.setitem(bench.ROOMS, "append-1", lambda place: [row])
    assert main(["bench", "--only", "append-1", *strict]) == code
    assert "a " in capsys.readouterr().out


def test_percentile_is_by_nearest_rank():
    assert bench_measure.p99(range(1, 101)) == 99
    assert bench_measure.p99([3.0, 1.0, 2.0]) == 3.0


def test_ratio_is_the_median_of_the_pairs():
    assert bench_measure.ratio([1.0, 8.0, 9.0], [1.0, 2.0, 3.0]) == 3.0
