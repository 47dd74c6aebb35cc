"""How soon a crash is noticed and a device is usable again, over the gateway's own station and pool."""

from __future__ import annotations

import time
from typing import Any

from hsm_console.client import devices
from hsm_console.domain import events as ev
from hsm_console.domain.secret import Secret


def test_a_crash_is_noticed_and_the_device_usable_again_in_time(yard: Any) -> None:
    """Noticed ≤ 50 ms, a worker again ≤ 1 s: the best of a few, since a busy machine may be late."""
    ada = yard.house.admin()
    yard.add(ada, "second")
    member = yard.gateway.core.device.router.__self__.member("second")
    noticed, back = [], []
    for _ in range(4):
        began = time.monotonic()
        yard.kill("second")
        while member.unlocked:
            time.sleep(0.001)
        noticed.append(time.monotonic() - began)
        while not member.station.alive:
            time.sleep(0.002)
        member.station.describe()
        back.append(time.monotonic() - began)
        devices.unlock(ada, "second", Secret(yard.pins["second"]))
    assert min(noticed) < 0.05, noticed
    assert min(back) < 1.0, back
    downs = [event for event in yard.events(ev.MemberChanged) if event.state == "down"]
    assert len(downs) == 4
    assert {event.reason for event in downs} == {"device-crashed"}
