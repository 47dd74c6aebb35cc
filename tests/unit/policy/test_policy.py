"""Roles, conflicts and environments (CEREMONY 1, DESIGN 4 invariants 6 and 11)."""

from __future__ import annotations

import itertools

import pytest

from hsm_console.domain.errors import InputError, PolicyRefusal
from hsm_console.domain.events import Seat
from hsm_console.domain.people import Actor, Role
from hsm_console.policy import clauses, environment, roles
from hsm_console.policy.roles import Action

HOUSES = sorted(environment.texts())


def actor(*held: Role) -> Actor:
    return Actor(uid="u", name="U", roles=held, session_uid="s", certificate_sha256="c")


def seat(role: Role, uid: str = "u") -> Seat:
    return Seat(role=role, uid=uid, name=uid.upper())


@pytest.mark.parametrize("house", HOUSES)
def test_every_action_has_a_holder_and_in_production_no_role_holds_all(house: str) -> None:
    rules = environment.load(house)
    for action in Action:
        assert roles.holders(action, rules)
    for role in Role:
        assert roles.granted((role,), rules) < frozenset(Action) or not rules.production


@pytest.mark.parametrize(
    ("role", "action"),
    [
        (Role.AUDITOR, Action.OPEN_CEREMONY),
        (Role.AUDITOR, Action.ENROL),
        (Role.WITNESS, Action.UNLOCK_DEVICE),
        (Role.CUSTODIAN, Action.ENROL),
        (Role.EXECUTIVE, Action.REVOKE),
        (Role.ADMINISTRATOR, Action.UNLOCK_DEVICE),
    ],
)
def test_what_a_role_may_not_do_is_refused_in_four_things(role: Role, action: Action) -> None:
    with pytest.raises(PolicyRefusal) as caught:
        roles.authorise(actor(role), action, environment.load("executive-production"))
    problem = caught.value.problem
    assert problem.code == "role-refused"
    assert problem.exit_code == 4
    assert problem.todo
    assert problem.key_state


def test_the_house_says_who_unlocks() -> None:
    for house in HOUSES:
        rules = environment.load(house)
        for role in rules.unlock.roles:
            roles.authorise(actor(role), Action.UNLOCK_DEVICE, rules)


def test_nobody_without_a_role_does_anything() -> None:
    assert roles.granted((), environment.load("rehearsal")) == frozenset()


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(Role, 2)))
def test_one_person_on_two_seats_is_refused(first: Role, second: Role) -> None:
    with pytest.raises(PolicyRefusal) as caught:
        roles.check_seats((seat(first), seat(second)), environment.load("executive-production"))
    assert caught.value.problem.code == "seats-conflict"


def test_a_house_may_allow_a_pair_in_either_order() -> None:
    text = environment.texts()["rehearsal"].replace(
        'required = ["witness"]', 'required = ["witness"]\nmay_combine = [["auditor", "witness"]]'
    )
    rules = environment.parse(text)
    roles.check_seats((seat(Role.WITNESS), seat(Role.AUDITOR)), rules)
    with pytest.raises(PolicyRefusal):
        roles.check_seats((seat(Role.WITNESS), seat(Role.WITNESS)), rules)
    with pytest.raises(PolicyRefusal):
        roles.check_seats((seat(Role.WITNESS), seat(Role.CUSTODIAN)), rules)


@pytest.mark.parametrize("house", HOUSES)
def test_shipped_environments_are_sound(house: str) -> None:
    rules = environment.load(house)
    assert rules.id == house
    assert 1 <= rules.quorum.needed <= rules.quorum.of
    if rules.production:
        with pytest.raises(PolicyRefusal):
            environment.check_token(rules, simulated=True)
        assert rules.log.anchors
        assert Role.WITNESS in rules.seats.required
        assert rules.ceremony.scripts == "approved"
    assert len(environment.digest(environment.texts()[house])) == 64
    assert rules.settings()["quorum.needed"] == str(rules.quorum.needed)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("production = true", "production = true\ncolour = 'red'", "colour"),
        ("needed = 2", "needed = 0", "quorum"),
        ("needed = 2", "needed = 'two'", "quorum.needed"),
        ('simulated_tokens = "refused"', 'simulated_tokens = "allowed"', "production"),
        ('title = "Executive production"\n', "", "title"),
        ("[quorum]", "[quorum", "line"),
    ],
)
def test_a_wrong_environment_is_refused_by_its_key(old: str, new: str, named: str) -> None:
    text = environment.texts()["executive-production"]
    assert old in text
    with pytest.raises(InputError) as caught:
        environment.parse(text.replace(old, new, 1))
    assert named in caught.value.problem.what


def test_an_unknown_environment_names_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        environment.load("moon")
    assert "rehearsal" in caught.value.problem.todo


@pytest.mark.parametrize("text", ["", "short", "aaaaaaaaaaaaaaaaaaaaaaaa"])
def test_weak_passphrases_are_refused(text: str) -> None:
    with pytest.raises(PolicyRefusal) as caught:
        roles.check_passphrase(text, environment.load("executive-production"))
    assert not text or text not in caught.value.problem.in_words()
    roles.check_passphrase("correct horse battery", environment.load("executive-production"))


def test_every_clause_names_a_source_that_is_known() -> None:
    table = clauses.table()
    assert len(table.clauses) == 35
    assert len({c.id for c in table.clauses}) == 35
    for clause in table.clauses:
        assert table.sources(clause)
        assert table.by_id(clause.id) is clause
    assert all(table.of(standard.id) for standard in table.standards)
    assert table.by_id("X1") is None
