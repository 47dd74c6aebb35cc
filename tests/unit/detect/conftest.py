"""Stories: entries as the log writes them, without a database, told to an engine with the rules in force."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec
import pytest

from hsm_console.audit import ocsf
from hsm_console.detect.engine import Alert, Engine, EngineState
from hsm_console.detect.rulebook import in_force
from hsm_console.detect.rules import RuleSet
from hsm_console.domain import events as ev
from hsm_console.domain.people import Actor

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
_MONDAY_NOON_MS = 1_789_992_000_000  # 2026-09-21 12:00 UTC


class Story:
    """A log that grows in memory. `tell` gives what the last entry raised, `all` what the whole story did."""

    def __init__(self, forge: ModuleType, rules: RuleSet, *, production: bool = False) -> None:
        self.engine = Engine(rules)
        self.clock = forge.FixedClock(time_ms=_MONDAY_NOON_MS)
        self.alice, self.grace = forge.ALICE, forge.GRACE
        self.device = forge.DEVICE
        self.bodies: list[bytes] = []
        self.all: list[Alert] = []
        created, policy = forge.genesis()
        key = ev.FoundingKey(
            purpose="log", object_id="22" * 16, label="log", algorithm="ed25519", spki="MCow", attributes={}
        )
        self.tell(ev.LogCreated(**{n: getattr(created, n) for n in created.__struct_fields__} | {"keys": (key,)}))
        self.tell(ev.PolicyInForce(environment="test", production=production, policy_sha256=policy.policy_sha256))

    def tell(self, event: Any, by: Actor | None = None, *, after_ms: int = 1000) -> list[str]:
        """One entry; the names of the rules that it fulfilled."""
        self.clock.pass_ms(after_ms - 1)
        seq = len(self.bodies)
        before = hashlib.sha256(self.bodies[-1]).hexdigest() if self.bodies else ""
        around = ocsf.Surroundings(chain_uid="c", device=self.device)
        draft = ev.Draft(event=event, actor=by, src="unix" if by else "")
        body = ocsf.encode(draft, seq, before, self.clock.now(), f"uid-{seq}", around)
        self.bodies.append(body)
        found = self.engine.judge(body)
        self.all += found
        assert not self.engine.faults
        return [alert.rule for alert in found]

    @staticmethod
    def rested(engine: Engine) -> Engine:
        """The same engine after it was written and read."""
        made = Engine(engine.rules)
        made.restore(msgspec.json.decode(msgspec.json.encode(engine.state()), type=EngineState))
        assert made.state() == engine.state()
        return made

    def resumed(self, cut: int) -> list[Alert]:
        """The alerts from entry `cut` on, by an engine that was put to rest before it."""
        first = Engine(self.engine.rules)
        for body in self.bodies[:cut]:
            first.judge(body)
        second = self.rested(first)
        return [alert for body in self.bodies[cut:] for alert in second.judge(body)]

    def intend(self, operation: str, *, key: str = "22" * 16, after_ms: int = 1000, **more: Any) -> list[str]:
        fields = {"operation": ev.Operation(operation), "key_id": key} | more
        return self.tell(ev.OperationIntended(**fields), self.alice, after_ms=after_ms)

    def open(self, ceremony: str = "c-1") -> list[str]:
        return self.tell(
            ev.CeremonyOpened(
                ceremony_id=ceremony, script_id="s", script_version="1", script_sha256="5a" * 32, script="id = 1",
                title="t", simulated=True, parameters={},
            ),
            self.grace,
        )  # fmt: skip


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hours are those of the workstation's zone: here it is UTC."""
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="session")
def shipped() -> RuleSet:
    rules, problems = in_force()
    assert problems == ()
    return rules


@pytest.fixture
def story(forge: ModuleType, shipped: RuleSet) -> Story:
    return Story(forge, shipped)


@pytest.fixture
def production(forge: ModuleType, shipped: RuleSet) -> Story:
    return Story(forge, shipped, production=True)


@pytest.fixture
def with_rules(forge: ModuleType) -> Callable[[RuleSet], Story]:
    return lambda rules: Story(forge, rules)


@pytest.fixture
def new_story(forge: ModuleType, shipped: RuleSet) -> Callable[[], Story]:
    return lambda: Story(forge, shipped)
