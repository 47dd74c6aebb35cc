"""Work that the engine asks the gateway to do: the engine decides, it never touches a device.

The gateway appends a plan's intent, runs the operation, hands the outcome to `engine.conclude`, and appends what
that returns. Plans without an intent (checks, reading back) change nothing in the module.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Literal

import msgspec

from hsm_console.ceremony import state as st
from hsm_console.ceremony.problems import key_state
from hsm_console.ceremony.script import Step, key_of
from hsm_console.ceremony.state import State
from hsm_console.ceremony.texts import fill
from hsm_console.domain.events import Draft, Operation, OperationIntended, Seat
from hsm_console.domain.keys import Algorithm, SignMechanism, Usage
from hsm_console.domain.people import Actor, Role

_SIGNING = {
    Algorithm.RSA_2048: SignMechanism.RSA_PSS_SHA256,
    Algorithm.RSA_3072: SignMechanism.RSA_PSS_SHA256,
    Algorithm.RSA_4096: SignMechanism.RSA_PSS_SHA512,
    Algorithm.EC_P256: SignMechanism.ECDSA_SHA256,
    Algorithm.EC_P384: SignMechanism.ECDSA_SHA384,
    Algorithm.EC_P521: SignMechanism.ECDSA_SHA512,
    Algorithm.ED25519: SignMechanism.ED25519,
    Algorithm.ML_DSA_44: SignMechanism.ML_DSA,
    Algorithm.ML_DSA_65: SignMechanism.ML_DSA,
    Algorithm.ML_DSA_87: SignMechanism.ML_DSA,
    Algorithm.SLH_DSA_SHA2_128S: SignMechanism.SLH_DSA,
    Algorithm.SLH_DSA_SHA2_256S: SignMechanism.SLH_DSA,
}


class HsmPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on the module. draft: its intent, to be durable in the log before the module is called.

    generate: algorithm, label, usages; the CKA_ID derives from the intent's fingerprint.
    sign: key_id, mechanism and data (a document); with `certificate_request` instead: make the PKCS#10 request for
    `subject` with key_id, and hand its DER as base64 in `OperationSucceeded.certificate`.
    certify: request (base64 DER PKCS#10), subject, profile, days, holder: lint and sign with the authority's key,
    hand the certificate's DER as base64 in `OperationSucceeded.certificate`.
    """

    step: str
    operation: Operation
    draft: Draft
    algorithm: Algorithm | None = None
    label: str = ""
    usages: tuple[Usage, ...] = ()
    key_id: str = ""
    mechanism: SignMechanism | None = None
    data: bytes = b""
    certificate_request: bool = False
    request: str = ""
    subject: str = ""
    profile: str = ""
    days: int = 0
    holder: Seat | None = None

    @property
    def intent(self) -> OperationIntended:
        assert isinstance(self.draft.event, OperationIntended)  # noqa: S101 - so it is made below
        return self.draft.event


class ChecksPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Look at everything now and hand the findings to `engine.checked`."""

    step: str
    algorithm: Algorithm | None = None
    label: str = ""


class ReadBackPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Read the key's public part and attributes from the module and hand them to `engine.read_back`."""

    step: str
    key_id: str


class ClosePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Write the minutes, then append MinutesWritten and CeremonyClosed(outcome, text) by `actor`."""

    outcome: Literal["completed", "abandoned"]
    text: str
    actor: Actor | None = None


def generate(state: State, step: Step, actor: Actor) -> HsmPlan:
    """Make the ceremony's key."""
    script = st.script_of(state)
    algorithm, label = key_of(script, state.parameters)
    usages = script.key.usages if script.key else ()
    intent = OperationIntended(
        operation=Operation.GENERATE,
        algorithm=algorithm,
        label=label,
        usages=usages,
        ceremony_id=state.id,
        step=step.id,
        attempt=st.attempt_of(state, step.id),
    )
    return HsmPlan(
        step=step.id,
        operation=Operation.GENERATE,
        draft=_draft(state, intent, actor),
        algorithm=algorithm,
        label=label,
        usages=usages,
    )


def certify(state: State, step: Step, actor: Actor) -> HsmPlan:
    """First the request, signed by the new key (proof of possession); when that is recorded, the certificate."""
    wish, key = st.script_of(state).certificate, state.key
    assert wish is not None and key is not None  # noqa: S101,PT018 - the engine has looked
    subject = fill(wish.subject, state)
    asking = not state.request
    name = f"certificate request for {subject}" if asking else f"certificate for {subject}"
    request = base64.b64decode(state.request)
    intent = OperationIntended(
        operation=Operation.SIGN if asking else Operation.CERTIFY,
        algorithm=key.algorithm,
        label=key.label,
        key_id=key.object_id,
        mechanism=_SIGNING[key.algorithm].value if asking else "",
        input_sha256="" if asking else hashlib.sha256(request).hexdigest(),
        input_name=name,
        ceremony_id=state.id,
        step=step.id,
        attempt=st.attempt_of(state, step.id),
    )
    return HsmPlan(
        step=step.id,
        operation=intent.operation,
        draft=_draft(state, intent, actor),
        algorithm=key.algorithm,
        label=key.label,
        key_id=key.object_id,
        mechanism=_SIGNING[key.algorithm] if asking else None,
        certificate_request=asking,
        request=state.request,
        subject=subject,
        profile=wish.profile,
        days=wish.days,
        holder=next(iter(st.seated(state, Role.EXECUTIVE)), None),
    )


def sign_document(state: State, step: Step, actor: Actor, *, name: str, data: bytes) -> HsmPlan:
    """Sign a document with the ceremony's key."""
    key = state.key
    assert key is not None  # noqa: S101 - the engine has looked
    mechanism = _SIGNING[key.algorithm]
    intent = OperationIntended(
        operation=Operation.SIGN,
        algorithm=key.algorithm,
        label=key.label,
        key_id=key.object_id,
        mechanism=mechanism.value,
        input_sha256=hashlib.sha256(data).hexdigest(),
        input_name=name,
        ceremony_id=state.id,
        step=step.id,
        attempt=st.attempt_of(state, step.id),
    )
    return HsmPlan(
        step=step.id,
        operation=Operation.SIGN,
        draft=_draft(state, intent, actor),
        algorithm=key.algorithm,
        label=key.label,
        key_id=key.object_id,
        mechanism=mechanism,
        data=data,
    )


def _draft(state: State, intent: OperationIntended, actor: Actor) -> Draft:
    return Draft(event=intent, actor=actor, correlation=state.correlation)


def closing(state: State, actor: Actor | None) -> ClosePlan:
    """The ceremony is complete."""
    dissent = [s.name for s in state.sign_offs if not s.agrees]
    text = f"All steps are done. {key_state(state)}"
    if dissent:
        text += f" Signed off with disagreement by {', '.join(dissent)}."
    return ClosePlan(outcome="completed", text=text, actor=actor)
