"""A whole ceremony in a real window, by keyboard alone: from log-in to sign-off, against the real gateway.

The keys go through X11 (Xvfb, xdotool), as from a keyboard; the test looks at the window's title to know the page. What
a room has on paper (fingerprint words, release sheet, printed receipt) is fetched through a session of the auditor.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm_console.client import ceremonies, rendezvous, setup
from hsm_console.client.session import log_in
from hsm_console.crypto import software
from hsm_console.domain.messages.setup import Founder, FoundingSpec
from hsm_console.domain.people import Person, Role
from hsm_console.domain.secret import Secret

ROOT = Path(__file__).parents[3]
SCREENS = ROOT / "build" / "screens"
PASSPHRASE = "harbour violin copper meadow"
PIN = "24680-demo"
PEOPLE = {
    "c.babbage": ("Charlotte Babbage", Role.ADMINISTRATOR),
    "a.turing": ("Alan Turing", Role.CUSTODIAN),
    "g.hopper": ("Grace Hopper", Role.CUSTODIAN),
    "e.noether": ("Emmy Noether", Role.CUSTODIAN),
    "a.lovelace": ("Ada Lovelace", Role.EXECUTIVE),
    "w.diffie": ("Wilhelmina Diffie", Role.WITNESS),
    "k.goedel": ("Kurt Goedel", Role.AUDITOR),
}
PAGE_SECONDS = 30.0

pytestmark = pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="needs the packages xvfb and xdotool"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    setup.run(
        FoundingSpec(
            directory=str(folder), name="Keyboard House", adapter="simulation", environment="rehearsal",
            token_label="keyboard", so_pin="13579-demo", pin=PIN, kdf_iterations=2048,
            people=tuple(Founder(person=Person(uid=u, name=n), roles=(r,), passphrase=PASSPHRASE)
                         for u, (n, r) in PEOPLE.items()),
        )
    )  # fmt: skip
    return folder


@pytest.fixture
def display() -> Iterator[str]:
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=(writing,), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(10)


class Keyboard:
    """Hands on a keyboard and eyes on a title bar."""

    def __init__(self, display: str, process: subprocess.Popen[bytes]) -> None:
        self._env = {**os.environ, "DISPLAY": display}
        self._process = process
        self._window = self._find()
        self._do("windowfocus", "--sync", self._window)

    def _do(self, *words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words], env=self._env, capture_output=True, text=True, timeout=60, check=False
        )
        return done.stdout.strip()

    def _find(self) -> str:
        end = time.monotonic() + PAGE_SECONDS
        while time.monotonic() < end:
            found = self._do("search", "--onlyvisible", "--name", "HSM Console").split()
            if found:
                return found[0]
            time.sleep(0.1)
        raise AssertionError("no window came")

    def title(self) -> str:
        return self._do("getwindowname", self._window).removesuffix(" – HSM Console")

    def wait(self, title: str) -> None:
        end = time.monotonic() + PAGE_SECONDS
        while time.monotonic() < end:
            if self.title() == title:
                time.sleep(0.25)  # the page that came is painted and has the focus
                return
            assert self._process.poll() is None, "the application ended"
            time.sleep(0.05)
        self.photograph("e2e-stuck")
        raise AssertionError(f"waited for “{title}”, but the page is “{self.title()}”")

    def press(self, *keys: str) -> None:
        self._do("key", "--delay", "25", *keys)

    def type(self, text: str, *then: str) -> None:
        self._do("type", "--delay", "12", text)
        if then:
            self.press(*then)

    def photograph(self, name: str) -> None:
        SCREENS.mkdir(parents=True, exist_ok=True)
        grab = (
            "import sys; from PySide6.QtGui import QGuiApplication as G; a = G([]);"
            "a.primaryScreen().grabWindow(0).save(sys.argv[1])"
        )
        path = str(SCREENS / f"{name}.png")
        subprocess.run(
            [sys.executable, "-c", grab, path], env={**self._env, "QT_QPA_PLATFORM": "xcb"}, timeout=30, check=True
        )


@pytest.fixture
def keyboard(workspace: Path, display: str) -> Iterator[Keyboard]:
    env = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "HOME": str(workspace.parent)}
    env.pop("WAYLAND_DISPLAY", None)
    process = subprocess.Popen([sys.executable, "-m", "ui", "--workspace", str(workspace)], env=env, cwd=ROOT)
    hands = Keyboard(display, process)
    yield hands
    process.terminate()
    process.wait(20)


class Paper:
    """What the people in the room hold in their hands."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._session = None

    def view(self):
        if self._session is None:
            path = self._workspace / "credentials" / "k.goedel.p12"
            self._session = log_in(rendezvous.locate(self._workspace), path, Secret(PASSPHRASE))
        listed = ceremonies.listed(self._session)
        return ceremonies.view(self._session, listed[0].id)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


@pytest.fixture
def paper(workspace: Path) -> Iterator[Paper]:
    sheets = Paper(workspace)
    yield sheets
    sheets.close()


def _step_up(hands: Keyboard, uid: str) -> None:
    """The passphrase has the focus, the credential is suggested."""
    hands.wait(f"{PEOPLE[uid][0]} steps up")
    hands.type(PASSPHRASE, "Return")


def _decide(hands: Keyboard, uid: str, answer: str) -> None:
    _step_up(hands, uid)
    hands.wait(f"{PEOPLE[uid][0]}, this is what you sign")
    hands.press(answer)


