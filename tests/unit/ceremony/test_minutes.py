"""The minutes: everything in them, the same bytes each time, each line with its log entry (clauses C1 to C9)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import rfc8785

from hsm_console.ceremony import engine, minutes, plans
from hsm_console.ceremony.minutes import LogHead
from hsm_console.domain.messages import ceremony as msg

HEAD = LogHead(origin="hsm-console/test", size=60, root="cm9vdA==", note="hsm-console/test\n60\n")


def built(room: Any, outcome: str = "completed") -> dict[str, Any]:
    plan = engine.due(room.now, room.people["ada"])
    if outcome == "abandoned":
        plan = room.decide("ada", msg.Abandon, why="The room must be cleared.")
    assert isinstance(plan, plans.ClosePlan)
    values = {"plan": plan, "environment": room.house, "workspace": "Head office", "head": HEAD}
    data = minutes.build(room.now, room.log, **values)
    assert data == minutes.build(room.refold(), tuple(room.log), **values)
    body = json.loads(data)
    assert rfc8785.dumps(body) == data
    assert minutes.digest(data) == hashlib.sha256(data).hexdigest()
    return dict(body)


def test_a_completed_ceremony_is_told_whole(room: Any) -> None:
    room.advance("")
    body = built(room)
    assert body["ceremony"]["outcome"] == "completed"
    assert all(step["done"] for step in body["steps"])
    assert all(step["entry"] in body["log"]["entries"] for step in body["steps"])
    assert body["script"]["text"] == room.text
    assert len(body["key"]["words"]) == 32
    assert body["key"]["grade"] == "D"
    assert "PUBLIC KEY" in body["key"]["public_key"]
    assert "CERTIFICATE REQUEST" in body["certificate"]["request"]
    assert body["documents"][0]["name"] == "Letter.pdf"
    assert [op["operation"] for op in body["operations"]] == ["generate", "sign", "certify", "sign"]


def test_every_signature_stands_in_the_minutes_with_the_text_it_signs(room: Any) -> None:
    room.advance("")
    body = built(room)
    votes = [vote for decision in body["decisions"] for vote in decision["votes"]]
    assert len(votes) == 2
    assert len(body["sign_offs"]) == 5
    for signed in (*votes, *body["sign_offs"]):
        assert base64.b64decode(signed["cms"]) == b"good"
        said = json.loads(signed["statement"])
        assert said["person"] == signed["uid"]
        assert said["ceremony"] == "cer-1"
        assert said["script_sha256"] == body["script"]["sha256"]


def test_clauses_name_steps_and_entries(room: Any) -> None:
    room.advance("generate")
    room.fail(room.decide("ada", msg.Perform, confirmed="generate"))
    room.vote("carl")
    room.vote("cleo")
    room.answer("will", msg.DeviationAnswer, expected="One attempt.", happened="Two.", decided="Go on.")
    room.vote("carl")
    room.vote("cleo")
    room.advance("")
    body = built(room)
    table = {clause["id"]: clause for clause in body["clauses"]}
    assert table["R5"]["state"] == "served"
    assert table["R5"]["steps"] == ["read-back"]
    assert table["R10"]["state"] == "not in this script"
    assert body["deviations"][0]["entry"] in table["R13"]["entries"]
    assert body["deviations"][0]["verdict"] == "accepted"
    assert [d["verdict"] for d in body["decisions"]] == ["reached", "reached", "reached"]
    assert [op["ended"] for op in body["operations"]][:2] == ["device-failed", "succeeded"]


def test_an_abandoned_ceremony_says_what_exists(room: Any) -> None:
    room.advance("compare")
    room.answer("eve", msg.WordsAnswer, words={})
    body = built(room, "abandoned")
    assert "exists in the module" in body["ceremony"]["closing"]
    table = {clause["id"]: clause["state"] for clause in body["clauses"]}
    assert table["R7"] == "open"
    compare = next(step for step in body["steps"] if step["id"] == "compare")
    assert not compare["done"]
    assert compare["misses"][0]["facts"]["code"] == "words-wrong"
    assert body["certificate"] is None


def test_dissent_and_pauses_are_in_the_minutes(room: Any) -> None:
    room.answer("ada", msg.Pause, why="Fire alarm.")
    room.answer("ada", msg.Resume)
    room.advance("sign-off")
    room.sign_off("will", "disagree", because="Read from the screen.")
    room.advance("")
    body = built(room)
    assert body["pauses"][0]["why"] == "Fire alarm."
    dissent = [s for s in body["sign_offs"] if not s["agrees"]]
    assert [s["because"] for s in dissent] == ["Read from the screen."]
    assert "disagreement" in body["ceremony"]["closing"]
