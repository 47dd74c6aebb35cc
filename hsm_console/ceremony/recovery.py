"""After a crash: what became of an operation that was announced (DESIGN 4, invariant 2). Pure, one rule a kind.

The gateway looks into the module for the objects whose CKA_ID derives from the intent's fingerprint and hands over
what it found. Nothing is generated or signed again here or by the gateway; the quorum decides about that.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from hsm_console.domain import batches
from hsm_console.domain.events import (
    Operation,
    OperationIntended,
    OperationInterrupted,
    OperationSucceeded,
    Recorded,
)
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Grade, KeyInfo

Ending = OperationSucceeded | OperationInterrupted
Found = Literal["not-done", "partial", "foreign", "stopped"]


_MAKING = (Operation.GENERATE, Operation.UNWRAP)
_UNKNOWN = {
    Operation.SIGN: "Whether the module signed is not known; no signature was kept or given out.",
    Operation.CERTIFY: "Whether a certificate was signed is not known; none was kept or given out.",
    Operation.RECORD_HEAD: "Whether the log's head was written to the token is seen at the next one.",
    Operation.WRAP: "Whether the module gave the key out is not known; what it gave was not kept.",
}


def expected_ids(intent: Recorded) -> tuple[str, ...]:
    """Hex CKA_IDs of the objects that this intent would make; empty for an operation that makes none."""
    event = intent.event
    if not isinstance(event, OperationIntended) or event.operation not in _MAKING:
        return ()
    fingerprint = bytes.fromhex(intent.fingerprint)
    return tuple(object_id(fingerprint, index).hex() for index in range(event.count))


def classify(intent: Recorded, found: Sequence[KeyInfo], *, grade: Grade) -> Ending:
    """How an open intent ended, from the keys found under its ids (for DESTROY: under its `key_id`).

    grade: what reading back proves on this device. Raises ValueError when the entry is no intent.
    """
    event = intent.event
    if not isinstance(event, OperationIntended):
        raise ValueError(f"entry {intent.seq} is no intent")
    if event.operation in _MAKING:
        return _generated(intent, event, found, grade)
    if event.operation is Operation.DESTROY:
        return _destroyed(intent, event, found)
    text = _UNKNOWN.get(event.operation, "Whether the module did it is not known; nothing was kept or given out.")
    return _interrupted(intent, event, "not-done", text)


def endings(
    intent: Recorded, found: Sequence[KeyInfo], *, grade: Grade, recorded: frozenset[str] = frozenset()
) -> tuple[Ending, ...]:
    """The same for a batch too: one entry for each whole key that no entry tells of, then how the batch ended.

    recorded: hex ids of its keys that the log knows already.
    """
    event = intent.event
    if not isinstance(event, OperationIntended) or event.operation not in _MAKING or event.ceremony_id:
        return (classify(intent, found, grade=grade),)
    if event.count == 1 and not batches.is_pattern(event.label):
        return (classify(intent, found, grade=grade),)
    ids = expected_ids(intent)
    looked = [_one_of_batch(event, index, wanted, found) for index, wanted in enumerate(ids) if wanted not in recorded]
    whole = [(index, key) for index, key, _ in looked if isinstance(key, KeyInfo)]
    made = [_succeeded(intent, event, key, grade, index) for index, key in whole]
    if len(made) + len(recorded & set(ids)) == event.count:
        return (*(msgspec.structs.replace(each, last=False) for each in made[:-1]), *made[-1:])
    worst = next((word for _, _, word in looked if word in ("foreign", "partial")), "")
    total = len(made) + len(recorded & set(ids))
    text = f"{total} of {event.count} keys are whole and recorded."
    if worst:
        text += " An object is there that was not asked for." if worst == "foreign" else " One more is incomplete."
    ending = _interrupted(intent, event, worst or ("stopped" if total else "not-done"), text)  # type: ignore[arg-type]
    return (*(msgspec.structs.replace(each, last=False) for each in made), ending)


def _one_of_batch(
    event: OperationIntended, index: int, wanted: str, found: Sequence[KeyInfo]
) -> tuple[int, KeyInfo | None, str]:
    """(index, the whole key, what else is there in its place)."""
    mine = [key for key in found if key.object_id.hex() == wanted]
    if not mine:
        return index, None, ""
    key, name = mine[0], batches.name(event.label, event.first + index)
    if len(mine) > 1 or key.label != name or key.algorithm is not event.algorithm:
        return index, None, "foreign"
    return (index, None, "partial") if _is_half(key) else (index, key, "")


def _is_half(key: KeyInfo) -> bool:
    return key.attributes.token is None or (key.algorithm.is_pair and not key.spki)


def _generated(intent: Recorded, event: OperationIntended, found: Sequence[KeyInfo], grade: Grade) -> Ending:
    wanted = set(expected_ids(intent))
    mine = [key for key in found if key.object_id.hex() in wanted]
    if not mine:
        return _interrupted(intent, event, "not-done", "The module holds no object of this announcement.")
    if len(mine) > len(wanted):
        text = f"{len(mine)} objects share the announced id {mine[0].object_id.hex()}."
        return _interrupted(intent, event, "foreign", text)
    strange = next((k for k in mine if k.label != event.label or k.algorithm is not event.algorithm), None)
    if strange is not None:
        text = f"Under the announced id stands “{strange.label}” ({strange.algorithm.value}), which was not asked for."
        return _interrupted(intent, event, "foreign", text)
    half = [k for k in mine if _is_half(k)]
    if half or len(mine) < len(wanted):
        text = (
            f"{len(mine) - len(half)} of {len(wanted)} key(s) are whole; an incomplete one is in the module. "
            "Another attempt destroys it first."
        )
        return _interrupted(intent, event, "partial", text)
    return _succeeded(intent, event, mine[0], grade)


def _succeeded(
    intent: Recorded, event: OperationIntended, key: KeyInfo, grade: Grade, index: int = 0
) -> OperationSucceeded:
    return OperationSucceeded(
        intent=intent.seq,
        operation=event.operation,
        key_id=key.object_id.hex(),
        label=key.label,
        algorithm=key.algorithm,
        custody=key.custody,
        spki=base64.b64encode(key.spki).decode(),
        fingerprint=hashlib.sha256(key.spki).hexdigest() if key.spki else "",
        attributes=key.attributes,
        grade=grade,
        ceremony_id=event.ceremony_id,
        step=event.step,
        recovered=True,
        index=index,
    )


def _destroyed(intent: Recorded, event: OperationIntended, found: Sequence[KeyInfo]) -> Ending:
    mine = [key for key in found if key.object_id.hex() == event.key_id]
    if not mine:
        return OperationSucceeded(
            intent=intent.seq,
            operation=Operation.DESTROY,
            key_id=event.key_id,
            label=event.label,
            ceremony_id=event.ceremony_id,
            step=event.step,
            recovered=True,
        )
    if any(_is_half(k) for k in mine):
        return _interrupted(intent, event, "partial", "Half of the key is destroyed, the other half is in the module.")
    return _interrupted(intent, event, "not-done", f"The key “{mine[0].label}” is still in the module.")


def _interrupted(intent: Recorded, event: OperationIntended, found: Found, text: str) -> OperationInterrupted:
    return OperationInterrupted(
        intent=intent.seq,
        operation=event.operation,
        found=found,
        text=text,
        ceremony_id=event.ceremony_id,
        step=event.step,
    )
