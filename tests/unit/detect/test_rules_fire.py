"""Every shipped rule: one story that fires it, and one beside it that must not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from hsm_console.domain import events as ev
from hsm_console.domain.people import Role

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
WRONG = ev.DeviceUnlockRefused(reason="pin-incorrect", text="The PIN is wrong.", ckr="CKR_PIN_INCORRECT")
TESTED: dict[str, tuple[Any, Any]] = {}


def fires(rule: str) -> Any:
    """Registers a story; a test at the end holds the register and the shipped rules together."""
    return _keep(rule, 0)


def silent(rule: str) -> Any:
    return _keep(rule, 1)


def _keep(rule: str, place: int) -> Any:
    def keep(story: Any) -> Any:
        pair = list(TESTED.get(rule, (None, None)))
        assert pair[place] is None, rule
        pair[place] = story
        TESTED[rule] = (pair[0], pair[1])
        return story

    return keep


def unlocked(story: Any, **change: str) -> list[str]:
    return story.tell(ev.DeviceUnlocked(device=replace(story.device, **change)), story.grace)


def compared(story: Any, *findings: str) -> list[str]:
    return story.tell(
        ev.DeviceLogCompared(
            source="device", serial="SIM0001", sha256="5a" * 32, first=1, last=9, until=3, matched=8, findings=findings
        )
    )


def read_back(story: Any, **found: tuple[str, ...]) -> list[str]:
    return story.tell(ev.KeysReadBack(serial="SIM0001", known=2, **found))


def succeeded(story: Any, intent: int = 2, **attributes: bool) -> list[str]:
    guarded = {"sensitive": True, "always_sensitive": True, "extractable": False, "never_extractable": True}
    return story.tell(
        ev.OperationSucceeded(
            intent=intent, operation=ev.Operation.GENERATE, key_id="33" * 16, label="new", ceremony_id="c-1",
            attributes=guarded | attributes,
        ),
        story.alice,
    )  # fmt: skip


def seated(story: Any, *pairs: tuple[str, Role]) -> list[str]:
    seats = tuple(ev.Seat(role=role, uid=uid, name=uid) for uid, role in pairs)
    event = ev.StepDone(ceremony_id="c-1", step="who", step_kind="presence", phase="opening", seats=seats)
    return story.tell(event, story.grace)


# -- PINs ---------------------------------------------------------------------------------------------------


@fires("pin-failures")
def _(story: Any) -> list[str]:
    story.tell(WRONG, story.grace)
    story.tell(WRONG, story.grace, after_ms=5 * MINUTE)
    return story.tell(WRONG, story.grace, after_ms=5 * MINUTE)


@silent("pin-failures")
def _(story: Any) -> list[str]:
    """Three, but never three within a quarter of an hour."""
    return [r for _ in range(4) for r in story.tell(WRONG, story.grace, after_ms=8 * MINUTE)]


@fires("pin-locked")
def _(story: Any) -> list[str]:
    return story.tell(ev.DeviceUnlockRefused(reason="pin-locked", text="Locked."), story.grace)


@silent("pin-locked")
def _(story: Any) -> list[str]:
    return story.tell(WRONG, story.grace)


@fires("pin-failures-then-success")
def _(story: Any) -> list[str]:
    story.tell(WRONG, story.grace)
    story.tell(WRONG, story.grace)
    return unlocked(story)


@silent("pin-failures-then-success")
def _(story: Any) -> list[str]:
    """The right one first, or one wrong one only, is how people are."""
    found = unlocked(story)
    found += story.tell(WRONG, story.grace)
    return found + unlocked(story)


# -- people -------------------------------------------------------------------------------------------------


def _stranger(story: Any, times: int) -> list[str]:
    event = ev.LogOnRefused(reason="certificate-expired", text="It has expired.")
    return [r for _ in range(times) for r in story.tell(event, after_ms=2000)]


@fires("log-on-refusals")
def _(story: Any) -> list[str]:
    return _stranger(story, 10)


@silent("log-on-refusals")
def _(story: Any) -> list[str]:
    return _stranger(story, 9)


@fires("revoked-log-on")
def _(story: Any) -> list[str]:
    return story.tell(ev.LogOnRefused(reason="certificate-revoked", text="Revoked.", claimed_uid="m.mallory"))


@silent("revoked-log-on")
def _(story: Any) -> list[str]:
    return story.tell(ev.LogOnRefused(reason="certificate-expired", text="Expired.", claimed_uid="m.mallory"))


LOGGED_ON = ev.LoggedOn(roles=(Role.CUSTODIAN,), certificate_serial="0a")


@fires("out-of-hours")
def _(production: Any) -> list[str]:
    return production.tell(LOGGED_ON, production.alice, after_ms=11 * HOUR)


@silent("out-of-hours")
def _(production: Any) -> list[str]:
    return production.tell(LOGGED_ON, production.alice, after_ms=2 * HOUR)


def _working_life(story: Any) -> None:
    for _ in range(30):
        story.tell(LOGGED_ON, story.alice, after_ms=DAY)


@fires("person-unusual-hour")
def _(story: Any) -> list[str]:
    _working_life(story)
    return story.tell(LOGGED_ON, story.alice, after_ms=12 * HOUR)


@silent("person-unusual-hour")
def _(story: Any) -> list[str]:
    """The same hour as ever; and a stranger hour of somebody of whom too little is known."""
    _working_life(story)
    found = story.tell(LOGGED_ON, story.alice, after_ms=7 * DAY)
    return found + story.tell(LOGGED_ON, story.grace, after_ms=12 * HOUR)


def _acts(story: Any, many: int) -> list[str]:
    event = ev.StepMissed(ceremony_id="c-1", step="compare", step_kind="compare")
    return [r for _ in range(many) for r in story.tell(event, story.alice, after_ms=100)]


@fires("person-rate-jump")
def _(story: Any) -> list[str]:
    for _ in range(25):
        story.tell(LOGGED_ON, story.alice, after_ms=12 * HOUR)
    story.clock.pass_ms(HOUR)
    return _acts(story, 40)


@silent("person-rate-jump")
def _(story: Any) -> list[str]:
    """Just as many acts by somebody who began yesterday."""
    for _ in range(25):
        story.tell(LOGGED_ON, story.alice, after_ms=HOUR)
    story.clock.pass_ms(HOUR)
    return _acts(story, 40)


@fires("refused-acts")
def _(story: Any) -> list[str]:
    event = ev.ActionRefused(action="open-ceremony", code="role-refused", text="She may not.")
    return [r for _ in range(5) for r in story.tell(event, story.alice, after_ms=MINUTE)]


@silent("refused-acts")
def _(story: Any) -> list[str]:
    """Five in all, but by two people."""
    event = ev.ActionRefused(action="open-ceremony", code="role-refused", text="She may not.")
    return [r for n in range(6) for r in story.tell(event, (story.alice, story.grace)[n % 2], after_ms=MINUTE)]


@fires("two-seats")
def _(story: Any) -> list[str]:
    story.open()
    return seated(story, ("ada", Role.ADMINISTRATOR), ("ada", Role.WITNESS), ("bob", Role.CUSTODIAN))


@silent("two-seats")
def _(story: Any) -> list[str]:
    story.open()
    return seated(story, ("ada", Role.ADMINISTRATOR), ("joan", Role.WITNESS), ("bob", Role.CUSTODIAN))


# -- keys ---------------------------------------------------------------------------------------------------


def _use_for_weeks(story: Any, days: int, hour_ms: int = 0) -> None:
    story.clock.pass_ms(hour_ms)
    for _ in range(days):
        story.intend("sign", mechanism="ecdsa-sha384", after_ms=DAY - 20_000)
        for _ in range(2):
            story.intend("sign", mechanism="ecdsa-sha384", after_ms=10_000)


@fires("key-rate-jump")
def _(story: Any) -> list[str]:
    _use_for_weeks(story, 20)
    story.clock.pass_ms(HOUR)
    return [r for _ in range(40) for r in story.intend("sign", mechanism="ecdsa-sha384", after_ms=500)]


@silent("key-rate-jump")
def _(story: Any) -> list[str]:
    """What it always did; and as many uses of a key of which too little is known."""
    _use_for_weeks(story, 20)
    found = [r for _ in range(3) for r in story.intend("sign", mechanism="ecdsa-sha384", after_ms=10_000)]
    return found + [r for _ in range(40) for r in story.intend("sign", key="33" * 16, after_ms=500)]


@fires("key-unusual-hour")
def _(story: Any) -> list[str]:
    _use_for_weeks(story, 30)
    return story.intend("sign", mechanism="ecdsa-sha384", after_ms=12 * HOUR)


@silent("key-unusual-hour")
def _(story: Any) -> list[str]:
    _use_for_weeks(story, 30)
    return story.intend("sign", mechanism="ecdsa-sha384", after_ms=7 * DAY + HOUR // 2)


@fires("first-use-of-mechanism")
def _(story: Any) -> list[str]:
    return story.intend("sign", mechanism="ml-dsa")


@silent("first-use-of-mechanism")
def _(story: Any) -> list[str]:
    """A second time; and what the founding did already."""
    story.intend("sign", mechanism="ml-dsa")
    found = story.intend("sign", mechanism="ml-dsa")
    return found + story.intend("generate", key="", algorithm="ed25519", label="k")


@fires("key-wrapped")
def _(story: Any) -> list[str]:
    return story.intend("wrap", under="22" * 16, label="traveller")


@silent("key-wrapped")
def _(story: Any) -> list[str]:
    return story.intend("unwrap", under="22" * 16) + story.intend("generate", algorithm="ec-p384", label="k")


def _exports(story: Any, times: int, every_ms: int) -> list[str]:
    event = ev.LogExported(what="bundle", size=3, root="5a" * 32)
    return [r for _ in range(times) for r in story.tell(event, story.grace, after_ms=every_ms)]


@fires("export-burst")
def _(story: Any) -> list[str]:
    return _exports(story, 5, MINUTE)


@silent("export-burst")
def _(story: Any) -> list[str]:
    return _exports(story, 8, 4 * MINUTE)


@fires("key-attributes")
def _(story: Any) -> list[str]:
    """Each way by itself: made too weak, and changed afterwards."""
    story.open()
    story.intend("generate", key="", algorithm="ec-p384", label="new")
    return succeeded(story, 3, extractable=True) and read_back(story, changed=("new (33): sensitive was yes, is no",))


@silent("key-attributes")
def _(story: Any) -> list[str]:
    """Extractable because it was asked for, and a read-back without a finding."""
    story.intend("generate", key="", algorithm="ec-p384", label="new", extractable=True)
    return succeeded(story, 2, extractable=True, never_extractable=False) + read_back(story)


@fires("foreign-key")
def _(story: Any) -> list[str]:
    """In the workspace's own token, and in another device."""
    elsewhere = ev.FleetCompared(members=("primary", "second"), keys=2, foreign=("second: stray (4455)",))
    return story.tell(elsewhere) and read_back(story, foreign=("stray (4455)",))


