"""Budgets of detection: how soon an alert is durable after its cause, and what a rule costs each entry."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from pathlib import Path

from hsm_console.audit.source import open_source
from hsm_console.cli import bench_desk
from hsm_console.cli import demo_cast as cast
from hsm_console.cli.bench_log import RawFile
from hsm_console.cli.bench_measure import Place, Row, median, p99
from hsm_console.client import alerts, audit
from hsm_console.client.session import log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.detect.engine import Engine
from hsm_console.detect.rulebook import in_force
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret

RULES = 50
ALERT_MS = 10.0
RULE_US = 1.0
PAUSE_S = 0.05
MOST = 55  # beyond sixty a minute alerts are counted instead of recorded
_RULE = """title: Measured {n}
name: measured-{n}
description: One of the rules that fill the set up to fifty.
logsource: {{product: hsm-console}}
detection:
  s:
    hsm_console.event.kind: log-viewed
    hsm_console.event.first|gte: {least}
  condition: s
level: high
"""


def _workspace(place: Place) -> Path:
    """A workspace with fifty rules: the shipped ones and more of the usual kind; the last one fires at each look."""
    folder = Path(tempfile.mkdtemp(dir=place.folder)) / "workspace"
    shutil.copytree(bench_desk.workspace(place), folder)
    own = folder / "rules"
    own.mkdir()
    missing = RULES - len(in_force()[0].rules)
    for number in range(missing):
        least = 0 if number == missing - 1 else 10**6
        (own / f"{number}.yml").write_text(_RULE.format(n=number, least=least), "utf-8")
    return folder


def alert(place: Place) -> list[Row]:
    """From a cause to its alert, both durable, in a real gateway with fifty rules; by the entries' own uptimes."""
    folder, raw = _workspace(place), RawFile(place.folder / "raw-alert")
    limit: list[float] = []
    ada = cast.of_role(Role.ADMINISTRATOR)[0]
    with GatewayProcess(folder) as gateway:
        path = folder / "credentials" / f"{ada.uid}.p12"
        with Secret(ada.passphrase) as passphrase, log_in(gateway.address, path, passphrase, ada.role) as session:
            rules = alerts.rules(session)
            for _ in range(place.some(MOST, 10)):
                audit.entry(session, 0)  # each look at one entry is recorded
                time.sleep(PAUSE_S)
                limit.append(_raw(raw))
    raw.close()
    found, bodies = _latencies(folder)
    top = p99(found)
    return [
        Row(
            name="alert", median=median(found), p99=top, limit=median(limit), budget=f"p99 ≤ {ALERT_MS:.0f} ms",
            ok=top <= ALERT_MS,
            note=f"{len(found)} alerts, {len(rules.rules)} rules that speak, of {RULES}; whole milliseconds; limit: a "
            f"durable 4 KiB and a second thread woken, p99 {p99(limit)} ms",
        ),
        _cost(folder, bodies, place),
    ]  # fmt: skip


def _raw(raw: RawFile) -> float:
    """The same way without us: something is made durable, and another thread hears of it."""
    heard, times = threading.Event(), [0]

    def hear() -> None:
        heard.wait()
        times[0] = time.perf_counter_ns()

    other = threading.Thread(target=hear)
    other.start()
    began = time.perf_counter_ns()
    raw.write()
    heard.set()
    other.join()
    return (times[0] - began) / 1e6


def _latencies(folder: Path) -> tuple[list[float], list[bytes]]:
    """Milliseconds from each cause's entry to its alert's, and all entries."""
    with open_source(folder) as source:
        bodies = [body for _, _, body in source.entries() if body is not None]
    when: dict[int, int] = {}
    found = []
    for body in bodies:
        entry = json.loads(body)
        event, at = entry["hsm_console"]["event"], entry["hsm_console"]["boottime_ms"]
        when[entry["metadata"]["sequence"]] = at
        if event["kind"] == "alert-raised" and event["rule"].startswith("measured"):
            found.append(float(at - when[event["last"]]))
    return found, bodies


def _cost(folder: Path, bodies: list[bytes], place: Place) -> Row:
    """What judging one entry costs, reading it included, shared out among fifty rules."""
    rules = in_force(folder / "rules")[0]
    spent = []
    for _ in range(place.some(15, 3)):
        engine = Engine(rules)
        began = time.process_time_ns()
        for body in bodies:
            engine.judge(body)
        spent.append((time.process_time_ns() - began) / 1e3 / len(bodies) / len(rules.rules))
    found = median(spent)
    return Row(
        name="rule", median=found, p99=p99(spent), unit="us", budget=f"median ≤ {RULE_US:.0f} µs a rule and event",
        ok=found <= RULE_US, note=f"processor time, {len(rules.rules)} rules, {len(bodies)} entries; reading included",
    )  # fmt: skip
