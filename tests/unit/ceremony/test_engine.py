"""The engine: what each answer leads to, and what is refused (CEREMONY 4, DESIGN 4 invariants 7 and 11)."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from hsm_console.ceremony import ballot, decide, engine, plans, script, steps
from hsm_console.ceremony import state as st
from hsm_console.crypto import words
from hsm_console.domain import events as ev
from hsm_console.domain.errors import InputError, PolicyRefusal, Problem, VerificationFailed
from hsm_console.domain.events import Decision, Recorded, Seat
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


def test_the_whole_ceremony_ends_completed(room: Any) -> None:
    room.advance("")
    closing = engine.due(room.now, room.people["ada"])
    assert isinstance(closing, plans.ClosePlan)
    assert closing.outcome == "completed"
    room.append(
        (
            ev.Draft(event=ev.MinutesWritten(ceremony_id="cer-1", minutes_sha256="00")),
            ev.Draft(event=ev.CeremonyClosed(ceremony_id="cer-1", outcome="completed", text=closing.text)),
        )
    )
    assert room.view.status == "completed"
    assert all(step.status is msg.StepStatus.DONE for step in room.view.steps)
    assert room.view.minutes_left == 0
    assert room.refold() == room.now
    assert st.decode(st.encode(room.now)) == room.now


@pytest.mark.parametrize("script_id", list(script.library()))
@pytest.mark.parametrize("house", ["development-simulation", "executive-production", "high-availability"])
def test_every_shipped_script_can_be_held_to_its_end(new_room: Any, script_id: str, house: str) -> None:
    room = new_room(house=house, text=script.library()[script_id])
    room.approved = frozenset({script.digest(room.text)})
    room.open(simulated=not room.house.production)
    room.advance("")
    assert isinstance(engine.due(room.now, None), plans.ClosePlan)
    assert {step.id for step in st.script_of(room.now).steps} == set(room.now.done)


def test_the_log_carries_the_script_in_one_line_and_the_digest_still_fits(room: Any) -> None:
    event = room.log[0].event
    assert "\n" not in event.script
    assert room.now.script == room.text
    assert room.view.script_sha256 == event.script_sha256


# -- opening -----------------------------------------------------------------------------------------------


def test_only_an_administrator_opens(new_room: Any) -> None:
    refuses("role-refused", new_room().open, "eve")


def test_a_production_house_refuses_a_simulated_token(new_room: Any) -> None:
    refuses("simulated-token-refused", new_room(house="executive-production").open)


def test_a_rehearsal_refuses_a_real_token(new_room: Any) -> None:
    refuses("real-token-refused", new_room(house="rehearsal").open, simulated=False)


def test_production_refuses_a_script_nobody_approved(new_room: Any) -> None:
    refuses("script-not-approved", new_room(house="executive-production").open, simulated=False)


def test_a_changed_script_is_refused(new_room: Any) -> None:
    room = new_room()
    request = msg.OpenCeremony(script_id="executive-identity-key", sha256="00" * 32, parameters={})
    refuses(
        "script-changed",
        decide.open_ceremony,
        room.text,
        request,
        room.people["ada"],
        room.context(),
        ceremony_id="x",
        simulated=True,
    )


def test_a_quorum_smaller_than_the_house_wants_is_refused(new_room: Any) -> None:
    room = new_room(house="rehearsal")
    room.text = room.text.replace("needed = 2\nof = 3", "needed = 1\nof = 3")
    refuses("quorum-too-small", room.open)


@pytest.mark.parametrize(
    "parameters",
    [
        {"algorithm": "des"},
        {"label": ""},
        {"label": "../etc"},
        {"label": "a" * 500},
        {"colour": "red"},
        {"label": "x\u202ey"},
    ],
)
def test_parameters_the_script_does_not_permit_are_refused(new_room: Any, parameters: dict[str, str]) -> None:
    refuses("parameter-refused", new_room().open, **parameters)


# -- order and freshness -----------------------------------------------------------------------------------


def test_a_step_cannot_be_skipped(room: Any) -> None:
    refuses("answer-stale", room.decide, "ada", msg.Perform, step="generate", confirmed="generate")


def test_a_stale_answer_is_refused_and_nothing_is_lost(room: Any) -> None:
    before = room.now.revision
    room.answer("ada", msg.Confirmed)
    state = room.now
    refuses("answer-stale", room.decide, "ada", msg.Confirmed, step="welcome", revision=before)
    refuses("answer-stale", room.decide, "ada", msg.Confirmed, revision=before)
    refuses("answer-stale", room.decide, "ada", msg.Confirmed, revision=room.now.revision + 1)
    assert room.now == state


def test_an_answer_of_the_wrong_kind_is_refused(room: Any) -> None:
    refuses("answer-unfit", room.decide, "ada", msg.RunChecks)


def test_a_receipt_printed_meanwhile_does_not_make_a_page_stale(room: Any) -> None:
    seen = room.now.revision
    room.append((ev.Draft(event=ev.ReceiptIssued(index=10, size=11, medium="png", ceremony_id="cer-1")),))
    assert kinds(room.answer("ada", msg.Confirmed, revision=seen)) == ["StepDone"]


def test_a_closed_ceremony_takes_no_answer(room: Any) -> None:
    closed = ev.CeremonyClosed(ceremony_id="cer-1", outcome="abandoned", text="stopped")
    room.append((ev.Draft(event=closed),))
    refuses("ceremony-closed", room.decide, "ada", msg.Confirmed)
    assert engine.due(room.now, None) is None
    assert engine.follow_up(room.now, room.context()) == ()


# -- presence ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uids", "wanted"),
    [
        (("ada", "carl", "eve", "will"), "seat-missing"),
        (("ada", "carl", "cleo", "will"), "seat-missing"),
        (("ada", "carl", "cleo", "cyd", "twin", "eve", "will"), "seat-too-many"),
        (("ada", "ada", "carl", "cleo", "eve", "will"), "seats-conflict"),
        (("carl", "cleo", "eve", "will"), "seat-missing"),
    ],
)
def test_seats_that_do_not_fit_are_refused(room: Any, uids: tuple[str, ...], wanted: str) -> None:
    room.advance("presence")
    refuses(wanted, room.decide, "ada", msg.PresenceAnswer, seats=room.seats(*uids))


def test_one_person_cannot_be_custodian_and_witness(room: Any) -> None:
    room.advance("presence")
    seats = (*room.seats("ada", "carl", "eve", "twin"), Seat(role=Role.WITNESS, uid="twin", name=""))
    refuses("seats-conflict", room.decide, "ada", msg.PresenceAnswer, seats=seats)


def test_a_seat_needs_the_rosters_grant_and_the_name_comes_from_it(room: Any) -> None:
    room.advance("presence")
    stranger = Seat(role=Role.WITNESS, uid="nobody", name="N")
    wrong = Seat(role=Role.WITNESS, uid="carl", name="Carl")
    good = room.seats("ada", "carl", "cleo", "eve", "will")
    refuses("not-on-roster", room.decide, "ada", msg.PresenceAnswer, seats=(*good, stranger))
    refuses("role-not-granted", room.decide, "ada", msg.PresenceAnswer, seats=(*good, wrong))
    room.answer("ada", msg.PresenceAnswer, seats=good)
    assert {seat.name for seat in room.now.seats} >= {"Will Wren"}


def test_only_the_administrator_records_presence(room: Any) -> None:
    room.advance("presence")
    refuses("wrong-seat", room.decide, "will", msg.PresenceAnswer, seats=room.seats("ada", "carl"))


# -- time, software, preflight ---------------------------------------------------------------------------------


def test_a_clock_that_differs_is_recorded_and_the_step_stays_open(room: Any) -> None:
    room.advance("clock")
    made = room.answer("ada", msg.TimeSourceAnswer, source="Radio", zone="UTC", reads_ms=0)
    assert kinds(made) == ["StepMissed"]
    assert room.step == "clock"
    assert room.view.problem is not None
    assert room.view.problem.code == "clock-differs"


@pytest.mark.parametrize("read", ["5a5a", "5b" * 32, "aardvark absurd", "zulu", "5a5a5a5a5a5a5a5b"])
def test_a_wrong_hash_is_a_miss(room: Any, read: str) -> None:
    room.advance("software")
    assert kinds(room.answer("will", msg.Confirmed, facts={"read": read})) == ["StepMissed"]
    assert room.step == "software"
    assert "5a5a5a5a5a5a5a5a" not in room.view.problem.what


def test_the_hash_may_be_read_as_words(room: Any) -> None:
    room.advance("software")
    spoken = " ".join(words.encode(bytes.fromhex("5a" * 8)))
    assert kinds(room.answer("will", msg.Confirmed, facts={"read": spoken})) == ["StepDone"]


def test_facts_that_were_not_asked_for_are_refused(room: Any) -> None:
    refuses("fact-unknown", room.decide, "ada", msg.Confirmed, facts={"mood": "good"})


def test_a_red_preflight_keeps_the_step_open_and_tells_what_to_do(room: Any) -> None:
    room.advance("preflight")
    red = Problem(code="label-taken", what="The name is taken.", todo="Choose another.")
    items = (msg.CheckItem(name="Disk", found="ok"), msg.CheckItem(name="Name", found="taken", problem=red))
    room.append(steps.checked(room.now, items, room.people["ada"], room.context()))
    assert room.step == "preflight"
    shown = {item.name: item.problem for item in room.view.preflight}
    assert shown["Disk"] is None
    assert shown["Name"] is not None
    assert shown["Name"].todo == "Choose another."
    room.advance("intent")
    assert all(item.problem is None for item in room.view.preflight)


def test_a_preflight_that_looked_at_nothing_is_red(room: Any) -> None:
    room.advance("preflight")
    room.append(steps.checked(room.now, (), room.people["ada"], room.context()))
    assert room.step == "preflight"


# -- quorum ------------------------------------------------------------------------------------------------------


def test_two_custodians_are_the_quorum_and_the_third_is_too_late(room: Any) -> None:
    room.advance("authorise")
    assert kinds(room.vote("carl")) == ["ApprovalGiven"]
    assert room.view.quorum is not None
    assert [a.uid for a in room.view.quorum.approvals] == ["carl"]
    assert [seat.uid for seat in room.view.next_actors] == ["cleo", "cyd"]
    assert kinds(room.vote("cleo")) == ["ApprovalGiven", "QuorumReached", "StepDone"]
    refuses("nothing-to-decide", room.vote, "cyd")


def test_statements_fetched_at_the_same_time_are_both_good(room: Any) -> None:
    room.advance("authorise")
    seen = room.now.revision
    cms = base64.b64encode(b"good").decode()
    texts = {
        who: ballot.statement(room.now, room.people[who], "approve", nonce="0a0b", gateway_sha256="cd" * 32).canonical
        for who in ("carl", "cleo")
    }
    for who, text in texts.items():
        room.answer(who, msg.Approve, decision=Decision.APPROVE, statement=text, cms=cms, revision=seen)
    assert room.step == "generate"


def test_a_reason_is_signed_as_it_is_recorded(room: Any) -> None:
    room.advance("authorise")
    room.vote("carl", "decline", because=" The sheet\nis missing. ")
    assert room.now.votes[0].because == "The sheet is missing."
    assert json.loads(room.now.votes[0].statement)["because"] == "The sheet is missing."


def test_one_person_votes_once(room: Any) -> None:
    room.advance("authorise")
    room.vote("carl")
    refuses("voted-already", room.vote, "carl")


def test_one_certificate_on_two_seats_is_refused(room: Any) -> None:
    room.advance("authorise")
    room.vote("carl")
    room.people["cleo"] = msgspec.structs.replace(room.people["cleo"], certificate_sha256="cert-carl")
    refuses("certificate-used-twice", room.vote, "cleo")


def test_the_opener_cannot_approve(new_room: Any) -> None:
    room = new_room()
    both = (Role.ADMINISTRATOR, Role.CUSTODIAN)
    room.people["ada"] = msgspec.structs.replace(room.people["ada"], roles=both)
    entry = msgspec.structs.replace(room.roster.entries[0], roles=both)
    room.roster = msgspec.structs.replace(room.roster, entries=(entry, *room.roster.entries[1:]))
    room.open()
    room.advance("presence")
    seats = (*room.seats("carl", "cleo", "eve", "will"), Seat(role=Role.ADMINISTRATOR, uid="ada", name=""))
    mine = Seat(role=Role.CUSTODIAN, uid="ada", name="")
    refuses("self-approval", room.decide, "ada", msg.PresenceAnswer, seats=(*seats, mine))


def test_somebody_without_a_seat_cannot_vote(room: Any) -> None:
    room.advance("authorise")
    for who in ("eve", "twin", "ada"):
        refuses("not-seated", room.vote, who)


def test_a_wrong_signature_is_refused(room: Any) -> None:
    room.advance("authorise")
    with pytest.raises(VerificationFailed):
        room.vote("carl", cms=base64.b64encode(b"bad").decode())
    refuses("cms-unreadable", room.vote, "carl", cms="!!")
    assert not room.now.votes


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "decline"},
        {"person": "cleo"},
        {"step": "generate"},
        {"attempt": 2},
        {"nonce": "ff"},
        {"log_size": 1},
    ],
)
def test_a_signed_statement_that_says_something_else_is_refused(room: Any, change: dict[str, Any]) -> None:
    room.advance("authorise")
    good = ballot.statement(room.now, room.people["carl"], "approve", nonce="0a0b", gateway_sha256="cd" * 32)
    text = json.dumps(json.loads(good.canonical) | change, sort_keys=True, separators=(",", ":"))
    cms = base64.b64encode(b"good").decode()
    refuses("statement-stale", room.decide, "carl", msg.Approve, decision=Decision.APPROVE, statement=text, cms=cms)


def test_declining_makes_the_quorum_unreachable_and_shows_the_way_forward(room: Any) -> None:
    room.advance("authorise")
    room.vote("carl", "decline", because="The sheet is missing.")
    assert room.step == "authorise"
    assert room.view.steps[6].status is msg.StepStatus.CURRENT
    assert kinds(room.vote("cleo", "decline")) == ["ApprovalGiven", "QuorumDeclined"]
    assert room.view.steps[6].status is msg.StepStatus.DECIDE
    assert room.view.problem.code == "quorum-declined"
    refuses("nothing-to-decide", room.vote, "cyd")
    room.answer("ada", msg.DeviationAnswer, expected="An approval.", happened="Two declined.", decided="Vote again.")
    assert room.view.deciding == "deviation"
    room.vote("carl")
    room.vote("cleo")
    assert room.now.deviations[0].verdict == "accepted"
    assert room.view.quorum.attempt == 2
    room.vote("carl")
    room.vote("cleo")
    assert room.step == "generate"