@silent("foreign-key")
def _(story: Any) -> list[str]:
    return read_back(story, missing=("mine (33)",))


@fires("key-gone")
def _(story: Any) -> list[str]:
    return read_back(story, missing=("mine (33)",))


@silent("key-gone")
def _(story: Any) -> list[str]:
    return read_back(story)


@fires("unknown-key-used")
def _(story: Any) -> list[str]:
    return story.intend("sign", key="99" * 16)


@silent("unknown-key-used")
def _(story: Any) -> list[str]:
    succeeded(story, 2)
    return story.intend("sign", key="33" * 16) + story.intend("sign")


@fires("delete-burst")
def _(story: Any) -> list[str]:
    return [r for n in range(3) for r in story.intend("destroy", key=f"{n:032x}", after_ms=MINUTE)]


@silent("delete-burst")
def _(story: Any) -> list[str]:
    """The same key again and again (a failed destruction is tried anew) is one key."""
    return [r for _ in range(5) for r in story.intend("destroy", after_ms=MINUTE)]


# -- the log, the clock, the workstation ------------------------------------------------------------------------

STOPPED = ev.GatewayStopped(run_uid="r-1", reason="asked")


def _started(end: str) -> ev.GatewayStarted:
    return ev.GatewayStarted(run_uid="r-1", software_version="1", previous_end=end, listen="unix")


