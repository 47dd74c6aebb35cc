"""Operations on the module, and the steps on the key: outcome, failure, another attempt (DESIGN 4, invariant 7)."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from hsm_console.ceremony import ballot, engine, plans, steps
from hsm_console.domain import events as ev
from hsm_console.domain.errors import InputError, PolicyRefusal
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.keys import Algorithm, DeviceInfo, KeyInfo
from hsm_console.domain.messages import ceremony as msg


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


# -- operations ----------------------------------------------------------------------------------------------------


def test_the_act_must_be_confirmed_by_its_word(room: Any) -> None:
    room.advance("generate")
    assert room.view.steps[7].confirm == "generate"
    refuses("not-confirmed", room.decide, "ada", msg.Perform)
    refuses("wrong-seat", room.decide, "carl", msg.Perform, confirmed="generate")


def test_while_the_module_works_nothing_else_is_taken(room: Any) -> None:
    room.advance("generate")
    room.intend(room.decide("ada", msg.Perform, confirmed="generate"))
    assert room.view.steps[7].status is msg.StepStatus.WORKING
    assert room.view.next_actors == ()
    refuses("working", room.decide, "ada", msg.Perform, confirmed="generate")
    refuses("working", room.decide, "ada", msg.Abandon, why="No.")


@pytest.mark.parametrize("found", ["not-done", "partial", "foreign", "failed"])
def test_after_a_failure_only_the_quorum_begins_another_attempt(room: Any, found: Any) -> None:
    room.advance("generate")
    plan = room.decide("ada", msg.Perform, confirmed="generate")
    if found == "failed":
        room.fail(plan)
    else:
        intent = room.intend(plan)
        ending = ev.OperationInterrupted(
            intent=intent.seq,
            operation=Operation.GENERATE,
            found=found,
            text="Looked.",
            ceremony_id="cer-1",
            step="generate",
        )
        made = room.append(engine.conclude(room.now, ending, room.context()))
        assert kinds(made) == ["OperationInterrupted", "RetryNeeded"]
    assert room.view.steps[7].status is msg.StepStatus.DECIDE
    assert room.view.deciding == "retry"
    assert room.view.problem is not None
    refuses("quorum-decides", room.decide, "ada", msg.Perform, confirmed="generate")
    said = ballot.statement(room.now, room.people["carl"], "approve", nonce="0a0b", gateway_sha256="cd" * 32)
    body = json.loads(said.canonical)
    assert (body["attempt"], body["about"], body["step"]) == (2, "retry", "generate")
    assert body["found"]
    room.vote("carl")
    room.vote("cleo")
    second = room.decide("ada", msg.Perform, confirmed="generate")
    assert second.intent.attempt == 2
    room.succeed(second)
    assert room.step == "read-back"


def test_a_declined_retry_waits_for_a_deviation(room: Any) -> None:
    room.advance("generate")
    room.fail(room.decide("ada", msg.Perform, confirmed="generate"))
    room.vote("carl", "decline")
    room.vote("cleo", "decline")
    refuses("step-blocked", room.decide, "ada", msg.Perform, confirmed="generate")
    room.answer("ada", msg.DeviationAnswer, expected="A key.", happened="None.", decided="Try after a restart.")
    room.vote("carl")
    room.vote("cyd")
    assert room.now.retry is not None
    assert room.now.retry.attempt == 3
    room.vote("carl")
    room.vote("cyd")
    room.succeed(room.decide("ada", msg.Perform, confirmed="generate"))
    assert room.step == "read-back"


def test_a_key_found_after_a_crash_ends_the_step(room: Any) -> None:
    room.advance("generate")
    plan = room.decide("ada", msg.Perform, confirmed="generate")
    room.succeed(plan, recovered=True)
    assert room.now.done["generate"].facts["grade"] == "D"
    assert room.now.done["generate"].uid == "ada"
    assert room.now.key.recovered


def test_what_a_crash_left_undone_is_followed_up(room: Any) -> None:
    room.advance("generate")
    intent = room.intend(room.decide("ada", msg.Perform, confirmed="generate"))
    batch = engine.conclude(
        room.now,
        ev.OperationFailed(
            intent=intent.seq, operation=Operation.GENERATE, code="x", text="y", ceremony_id="cer-1", step="generate"
        ),
        room.context(),
    )
    room.append(batch[:1])
    assert kinds(room.append(engine.follow_up(room.now, room.context()))) == ["RetryNeeded"]


def test_a_failed_signature_of_a_document_may_simply_be_asked_for_again(room: Any) -> None:
    room.advance("first-document")
    content = base64.b64encode(b"A letter").decode()
    room.fail(room.decide("eve", msg.DocumentAnswer, name="Letter", content=content))
    assert room.view.steps[11].status is msg.StepStatus.CURRENT
    assert room.view.problem.code == "operation-failed"
    room.succeed(room.decide("eve", msg.DocumentAnswer, name="Letter", content=content))
    assert room.step == "receipt"


@pytest.mark.parametrize("content", ["", "%%%", base64.b64encode(b"").decode()])
def test_a_document_that_is_none_is_refused(room: Any, content: str) -> None:
    room.advance("first-document")
    with pytest.raises(PolicyRefusal):
        room.decide("eve", msg.DocumentAnswer, name="Letter", content=content)


def test_certify_asks_for_the_request_first_and_then_for_the_certificate(room: Any) -> None:
    room.advance("certify")
    first = room.decide("ada", msg.Perform, confirmed="certify")
    assert first.certificate_request
    assert first.subject == "Eve Eldridge"
    room.succeed(first)
    assert room.step == "certify"
    second = engine.due(room.now, room.people["ada"])
    assert isinstance(second, plans.HsmPlan)
    assert second.request == base64.b64encode(b"request").decode()
    room.fail(second, "lint-refused")
    assert room.view.deciding == "retry"
    assert engine.due(room.now, room.people["ada"]) is None
    room.vote("carl")
    room.vote("cleo")
    again = room.decide("ada", msg.Perform, confirmed="certify")
    assert not again.certificate_request
    room.succeed(again)
    assert room.view.key.certificate_pem.startswith("-----BEGIN CERTIFICATE-----")


def test_after_a_pause_the_certificate_is_asked_for_anew(room: Any) -> None:
    room.advance("certify")
    room.succeed(room.decide("ada", msg.Perform, confirmed="certify"))
    room.answer("will", msg.Pause, why="Fire alarm.")
    room.answer("ada", msg.Resume)
    assert engine.due(room.now, room.people["ada"]) is None
    refuses("not-confirmed", room.decide, "ada", msg.Perform)
    assert room.decide("ada", msg.Perform, confirmed="certify").operation is Operation.CERTIFY


# -- read back, compare, receipt, sign-off ------------------------------------------------------------------------


def test_a_key_that_could_leave_stops_the_ceremony(room: Any) -> None:
    room.advance("read-back")
    loose = msgspec.structs.replace(room.now.key.attributes, extractable=True)
    found = KeyInfo(object_id=b"\xab" * 16, label="x", algorithm=Algorithm.EC_P384, spki=b"", attributes=loose)
    device = DeviceInfo(adapter="a", vendor="v", model="m", serial="s", label="l", firmware="f", simulated=False)
    room.append(steps.read_back(room.now, found, room.now.key.fingerprint, device, room.people["ada"], room.context()))
    assert room.view.steps[8].status is msg.StepStatus.DECIDE
    assert "extractable is not no" in room.view.problem.what
    assert room.view.key.state == "unclear"
    refuses("step-blocked", room.decide, "ada", msg.Perform)


def test_wrong_words_are_a_miss_and_new_positions_are_asked_for(room: Any) -> None:
    room.advance("compare")
    asked = room.now.challenge
    assert len(asked) == 4
    assert all(1 <= n <= 32 for n in asked)
    made = room.answer("eve", msg.WordsAnswer, words={str(n): "zebra" for n in asked})
    assert kinds(made) == ["StepMissed", "ChallengeSet"]
    assert room.now.challenge != asked
    room.advance("certify")
    assert room.now.done["compare"].facts["misses before"] == "1"


def test_they_differ_stops_and_only_the_quorum_opens_the_way(room: Any) -> None:
    room.advance("compare")
    room.answer("eve", msg.WordsAnswer, differ=True)
    assert room.view.problem.code == "they-differ"
    assert "exists" in room.view.problem.key_state
    refuses("step-blocked", room.decide, "eve", msg.WordsAnswer, words={})
    room.answer("will", msg.DeviationAnswer, expected="Equal.", happened="Wrong sheet.", decided="Print it anew.")
    room.vote("carl")
    assert kinds(room.vote("cleo")) == ["ApprovalGiven", "QuorumReached", "ChallengeSet"]
    room.advance("certify")


def test_a_foreign_receipt_is_a_miss(room: Any) -> None:
    room.advance("receipt")
    assert kinds(room.answer("will", msg.ScannedReceipt, text="9")) == ["StepMissed"]
    assert kinds(room.answer("will", msg.ScannedReceipt, text="nonsense")) == ["StepMissed"]
    assert kinds(room.answer("will", msg.ScannedReceipt, text="")) == ["StepDone"]


def test_dissent_is_an_answer_with_a_reason(room: Any) -> None:
    room.advance("sign-off")
    assert {s.uid for s in ballot.sign_off_due(room.now)} == {"ada", "carl", "cyd", "eve", "will"}
    with pytest.raises(InputError):
        room.sign_off("will", "disagree")
    room.sign_off("will", "disagree", because="Step 4 was read from the screen.")
    refuses("nothing-to-sign-off", room.sign_off, "will")
    refuses("nothing-to-sign-off", room.sign_off, "cleo")
    for who in ("ada", "carl", "cyd", "eve"):
        room.sign_off(who)
    closing = engine.due(room.now, room.people["ada"])
    assert "Will Wren" in closing.text
