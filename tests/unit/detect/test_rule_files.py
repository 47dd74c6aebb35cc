"""Rule files: what is understood, what is refused by name, and a house's own folder over the shipped rules."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from hsm_console.detect import rulebook
from hsm_console.detect.rules import load
from hsm_console.domain import events as ev
from hsm_console.domain.errors import InputError


def rule(detection: str, **more: str) -> bytes:
    """A whole rule around this detection."""
    head = {"title": "T", "name": "one", "description": "D.", "level": "high"} | more
    lines = [f"{key}: {value}" for key, value in head.items()]
    lines += ["logsource: {product: hsm-console}", "detection:", textwrap.indent(textwrap.dedent(detection), "  ")]
    return "\n".join(lines).encode()


def why(data: bytes, name: str = "one.yml") -> str:
    with pytest.raises(InputError) as caught:
        load({name: data})
    assert caught.value.problem.code == "rule-refused"
    assert caught.value.problem.todo
    return caught.value.problem.what


REFUSED = LOGGED = ev.LogOnRefused(reason="certificate-expired", text="It has expired on 3 May.", verify_code=10)
MATCHES = [
    ("hsm_console.event.reason: certificate-expired", True),
    ("hsm_console.event.reason: CERTIFICATE-Expired", True),
    ("hsm_console.event.reason|cased: CERTIFICATE-Expired", False),
    ("hsm_console.event.reason: 'certificate-*'", True),
    ("hsm_console.event.reason: 'certificate-?xpired'", True),
    ("hsm_console.event.reason: 'certificate-\\*'", False),
    ("hsm_console.event.reason: [nothing, certificate-expired]", True),
    ("hsm_console.event.text|contains: 3 may", True),
    ("hsm_console.event.text|contains|all: [expired, may]", True),
    ("hsm_console.event.text|contains|all: [expired, june]", False),
    ("hsm_console.event.text|startswith: it has", True),
    ("hsm_console.event.text|endswith: may", False),
    ("hsm_console.event.text|re: '[0-9]+ May'", True),
    ("hsm_console.event.text|re: '[0-9]+ may'", False),
    ("hsm_console.event.text|re|i: '[0-9]+ may'", True),
    ("hsm_console.event.verify_code: 10", True),
    ("hsm_console.event.verify_code|gt: 10", False),
    ("hsm_console.event.verify_code|gte: 10", True),
    ("hsm_console.event.verify_code|lt: 11", True),
    ("hsm_console.event.verify_code|lte: 9", False),
    ("hsm_console.event.claimed_uid|exists: false", True),
    ("hsm_console.event.reason|exists: true", True),
    ("hsm_console.event.claimed_uid: null", True),
    ("status_code|fieldref: hsm_console.event.reason", True),
    ("hsm_console.simulated: true", True),
    ("device.hw_info.serial_number: sim0001", True),
    ("metadata.profiles: record_integrity", True),
    ("hsm_console.event.verify_code: true", False),
]


@pytest.mark.parametrize(("search", "hit"), MATCHES)
def test_searches(with_rules: Any, search: str, hit: bool) -> None:
    story = with_rules(load({"a.yml": rule(f"s:\n  {search}\n  class_uid: 3002\ncondition: s")}))
    assert story.tell(REFUSED) == (["one"] if hit else [])


def test_networks(with_rules: Any) -> None:
    """An address inside is matched; a name that is no address is simply another one."""
    story = with_rules(load({"a.yml": rule("s:\n  src_endpoint.name|cidr: 10.0.0.0/8\ncondition: s")}))
    assert story.tell(REFUSED, story.alice) == []
    assert why(rule("s:\n  src_endpoint.name|cidr: 10.0.0.0/99\ncondition: s")).endswith("is no network.")


CONDITIONS = [
    ("a and b", True), ("a and c", False), ("a or c", True), ("not c", True), ("not a", False), ("a and not c", True),
    ("(a or c) and not (b and c)", True), ("1 of pick_*", True), ("2 of pick_*", False), ("all of pick_*", False),
    ("any of pick_*", True), ("1 of them", True), ("all of them", False),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "hit"), CONDITIONS)
def test_conditions(with_rules: Any, condition: str, hit: bool) -> None:
    names = {"a": "reason: certificate-expired", "b": "verify_code: 10", "c": "verify_code: 11"}
    names |= {"pick_1": "verify_code: 10", "pick_2": "verify_code: 11"}
    used = [n for n in names if n in condition.replace("(", " ").replace(")", " ").split()]
    used += [n for n in names if n.startswith("pick_") and "pick_" in condition]
    used = list(names) if "them" in condition else used
    searches = "".join(f"{name}:\n  hsm_console.event.{names[name]}\n" for name in used)
    story = with_rules(load({"a.yml": rule(f"{searches}condition: {condition}")}))
    assert story.tell(REFUSED) == (["one"] if hit else [])


def test_a_list_of_maps_is_any_of_them(with_rules: Any) -> None:
    data = rule("s:\n  - hsm_console.event.verify_code: 9\n  - hsm_console.event.verify_code: 10\ncondition: s")
    story = with_rules(load({"a.yml": data}))
    assert story.tell(REFUSED) == ["one"]


GOOD = "s:\n  a: b\ncondition: s"
BAD = [
    (b"\xff\xfe", "no YAML"),
    (b"", "empty"),
    (b"a: [", "no YAML"),
    (b"[" * 60_000, "no YAML"),
    (b"- " * 30_000, "no YAML"),
    (b"- 1", "a map"),
    (b"!!python/object/apply:os.system [id]", "no YAML"),
    (b"title: " + b"x" * 70_000, "longer than"),
    (rule(GOOD, name="Two Words"), "`name`"),
    (rule(GOOD, level="loud"), "`level`"),
    (rule(GOOD, description="''"), "`description`"),
    (rule(GOOD, wish="1"), "not known here: wish"),
    (rule(GOOD).replace(b"hsm-console}", b"windows}"), "`logsource`"),
    (rule("condition: s"), "searches and a condition"),
    (rule("s:\n  a: b\ncondition: t"), "“t”, which is no search"),
    (rule("s:\n  a: b\nt:\n  a: c\ncondition: s"), "does not use t"),
    (rule("s:\n  a: b\ncondition: s and"), "ends too early"),
    (rule("s:\n  a: b\ncondition: (s"), "ends too early"),
    (rule("s:\n  a: b\ncondition: s s"), "where it should end"),
    (rule("s:\n  a: b\ncondition: " + "not " * 60 + "s"), "nested too deeply"),
    (rule("s:\n  a|base64: b\ncondition: s"), "modifier that is not known here: base64"),
    (rule("s:\n  a|re: '('\ncondition: s"), "no regular expression"),
    (rule("s:\n  a|gt: many\ncondition: s"), "whole number"),
    (rule("s:\n  a: []\ncondition: s"), "names no value"),
    (rule("s:\n  a: {b: c}\ncondition: s"), "takes texts"),
    (rule("s: keyword\ncondition: s"), "keywords are not known"),
]


@pytest.mark.parametrize(("data", "reason"), BAD, ids=range(len(BAD)))
def test_what_is_not_understood_is_refused_by_name_and_reason(data: bytes, reason: str) -> None:
    what = why(data)
    assert reason in what
    assert "“one" in what or "“Two" in what


def correlation(text: str, parts: str = "part") -> bytes:
    head = "title: C\nname: all\ndescription: D.\nlevel: high\ncorrelation:\n" + textwrap.indent(text, "  ")
    made = [head.encode()]
    made += [
        rule(f"s:\n  hsm_console.event.kind: {kind}\ncondition: s", name=name, level="informational")
        for name, kind in (("part", "logged-on"), ("end", "logged-off"))
        if name in parts
    ]
    return b"\n---\n".join(made)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("type: event_count\nrules: [part]\ntimespan: 5m\ncondition: {lt: 3}", "not known here: lt"),
        ("type: event_count\nrules: [part]\ntimespan: 5m\ncondition: {gte: 0}", "with a number"),
        ("type: event_count\nrules: [part]\ntimespan: soon\ncondition: {gte: 3}", "no time span"),
        ("type: event_count\nrules: [gone]\ntimespan: 5m\ncondition: {gte: 3}", "“gone”, which does not exist"),
        ("type: event_count\nrules: [all]\ntimespan: 5m\ncondition: {gte: 3}", "waits for itself"),
        ("type: value_count\nrules: [part]\ntimespan: 5m\ncondition: {gte: 3}", "value_count"),
        ("type: temporal\nrules: [part]\ntimespan: 5m", "two rules at least"),
        ("type: sum\nrules: [part]\ntimespan: 5m", "must be one of"),
    ],
)
def test_correlations_that_are_refused(text: str, reason: str) -> None:
    assert reason in why(correlation(text))


def test_a_correlation_by_group_and_its_parts_are_silent_unless_they_are_to_speak(with_rules: Any) -> None:
    text = "type: event_count\nrules: [part]\ngroup-by: [actor.user.uid]\ntimespan: 5m\ncondition: {gte: 2}"
    story = with_rules(load({"a.yml": correlation(text)}))
    on = ev.LoggedOn(roles=(), certificate_serial="1")
    assert [story.tell(on, story.alice), story.tell(on, story.grace), story.tell(on, story.alice)] == [[], [], ["all"]]
    assert story.tell(on, story.alice) == [], "a window that was fulfilled begins anew"
    data = correlation(text + "\ngenerate: true").replace(b"informational", b"low")
    story = with_rules(load({"a.yml": data}))
    assert [story.tell(on, story.alice), story.tell(on, story.alice)] == [["part"], ["part", "all"]]


def test_temporal_and_temporal_ordered(with_rules: Any) -> None:
    on, off = ev.LoggedOn(roles=(), certificate_serial="1"), ev.LoggedOff(reason="asked")
    for kind, expected in (("temporal", ["all"]), ("temporal_ordered", [])):
        text = f"type: {kind}\nrules: [part, end]\ntimespan: 5m"
        story = with_rules(load({"a.yml": correlation(text, "part end")}))
        story.tell(off, story.alice)
        assert story.tell(on, story.alice) == expected
    assert story.tell(off, story.alice) == ["all"]


def test_a_window_goes_by_uptime_and_not_by_the_clock_on_the_wall(with_rules: Any) -> None:
    """Setting the clock back or ahead neither hides a burst nor makes one."""
    text = "type: event_count\nrules: [part]\ntimespan: 5m\ncondition: {gte: 2}"
    story = with_rules(load({"a.yml": correlation(text)}))
    on = ev.LoggedOn(roles=(), certificate_serial="1")
    story.tell(on)
    story.clock.step(3_600_000)
    assert story.tell(on) == ["all"]
    story.tell(on)
    story.clock.step(-599_000)
    assert story.tell(on, after_ms=600_000) == []


def test_quiet_is_per_person_and_counts_what_was_passed_over(with_rules: Any) -> None:
    data = rule("s:\n  hsm_console.event.kind: logged-on\ncondition: s")
    data += b"\nhsm_console: {quiet: 10m, per: [actor.user.uid], text: 'On: {actor.user.name|nothing}'}"
    story = with_rules(load({"a.yml": data}))
    on = ev.LoggedOn(roles=(), certificate_serial="1")
    assert [story.tell(on, who) for who in (story.alice, story.alice, story.grace)] == [["one"], [], ["one"]]
    assert story.tell(on, story.alice, after_ms=700_000) == ["one"]
    assert story.all[-1].text == "On: Alan Türing It happened 1 more times since the last alert about it."
    assert story.all[-1].subject == "a.turing"


def test_an_alert_makes_no_alert(with_rules: Any) -> None:
    story = with_rules(load({"a.yml": rule("s:\n  class_uid: 2004\ncondition: s")}))
    alert = ev.AlertRaised(rule="one", title="T", level="high", first=1, last=1)
    assert story.tell(alert) == []
    assert story.tell(ev.AlertAcknowledged(alert=2, rule="one", note="x"), story.grace) == []


def test_a_sealed_value_is_not_quoted(with_rules: Any) -> None:
    data = rule("s:\n  hsm_console.event.kind: logged-on\ncondition: s") + b"\nhsm_console: {text: '{actor.user.name}'}"
    story = with_rules(load({"a.yml": data}))
    from msgspec.structs import replace

    hidden = replace(story.alice, name="sealed:" + "A" * 43)
    story.tell(ev.LoggedOn(roles=(), certificate_serial="1"), hidden)
    assert story.all[-1].text == "(sealed)"


def test_a_house_adds_rules_and_puts_its_own_in_the_place_of_ours(tmp_path: Path) -> None:
    ours, none = rulebook.in_force()
    assert none == ()
    own = rule("s:\n  hsm_console.event.kind: logged-on\ncondition: s", name="house-rule")
    changed = rule("s:\n  facts.hour|lt: 9\ncondition: s", name="out-of-hours")
    (tmp_path / "house.yml").write_bytes(own)
    (tmp_path / "hours.yml").write_bytes(changed)
    (tmp_path / "broken.yml").write_bytes(b"title: [")
    (tmp_path / "notes.txt").write_text("no rule")
    found, problems = rulebook.in_force(tmp_path)
    assert set(found.files) == set(ours.files) | {"house-rule"}
    assert found.files["out-of-hours"] != ours.files["out-of-hours"]
    assert found.sha256 != ours.sha256
    (problem,) = problems
    assert "broken.yml" in problem.what
    assert "the others do" in problem.todo


def test_a_correlation_whose_part_is_broken_is_refused_too_and_the_rest_stays(tmp_path: Path) -> None:
    part = correlation("type: event_count\nrules: [gone]\ntimespan: 5m\ncondition: {gte: 3}")
    (tmp_path / "a.yml").write_bytes(part)
    found, problems = rulebook.in_force(tmp_path)
    assert "all" not in found.files
    assert "pin-failures" in found.files
    assert "“gone”" in problems[0].what