@fires("log-stopped")
def _(story: Any) -> list[str]:
    story.open()
    return story.tell(STOPPED)


@silent("log-stopped")
def _(story: Any) -> list[str]:
    story.open()
    story.tell(ev.CeremonyClosed(ceremony_id="c-1", outcome="abandoned", text="x"), story.grace)
    return story.tell(STOPPED)


@fires("log-ended-unclean")
def _(story: Any) -> list[str]:
    return story.tell(_started("unclean"))


@silent("log-ended-unclean")
def _(story: Any) -> list[str]:
    return story.tell(_started("clean"))


ROTATED = ev.LogRotated(
    segment=0, first=0, last=255, size=300, root="5a" * 32, file="s.age", sha256="5a" * 32, octets=9, recipient="age1x"
)
PRUNED = ev.LogPruned(order_id="o-1", first=2, below=9, fingerprint="5a" * 32, segments=())


@fires("log-rotated")
def _(story: Any) -> list[str]:
    return story.tell(ROTATED, story.grace)


@silent("log-rotated")
def _(story: Any) -> list[str]:
    return story.tell(PRUNED, story.grace)


@fires("log-pruned")
def _(story: Any) -> list[str]:
    erased = story.tell(ev.DisclosuresErased(order_id="o-1", erased=(), why="asked for"), story.grace)
    return erased and story.tell(PRUNED, story.grace)


