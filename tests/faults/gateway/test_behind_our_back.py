"""Enemy E: the HSM is used outside the application. The device's own log and its keys tell, at the next unlocking."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hsm_console.client import alerts, audit
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.gateway.workspace import Home
from hsm_console.hsm.port import Hsm
from hsm_console.hsm.worker import HsmClient


@pytest.fixture
def runs(workspace: Path, flows: ModuleType) -> Callable[[], Any]:
    """A run of the gateway, in which Ada unlocks the device; then it ends in order."""
    import contextlib

    @contextlib.contextmanager
    def run() -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            house = flows.House(workspace, stack.enter_context(GatewayProcess(workspace)), stack)
            house.admin()
            yield house

    return run


def token(workspace: Path, flows: ModuleType) -> Any:
    """The token in the hands of somebody who knows its PIN and does not ask the gateway."""
    home = Home(workspace)
    client = HsmClient(home.binding(home.load()))
    client.log_in(Secret(flows.PIN))
    return client


def events(workspace: Path, kind: str) -> list[dict[str, Any]]:
    with sqlite3.connect(f"file:{workspace}/audit.db?mode=ro", uri=True) as conn:
        rows = conn.execute("SELECT body FROM entry ORDER BY seq").fetchall()
    conn.close()
    found = (json.loads(body)["hsm_console"]["event"] for (body,) in rows)
    return [event for event in found if event["kind"] == kind]


def told(session: Any, *rules: str) -> dict[str, str]:
    """The texts of the open alerts by rule, when those asked for are there."""
    deadline = time.monotonic() + 20
    while True:
        found = {row.rule: row.text for row in alerts.listed(session).rows}
        if set(rules) <= set(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def test_a_whole_ceremony_agrees_with_the_device_to_the_last_signature(
    house: Any,
) -> None:
    """Everything that the console does is either an entry or allowed for: no finding where nothing was wrong."""
    ada = house.admin()
    view = house.open(ada)
    for _ in range(60):
        if not view.current:
            break
        view = house.turn(ada, view)
    assert view.receipts
    report = alerts.compare_device_log(house.be("alan"))
    assert report.findings == ()
    assert report.matched >= 3, "a key, its request, a document"
    assert report.entry > 0
    again = alerts.compare_device_log(house.be("alan"))
    assert (again.records, again.findings) == (again.matched, ())


def test_a_signature_and_a_key_behind_our_back_are_told(workspace: Path, runs: Any, flows: ModuleType) -> None:
    with runs():
        pass
    with token(workspace, flows) as hsm:
        key = next(key for key in hsm.find() if key.label.startswith("authority "))
        hsm.sign(key.object_id, SignMechanism.ECDSA_SHA384, b"a false certificate")
        hsm.generate(KeySpec(algorithm=Algorithm.EC_P256, label="stray", object_id=b"\x44" * 16))
    with runs() as house:
        found = told(house.be("alan"), "shadow-operation", "foreign-key")
    assert "signed with the key “authority" in found["shadow-operation"]
    assert "let somebody log in" in found["shadow-operation"]
    assert "stray (44444444)" in found["foreign-key"]
    (compared,) = [event for event in events(workspace, "device-log-compared") if event.get("findings")]
    assert len(compared["findings"]) == 3
    with runs() as house:
        house.be("alan")
    assert len(events(workspace, "keys-read-back")) == 1, "the same answer is told once"


def test_a_record_that_vanished_from_the_device_is_told(workspace: Path, runs: Any) -> None:
    journal = workspace / "token" / "simulation" / "device-log.jsonl"
    with runs() as house:
        ada = house.admin()
        house.until(ada, house.open(ada), "compare")
        lines = journal.read_bytes().splitlines(keepends=True)
        at = max(n for n, line in enumerate(lines) if b'"generate"' in line)
        journal.write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
        report = alerts.compare_device_log(house.be("alan"))
        assert [finding.word for finding in report.findings] == ["PHANTOM-OP"]
        assert "made the key “test key”" in report.findings[0].text
        assert "phantom-operation" in told(house.be("alan"), "phantom-operation")


@pytest.mark.parametrize("times", [1, 2])
def test_each_signature_of_the_log_key_behind_our_back_is_told(
    workspace: Path, runs: Any, flows: ModuleType, times: int
) -> None:
    """A second history needs one signature: not even one passes as that of a head, or of a root for receipts."""
    with runs() as house:
        audit.make_receipt(house.be("ada"), 2)
    with token(workspace, flows) as hsm:
        key = next(key for key in hsm.find() if key.label.startswith("log "))
        for number in range(times):
            hsm.sign(key.object_id, SignMechanism.ED25519, b"another history %d" % number)
    with runs() as house:
        audit.make_receipt(house.be("ada"), 3)
        told(house.be("alan"), "shadow-operation")
    (compared,) = [event for event in events(workspace, "device-log-compared") if event.get("findings")]
    assert sum("signed with the key “log" in text for text in compared["findings"]) == times
    with runs() as house:
        assert alerts.compare_device_log(house.be("alan")).findings == ()


def test_a_head_that_the_device_did_not_sign_is_told(workspace: Path, runs: Any) -> None:
    journal = workspace / "token" / "simulation" / "device-log.jsonl"
    with runs() as house:
        house.admin()
        lines = journal.read_bytes().splitlines(keepends=True)
        at = max(n for n, line in enumerate(lines) if b'"sign"' in line)
        journal.write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
        report = alerts.compare_device_log(house.be("alan"))
        assert [finding.word for finding in report.findings] == ["PHANTOM-OP"]
        assert "signed with the key “log" in report.findings[0].text
        assert alerts.compare_device_log(house.be("alan")).findings == (), "told once"


def test_a_missing_and_a_changed_key_are_told(workspace: Path, runs: Any, flows: ModuleType) -> None:
    with runs() as house:
        ada = house.admin()
        house.until(ada, house.open(ada), "compare")
    with token(workspace, flows) as hsm:
        key = next(key for key in hsm.find() if key.label == "test key")
        hsm.destroy(key.object_id)
    with runs() as house:
        found = told(house.be("alan"), "key-gone", "shadow-operation")
    assert f"test key ({key.object_id.hex()[:8]})" in found["key-gone"]
    assert "destroyed the key “test key”" in found["shadow-operation"]


def test_attributes_that_the_token_tells_otherwise_are_told(spied: Any, flows: ModuleType) -> None:
    from msgspec.structs import replace

    gateway, spy, _ = spied
    real: Hsm = spy.real
    answer = real.find

    def find(**named: Any) -> Any:
        return tuple(
            replace(key, attributes=replace(key.attributes, extractable=True, never_extractable=False))
            for key in answer(**named)
        )

    spy.real = _With(real, find)
    gateway.core.device.unlock(None, Secret(flows.PIN))
    (read,) = [
        gateway.core.log.read(seq).event
        for seq in range(gateway.core.log.size)
        if b'"keys-read-back"' in gateway.core.log.body(seq)
    ]
    assert any("extractable was no, is yes" in text for text in read.changed)


class _With:
    def __init__(self, real: Any, find: Any) -> None:
        self._real, self.find = real, find

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_a_makers_file_is_compared_and_a_device_without_a_log_says_so(house: Any, helpers: Any) -> None:
    house.admin()
    alan = house.be("alan")
    head = b"index,operation,key_id,time_ms,result\n"
    first = alerts.compare_device_log(alan, "log.csv", head + b"1,login,,,ok\n")
    assert (first.records, first.matched, first.findings) == (1, 0, ())
    second = alerts.compare_device_log(alan, "log.csv", head + b"1,login,,,ok\n2,so-login,,,ok\n")
    assert [finding.word for finding in second.findings] == ["SHADOW-OP"]
    assert "so-login-outside-ceremony" in told(alan, "so-login-outside-ceremony")
    refusal = helpers["refusal"]
    assert refusal(lambda: alerts.compare_device_log(alan, "x", b"\xff\xfe\x00")) == "device-log-unreadable"
    assert refusal(lambda: alerts.compare_device_log(alan, "x", b"a,b\n1,2\n")) == "device-log-unreadable"
    assert refusal(lambda: alerts.compare_device_log(house.be("joan"), "x", head)) == "role-refused"
