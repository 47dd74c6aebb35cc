"""Random answers by random people, right and wrong: what must hold whatever they do (invariants 2, 3, 7, 11)."""

from __future__ import annotations

import base64
import runpy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hsm_console.ceremony import ballot, engine, plans, view
from hsm_console.ceremony import state as st
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.events import Decision, Operation, Seat
from hsm_console.domain.messages import ceremony as msg
from hsm_console.domain.people import Role

KIT = runpy.run_path(str(Path(__file__).parents[2] / "unit" / "ceremony" / "conftest.py"))
UIDS = [uid for uid, _, _ in KIT["PEOPLE"]]
GOOD_CMS = base64.b64encode(b"good").decode()
WORDS = some.sampled_from(["generate", "certify", "", "sign"])
TEXTS = some.sampled_from(["A reason.", "", "Something\nelse", "\u202e", "y" * 2000])


class Ceremony(RuleBasedStateMachine):
    """Everything a crowd could send to one ceremony, and the module's every way to answer."""

    @initialize(come_to=some.sampled_from(list(KIT["_WELL"])))
    def open(self, come_to: str) -> None:
        """A ceremony that has come well to some step."""
        self.room: Any = KIT["Room"]()
        self.room.open()
        self.room.advance(come_to)
        self.plan: plans.HsmPlan | None = None
        self.closed = False

    def send(self, who: str, kind: Any, **values: Any) -> None:
        """An answer; a refusal leaves the state as it was, and tells four things."""
        before = self.room.now
        try:
            decided = self.room.decide(who, kind, **values)
        except ConsoleError as error:
            refusal = error
        else:
            self.follow(decided)
            return
        assert all((refusal.problem.what, refusal.problem.key_state, refusal.problem.todo))
        assert self.room.now == before

    def follow(self, decided: Any) -> None:
        if isinstance(decided, plans.HsmPlan):
            assert self.room.now.intent is None
            self.plan = decided
            self.room.append((decided.draft,))
        elif isinstance(decided, tuple):
            self.room.append(decided)

    @rule(who=some.sampled_from(UIDS), kind=some.sampled_from([msg.Confirmed, msg.RunChecks, msg.Resume]))
    def plain(self, who: str, kind: Any) -> None:
        self.send(who, kind)

    @rule(who=some.sampled_from(UIDS), word=WORDS, stale=some.integers(0, 3))
    def perform(self, who: str, word: str, stale: int) -> None:
        self.send(who, msg.Perform, confirmed=word, revision=self.room.now.revision - stale)

    @rule(
        who=some.sampled_from(UIDS), uids=some.lists(some.sampled_from(UIDS), max_size=8), role=some.sampled_from(Role)
    )
    def presence(self, who: str, uids: list[str], role: Role) -> None:
        seats = (*self.room.seats(*uids), Seat(role=role, uid="twin", name=""))
        self.send(who, msg.PresenceAnswer, seats=seats)

    @rule(who=some.sampled_from(UIDS), decision=some.sampled_from(["approve", "decline"]), twice=some.booleans())
    def vote(self, who: str, decision: str, twice: bool) -> None:
        person = self.room.people[who]
        try:
            text = ballot.statement(self.room.now, person, decision, nonce="0a0b", gateway_sha256="cd" * 32).canonical
        except ConsoleError:
            text = "{}"
        for _ in range(1 + twice):
            self.send(who, msg.Approve, decision=Decision(decision), statement=text, cms=GOOD_CMS)

    @rule(who=some.sampled_from(UIDS), agrees=some.booleans(), because=TEXTS)
    def sign_off(self, who: str, agrees: bool, because: str) -> None:
        word = "agree" if agrees else "disagree"
        try:
            text = ballot.statement(
                self.room.now, self.room.people[who], word, nonce="0a0b", gateway_sha256="cd" * 32, because=because
            ).canonical
        except ConsoleError:
            text = "{}"
        self.send(who, msg.SignOffAnswer, agrees=agrees, statement=text, cms=GOOD_CMS, because=because)

    @precondition(lambda self: self.room.now.intent is None and ballot.ballot(self.room.now) is not None)
    @rule(decision=some.sampled_from(["approve", "decline"]))
    def whole_quorum_votes(self, decision: str) -> None:
        now = ballot.ballot(self.room.now)
        for who in ("carl", "cleo", "cyd"):
            if ballot.ballot(self.room.now) == now:
                self.vote(who, decision, twice=False)

    @precondition(lambda self: self.room.step in ("generate", "certify") and self.room.now.intent is None)
    @rule(who=some.sampled_from(["ada", "eve", "carl"]))
    def perform_rightly(self, who: str) -> None:
        self.send(who, msg.Perform, confirmed=self.room.step)

    @rule(who=some.sampled_from(UIDS), text=TEXTS)
    def deviation(self, who: str, text: str) -> None:
        self.send(who, msg.DeviationAnswer, expected=text, happened="That.", decided="This.")

    @rule(who=some.sampled_from(UIDS), text=TEXTS)
    def pause(self, who: str, text: str) -> None:
        self.send(who, msg.Pause, why=text)

    @rule(who=some.sampled_from(UIDS), differ=some.booleans())
    def words(self, who: str, differ: bool) -> None:
        self.send(who, msg.WordsAnswer, words={str(n): "zulu" for n in self.room.now.challenge}, differ=differ)

    @rule(who=some.sampled_from(UIDS), text=some.sampled_from(["", "12", "x"]))
    def receipt(self, who: str, text: str) -> None:
        self.send(who, msg.ScannedReceipt, text=text)

    @precondition(lambda self: self.room.now.intent is None and self.room.now.status == st.OPEN)
    @rule()
    def well(self) -> None:
        """The step as it should be, so that a run comes far."""
        step, votes = self.room.step, ballot.ballot(self.room.now)
        blocked = self.room.now.blocked or (votes is not None and votes.kind != "authorise")
        if not step or blocked or (step == "authorise" and self.room.now.votes):
            return
        if step == "sign-off" and not ballot.sign_off_due(self.room.now):
            return
        KIT["_WELL"][step](self.room)

    @precondition(lambda self: self.room.now.intent is not None)
    @rule(
        ending=some.sampled_from(["good", "failed", "not-done", "partial", "foreign", "recovered"]),
        split=some.booleans(),
    )
    def module_answers(self, ending: str, split: bool) -> None:
        """Success, failure or what was found after a crash; `split`: a crash right after the outcome's entry."""
        intent, plan = self.room.now.intent, self.plan
        assert intent is not None
        assert plan is not None
        common = {"intent": intent.seq, "operation": intent.operation, "ceremony_id": "cer-1", "step": intent.step}
        event: Any
        if ending in ("good", "recovered"):
            entry = next(r for r in self.room.log if r.seq == intent.seq)
            event = KIT["outcome"](plan, entry, recovered=ending == "recovered")
        elif ending == "failed":
            event = ev.OperationFailed(**common, code="device-failed", text="No.")
        else:
            event = ev.OperationInterrupted(**common, found=ending, text="Looked.")
        drafts = engine.conclude(self.room.now, event, self.room.context())
        self.room.append(drafts[:1] if split else drafts)
        if split:
            self.room.append(engine.settled(self.room.now, engine.follow_up(self.room.now, self.room.context()),
                                            self.room.context()))  # fmt: skip

    @rule(who=some.sampled_from(UIDS))
    def close(self, who: str) -> None:
        plan = engine.due(self.room.now, self.room.people[who])
        if isinstance(plan, plans.ClosePlan):
            assert not ballot.sign_off_due(self.room.now)
            closed = ev.CeremonyClosed(ceremony_id="cer-1", outcome=plan.outcome, text=plan.text)
            self.room.append((ev.Draft(event=closed),))
            self.closed = True
        elif isinstance(plan, plans.HsmPlan):
            self.plan = plan
            self.room.append((plan.draft,))

    # -- what must hold -------------------------------------------------------------------------------------

    @invariant()
    def state_is_the_fold_of_the_log(self) -> None:
        if self.room.log[-1].seq % 7 == 0 or self.closed:
            assert self.room.refold() == self.room.now

    @invariant()
    def state_is_json(self) -> None:
        data = st.encode(self.room.now)
        assert st.decode(data) == self.room.now
        assert st.encode(st.decode(data)) == data

    @invariant()
    def no_generation_without_a_quorum_of_distinct_custodians(self) -> None:
        votes: dict[tuple[str, int], dict[str, tuple[str, str]]] = {}
        reached: set[str] = set()
        open_intents = 0
        attempts: set[tuple[str, int]] = set()
        for entry in self.room.log:
            event = entry.event
            if isinstance(event, ev.ApprovalGiven) and event.decision is Decision.APPROVE:
                assert entry.actor.uid in {"carl", "cleo", "cyd", "twin"}
                assert entry.actor.uid not in votes.setdefault((event.step, event.attempt), {})
                votes[event.step, event.attempt][entry.actor.uid] = (entry.actor.uid, entry.actor.certificate_sha256)
            elif isinstance(event, ev.QuorumReached):
                assert len(votes[event.step, event.attempt]) >= 2
                reached.add(event.step)
            elif isinstance(event, ev.OperationIntended):
                open_intents += 1
                assert open_intents == 1
                if event.operation is Operation.GENERATE:
                    assert "authorise" in reached
                    assert (event.step, event.attempt) not in attempts
                    assert event.attempt == 1 or len(votes.get((event.step, event.attempt), ())) >= 2
                    attempts.add((event.step, event.attempt))
            elif isinstance(event, ev.OperationSucceeded | ev.OperationFailed | ev.OperationInterrupted):
                open_intents -= 1
        assert open_intents == (1 if self.room.now.intent else 0)

    @invariant()
    def steps_are_done_in_their_order(self) -> None:
        done = [r.event.step for r in self.room.log if isinstance(r.event, ev.StepDone)]
        script = st.script_of(self.room.now)
        assert done == [step.id for step in script.steps][: len(done)]

    @invariant()
    def the_page_can_be_shown(self) -> None:
        shown = view.view(self.room.now, environment="Development")
        assert sum(step.status in ("current", "working", "decide") for step in shown.steps) == (
            1 if shown.current else 0
        )
        view.summary(self.room.now)

    @invariant()
    def nothing_is_left_to_follow_up(self) -> None:
        assert engine.follow_up(self.room.now, self.room.context()) == ()


TestCeremony = Ceremony.TestCase
TestCeremony.settings = settings(
    max_examples=250, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