@silent("log-pruned")
def _(story: Any) -> list[str]:
    return story.tell(ROTATED, story.grace)


VIEW = ev.LogViewed(first=0, last=1)


@fires("clock-step")
def _(story: Any) -> list[str]:
    story.tell(VIEW, story.grace)
    story.clock.step(-HOUR)
    return story.tell(VIEW, story.grace)


@silent("clock-step")
def _(story: Any) -> list[str]:
    """Declared before; and a reboot, after which the uptime begins anew."""
    story.tell(ev.TimeChangeDeclared(shift_ms=HOUR, source="radio", why="zone"), story.grace)
    story.clock.step(HOUR)
    found = story.tell(VIEW, story.grace)
    story.clock.reboot()
    return found + story.tell(VIEW, story.grace)


def _beat(story: Any, after_ms: int) -> list[str]:
    return story.tell(ev.Heartbeat(run_uid="r-1", evaluated=3, next_s=600), after_ms=after_ms)


@fires("heartbeat-gap")
def _(story: Any) -> list[str]:
    _beat(story, 1000)
    return _beat(story, 45 * MINUTE)


@silent("heartbeat-gap")
def _(story: Any) -> list[str]:
    """On time; and the first one of another run, however long the workstation was off."""
    _beat(story, 1000)
    found = _beat(story, 10 * MINUTE)
    return found + story.tell(ev.Heartbeat(run_uid="r-2", evaluated=3, next_s=600), after_ms=9 * HOUR)


@fires("policy-changed")
def _(story: Any) -> list[str]:
    return story.tell(ev.PolicyInForce(environment="test", production=False, policy_sha256="6b" * 32))


@silent("policy-changed")
def _(story: Any) -> list[str]:
    """The policy of the genesis itself."""
    return [alert.rule for alert in story.all] + _beat(story, 1000)


def _checked(story: Any, *findings: str) -> list[str]:
    return story.tell(
        ev.LogChecked(what="background", first=0, last=2, size=3, anchored=-1, result="x", findings=findings)
    )


@fires("log-check-failed")
def _(story: Any) -> list[str]:
    return _checked(story, "GAP: an entry is missing")


@silent("log-check-failed")
def _(story: Any) -> list[str]:
    return _checked(story)


# -- devices ------------------------------------------------------------------------------------------------


@fires("device-changed")
def _(story: Any) -> list[str]:
    unlocked(story)
    assert unlocked(story, serial="SIM0002") == ["device-changed"]
    assert story.tell(ev.DeviceUnlockRefused(reason="token-wrong-serial", text="x")) == ["device-changed"]
    return unlocked(story, serial="SIM0002", firmware="1.1")


