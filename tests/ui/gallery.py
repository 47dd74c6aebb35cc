"""Every page in every theme as a picture: build/screens/<page>--<theme>.png. Run by the tests; also alone.

.venv/bin/python tests/ui/gallery.py [PAGE …]
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import fleet_pages
import places
import samples as s
import use_pages
import watch_pages
import witness_pages
import work_pages
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from hsm_console.domain.errors import Problem
from hsm_console.domain.messages.ceremony import StepStatus
from hsm_console.domain.messages.setup import FoundingProgress
from ui.ceremony.opening import CheckPage, ChoosePage, DetailsPage, ParametersPage
from ui.ceremony.pages import page_for
from ui.ceremony.result import ResultPage
from ui.ceremony.states import AbandonPage, DeviationPage, EndPage, PausePage, StopPage
from ui.ceremony.step_up import StatementPage, StepUpPage
from ui.constants import make_immortal
from ui.home.page import HomePage
from ui.login.connect import ConnectPage
from ui.login.over import End, SessionOverPage, told_end
from ui.login.page import LoginPage
from ui.login.unlock import UnlockPage
from ui.setup import ending, pages
from ui.setup.answers import Answers, environments
from ui.shell.page import Page
from ui.shell.window import Window
from ui.theme.engine import ThemeEngine, engine
from ui.theme.tokens import NAMES
from ui.witness.page import WitnessPage

QUALITY = 80  # of a PNG, to Qt: how little it is packed. This one takes two thirds of the time for a seventh more bytes
OUT = Path(__file__).parents[2] / "build" / "screens"
STEPS = ("welcome", "presence", "clock", "software", "preflight", "authorise", "generate", "read-back", "compare",
         "certify", "first-document", "receipt", "sign-off")  # fmt: skip


def files() -> list[Path]:
    return [Path(f"/srv/hsm-console/credentials/{uid}.p12") for uid in s.PEOPLE]


def answers() -> Answers:
    made = Answers(directory="/srv/hsm-console/main", name="Aurora Holding AG")
    for member, (uid, (name, _role)) in zip(made.people, s.PEOPLE.items(), strict=True):
        member.uid, member.name = uid, name
    return made


def _with(page: Page, act: Callable) -> Page:
    act(page)
    return page


def everything() -> dict[str, tuple[Callable[[], Page], object]]:
    """name → (maker of the page, the view beside it or None)."""
    found: dict[str, tuple[Callable[[], Page], object]] = {}
    for n, step in enumerate(STEPS, 1):
        view = s.ceremony(step)
        found[f"step-{n:02}-{step}"] = (lambda view=view: page_for(view), view)
    found["step-02-presence"] = (
        lambda: _with(page_for(s.ceremony("presence")), lambda p: p.set_people(s.people())), s.ceremony("presence"))  # fmt: skip
    red = s.ceremony("preflight", preflight=(*s.PREFLIGHT, s.RED))
    found["step-05-preflight-red"] = (lambda: page_for(red), red)
    trouble = Problem(code="words-wrong", what="Not right: word 11 “absurd”.", key_state="The key exists; nothing changed.",
                      todo="Look at the sheet again. If it differs, say so: press They differ.")  # fmt: skip
    wrong = s.ceremony("compare", problem=trouble)
    found["step-09-compare-wrong"] = (lambda: page_for(wrong), wrong)
    broken = Problem(code="interrupted", what="The workstation stopped while the key was being made.",
                     key_state="Half of a pair lies in the module, with the id that was announced.",
                     todo="Record a deviation and let the custodians decide.", contact="the safe controller")  # fmt: skip
    blocked = s.ceremony("generate", step_status=StepStatus.DECIDE, problem=broken)
    found["state-blocked"] = (lambda: page_for(blocked), blocked)
    working = s.ceremony("generate", step_status=StepStatus.WORKING, next_actors=())
    found["state-working"] = (lambda: page_for(working), working)
    paused = s.ceremony("compare", status="paused")
    found["state-paused"] = (lambda: page_for(paused), paused)
    for name, kind in (
        ("stop", StopPage),
        ("pause", PausePage),
        ("deviation", DeviationPage),
        ("abandon", AbandonPage),
    ):
        found[f"state-{name}"] = (lambda kind=kind: kind(s.ceremony("compare")), s.ceremony("compare"))
    done = s.ceremony(status="completed")
    found["state-complete"] = (lambda: EndPage(done, "/srv/hsm-console/main/evidence/20261124-…"), done)
    after = s.ceremony("compare")
    for step in ("generate", "read-back"):
        item = next(i for i in after.steps if i.id == step)
        found[f"result-{step}"] = (lambda item=item: ResultPage(after, item), after)
    asked = s.ceremony("authorise")
    found["step-up"] = (
        lambda: StepUpPage((s.seat("g.hopper"),), "To sign a decision of the quorum.", files), asked)  # fmt: skip
    found["statement"] = (lambda: StatementPage("Grace Hopper", s.STATEMENT, sign_off=False), asked)
    found["statement-sign-off"] = (
        lambda: StatementPage("Grace Hopper", s.STATEMENT, sign_off=True),
        s.ceremony("sign-off"),
    )
    found["witness"] = (witness_pages.watching, s.ceremony("authorise"))
    return found | {name: (make, None) for name, make in _others().items()}


def _plain() -> dict[str, Callable[[], Page]]:
    env = environments()[0]
    login = lambda: LoginPage(files, workspace="Aurora Holding AG, Zürich")  # noqa: E731
    lost = Problem(code="gateway-went-away", what="The gateway closed the connection.", todo="Try once more.")
    over = lambda end: SessionOverPage(  # noqa: E731
        end, told_end(end, "Charlotte Babbage", lost), where="Executive identity key, step 8", embedded=True)  # fmt: skip
    return {
        "welcome": lambda: ending.WelcomePage(["/srv/hsm-console/main"]),
        "connect": ConnectPage,
        "setup-1-place": lambda: pages.PlacePage(answers()),
        "setup-2-token": lambda: pages.TokenPage(answers(), environments()),
        "setup-3-people": lambda: pages.PeoplePage(answers()),
        "setup-4-passphrase": lambda: pages.PassphrasePage(answers(), answers().people[3], 12),
        "setup-5-pins": lambda: pages.PinsPage(answers()),
        "setup-6-check": lambda: ending.CheckPage(answers(), env),
        "setup-7-progress": lambda: _with(ending.ProgressPage(), lambda p: p.show_progress(
            FoundingProgress(n=4, of=12, text="A credential for Alan Turing"))),
        "setup-8-finish": lambda: ending.FinishPage(answers(), {p.stem: str(p) for p in files()}),
        "login": lambda: _with(login(), lambda p: p.show_gateway(s.FINGERPRINT, "unix:/run/user/1000/gateway.sock")),
        "login-refused": lambda: _with(login(), lambda p: p.refuse(s.PROBLEM)),
        "gateway-lost": lambda: over(End.GATEWAY),
        "session-idle": lambda: over(End.IDLE),
        "session-revoked": lambda: over(End.REVOKED),
        "session-cut": lambda: over(End.CONNECTION),
        "home": lambda: _with(HomePage(s.greeting()), lambda p: (p.set_ceremonies(s.summaries()), p.set_device(s.DEVICE_STATE))),
        "home-empty-locked": lambda: HomePage(s.greeting(device_unlocked=False)),
        "home-custodian": lambda: HomePage(s.greeting("e.noether")),
        "unlock": lambda: UnlockPage([s.greeting().person], files, s.DEVICE),
        "open-1-choose": lambda: _with(ChoosePage(), lambda p: p.show_scripts([s.script()])),
        "open-2-details": lambda: DetailsPage(s.script()),
        "open-3-parameters": lambda: ParametersPage(s.script(), {}),
        "open-4-check": lambda: CheckPage(s.script(), {"algorithm": "ec-p384", "label": "ceo-identity-2026"}, simulated=True,
                                          environment="Rehearsal"),
    }  # fmt: skip


def _others() -> dict[str, Callable[[], Page]]:
    return (
        _plain()
        | places.simple()
        | work_pages.simple()
        | use_pages.simple()
        | fleet_pages.simple()
        | watch_pages.simple()
        | witness_pages.simple()
    )


TABS = {"home": "home", "key": "keys", "use": "use", "order": "orders", "module": "device", "people": "people",
        "audit": "audit"}  # fmt: skip


def window_with(make: Callable[[], Page], view: object, name: str = "") -> Window:
    """name: of the picture; its beginning tells the place where such a page stands."""
    window = Window(lambda: ())
    window.show_workspace(s.WORKSPACE)
    window.status.freeze_clock("Workstation 14:05:12")
    page = make()
    before = isinstance(
        page, (LoginPage, SessionOverPage, ConnectPage, ending.WelcomePage, pages.SetupPage, ending.ProgressPage)
    )
    window.show_places(shown=not before)
    window.show_place(next((place for start, place in TABS.items() if name.startswith(start)), ""))
    watches = isinstance(page, WitnessPage)
    window.header.setHidden(watches)
    window.status.show_people([] if before else ["Wilhelmina Diffie"] if watches else ["Charlotte Babbage"])
    window.status.show_device(None if before or watches else s.DEVICE_STATE)
    if view is not None:
        window.rail.show_view(view)
    window.show_page(page, rail=view is not None)
    window.show()
    return window


def pictures(only: tuple[str, ...] = (), themes: tuple[str, ...] = NAMES) -> Iterator[Path]:
    """Draw them. The event loop runs a few turns for layouts and deferred scrolling."""
    OUT.mkdir(parents=True, exist_ok=True)
    app = QApplication.instance()
    for theme in themes:
        engine().use(theme)
        for name, (make, view) in everything().items():
            if only and not any(part in name for part in only):
                continue
            window = window_with(make, view, name)
            for _ in range(3):
                app.sendPostedEvents()
                app.processEvents()
            path = OUT / f"{name}--{theme}.png"
            window.grab().save(str(path), quality=QUALITY)
            window.close()
            window.deleteLater()
            app.sendPostedEvents(window, QEvent.Type.DeferredDelete)  # else each new theme restyles them all
            yield path


if __name__ == "__main__":
    make_immortal()
    application = QApplication([])
    ThemeEngine(application)
    tempfile.tempdir = None
    chosen = tuple(a for a in sys.argv[1:] if a not in NAMES)
    wanted = tuple(a for a in sys.argv[1:] if a in NAMES) or NAMES
    for picture in pictures(chosen, wanted):
        sys.stdout.write(f"{picture}\n")
