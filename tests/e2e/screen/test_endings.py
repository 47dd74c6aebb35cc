"""What the screen says when a session ends unasked, and that one comes back to the same step."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from desk_of_a_house import PASSPHRASE, PIN

from hsm_console.client import ceremonies, device, people
from hsm_console.domain.messages.ceremony import OpenCeremony
from hsm_console.domain.secret import Secret
from ui.shell import quiet


def _in_a_ceremony(house) -> None:
    house.log_in()
    house.wait("Good day, Charlotte Babbage")
    session = house.desk.book.acting
    script = next(s for s in ceremonies.scripts(session) if s.id == "executive-identity-key")
    parameters = {"label": "ceo-identity-2026", "algorithm": "ec-p384"}
    wish = OpenCeremony(script_id=script.id, sha256=script.sha256, parameters=parameters)
    view = ceremonies.open_ceremony(session, wish)
    house.console.ceremony(view.id)
    house.wait("Open the ceremony")


def test_a_killed_gateway_is_said_and_the_ceremony_resumes(open_house: Callable) -> None:
    house = open_house()
    _in_a_ceremony(house)
    os.kill(house.desk._gateway.pid, signal.SIGKILL)
    page = house.wait("The gateway is not there any more")
    said = house.words()
    assert "step 1 of" in said
    assert "nothing of it was lost" in said
    assert "You log in again, and the same step is shown." in said
    assert page.problem.problem.details["end"] == "gateway"
    page.main.button.click()
    house.wait("Log in")
    assert "You come back to the same step." in house.words()
    house.log_in()
    house.wait("Open the ceremony")


def test_a_cut_connection_is_not_called_a_lost_gateway(open_house: Callable) -> None:
    house = open_house()
    _in_a_ceremony(house)
    os.kill(house.desk.book.acting.agent_pid, signal.SIGKILL)
    page = house.wait("The connection ended")
    assert "The gateway runs." in house.words()
    page.main.button.click()
    house.log_in()
    house.wait("Open the ceremony")


def test_a_revoked_person_is_told_so(open_house: Callable) -> None:
    house = open_house()
    house.log_in("k.goedel")
    house.wait("Good day, Kurt Goedel")
    files = {path.stem: path for path in house.desk.credentials()}
    with house.desk.log_in(files["a.turing"], Secret(PASSPHRASE), None, step_up=True) as custodian:
        device.unlock(custodian, Secret(PIN))
    with house.desk.log_in(files["c.babbage"], Secret(PASSPHRASE), None, step_up=False) as admin:
        people.revoke(admin, "k.goedel", "superseded")
    page = house.wait("This certificate was revoked")
    assert "Kurt Goedel was revoked" in page.problem.problem.what


def test_nobody_at_the_screen_is_an_idle_session(open_house: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    house = open_house()
    _in_a_ceremony(house)
    monkeypatch.setattr(quiet, "AWAY_SECONDS", -1.0)
    session, asked = house.desk.book.acting, []
    call = session.call
    monkeypatch.setattr(session, "call", lambda *args, **more: asked.append(args) or call(*args, **more))
    house.qtbot.wait(3500)
    assert not asked, "a screen that nobody looks at must not keep a session alive"
    monkeypatch.setattr(house.desk.book, "quiet_ms", lambda _session: 20 * 60_000)
    os.kill(session.agent_pid, signal.SIGKILL)  # the gateway cuts an idle session's connection in the same way
    house.wait("You were logged off after a pause")
    assert "nothing was asked for some time" in house.words()


def test_one_of_two_leaves_and_the_other_goes_on(open_house: Callable) -> None:
    house = open_house()
    house.log_in("a.lovelace")
    house.wait("Good day, Ada Lovelace")
    house.window.person_asked.emit()
    house.log_in("c.babbage")
    page = house.wait("Good day, Charlotte Babbage")
    os.kill(house.desk.book.acting.agent_pid, signal.SIGKILL)
    house.qtbot.waitUntil(  # a call that was under way is told first
        lambda: page.problem.problem is not None and "end" in page.problem.problem.details, timeout=10_000
    )
    assert house.desk.book.names == ["Ada Lovelace"]
    assert "Charlotte Babbage" in page.problem.problem.what
