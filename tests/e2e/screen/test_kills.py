"""The screen is killed in mid-ceremony: nothing is left running, nothing is lost, and the ceremony goes on."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from desk_of_a_house import spec

from hsm_console.client import ceremonies, device, keys
from hsm_console.client.session import Session, log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.events import Seat
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret


def _neighbour(path: Path, name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


HERE = Path(__file__).parent
whole = _neighbour(HERE / "test_whole_ceremony.py", "e2e_whole_ceremony")
flows = _neighbour(HERE.parents[1] / "flows" / "conftest.py", "flows_conftest")
pytestmark = whole.pytestmark
workspace, display = whole.workspace, whole.display
verdicts = _neighbour(HERE.parents[1] / "faults" / "gateway" / "conftest.py", "faults_gateway_conftest")

BY_ROLE = {role: uid for uid, (_, role) in reversed(whole.PEOPLE.items())}
CUSTODIANS = tuple(uid for uid, (_, role) in whole.PEOPLE.items() if role is Role.CUSTODIAN)
SEATED = tuple(uid for uid, (_, role) in whole.PEOPLE.items() if role is not Role.AUDITOR)


def running(mark: str) -> list[str]:
    """Command lines of the processes that carry this mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (process / "environ").read_bytes() and process.name != str(os.getpid()):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return [line for line in found if line]


@contextlib.contextmanager
def screen(workspace: Path, display: str, mark: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "HOME": str(workspace.parent), "TEST_MARK": mark}
    env.pop("WAYLAND_DISPLAY", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "ui", "--workspace", str(workspace)], env=env, cwd=whole.ROOT, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def play(workspace: Path, display: str, process: subprocess.Popen[bytes]) -> None:
    """By keyboard as far as one comes before the screen is gone."""
    paper = whole.Paper(workspace)
    document = workspace.parent / "letter.txt"
    document.write_text("The first letter.\n")
    with contextlib.suppress(AssertionError, Exception):
        hands = whole.Keyboard(display, process)
        hands.photograph = lambda _name: None
        whole._open(hands)
        whole._choose(hands)
        whole._prepare(hands)
        whole._make(hands, paper)
        whole._use(hands, paper, document)
    paper.close()


def come_back(workspace: Path, display: str, process: subprocess.Popen[bytes]) -> str:
    """A new screen by keyboard: log in, unlock, open the ceremony under way; the title of the page that it shows."""
    hands = whole.Keyboard(display, process)
    hands.photograph = lambda _name: None
    whole.log_in_and_unlock(hands)
    time.sleep(1)  # the list of ceremonies comes from the gateway, and the one under way has the focus
    hands.press("space")
    end = time.monotonic() + whole.PAGE_SECONDS
    while hands.title().startswith("Good day") and time.monotonic() < end:
        time.sleep(0.05)
    return str(hands.title())


class Room:
    """The people of the house, each with her own credential, at a gateway that was started anew."""

    def __init__(self, workspace: Path, gateway: GatewayProcess) -> None:
        self._workspace, self._gateway = workspace, gateway

    @contextlib.contextmanager
    def be(self, uid: str) -> Iterator[Session]:
        path = self._workspace / "credentials" / f"{uid}.p12"
        with log_in(self._gateway.address, path, Secret(whole.PASSPHRASE)) as session:
            yield session

    def finish(self, view: msg.CeremonyView) -> msg.CeremonyView:
        for _ in range(60):
            if not view.current or view.status != "open":
                return view
            view = self._turn(view)
        raise AssertionError(f"stuck at {view.current}: {view.problem}")

    def _turn(self, view: msg.CeremonyView) -> msg.CeremonyView:
        step = next(s for s in view.steps if s.id == view.current)
        if view.deciding:
            voted = {vote.uid for vote in view.quorum.approvals} if view.quorum else set()
            with self.be(next(uid for uid in CUSTODIANS if uid not in voted)) as own:
                return flows.approve(own, view)
        if step.kind is msg.StepKind.SIGN_OFF:
            with self.be(view.sign_off_due[0].uid) as own:
                return flows.sign_off(own, view)
        with self.be(BY_ROLE[step.actor]) as own:
            return ceremonies.answer(own, view.id, self._answer(view, step))

    def _answer(self, view: msg.CeremonyView, step: msg.StepView) -> Any:
        if step.kind is not msg.StepKind.PRESENCE:
            return flows.answer_to(view, step)
        seats = tuple(Seat(role=whole.PEOPLE[uid][1], uid=uid, name=whole.PEOPLE[uid][0]) for uid in SEATED)
        return msg.PresenceAnswer(step=step.id, revision=view.revision, seats=seats, place="Room 1")


def killed_at_some_moment(workspace: Path, display: str, seed: int, latest: float) -> None:
    """Kill the screen at a random moment of its first `latest` seconds; nothing that it started may stay."""
    mark = f"screen-{os.getpid()}-{seed}-{time.monotonic_ns()}"
    with screen(workspace, display, mark) as process:
        player = threading.Thread(target=play, args=(workspace, display, process), daemon=True)
        player.start()
        time.sleep(random.Random(seed).uniform(0.1, latest))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        player.join(whole.PAGE_SECONDS + 10)
    nothing_left(mark)


def nothing_left(mark: str) -> None:
    end = time.monotonic() + 15
    while (left := running(mark)) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []


def kill_and_go_on(workspace: Path, display: str, seed: int, latest: float) -> str:
    """Kill the screen, come back on the screen, kill that one too, and bring the ceremony to its end; where it was."""
    killed_at_some_moment(workspace, display, seed, latest)
    verdicts.verified_twice(workspace)
    title = ""
    with GatewayProcess(workspace) as gateway, Room(workspace, gateway).be("k.goedel") as auditor:
        under_way = bool(ceremonies.listed(auditor))
    if under_way:
        mark = f"again-{os.getpid()}-{seed}-{time.monotonic_ns()}"
        with screen(workspace, display, mark) as process:
            title = come_back(workspace, display, process)
        nothing_left(mark)
    with GatewayProcess(workspace) as gateway:
        room = Room(workspace, gateway)
        with room.be("a.turing") as custodian:
            device.unlock(custodian, Secret(whole.PIN))
            held = ceremonies.listed(custodian)
            if not held:
                return "before"
            view = ceremonies.view(custodian, held[0].id)
            at = view.current
            assert title
            assert not title.startswith("Good day")
            view = room.finish(view)
            assert view.status == "completed"
            assert len([key for key in keys.listed(custodian) if key.ceremony_id == view.id]) == 1
    verdicts.verified_twice(workspace)
    verdicts.keys_and_intents(workspace, whole.PIN)
    return f"{at}: {title}"


def test_the_screen_killed_in_mid_ceremony(workspace: Path, display: str) -> None:
    kill_and_go_on(workspace, display, seed=3, latest=25.0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(60))
def test_the_screen_killed_again_and_again(
    tmp_path: Path, display: str, seed: int, found: Callable, record_property: Callable[[str, object], None]
) -> None:
    workspace = found(spec(tmp_path / "workspace", ("simulation", "softhsm")[seed % 2]))
    record_property("at", kill_and_go_on(workspace, display, seed, latest=60.0))
