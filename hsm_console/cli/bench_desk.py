"""Budgets that a person feels: the start of the screen, its smoothness, the log-in. All through the real processes."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hsm_console.cli import demo_cast as cast
from hsm_console.cli.bench_measure import Place, Row, median, p99, timed
from hsm_console.cli.demo_play import Play
from hsm_console.cli.demo_stage import Stage
from hsm_console.client import setup, spawn
from hsm_console.client.rendezvous import GatewayAddress
from hsm_console.client.session import Session
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, Problem
from hsm_console.domain.messages.ceremony import CeremonyView, StepKind, StepView
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret

START_MS = 1500.0
STALL_MS = 50.0
HANDSHAKE_MS = 500.0
SCRIPT = "executive-identity-key"
_BARE = (
    "import sys; from PySide6.QtWidgets import QApplication, QWidget; from PySide6.QtCore import QTimer; "
    "app = QApplication([]); w = QWidget(); w.show(); QTimer.singleShot(0, app.quit); app.exec()"
)
_founded: dict[Path, Path] = {}


def workspace(place: Place) -> Path:
    """A founded workspace with the cast of the demonstration, made once a run."""
    if place.folder not in _founded:
        folder = Path(tempfile.mkdtemp(dir=place.folder)) / "workspace"
        setup.run(cast.founding(folder, place.adapter))
        _founded[place.folder] = folder
    return _founded[place.folder]


# -- start ---------------------------------------------------------------------------------------------------


def cold_start(place: Place) -> list[Row]:
    """From the start of the process to the painted log-in page; the limit is an empty window of Qt."""
    home = place.folder / "home"
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    screen = [sys.executable, "-m", "ui", "--startup-time", "--workspace", str(workspace(place))]
    bare = [sys.executable, "-c", _BARE]
    ours: list[float] = []
    limit: list[float] = []
    for _ in range(place.some(7, 1)):
        limit.append(timed(lambda: _ran(bare, environment)))
        ours.append(float(json.loads(_ran(screen, environment).splitlines()[-1])["login_page_ms"]))
    found = median(ours)
    return [
        Row(
            name="cold-start", median=found, p99=p99(ours), limit=median(limit), budget=f"median ≤ {START_MS:.0f} ms",
            ok=found <= START_MS, note="offscreen, files cached; limit: an empty Qt window, from start to end",
        )
    ]  # fmt: skip


def _ran(command: list[str], environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        detail = getattr(error, "stderr", None) or str(error)
        raise EnvironmentFault(_failed("the screen", str(detail))) from error
    return done.stdout


def _failed(what: str, detail: str) -> Problem:
    return Problem(
        code="bench-failed",
        what=f"Measuring {what} failed: {detail.strip()[-300:]}",
        todo="See whether it works without being measured.",
    )


# -- smoothness ----------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Held:
    """When the key was being made, in nanoseconds of the performance counter; why the ceremony ended early."""

    began: int = 0
    ended: int = 0
    fault: str = ""


class _Made(Exception):
    """The key exists: the rest of the ceremony is not measured."""


class _Watched(Play):
    """A play that stops when the key is made, and notes when that was."""

    held: Held

    def _act(self, view: CeremonyView, step: StepView) -> CeremonyView:
        if step.kind is not StepKind.GENERATE:
            return super()._act(view, step)
        self.held.began = time.perf_counter_ns()
        super()._act(view, step)
        self.held.ended = time.perf_counter_ns()
        raise _Made


def hold(folder: Path, adapter: str, held: Held) -> None:
    """Play a ceremony for an RSA-4096 key until it is made. Runs in a thread of the measuring process."""
    try:
        with Stage(folder, adapter, lambda _: None) as stage:
            play = _Watched(stage, SCRIPT, {"algorithm": "rsa-4096"}, lambda _: None)
            play.held = held
            play.run()
        held.fault = "the ceremony ended without a key"
    except _Made:
        return
    except ConsoleError as error:
        held.fault = f"{error.problem.code}: {error.problem.what}"


def stall(place: Place) -> list[Row]:
    """The largest gap between ticks of a 5 ms timer while the key is made."""
    folder = Path(tempfile.mkdtemp(dir=place.folder)) / "workspace"
    setup.run(cast.founding(folder, place.adapter))
    done = subprocess.run(
        spawn.python_command("hsm_console.cli.bench_child", "stall"),
        input=json.dumps([str(folder), place.adapter]) + "\n",
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    told: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 and done.stdout else {"fault": done.stderr}
    if told["fault"] or not told["gaps"]:
        raise EnvironmentFault(
            _failed("the screen's smoothness", told["fault"] or "the key was made between two ticks")
        )
    worst = round(max(told["gaps"]), 3)
    note = (
        f"largest gap of a 5 ms timer while RSA-4096 was made ({told['made_ms']:.0f} ms); "
        f"largest in the whole ceremony {told['elsewhere']:.0f} ms"
    )
    return [
        Row(
            name="ui-stall", median=median(told["gaps"]), p99=p99(told["gaps"]), limit=5.0, ratio=None,
            budget=f"largest ≤ {STALL_MS:.0f} ms", ok=worst <= STALL_MS, note=f"largest {worst} ms; {note}",
        )
    ]  # fmt: skip


# -- log-in --------------------------------------------------------------------------------------------------


def login(place: Place) -> list[Row]:
    """Log-in in its parts: the agent's process, opening the credential, handshake with greeting and log-on."""
    folder = workspace(place)
    parts: tuple[list[float], list[float], list[float]] = ([], [], [])
    with GatewayProcess(folder) as gateway:
        for _ in range(place.some(15)):
            for times, took in zip(parts, _logged_in(gateway.address, folder), strict=True):
                times.append(took)
    agent, opening, handshake = parts
    top = p99(handshake)
    return [
        Row(
            name="login-handshake", median=median(handshake), p99=top, budget=f"p99 ≤ {HANDSHAKE_MS:.0f} ms",
            ok=top <= HANDSHAKE_MS, note="mutual TLS 1.3, greeting, log-on (recorded durably)",
        ),
        Row(name="login-agent", median=median(agent), p99=p99(agent), note="agent started, not awaited"),
        Row(
            name="login-credential", median=median(opening), p99=p99(opening),
            note=f"agent ready and PKCS#12 opened, {cast.KDF_ITERATIONS} iterations (slow on purpose)",
        ),
    ]  # fmt: skip


def _logged_in(address: GatewayAddress, folder: Path) -> tuple[float, float, float]:
    """One log-in of the administrator; milliseconds of its three parts."""
    ada = cast.of_role(Role.ADMINISTRATOR)[0]
    began = time.perf_counter()
    session = Session(address)
    try:
        started = time.perf_counter()
        with Secret(ada.passphrase) as passphrase:
            session._open(folder / "credentials" / f"{ada.uid}.p12", passphrase)
        opened = time.perf_counter()
        session._connect(ada.role, step_up=False)
        connected = time.perf_counter()
    finally:
        session.close()
    return (started - began) * 1e3, (opened - started) * 1e3, (connected - opened) * 1e3
