"""Ceremonies over the wire: open, look, answer. The engine decides; this room appends and carries out.

One answer to a ceremony at a time: a lock for each, and the log's transaction checks that nothing moved meanwhile.
"""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import datetime
import hashlib
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec

from hsm_console import __version__
from hsm_console.ceremony import ballot, decide, engine, lint, script, steps
from hsm_console.ceremony import state as st
from hsm_console.ceremony.engine import Context
from hsm_console.ceremony.plans import ChecksPlan, ClosePlan, HsmPlan, ReadBackPlan
from hsm_console.ceremony.state import State
from hsm_console.ceremony.view import summary, view
from hsm_console.crypto import software
from hsm_console.domain.errors import ConsoleError, ExitCode, InputError, PolicyRefusal, Problem, VerificationFailed
from hsm_console.domain.events import Draft
from hsm_console.domain.messages.ceremony import CeremonySummary, CeremonyView, OpenCeremony, Statement
from hsm_console.domain.people import Actor
from hsm_console.gateway import projections
from hsm_console.gateway.app import Call, not_found
from hsm_console.gateway.core import Core, placed
from hsm_console.gateway.services.evidence import Evidence
from hsm_console.gateway.services.operations import Operations, unchanged
from hsm_console.gateway.services.preflight import Preflight
from hsm_console.gateway.sessions import Session
from hsm_console.pki import cms

EXPECTED = {"answer-stale", "statement-stale", "words-wrong"}
"""Refusals that are no misconduct: the page was old. They are told and not recorded."""