@silent("device-changed")
def _(story: Any) -> list[str]:
    unlocked(story)
    return unlocked(story)


@fires("shadow-operation")
def _(story: Any) -> list[str]:
    return compared(story, "PHANTOM-OP: a", "SHADOW-OP: the device signed with key “x”")


@silent("shadow-operation")
def _(story: Any) -> list[str]:
    return compared(story)


@fires("phantom-operation")
def _(story: Any) -> list[str]:
    return compared(story, "PHANTOM-OP: entry 5 is not in the device's log")


@silent("phantom-operation")
def _(story: Any) -> list[str]:
    return compared(story, "SHADOW-OP: the device signed with key “x”")


@fires("so-login-outside-ceremony")
def _(story: Any) -> list[str]:
    return compared(story, "SHADOW-OP: the security officer logged in (record 7)")


@silent("so-login-outside-ceremony")
def _(story: Any) -> list[str]:
    return compared(story, "SHADOW-OP: the device signed with key “security officer's toy”"[:35])


@fires("receipt-missing")
def _(story: Any) -> list[str]:
    story.open()
    succeeded(story)
    return story.tell(ev.CeremonyClosed(ceremony_id="c-1", outcome="completed"), story.grace)


@silent("receipt-missing")
def _(story: Any) -> list[str]:
    story.open()
    succeeded(story)
    story.tell(ev.ReceiptIssued(index=3, size=4, medium="pdf", ceremony_id="c-1"), story.grace)
    return story.tell(ev.CeremonyClosed(ceremony_id="c-1", outcome="completed"), story.grace)


# -- all of them -------------------------------------------------------------------------------------------------


def _played(rule: str, place: int, request: pytest.FixtureRequest) -> tuple[list[str], Any]:
    story = TESTED[rule][place]
    name = story.__code__.co_varnames[0]
    told = request.getfixturevalue(name)
    return story(told), told


@pytest.mark.parametrize("rule", sorted(TESTED))
def test_it_fires_and_says_why_in_plain_words(rule: str, request: pytest.FixtureRequest) -> None:
    found, told = _played(rule, 0, request)
    assert rule in found
    alert = next(alert for alert in reversed(told.all) if alert.rule == rule)
    assert 0 <= alert.first <= alert.last < len(told.bodies)
    assert "{" not in alert.text
    assert "(not said)" not in alert.text
    assert alert.todo


@pytest.mark.parametrize("rule", sorted(TESTED))
def test_it_stays_silent_beside_it(rule: str, request: pytest.FixtureRequest) -> None:
    found, _told = _played(rule, 1, request)
    assert rule not in found


@pytest.mark.parametrize("rule", sorted(TESTED))
def test_it_fires_the_same_when_the_engine_was_put_to_rest_before(rule: str, request: pytest.FixtureRequest) -> None:
    _found, story = _played(rule, 0, request)
    many = len(story.bodies)
    for cut in {*range(max(0, many - 8), many), many // 2, 2}:
        assert story.resumed(cut) == [alert for alert in story.all if alert.last >= cut], cut


def test_every_shipped_rule_has_both_stories_and_is_written_for_people(shipped: Any) -> None:
    speaking = {rule.name for rule in shipped.rules if rule.raises}
    assert set(TESTED) == speaking
    assert all(None not in pair for pair in TESTED.values())
    for rule in shipped.rules:
        if rule.raises:
            assert rule.false_alarms, rule.name
            assert rule.todo.endswith("."), rule.name
            assert rule.meaning.endswith("."), rule.name


def test_a_jump_of_a_key_is_told_with_its_history(story: Any) -> None:
    TESTED["key-rate-jump"][0](story)
    alert = next(alert for alert in story.all if alert.rule == "key-rate-jump")
    assert "was used 15 times in the last minute (sign)" in alert.text
    assert "In 19 days before it was never used more than 3 times a minute." in alert.text
    assert sum(a.rule == "key-rate-jump" for a in story.all) == 1, "the same hour is told once"
