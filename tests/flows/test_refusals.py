"""Everything that must be refused is refused with its own code, changes nothing, and stands in the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hsm_console.client import audit, ceremonies, device, keys, people
from hsm_console.domain.events import Decision, Seat
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret

Helpers = dict[str, Callable[..., Any]]


def recorded(house: Any, kind: str, needle: str) -> bool:
    rows = audit.entries(house.be("alan"), kind=kind).rows
    auditor = house.be("alan")
    return any(needle in audit.entry(auditor, row.seq).body for row in rows)


def test_wrong_roles(house: Any, helpers: Helpers) -> None:
    custodian, witness, auditor = house.be("claude"), house.be("joan"), house.be("alan")
    refusal = helpers["refusal"]
    assert refusal(lambda: house.open(custodian)) == "role-refused"
    assert refusal(lambda: device.unlock(witness, Secret("user-pin-271828"))) == "role-refused"
    assert refusal(lambda: people.revoke(auditor, "ada", "unspecified")) == "role-refused"
    assert refusal(lambda: audit.entries(custodian)) == "role-refused"
    assert refusal(lambda: house.be("claude", Role.ADMINISTRATOR)) == "role-not-granted"
    assert recorded(house, "action-refused", "unlock-device")
    assert recorded(house, "log-on-refused", "role-not-granted")
    assert not device.state(auditor).unlocked


def test_a_role_that_was_not_taken_up_grants_nothing(house: Any, helpers: Helpers) -> None:
    """Betty is administrator and custodian; logged on as custodian she is custodian only."""
    betty = house.be("both", Role.CUSTODIAN)
    assert betty.greeting.roles == (Role.CUSTODIAN,)
    assert helpers["refusal"](lambda: house.open(betty)) == "role-refused"


def test_self_approval_two_seats_and_strangers(house: Any, helpers: Helpers) -> None:
    betty = house.be("both")
    device.unlock(betty, Secret("user-pin-271828"))
    view = house.open(betty)
    view = ceremonies.answer(betty, view.id, msg.Confirmed(step=view.current, revision=view.revision))

    def seated(*changed: Seat) -> Callable[[], object]:
        kept = tuple(s for s in helpers["seats"]() if s.role not in {c.role for c in changed})
        answer = msg.PresenceAnswer(step=view.current, revision=view.revision, seats=(*kept, *changed))
        return lambda: ceremonies.answer(betty, view.id, answer)

    def seat(role: Role, uid: str) -> Seat:
        return Seat(role=role, uid=uid, name=uid)

    admin = seat(Role.ADMINISTRATOR, "both")
    refusal = helpers["refusal"]
    both_seats = seated(admin, seat(Role.CUSTODIAN, "both"), seat(Role.CUSTODIAN, "claude"))
    assert refusal(both_seats) == "self-approval"
    assert refusal(seated(admin, seat(Role.CUSTODIAN, "claude"), seat(Role.CUSTODIAN, "claude"))) == "seats-conflict"
    assert refusal(seated(admin, seat(Role.CUSTODIAN, "claude"))) == "seat-missing"
    assert refusal(seated(admin, seat(Role.WITNESS, "mallory"))) == "not-on-roster"
    assert refusal(seated(admin, seat(Role.WITNESS, "claude"))) == "role-not-granted"
    assert ceremonies.view(betty, view.id).current == view.current


def test_votes(house: Any, helpers: Helpers) -> None:
    """One person one vote, only her own signature, only the statement of now, only from a seat."""
    refusal, approve = helpers["refusal"], helpers["approve"]
    ada = house.admin()
    view = house.until(ada, house.open(ada), "authorise")
    claude, grace = house.be("claude"), house.be("grace")
    statement = ceremonies.statement(claude, view.id, view.current, "approve").canonical

    def vote(session: Any, text: str, cms: str) -> Callable[[], object]:
        answer = msg.Approve(
            step=view.current, revision=view.revision, decision=Decision.APPROVE, statement=text, cms=cms
        )
        return lambda: ceremonies.answer(session, view.id, answer)

    own = claude.sign_statement(statement)
    assert refusal(vote(grace, statement, own)) == "statement-stale"  # another person's statement
    hers = ceremonies.statement(grace, view.id, view.current, "approve").canonical
    assert refusal(vote(grace, hers, claude.sign_statement(hers))) == "signature-by-someone-else"
    assert refusal(vote(claude, statement, claude.sign_statement(statement + " "))) == "signature-over-other-data"
    assert refusal(vote(claude, statement, "bm8gY21z")) == "signature-unreadable"
    assert refusal(vote(claude, statement.replace("approve", "decline"), own)) == "statement-stale"
    assert refusal(lambda: approve(house.be("ada"), view)) == "not-seated"
    assert refusal(lambda: approve(house.be("hedy"), view)) == "not-seated"
    view = approve(claude, view)
    assert view.quorum is not None
    assert len(view.quorum.approvals) == 1
    assert refusal(vote(claude, statement, own)) == "voted-already"
    assert recorded(house, "action-refused", "voted-already")
    assert recorded(house, "action-refused", "signature-by-someone-else")


def test_out_of_turn_and_stale(house: Any, helpers: Helpers) -> None:
    refusal = helpers["refusal"]
    ada = house.admin()
    view = house.until(ada, house.open(ada), "authorise")
    generate = msg.Perform(step="generate", revision=view.revision, confirmed="generate")
    assert refusal(lambda: ceremonies.answer(ada, view.id, generate)) == "answer-stale"
    now = msg.Perform(step=view.current, revision=view.revision, confirmed="generate")
    assert refusal(lambda: ceremonies.answer(ada, view.id, now)) == "wrong-seat"
    later = house.until(ada, view, "generate")
    old = msg.Perform(step="generate", revision=view.revision, confirmed="generate")
    assert refusal(lambda: ceremonies.answer(ada, view.id, old)) == "answer-stale"
    unsure = msg.Perform(step="generate", revision=later.revision, confirmed="yes")
    assert refusal(lambda: ceremonies.answer(ada, view.id, unsure)) == "not-confirmed"
    witness = msg.Perform(step="generate", revision=later.revision, confirmed="generate")
    assert refusal(lambda: ceremonies.answer(house.be("joan"), view.id, witness)) == "wrong-seat"
    assert ceremonies.view(ada, view.id).key is None


def test_quorum_that_declines_ends_in_a_decision(house: Any, helpers: Helpers) -> None:
    """Declining is an answer of its own: the step is blocked, nothing is generated, the ceremony can be ended."""
    ada = house.admin()
    view = house.until(ada, house.open(ada), "authorise")
    for uid in ("claude", "grace"):
        view = helpers["approve"](house.be(uid), view, Decision.DECLINE)
    assert view.problem is not None
    assert view.problem.code == "quorum-declined"
    view = ceremonies.answer(ada, view.id, msg.Abandon(step=view.current, revision=view.revision, why="not today"))
    assert view.status == "abandoned"
    assert view.key is None
    assert "minutes.pdf" in ceremonies.files(ada, view.id)


def test_a_script_that_changed_and_values_that_do_not_fit(house: Any, helpers: Helpers) -> None:
    ada = house.admin()
    script = next(s for s in ceremonies.scripts(ada) if s.id == "executive-identity-key")
    refusal = helpers["refusal"]
    changed = msg.OpenCeremony(
        script_id=script.id, sha256="0" * 64, parameters={"algorithm": "ec-p384", "label": "a key"}
    )
    assert refusal(lambda: ceremonies.open_ceremony(ada, changed)) == "script-changed"
    assert refusal(lambda: house.open(ada, algorithm="rsa-1024")) == "parameter-refused"
    assert refusal(lambda: house.open(ada, colour="blue")) == "parameter-refused"
    taken = keys.listed(ada)[0].label
    assert refusal(lambda: house.open(ada, label=taken)) == "label-taken"  # told before anybody gathers
    assert ceremonies.listed(ada) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("GET", "/v1/nowhere", None, "route-unknown"),
        ("PUT", "/v1/keys", None, "method-refused"),
        ("GET", "/v1/ceremonies/none", None, "not-found"),
        ("GET", "/v1/audit/entries?limit=0", None, "query-refused"),
        ("GET", "/v1/audit/entries/999999", None, "entry-missing"),
        ("GET", "/v1/audit/entries/..%2F..%2Fetc", None, "route-unknown"),
        ("POST", "/v1/device/unlock", {"pin": "x", "try": 2}, "body-unreadable"),
        ("POST", "/v1/session", {"role": "emperor"}, "body-unreadable"),
    ],
)
def test_requests_that_cannot_be_understood(
    house: Any, helpers: Helpers, method: str, path: str, body: Any, code: str
) -> None:
    ada = house.be("ada")
    sent = None if body is None else msgspec.defstruct("Body", list(body), frozen=True)(**body)
    assert helpers["refusal"](lambda: ada.call(method, path, sent, msgspec.Raw)) == code


def test_files_of_a_ceremony_are_its_own(house: Any, helpers: Helpers) -> None:
    ada = house.admin()
    view = house.open(ada)
    for name in ("../../workspace.toml", "..%2F..%2Fgateway%2Fidentity.key", "/etc/passwd"):
        path = f"/v1/ceremonies/{view.id}/files/{name}"
        assert helpers["refusal"](lambda p=path: ada.raw("GET", p)) in ("not-found", "route-unknown")
