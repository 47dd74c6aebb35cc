"""Several people at once: two custodians sign in the same second, an answer races another, an auditor looks on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hsm_console.client import audit, ceremonies, keys
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.messages import ceremony as msg

Helpers = dict[str, Callable[..., Any]]


def test_two_custodians_sign_in_the_same_second(house: Any, helpers: Helpers) -> None:
    """Both had the same page before them; both votes count, and nobody has to sign twice."""
    ada = house.admin()
    view = house.until(ada, house.open(ada), "authorise")
    people = [house.be("claude"), house.be("grace")]
    start = threading.Barrier(2)

    def vote(session: Any) -> msg.CeremonyView:
        statement = ceremonies.statement(session, view.id, view.current, "approve")
        cms = session.sign_statement(statement.canonical)
        start.wait()
        answer = msg.Approve(
            step=view.current, revision=view.revision, decision="approve", statement=statement.canonical, cms=cms
        )
        return ceremonies.answer(session, view.id, answer)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(vote, people))
    assert ceremonies.view(ada, view.id).current == "generate"


def test_one_of_many_identical_answers_wins(house: Any, helpers: Helpers) -> None:
    """Ten clicks on “Generate the key” make one key."""
    ada = house.admin()
    view = house.until(ada, house.open(ada), "generate")
    sessions = [house.be("ada") for _ in range(5)]
    start = threading.Barrier(len(sessions))

    def click(session: Any) -> str:
        answer = msg.Perform(step="generate", revision=view.revision, confirmed="generate")
        start.wait()
        try:
            ceremonies.answer(session, view.id, answer)
        except ConsoleError as error:
            return error.problem.code
        return "done"

    with ThreadPoolExecutor(len(sessions)) as pool:
        told = list(pool.map(click, sessions))
    assert sorted(told) == ["answer-stale"] * 4 + ["done"]
    made = [key for key in keys.listed(ada) if key.ceremony_id == view.id]
    assert len(made) == 1


def test_a_witness_waits_for_the_log_to_grow(house: Any) -> None:
    """The long poll answers as soon as something is committed, and never before."""
    ada, alan = house.admin(), house.be("alan")
    size = audit.head(alan).size
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(audit.head, alan, after=size, wait_ms=20_000)
        view = house.open(ada)
        head = waiting.result(15)
    assert head.size > size
    assert view.log_size <= head.size


def test_dissent_stands_in_the_minutes(house: Any, helpers: Helpers) -> None:
    """“I do not agree, because” is an answer: the ceremony closes, the reason is in the closing words."""
    ada = house.admin()
    view = house.until(ada, house.open(ada), "sign-off")
    while view.status == "open":
        uid = view.sign_off_due[0].uid
        with house.stepped_up(uid) as own:
            because = "the room was not locked" if uid == "joan" else ""
            view = helpers["sign_off"](own, view, agrees=uid != "joan", because=because)
    assert view.status == "completed"
    assert [s.because for s in view.sign_offs if s.decision.value == "decline"] == ["the room was not locked"]
    minutes = ceremonies.file(ada, view.id, "minutes.json")
    assert b"the room was not locked" in minutes
    assert audit.entries(ada, kind="log-exported").rows
