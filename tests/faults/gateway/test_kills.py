"""kill -9 of anything at random moments of the demonstration: it goes on, the log verifies, one key, no orphans."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

KINDS = {
    "gateway": "hsm_console.gateway --workspace",
    "founding": "hsm_console.gateway.founding",
    "agent": "hsm_console.credential.agent",
    "worker": "hsm_console.hsm.host",
}
KILLS = 3
ROOT = Path(__file__).parents[3]
ADAPTERS = ("simulation", "softhsm")
SAMPLE = (("driver", "simulation"), ("gateway", "softhsm"), ("worker", "simulation"), ("founding", "softhsm"),
          ("agent", "simulation"))  # fmt: skip
SOAK_SEEDS = 80  # of up to three kills each: over 200 moments, most of them the gateway's
SOAK_VICTIMS = ("gateway", "driver", "gateway", "worker", "gateway", "agent", "gateway", "founding")


def play(out: Path, adapter: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hsm_console", "demo", "--headless", "--out", str(out), "--adapter", adapter]
    with (out.parent / "stderr").open("ab") as stderr:
        return subprocess.Popen([*command, "--json"], cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr)


def run_and_kill(
    out: Path, victim: str, adapter: str, seed: int, running: Callable[[], dict[int, str]]
) -> tuple[dict[str, object], int]:
    """Play until it is complete, killing the victim up to three times on the way; the summary, and how many kills."""
    moments = random.Random(seed)
    killed = 0
    for _ in range(KILLS + 1):
        driver = play(out, adapter)
        while driver.poll() is None:
            wait = time.monotonic() + (moments.uniform(0.05, 4.0) if killed < KILLS else 60)
            while time.monotonic() < wait and driver.poll() is None:
                time.sleep(0.01)
            if killed < KILLS and driver.poll() is None:
                killed += kill_one(victim, driver, moments, running)
        assert driver.stdout is not None
        with driver.stdout:
            told = driver.stdout.read()
        if driver.returncode == 0:
            return dict(json.loads(told)), killed
        assert driver.returncode == -signal.SIGKILL, (out.parent / "stderr").read_text()[-2000:]
    raise AssertionError("it did not come to an end")


def kill_one(
    victim: str, driver: subprocess.Popen[bytes], moments: random.Random, running: Callable[[], dict[int, str]]
) -> int:
    candidates = [driver.pid]
    if victim != "driver":
        candidates = [pid for pid, line in running().items() if KINDS[victim] in line]
    if not candidates:
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(moments.choice(candidates), signal.SIGKILL)
    return 1


def check(victim: str, adapter: str, seed: int, out: Path, orphans: Callable[[], dict[int, str]]) -> int:
    """Play with kills; the demonstration is complete and its tables are those of its log. The number of kills."""
    told, killed = run_and_kill(out, victim, adapter, seed, orphans)
    assert told["complete"]
    assert told["findings"] == []
    assert (out / "minutes.pdf").read_bytes().startswith(b"%PDF")
    rebuild = [sys.executable, "-m", "hsm_console", "rebuild", str(out)]
    assert subprocess.run(rebuild, cwd=ROOT, capture_output=True, check=False).returncode == 0
    return killed


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("victim", "adapter"), SAMPLE)
def test_kill(
    victim: str,
    adapter: str,
    tmp_path: Path,
    orphans: Callable[[], dict[int, str]],
    gone: Callable[[], None],
    both_verify: Callable[[Path], None],
    one_key_each: Callable[[Path], None],
) -> None:
    assert check(victim, adapter, 4711, tmp_path / "out", orphans)
    gone()
    both_verify(tmp_path / "out")
    one_key_each(tmp_path / "out")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SOAK_SEEDS))
def test_kill_again_and_again(
    seed: int,
    tmp_path: Path,
    orphans: Callable[[], dict[int, str]],
    gone: Callable[[], None],
    both_verify: Callable[[Path], None],
    one_key_each: Callable[[Path], None],
    record_property: Callable[[str, object], None],
) -> None:
    victim, adapter = SOAK_VICTIMS[seed % len(SOAK_VICTIMS)], ADAPTERS[seed // len(SOAK_VICTIMS) % 2]
    killed = check(victim, adapter, seed, tmp_path / "out", orphans)
    record_property("kills", f"{killed} {victim} {adapter}")
    gone()
    both_verify(tmp_path / "out")
    one_key_each(tmp_path / "out")
