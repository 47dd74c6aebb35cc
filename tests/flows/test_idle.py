"""A screen that only watches keeps nobody logged on."""

from __future__ import annotations

from typing import Any

from hsm_console.gateway.sessions import Sessions


class HandClock:
    def __init__(self) -> None:
        self.time_ms = 1_000_000

    def now(self) -> HandClock:
        return self


def test_watching_is_no_activity(monkeypatch: Any) -> None:
    clock = HandClock()
    sessions = Sessions(None, None, clock, idle_minutes=1)  # type: ignore[arg-type]
    ended: list[str] = []
    monkeypatch.setattr(sessions, "log_off", lambda session, reason: ended.append(reason))
    monkeypatch.setattr(
        sessions,
        "_meet",
        lambda *_: type("Met", (), {"last_ms": 0, "connection": "c", "logged_on": True, "watch": False, "ended": ""})(),
    )
    sessions.drop = lambda _connection: None

    sessions.identify("c", b"", "")
    for _ in range(10):
        clock.time_ms += 10_000
        sessions.identify("c", b"", "", watching=True)
    sessions.tick()
    assert ended == ["idle"]

    ended.clear()
    sessions.identify("c", b"", "")
    clock.time_ms += 30_000
    sessions.tick()
    assert ended == []
