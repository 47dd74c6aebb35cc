"""What interrupted attempts at a key left in the module, looked at before another attempt begins.

Half a pair under an announced id was intended, was never usable, and blocks the label: the quorum's approval of
another attempt covers its destruction, which is an operation of its own in the log. A whole key of an earlier attempt
(a module that finished after it had been given up) is never touched and never passed over.
"""

from __future__ import annotations

from hsm_console.ceremony.state import State
from hsm_console.domain.errors import DeviceError, Problem
from hsm_console.domain.events import Draft, Operation, OperationIntended
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import KeyInfo
from hsm_console.domain.people import Actor
from hsm_console.hsm.port import Hsm

ENDED_WELL = ("succeeded", "recovered")


def of_attempts(hsm: Hsm, state: State, step: str) -> tuple[KeyInfo, ...]:
    """Incomplete objects of earlier attempts at this step.

    Raises DeviceError `earlier-key-found` when one of them is whole.
    """
    found: list[KeyInfo] = []
    for ending in state.endings:
        intent = ending.intent
        if intent.step == step and intent.operation is Operation.GENERATE and ending.code not in ENDED_WELL:
            found += hsm.find(object_id=object_id(bytes.fromhex(intent.fingerprint)))
    whole = next((key for key in found if not _half(key)), None)
    if whole is not None:
        raise DeviceError(
            Problem(
                code="earlier-key-found",
                what=f"The module holds a whole key “{whole.label}” of an earlier attempt that was given up.",
                key_state="A key of an earlier attempt exists in the module. No second one was made.",
                todo="Record a deviation, or end this ceremony; nothing is made while that key is there.",
                contact="the administrator of the HSM and the quorum",
                details={"object id": whole.object_id.hex()},
            )
        )
    return tuple({key.object_id: key for key in found}.values())


def _half(key: KeyInfo) -> bool:
    return key.attributes.token is None or (key.algorithm.is_pair and not key.spki)


def destruction(state: State, key: KeyInfo, step: str, attempt: int, actor: Actor) -> Draft:
    """The intent to destroy what is left."""
    event = OperationIntended(
        operation=Operation.DESTROY,
        label=key.label,
        key_id=key.object_id.hex(),
        ceremony_id=state.id,
        step=step,
        attempt=attempt,
    )
    return Draft(event=event, actor=actor, correlation=state.correlation)
