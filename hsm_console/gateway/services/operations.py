"""Operations on the module: intent durable, then the call, then the outcome durable (invariants 1, 2 and 7).

Nothing here is repeated by itself. When the module answers with an error, the token is looked at; when it does not
answer at all, the intent stays open until the device is unlocked again and what became of it is found out.
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from hsm_console.ceremony import engine, recovery
from hsm_console.ceremony import state as st
from hsm_console.ceremony.engine import Context
from hsm_console.ceremony.plans import HsmPlan
from hsm_console.ceremony.problems import stale
from hsm_console.ceremony.state import State
from hsm_console.ceremony.steps import grade
from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, ExitCode, Problem, VerificationFailed
from hsm_console.domain.events import Draft, Operation, Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import KeyInfo, KeySpec
from hsm_console.gateway import projections
from hsm_console.gateway.core import Core, key_info, placed
from hsm_console.gateway.services import remains, second
from hsm_console.gateway.sessions import Session
from hsm_console.hsm.keys import private_key
from hsm_console.hsm.port import Hsm
from hsm_console.pki import csr
from hsm_console.pki.signing import spki as spki_of

Expect = Callable[[sqlite3.Connection], None]


class Operations:
    """Runs plans. Callers hold the ceremony's lock."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def run(self, state: State, plan: HsmPlan, session: Session, context: Context) -> None:
        """Run one plan to its recorded end. Raises what the module raised; the outcome is recorded all the same."""
        core = self._core
        hsm = core.device.hsm()
        if plan.operation is Operation.GENERATE:
            state = self._clear_remains(hsm, state, plan, session, context)
        (intent,) = core.log.append([placed(plan.draft, session)], expect=unchanged(state))
        try:
            with core.device.working(f"{plan.operation.value} “{plan.label}”"):
                outcome: engine.Outcome = self._perform(hsm, plan, intent)
        except ConsoleError as error:
            core.device.failed(error)
            self._record(state.id, self._failure(hsm, plan, intent, error), session, context)
            raise
        self._record(state.id, outcome, session, context)

    def _clear_remains(self, hsm: Hsm, state: State, plan: HsmPlan, session: Session, context: Context) -> State:
        """Destroy what earlier attempts left incomplete; each destruction is announced and recorded like any other."""
        for key in self._remains(hsm, state, plan.step):
            draft = remains.destruction(state, key, plan.step, plan.intent.attempt, session.actor)
            (intent,) = self._core.log.append([placed(draft, session)], expect=unchanged(state))
            try:
                hsm.destroy(key.object_id)
            except ConsoleError as error:
                self._core.device.failed(error)
                raise  # the intent stays open; what became of it is found out before the next answer
            ending = recovery.classify(intent, hsm.find(object_id=key.object_id), grade=grade(self._core.device.info))
            if isinstance(ending, ev.OperationSucceeded):
                ending = replace(ending, recovered=False)
            self._record(state.id, ending, session, context)
            state = self._state(state.id)
        return state

    def _remains(self, hsm: Hsm, state: State, step: str) -> tuple[KeyInfo, ...]:
        try:
            return remains.of_attempts(hsm, state, step)
        except ConsoleError as error:
            self._core.device.failed(error)
            raise

    def _state(self, ceremony_id: str) -> State:
        with self._core.reading() as conn:
            state = projections.ceremony(conn, ceremony_id)
        assert state is not None  # noqa: S101 - the caller holds it
        return self._core.shown(state)

    def _record(self, ceremony_id: str, outcome: engine.Outcome, session: Session, context: Context) -> None:
        state = self._state(ceremony_id)
        drafts = engine.conclude(state, outcome, context, session.actor)
        self._core.log.append([placed(draft, session) for draft in drafts], expect=unchanged(state))

    def _failure(self, hsm: Hsm, plan: HsmPlan, intent: Recorded, error: ConsoleError) -> engine.Outcome:
        """What is known after an error. Raises the error itself when the token cannot be looked at now."""
        if not self._core.device.unlocked:
            raise error
        if plan.operation is Operation.GENERATE:
            try:
                found = hsm.find(object_id=object_id(bytes.fromhex(intent.fingerprint)))
            except ConsoleError as blind:
                self._core.device.failed(blind)
                raise error from blind
            if found:
                return recovery.classify(intent, found, grade=grade(self._core.device.info))
        problem = error.problem
        return ev.OperationFailed(
            intent=intent.seq,
            operation=plan.operation,
            code=problem.code,
            text=problem.what,
            ckr=problem.details.get("ckr", ""),
            ceremony_id=plan.intent.ceremony_id,
            step=plan.step,
        )

    def _perform(self, hsm: Hsm, plan: HsmPlan, intent: Recorded) -> ev.OperationSucceeded:
        if plan.operation is Operation.GENERATE:
            return self._generate(hsm, plan, intent)
        if plan.operation is Operation.CERTIFY:
            return self._certify(plan, intent)
        if plan.certificate_request:
            return self._request(hsm, plan, intent)
        return self._sign(hsm, plan, intent)

    def _generate(self, hsm: Hsm, plan: HsmPlan, intent: Recorded) -> ev.OperationSucceeded:
        assert plan.algorithm is not None  # noqa: S101 - a generate plan has one
        wanted = object_id(bytes.fromhex(intent.fingerprint))
        made = hsm.generate(KeySpec(algorithm=plan.algorithm, label=plan.label, object_id=wanted, usages=plan.usages))
        attributes = hsm.attributes(wanted)
        return ev.OperationSucceeded(
            intent=intent.seq,
            operation=Operation.GENERATE,
            key_id=wanted.hex(),
            label=made.label,
            algorithm=made.algorithm,
            custody=made.custody,
            spki=base64.b64encode(made.spki).decode(),
            fingerprint=hashlib.sha256(made.spki).hexdigest(),
            attributes=attributes,
            grade=grade(self._core.device.info),
            ceremony_id=plan.intent.ceremony_id,
            step=plan.step,
        )

    def _request(self, hsm: Hsm, plan: HsmPlan, intent: Recorded) -> ev.OperationSucceeded:
        """The new key signs its own request: proof of possession (RFC 2986). `make` and `check` are two programs."""
        pem = csr.make(private_key(hsm, key_info(self._key(plan.key_id))), plan.subject)
        der = csr.check(pem).public_bytes(Encoding.DER)
        return self._succeeded(plan, intent, certificate=base64.b64encode(der).decode(), output=der)

    def _certify(self, plan: HsmPlan, intent: Recorded) -> ev.OperationSucceeded:
        """Linted before the authority's key is asked (clause R7), verified after."""
        request = x509.load_der_x509_csr(base64.b64decode(plan.request))
        pem = request.public_bytes(Encoding.PEM).decode()
        authority = self._core.signing_authority()
        certificate = authority.issue_key(plan.subject, pem, now_ms=self._core.now_ms(), days=plan.days)
        try:
            certificate.verify_directly_issued_by(self._core.authority)
        except Exception as error:
            raise _certificate_wrong("its signature is not the authority's") from error
        if spki_of(certificate.public_key()) != base64.b64decode(self._key(plan.key_id).spki):
            raise _certificate_wrong("it names another key")
        der = certificate.public_bytes(Encoding.DER)
        return self._succeeded(plan, intent, certificate=base64.b64encode(der).decode(), output=der)

    def _sign(self, hsm: Hsm, plan: HsmPlan, intent: Recorded) -> ev.OperationSucceeded:
        assert plan.mechanism is not None  # noqa: S101 - a sign plan has one
        signature = hsm.sign(bytes.fromhex(plan.key_id), plan.mechanism, plan.data)
        key = self._key(plan.key_id)
        second.verify(base64.b64decode(key.spki), plan.mechanism, plan.data, signature, key.custody)
        return self._succeeded(plan, intent, signature=base64.b64encode(signature).decode(), output=signature)

    @staticmethod
    def _succeeded(
        plan: HsmPlan, intent: Recorded, *, output: bytes, signature: str = "", certificate: str = ""
    ) -> ev.OperationSucceeded:
        return ev.OperationSucceeded(
            intent=intent.seq,
            operation=plan.operation,
            key_id=plan.key_id,
            label=plan.label,
            signature=signature,
            certificate=certificate,
            output_sha256=hashlib.sha256(output).hexdigest(),
            ceremony_id=plan.intent.ceremony_id,
            step=plan.step,
        )

    def _key(self, object_id_hex: str) -> projections.KeyRow:
        with self._core.reading() as conn:
            row = projections.key(conn, object_id_hex)
        if row is None:
            raise EnvironmentFault(
                Problem(code="object-missing", what="The log knows no such key.", todo="Look at the list of keys.")
            )
        return row

    def recover(self, ceremony_id: str, intent: Recorded, context: Context) -> None:
        """Find out what became of an open intent, and record it. Generates and signs nothing."""
        core = self._core
        ids = recovery.expected_ids(intent)
        event = intent.event
        if isinstance(event, ev.OperationIntended) and event.operation is Operation.DESTROY:
            ids = (event.key_id,)
        with core.reading() as conn:
            state = core.shown(projections.ceremony(conn, ceremony_id)) if ceremony_id else None
            recorded = frozenset(wanted for wanted in ids if _in_log(conn, event, wanted))
        looked = [wanted for wanted in ids if wanted not in recorded]
        found = [key for wanted in looked for key in core.device.hsm().find(object_id=bytes.fromhex(wanted))]
        ended = recovery.endings(intent, found, grade=grade(self._core.device.info), recorded=recorded)
        if state is not None and state.intent is not None and state.status in (st.OPEN, st.PAUSED):
            core.log.append(engine.conclude(state, ended[-1], context), expect=unchanged(state))
        else:
            drafts = [Draft(event=ending, correlation=intent.correlation, critical=True) for ending in ended]
            core.log.append(drafts)


def _in_log(conn: sqlite3.Connection, event: ev.AnyEvent, wanted: str) -> bool:
    """Whether a key that this announcement makes was recorded already: so it is with the first keys of a batch."""
    making = isinstance(event, ev.OperationIntended) and event.operation is not Operation.DESTROY
    return making and projections.key(conn, wanted) is not None


def unchanged(state: State) -> Expect:
    """Refuses inside the transaction when the ceremony moved on since `state` was read (optimistic concurrency)."""

    def expect(conn: sqlite3.Connection) -> None:
        if projections.revision(conn, state.id) != state.revision:
            raise stale(projections.ceremony(conn, state.id) or state)

    return expect


def _certificate_wrong(why: str) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="certificate-not-verified",
            what=f"The certificate that was just signed does not verify: {why}. It was not given out.",
            key_state="The key exists and has no certificate.",
            todo="Do not use this device until it was examined.",
            contact="the administrator of the HSM",
            exit_code=ExitCode.VERIFICATION,
        )
    )