def _credential(hands: Keyboard, uid: str) -> None:
    """By arrows: letters typed slowly, on a machine that is busy, begin a new search in the list with each."""
    hands.press("Home", *["Down"] * sorted(PEOPLE).index(uid), "Tab", "Tab")


def log_in_and_unlock(hands: Keyboard) -> None:
    hands.wait("Log in")
    _credential(hands, "c.babbage")
    hands.type(PASSPHRASE, "Return")
    hands.wait("Good day, Charlotte Babbage")
    hands.press("alt+u")
    hands.wait("Unlock the module")
    hands.press("Down", "Tab")
    _credential(hands, "a.turing")
    hands.type(PASSPHRASE, "Tab")
    hands.type(PIN, "Return")
    hands.wait("Good day, Charlotte Babbage")


def _open(hands: Keyboard) -> None:
    log_in_and_unlock(hands)
    time.sleep(1)
    hands.photograph("e2e-1-home")
    hands.press("alt+n")
    hands.wait("Which ceremony?")
    time.sleep(1)


def _choose(hands: Keyboard) -> None:
    scripts = sorted(p.stem for p in (ROOT / "resources" / "ceremonies").glob("*.toml"))
    hands.press(*["Tab"] * scripts.index("executive-identity-key"), "space")
    hands.wait("Executive identity key")
    hands.press("alt+f")
    hands.wait("Fill it in")
    hands.press("Tab")
    hands.type("ceo-identity-2026")
    hands.press("alt+c")
    hands.wait("Check and confirm")
    hands.press("alt+o")


def _prepare(hands: Keyboard) -> None:
    hands.wait("Open the ceremony")
    hands.photograph("e2e-2-welcome")
    hands.press("space")
    hands.wait("Who is present, and in which role")
    time.sleep(1.5)  # the roster comes from the gateway
    for _ in range(6):  # sorted as on the roster; the auditor, last, stays a guest
        hands.press("space", "Tab", "Tab")
    hands.press("alt+p")
    hands.type("Room 1")
    hands.photograph("e2e-3-presence")
    hands.press("Tab", "Tab", "space")
    hands.wait("Agree on the time")
    hands.type("Radio clock on the wall")
    hands.press("Tab", "Tab", "Tab", "Tab", "space")
    hands.wait("Check that the software is the right one")
    hands.type(software.sha256()[:16])
    hands.press("Tab", "Tab", "space")
    _step_up(hands, "w.diffie")
    hands.wait("See that everything is ready")
    hands.press("space")
    hands.wait("Everything is ready")
    hands.press("space")
    hands.wait("Say what will be done")
    hands.press("space")


def _make(hands: Keyboard, paper: Paper) -> None:
    hands.wait("The custodians decide")
    hands.press("space")
    _decide(hands, "a.turing", "alt+a")
    hands.wait("The custodians decide")
    hands.photograph("e2e-4-quorum")
    hands.press("space")
    _decide(hands, "g.hopper", "alt+a")
    hands.wait("Make the key")
    hands.press("Return")  # must do nothing
    hands.press("shift+Tab", "shift+Tab")
    hands.type("generate", "Return")  # must do nothing either
    hands.photograph("e2e-5-generate")
    assert hands.title() == "Make the key"
    hands.press("Tab", "Tab", "Tab", "space")
    hands.wait("The key exists")
    hands.photograph("e2e-6-key")
    hands.press("space")
    hands.wait("Read the key's properties back")
    hands.press("space")
    hands.wait("What the module says of the key")
    hands.press("space")
    hands.wait("Compare the fingerprint")
    view = paper.view()
    for position in view.challenge:
        hands.type(view.key.words[position - 1], "Tab")
    hands.press("Tab", "Tab", "space")
    _step_up(hands, "a.lovelace")


def _use(hands: Keyboard, paper: Paper, document: Path) -> None:
    hands.wait("Certify the key")
    hands.press("shift+Tab", "shift+Tab")
    hands.type("certify")
    hands.press("Tab", "Tab", "Tab", "space")
    hands.wait("The certificate is issued")
    hands.press("space")
    hands.wait("Sign a first document")
    hands.type(str(document))
    hands.press("Tab", "Tab", "Tab", "space")
    _step_up(hands, "a.lovelace")
    hands.wait("The document is signed")
    hands.press("space")
    hands.wait("Take the receipt")
    receipts = paper.view().receipts
    hands.type(receipts[0].qr_text)
    hands.photograph("e2e-7-receipt")
    hands.press(*["Tab"] * (5 * len(receipts) + 3), "space")  # smaller, larger, open, copy, fold; then the bar
    _step_up(hands, "w.diffie")


def test_a_ceremony_by_keyboard_alone(keyboard: Keyboard, paper: Paper, workspace: Path, tmp_path: Path) -> None:
    document = tmp_path / "letter.txt"
    document.write_text("The first letter.\n")
    _open(keyboard)
    _choose(keyboard)
    _prepare(keyboard)
    _make(keyboard, paper)
    _use(keyboard, paper, document)
    while True:
        keyboard.wait("Sign off")
        due = paper.view().sign_off_due
        keyboard.press("space")
        _decide(keyboard, due[0].uid, "alt+a")
        if len(due) == 1:
            break
    keyboard.wait("The ceremony is complete")
    time.sleep(0.5)
    keyboard.photograph("e2e-8-complete")
    view = paper.view()
    assert view.status == "completed"
    assert view.key.certificate_pem.startswith("-----BEGIN CERTIFICATE-----")
    minutes = json.loads((workspace / "evidence" / view.id / "minutes.json").read_text())
    assert minutes