class Ceremonies:
    """Handlers of the routes under /v1/ceremonies, and what happens after an unlock."""

    def __init__(self, core: Core, evidence: Evidence) -> None:
        self._core = core
        self._evidence = evidence
        self._operations = Operations(core)
        self._preflight = Preflight(core)
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    # -- looking ------------------------------------------------------------------------------------------

    def listed(self, call: Call) -> list[CeremonySummary]:
        """All ceremonies, newest first"""
        with self._core.reading() as conn:
            found = [summary(state) for state in projections.ceremonies(conn)]
        return [self._core.shown(item) for item in found]

    def view(self, call: Call) -> CeremonyView:
        """One ceremony, all that a page needs"""
        return self._view(self._state(call.params["id"]))

    def _view(self, state: State) -> CeremonyView:
        core = self._core
        shown = view(
            state,
            environment=core.environment.title,
            log_size=core.log.signed_size,
            log_root=self._evidence.head().root,
        )
        return msgspec.structs.replace(shown, receipts=self._evidence.receipts(state))

    def _state(self, ceremony_id: str) -> State:
        with self._core.reading() as conn:
            state = projections.ceremony(conn, ceremony_id)
        if state is None:
            raise not_found(f"There is no ceremony “{ceremony_id[:80]}”.")
        return self._core.shown(state)

    def statement(self, call: Call) -> Statement:
        """What this person would sign now"""
        state = self._state(call.params["id"])
        core = self._core
        return ballot.statement(
            state,
            call.session.actor,
            call.query.get("decision", ""),
            nonce=call.session.nonce,
            gateway_sha256=core.contexts.certificate_sha256,
            because=call.query.get("because", ""),
        )

    # -- acting -------------------------------------------------------------------------------------------

    def open(self, call: Call) -> CeremonyView:
        """Begin a ceremony"""
        request: OpenCeremony = call.body
        text = self._evidence.scripts().get(request.script_id)
        if text is None:
            raise not_found(f"There is no script “{request.script_id[:80]}”.")
        parsed = script.parse(text)
        lint.check(parsed)
        session, core = call.session, self._core
        ceremony_id = _new_id(request.script_id, core.now_ms())
        try:
            drafts = decide.open_ceremony(
                text,
                request,
                session.actor,
                self._context(session),
                ceremony_id=ceremony_id,
                simulated=core.file.token.simulated,
            )
        except PolicyRefusal as refusal:
            core.note_refusal(session, "open-ceremony", refusal)
            raise
        if parsed.key is not None:
            self._require_free(script.key_of(parsed, request.parameters)[1])
        core.append(session, drafts)
        return self._view(self._state(ceremony_id))

    def _require_free(self, label: str) -> None:
        """A taken name is told before people gather; the preflight asks the module itself once more.

        Raises InputError `label-taken`.
        """
        with self._core.reading() as conn:
            taken = any(row.label == label and row.state != "destroyed" for row in projections.keys(conn))
        if taken:
            raise InputError(
                Problem(
                    code="label-taken",
                    what=f"The module holds a key with the name “{label}” already.",
                    todo="Change the name and open the ceremony again; everything else that was entered stays.",
                    exit_code=ExitCode.USAGE,
                )
            )

    def answer(self, call: Call) -> CeremonyView:
        """Answer the current step, approve, sign off, record a deviation, pause, resume, abandon"""
        ceremony_id, given, session = call.params["id"], call.body, call.session
        with self._core.reading() as conn:
            if projections.revision(conn, ceremony_id) < 0:
                raise not_found(f"There is no ceremony “{ceremony_id[:80]}”.")
        with self._locks[ceremony_id]:
            state = self._found_out(ceremony_id)
            context = self._context(session)
            try:
                decided = decide.decide(state, given, session.actor, context)
            except (PolicyRefusal, VerificationFailed) as refusal:
                if refusal.problem.code not in EXPECTED:
                    tag = str(given.__struct_config__.tag)
                    self._core.note_refusal(session, f"answer {tag}", refusal, ceremony_id)
                raise
            self._carry_out(state, decided, session, context)
            return self._view(self._go_on(ceremony_id, session, context))

    def _carry_out(self, state: State, decided: engine.Decided, session: Session, context: Context) -> None:
        match decided:
            case HsmPlan():
                self._operations.run(state, decided, session, context)
            case ChecksPlan():
                items = self._preflight.look(state, decided)
                self._append(state, steps.checked(state, items, session.actor, context), session)
            case ReadBackPlan():
                self._read_back(state, decided, session, context)
            case ClosePlan():
                self._evidence.close(state, decided, session)
            case _:
                self._append(state, decided, session)

    def _append(self, state: State, drafts: Sequence[Draft], session: Session) -> None:
        self._core.log.append([placed(draft, session) for draft in drafts], expect=unchanged(state))

    def _go_on(self, ceremony_id: str, session: Session, context: Context) -> State:
        """What follows by itself: the certificate after its request, the receipt, the minutes after the sign-off."""
        while True:
            state = self._state(ceremony_id)
            work = engine.due(state, session.actor)
            if work is None:
                break
            self._carry_out(state, work, session, context)
        return self._state(ceremony_id) if self._evidence.issue_receipts(state) else state

    def _read_back(self, state: State, plan: ReadBackPlan, session: Session, context: Context) -> None:
        device = self._core.device
        object_id = bytes.fromhex(plan.key_id)
        try:
            found = device.hsm().find(object_id=object_id)
            info = device.hsm().describe()
            key = found[0] if len(found) == 1 else None
            if key is not None:
                key = msgspec.structs.replace(key, attributes=device.hsm().attributes(object_id))
        except ConsoleError as error:
            device.failed(error)
            raise
        fingerprint = hashlib.sha256(key.spki).hexdigest() if key is not None else ""
        drafts = steps.read_back(state, key, fingerprint, info, session.actor, context)
        self._append(state, drafts, session)

    # -- after an unlock, and after an outcome that could not be recorded --------------------------------------

    def recover(self) -> None:
        """Every open intent is looked up in the token and ended; every open ceremony gets what its state asks for."""
        with self._core.reading() as conn:
            waiting = [
                (row.seq, row.event.ceremony_id) for row in projections.open_intents(conn) if not row.event.device
            ]
        for seq, ceremony_id in waiting:
            with self._locks[ceremony_id]:
                self._recover_one(seq, ceremony_id)
        self.follow_up()
        self._evidence.complete_all()

    def _recover_one(self, seq: int, ceremony_id: str) -> None:
        with self._core.reading() as conn:
            row = projections.intent(conn, seq)
        if row is not None and row.ended < 0:
            self._operations.recover(ceremony_id, self._core.log.read(seq), self._quiet_context())

    def _found_out(self, ceremony_id: str) -> State:
        """The state now. An intent without an ending, and nobody at work (we hold the lock): it is looked up first."""
        state = self._state(ceremony_id)
        if state.intent is None or not self._core.device.unlocked:
            return state
        self._recover_one(state.intent.seq, ceremony_id)
        return self._state(ceremony_id)

    def follow_up(self) -> None:
        """What states ask for that a crash left undone (verdicts, word positions)."""
        with self._core.reading() as conn:
            open_ones = [state for state in projections.ceremonies(conn) if state.status in (st.OPEN, st.PAUSED)]
        for state in open_ones:
            with self._locks[state.id]:
                now = self._state(state.id)
                work = engine.due(now, None)
                if isinstance(work, ClosePlan):
                    self._evidence.close(now, work, None)
                    continue
                self._evidence.issue_receipts(now)
                now = self._state(state.id)
                drafts = engine.follow_up(now, self._quiet_context())
                if drafts:
                    settled = engine.settled(now, drafts, self._quiet_context())
                    self._core.log.append(settled, expect=unchanged(now))

    # -- what the engine needs to know ------------------------------------------------------------------------

    def _context(self, session: Session) -> Context:
        def verify_cms(actor: Actor, statement: bytes, der: bytes) -> None:
            if session.fingerprint != actor.certificate_sha256:
                raise ValueError("the session's certificate is not the actor's")
            cms.verify_detached(session.certificate, statement, der)

        return self._made(session.nonce, verify_cms)

    def _quiet_context(self) -> Context:
        """For what the gateway does by itself: nobody signs anything."""

        def verify_cms(_actor: Actor, _statement: bytes, _der: bytes) -> None:
            raise ValueError("nobody is here to sign")

        return self._made("", verify_cms)

    def _made(self, nonce: str, verify_cms: Callable[[Actor, bytes, bytes], None]) -> Context:
        core = self._core
        return Context(
            environment=core.environment,
            roster=core.rosters.current,
            now_ms=core.now_ms(),
            random=secrets.token_bytes(32),
            nonce=nonce,
            gateway_sha256=core.contexts.certificate_sha256,
            software_sha256=software.sha256(),
            software_version=__version__,
            verify_cms=verify_cms,
            check_receipt=self._evidence.check_receipt,
            approved=frozenset(script.digest(text) for text in script.library().values()),
        )


def _new_id(script_id: str, now_ms: int) -> str:
    """For people: the day, the script, and four characters that tell two of a day apart."""
    day = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC).strftime("%Y%m%d")
    return f"{day}-{script_id}-{secrets.token_hex(3)}"
