"""What detection keeps beside the log: used where the log vouches for it, and no way to blind the rules."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hsm_console.domain import events as ev
from hsm_console.domain.events import Draft
from hsm_console.domain.secret import Secret
from hsm_console.gateway import alert_rows, compose, watch
from hsm_console.gateway.watch import Watch

KEY, NEW = "22" * 16, "77" * 16
USE = ev.OperationIntended(operation=ev.Operation.SIGN, key_id=KEY, mechanism="ecdsa-sha384")
STRANGE = ev.OperationIntended(operation=ev.Operation.SIGN, key_id=NEW, mechanism="rsa-pkcs1")
RULES = {"unknown-key-used", "first-use-of-mechanism"}  # what the strange use fulfils


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "KEEP_LEAST", 8)


class Run:
    """One run of a gateway in this process."""

    def __init__(self, workspace: Path) -> None:
        self.gateway = compose.start(workspace)
        self.gateway.listen()
        self.log = self.gateway.core.log
        self.watch: Watch = next(
            asked.__self__ for asked in self.gateway.core.notices if isinstance(asked.__self__, Watch)
        )

    def tell(self, *events: Any) -> int:
        """Append; the entry of the first."""
        return self.log.append([Draft(event=event) for event in events])[0].seq

    def settled(self) -> None:
        """Until everything was judged and recorded."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            size = self.log.size
            if self.watch.evaluated >= size:
                time.sleep(0.05)
                if self.log.size == size:
                    return
            time.sleep(0.01)
        raise AssertionError("the watch stands still")

    def alerts(self, since: int) -> set[str]:
        self.settled()
        with self.gateway.core.reading() as conn:
            rows, _ = alert_rows.alerts(conn, before=2**40, after=-1, limit=1000, only_open=False)
        return {row.rule for row in rows if row.last >= since}

    def stop(self) -> None:
        self.settled()
        self.gateway.stop("the test is over")


@pytest.fixture
def runs(workspace: Path) -> Iterator[Any]:
    begun: list[Run] = []

    def run() -> Run:
        begun.append(Run(workspace))
        return begun[-1]

    yield run
    begun[-1].gateway.stop("the test is over")


@pytest.fixture
def kept(workspace: Path, runs: Any, flows: Any) -> Path:
    """A first run that unlocks the device, uses a key and ends in order; the state that it kept."""
    first = runs()
    first.gateway.core.device.unlock(None, Secret(flows.PIN))
    first.tell(*[USE] * 20)
    first.stop()
    found = sorted((workspace / "detection").glob("state-*.json"))
    assert found
    assert all(path.stat().st_mode & 0o077 == 0 for path in found)
    return found[-1]


