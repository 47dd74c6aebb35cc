"""What is possible at every step, and the fold (CEREMONY 4; DESIGN 4, invariant 3)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hsm_console.ceremony import decide, fold, plans
from hsm_console.ceremony import state as st
from hsm_console.domain import events as ev
from hsm_console.domain.errors import InputError, PolicyRefusal
from hsm_console.domain.events import Recorded
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.people import Role


def kinds(recorded: tuple[Recorded, ...]) -> list[str]:
    return [type(r.event).__name__ for r in recorded]


def code(caught: pytest.ExceptionInfo[Any]) -> str:
    problem = caught.value.problem
    assert all((problem.what, problem.key_state, problem.todo, problem.contact))
    return str(problem.code)


def refuses(wanted: str, call: Any, *args: Any, **kwargs: Any) -> None:
    with pytest.raises((PolicyRefusal, InputError)) as caught:
        call(*args, **kwargs)
    assert code(caught) == wanted


# -- at any time -------------------------------------------------------------------------------------------------


def test_pause_and_resume(room: Any) -> None:
    room.advance("preflight")
    room.answer("will", msg.Pause, why="Fire alarm.")
    assert room.view.status == "paused"
    refuses("ceremony-paused", room.decide, "ada", msg.RunChecks)
    refuses("ceremony-paused", room.decide, "ada", msg.Pause, why="again")
    refuses("wrong-seat", room.decide, "will", msg.Resume)
    room.answer("ada", msg.Resume)
    refuses("not-paused", room.decide, "ada", msg.Resume)
    room.advance("intent")
    assert room.now.pauses[0].until_ms


def test_abandoning_after_the_commit_says_what_exists(room: Any) -> None:
    room.advance("read-back")
    refuses("wrong-seat", room.decide, "will", msg.Abandon, why="x")
    plan = room.decide("eve", msg.Abandon, why="The room must be cleared.")
    assert isinstance(plan, plans.ClosePlan)
    assert plan.outcome == "abandoned"
    assert "The key “ceo-2026” exists" in plan.text
    assert st.past_commit(room.now)


def test_a_second_role_that_is_not_the_seat_ends_nothing(room: Any) -> None:
    room.advance("clock")
    both = (Role.WITNESS, Role.ADMINISTRATOR)
    room.people["will"] = msgspec.structs.replace(room.people["will"], roles=both)
    refuses("wrong-seat", room.decide, "will", msg.Abandon, why="x")
    room.answer("will", msg.Pause, why="x")
    refuses("wrong-seat", room.decide, "will", msg.Resume)


def test_a_deviation_before_anybody_sits_is_noted(room: Any) -> None:
    room.answer("ada", msg.DeviationAnswer, expected="Nine o'clock.", happened="Ten o'clock.", decided="Go on.")
    assert room.now.deviations[0].verdict == "noted"
    assert room.view.steps[0].status is msg.StepStatus.CURRENT
    refuses("not-seated", room.decide, "eve", msg.Pause, why="x")


def test_a_deviation_needs_the_quorum_before_the_next_answer(room: Any) -> None:
    room.advance("intent")
    room.answer("will", msg.DeviationAnswer, expected="A", happened="B", decided="C")
    refuses("quorum-decides", room.decide, "ada", msg.Confirmed)
    refuses("deviation-open", room.decide, "will", msg.DeviationAnswer, expected="A", happened="B", decided="C")
    room.vote("carl", "decline")
    room.vote("cleo", "decline")
    assert room.now.deviations[0].verdict == "declined"
    refuses("step-blocked", room.decide, "ada", msg.Confirmed)
    room.answer("will", msg.DeviationAnswer, expected="A", happened="B", decided="D")
    room.vote("carl")
    room.vote("cleo")
    room.answer("ada", msg.Confirmed)
    assert room.step == "authorise"


@pytest.mark.parametrize("text", ["", "   ", "a\u202eb", "x" * 1001, "bell\x07"])
def test_text_that_cannot_stand_in_the_log_is_refused(room: Any, text: str) -> None:
    refuses("text-refused", room.decide, "ada", msg.Pause, why=text)


def test_text_of_several_lines_becomes_one(room: Any) -> None:
    room.answer("ada", msg.Pause, why="one\n two")
    assert room.now.pauses[0].why == "one two"


# -- the fold ------------------------------------------------------------------------------------------------------


def test_foreign_and_repeated_events_change_nothing(room: Any) -> None:
    state = room.now
    other = ev.StepDone(ceremony_id="other", step="welcome", step_kind="read-aloud", phase="Opening")
    for event in (other, ev.GatewayStopped(run_uid="r", reason="asked"), room.log[0].event):
        recorded = Recorded(seq=99, uid="", correlation="", time_ms=0, actor=None, event=event, fingerprint="")
        assert fold.apply(state, recorded) == state
    assert fold.apply(state, room.log[0]) == state
    stray = Recorded(seq=0, uid="", correlation="", time_ms=0, actor=None, event=other, fingerprint="")
    assert fold.apply(None, stray) is None


def test_a_script_of_other_software_is_shown_and_never_guessed_at(room: Any) -> None:
    strange = msgspec.structs.replace(room.log[0], event=msgspec.structs.replace(room.log[0].event, script="x = 1"))
    state = fold.apply(None, strange)
    assert state is not None
    assert state.status == st.UNREADABLE
    with pytest.raises(PolicyRefusal):
        decide.decide(state, msg.Confirmed(step="", revision=10), room.people["ada"], room.context())
