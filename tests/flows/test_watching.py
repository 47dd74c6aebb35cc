"""A session that only watches reads and does nothing; filters by time; a verification that is stopped."""

from __future__ import annotations

from typing import Any

from hsm_console.client import audit, device, people, reporting
from hsm_console.client.session import log_in
from hsm_console.domain.secret import Secret


def test_a_watching_session_reads_and_nothing_else(house: Any, helpers: Any) -> None:
    path = house.workspace / "credentials" / "ada.p12"
    with log_in(house.gateway.address, path, Secret("four unrelated words and ada"), watch=True) as watcher:
        assert audit.head(watcher).size > 0
        assert audit.entries(watcher).rows
        refusal = helpers["refusal"]
        for act in (
            lambda: device.unlock(watcher, Secret("user-pin-271828")),
            lambda: device.lock(watcher),
            lambda: audit.start_verification(watcher),
            lambda: audit.make_receipt(watcher, 0),
            lambda: people.revoke(watcher, "alan", "keyCompromise"),
            lambda: reporting.export(watcher, "csv"),
        ):
            assert refusal(act) == "only-watching"
        assert not device.state(watcher).unlocked


def test_entries_by_time_status_and_ceremony(house: Any, helpers: Any) -> None:
    alan = house.be("alan")
    every = audit.entries(alan).rows
    middle = every[len(every) // 2]
    later = audit.entries(alan, since=str(middle.time_ms)).rows
    assert {row.seq for row in later} >= {row.seq for row in every if row.time_ms >= middle.time_ms}
    assert all(row.time_ms >= middle.time_ms for row in later)
    assert all(row.time_ms < middle.time_ms for row in audit.entries(alan, until=str(middle.time_ms)).rows)
    assert all(row.status == "failure" for row in audit.entries(alan, status="failure").rows)
    assert not audit.entries(alan, ceremony="no-such").rows
    assert helpers["refusal"](lambda: audit.entries(alan, since="1 OR 1=1")) == "filter-unreadable"


def test_a_stopped_verification_says_nothing_about_the_log(house: Any) -> None:
    alan = house.be("alan")
    audit.start_verification(alan)
    stopped = audit.stop_verification(alan)
    assert not stopped.running
    again = audit.start_verification(alan)
    while again.running:
        again = audit.verification(alan)
    assert again.report is not None
    assert not again.report.findings