def beats(workspace: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(f"file:{workspace}/audit.db?mode=ro", uri=True) as conn:
        bodies = [body for (body,) in conn.execute("SELECT body FROM entry ORDER BY seq")]
    conn.close()
    found = (json.loads(body)["hsm_console"]["event"] for body in bodies)
    return [event for event in found if event["kind"] == "heartbeat"]


def forged(path: Path) -> bytes:
    """A state that knows the strange key and mechanism already, so that nobody would be told of their use."""
    whole = json.loads(path.read_bytes())
    whole["engine"]["facts"]["keys"][NEW] = "an old friend"
    whole["engine"]["facts"]["mechanisms"].append("sign rsa-pkcs1")
    return json.dumps(whole, separators=(",", ":")).encode()


def test_a_start_goes_on_from_what_was_kept(workspace: Path, kept: Path, runs: Any) -> None:
    named = beats(workspace)[-1]
    assert named["state_sha256"] == hashlib.sha256(kept.read_bytes()).hexdigest()
    second = runs()
    second.settled()
    assert second.watch.begun_at == named["state_at"] > 20
    assert second.alerts(second.tell(USE)) == set(), "it remembers the key's use"
    assert second.alerts(second.tell(STRANGE)) == RULES


def test_a_state_that_would_hide_a_use_is_not_used(workspace: Path, kept: Path, runs: Any) -> None:
    kept.write_bytes(forged(kept))
    second = runs()
    assert second.alerts(second.tell(STRANGE)) == RULES
    assert second.watch.begun_at == 0


@pytest.mark.parametrize("name", ["state-999999999999.json", "state-000000000009.json"])
def test_nor_is_one_that_is_laid_beside_it(workspace: Path, kept: Path, runs: Any, name: str) -> None:
    kept.with_name(name).write_bytes(forged(kept))
    second = runs()
    assert second.alerts(second.tell(STRANGE)) == RULES
    assert second.watch.begun_at > 0, "the true one is still there"


def test_a_heartbeat_that_nobody_signed_vouches_for_nothing(workspace: Path, kept: Path, runs: Any) -> None:
    """The enemy with the disk writes the unsigned end of the log anew, his state's digest with it."""
    second = runs()  # locked all the time: nothing of this run is signed
    second.tell(*[USE] * 10)
    data = forged(kept)
    digest = hashlib.sha256(data).hexdigest()
    kept.with_name("state-000000000050.json").write_bytes(data)
    second.tell(ev.Heartbeat(run_uid="x", evaluated=50, next_s=0, state_at=50, state_sha256=digest))
    second.stop()
    assert any(beat.get("state_sha256") == digest for beat in beats(workspace))
    third = runs()
    assert third.alerts(third.tell(STRANGE)) == RULES
    assert 0 < third.watch.begun_at == int(kept.stem.split("-")[1]), "the signed one of the first run"
    assert kept.exists()


def test_a_signed_heartbeat_that_was_changed_in_the_file_proves_nothing(workspace: Path, kept: Path, runs: Any) -> None:
    """He changes the signed entry itself, further back than an opening reads: its proof fails."""
    second = runs()
    second.tell(*[USE] * 300)
    second.stop()
    data = forged(kept)
    old, new = (hashlib.sha256(text).hexdigest().encode() for text in (kept.read_bytes(), data))
    kept.write_bytes(data)
    with sqlite3.connect(workspace / "audit.db") as conn:
        for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            conn.execute(f"DROP TRIGGER {name}")
        for seq, body in conn.execute("SELECT seq, body FROM entry WHERE seq < 200").fetchall():
            if old in bytes(body):
                conn.execute("UPDATE entry SET body = ? WHERE seq = ?", (bytes(body).replace(old, new), seq))
        assert conn.total_changes > 0
    conn.close()
    third = runs()
    assert third.watch._keeper.find(third.log.size) is None
    assert third.alerts(third.tell(STRANGE)) == RULES
    assert third.watch.begun_at == 0


def test_an_older_state_of_this_log_is_harmless(workspace: Path, kept: Path, runs: Any, flows: Any) -> None:
    old = kept.read_bytes()
    second = runs()
    second.gateway.core.device.unlock(None, Secret(flows.PIN))
    second.tell(*[STRANGE] * 9)
    second.stop()
    for path in (workspace / "detection").iterdir():
        path.unlink()
    kept.write_bytes(old)
    third = runs()
    third.settled()
    assert third.watch.begun_at == int(kept.stem.split("-")[1])
    folded_on = third.watch._engine.state().facts
    third.stop()
    shutil.rmtree(workspace / "detection")
    fourth = runs()
    fourth.settled()
    assert fourth.watch.begun_at == 0
    anew = fourth.watch._engine.state().facts
    assert "sign rsa-pkcs1" in anew.mechanisms
    assert (anew.mechanisms, anew.keys) == (folded_on.mechanisms, folded_on.keys)
    assert [one.uid for one in anew.by_key] == [one.uid for one in folded_on.by_key]


@pytest.mark.parametrize("change", ["rules", "zone", "software", "garbage", "folder", "link", "huge"])
def test_whatever_does_not_fit_is_learned_anew(
    workspace: Path, kept: Path, runs: Any, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hsm_console.gateway import watch_state

    if change == "rules":
        (workspace / "rules").mkdir()
        (workspace / "rules" / "own.yml").write_text(
            "title: T\nname: own\ndescription: D.\nlevel: low\nlogsource: {product: hsm-console}\n"
            "detection:\n  s:\n    hsm_console.event.kind: log-viewed\n  condition: s\n"
        )
    elif change == "zone":
        monkeypatch.setenv("TZ", "XYZ-5")
        time.tzset()
    elif change == "software":
        monkeypatch.setattr(watch_state, "__version__", "0.0.0")
    elif change == "garbage":
        kept.write_bytes(os.urandom(4096))
    elif change == "folder":
        kept.unlink()
        kept.mkdir()
    elif change == "link":
        kept.unlink()
        kept.symlink_to("/dev/zero")
    else:
        monkeypatch.setattr(watch_state, "LARGEST", 100)
    try:
        second = runs()
        assert second.alerts(second.tell(STRANGE)) == RULES
        assert second.watch.begun_at == 0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_when_the_check_at_the_start_found_something_all_is_learned_anew(
    workspace: Path, kept: Path, runs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from msgspec.structs import replace

    from hsm_console.audit import startup
    from hsm_console.domain.messages.audit import Finding

    real, finding = startup.check, Finding(word="REWRITTEN", text="entry 3 is not the one in the tree", entry=3)

    def check(*given: Any, **named: Any) -> Any:
        return replace(real(*given, **named), findings=(finding,))

    monkeypatch.setattr(startup, "check", check)
    second = runs()
    assert second.alerts(second.tell(STRANGE)) >= RULES
    assert second.watch.begun_at == 0


def test_alerts_that_wait_are_never_put_to_rest(workspace: Path, runs: Any, flows: Any, monkeypatch: Any) -> None:
    """While an alert is not in the log yet, what caused it must be judged again by the next run."""
    from hsm_console.domain.errors import EnvironmentFault, Problem

    first = runs()
    first.gateway.core.device.unlock(None, Secret(flows.PIN))
    first.settled()
    before, real = first.watch._kept, first.log.append

    def append(drafts: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(drafts[0].event, ev.AlertRaised):
            raise EnvironmentFault(Problem(code="disk-full", what="The disk is full.", todo="Make room."))
        return real(drafts, *rest, **named)

    monkeypatch.setattr(first.log, "append", append)
    since = first.tell(STRANGE, *[USE] * 20)
    time.sleep(0.5)
    first.gateway.stop("the test is over")
    assert first.watch._kept == before
    monkeypatch.undo()
    second = runs()
    assert second.alerts(since) >= RULES
