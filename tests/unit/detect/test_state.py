"""An engine at rest: one that goes on from a state says what one says that saw every entry."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hsm_console.detect.engine import Engine
from hsm_console.domain import events as ev
from hsm_console.domain.people import Role

DAY, HOUR = 86_400_000, 3_600_000


WRONG = ev.DeviceUnlockRefused(reason="pin-incorrect", text="The PIN is wrong.")
LOGGED_ON = ev.LoggedOn(roles=(Role.AUDITOR,), certificate_serial="01")


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["use", "other", "pin", "on", "view"]), st.sampled_from([300, 5_000, HOUR, DAY])),
        min_size=2,
        max_size=120,
    ),
    share=st.floats(0, 1),
)
@example(steps=[("use", 300), ("use", HOUR)], share=1.0)
def test_any_history_goes_on_from_any_entry(new_story: Any, steps: Any, share: float) -> None:
    story = new_story()
    acts = {
        "use": lambda ms: story.intend("sign", mechanism="ecdsa-sha384", after_ms=ms),
        "other": lambda ms: story.intend("decrypt", key="77" * 16, mechanism="rsa-oaep", after_ms=ms),
        "pin": lambda ms: story.tell(WRONG, story.grace, after_ms=ms),
        "on": lambda ms: story.tell(LOGGED_ON, story.grace, after_ms=ms),
        "view": lambda ms: story.tell(ev.LogViewed(first=0, last=1), story.alice, after_ms=ms),
    }
    for what, ms in steps:
        acts[what](ms)
    cut = int(share * len(story.bodies))
    assert story.resumed(cut) == [alert for alert in story.all if alert.last >= cut]
    whole = Engine(story.engine.rules)
    for body in story.bodies:
        whole.judge(body)
    half = Engine(story.engine.rules)
    for body in story.bodies[:cut]:
        half.judge(body)
    half = story.rested(half)
    for body in story.bodies[cut:]:
        half.judge(body)
    assert msgspec.json.encode(half.state()) == msgspec.json.encode(whole.state())


def test_a_state_is_small_whatever_was_seen(story: Any) -> None:
    """Uses that no window needs any more are left out."""
    for _ in range(3000):
        story.intend("sign", mechanism="ecdsa-sha384", after_ms=20)
    story.tell(ev.LogViewed(first=0, last=1), story.grace, after_ms=DAY)
    assert len(msgspec.json.encode(story.engine.state())) < 50_000, "open intents, and no times of uses"
