"""After a crash: not done, done but unrecorded, partial, foreign (DESIGN 4, invariant 2; xca #471, oks #158)."""

from __future__ import annotations

import base64
import hashlib

import pytest

from hsm_console.ceremony import recovery
from hsm_console.domain import events as ev
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Algorithm, Grade, KeyAttributes, KeyInfo

FINGERPRINT = hashlib.sha256(b"the entry").hexdigest()
MINE = object_id(bytes.fromhex(FINGERPRINT))
WHOLE = KeyInfo(
    object_id=MINE, label="ceo", algorithm=Algorithm.EC_P384, spki=b"spki", attributes=KeyAttributes(token=True)
)


def intent(operation: Operation = Operation.GENERATE, **more: object) -> Recorded:
    values = {"algorithm": Algorithm.EC_P384, "label": "ceo", "ceremony_id": "cer-1", "step": "generate", **more}
    event = ev.OperationIntended(operation=operation, **values)  # type: ignore[arg-type]
    return Recorded(seq=7, uid="", correlation="", time_ms=0, actor=None, event=event, fingerprint=FINGERPRINT)


def test_nothing_under_the_announced_id_is_not_done() -> None:
    stranger = KeyInfo(object_id=b"\x01" * 16, label="ceo", algorithm=Algorithm.EC_P384, spki=b"x")
    for found in ((), (stranger,)):
        ending = recovery.classify(intent(), found, grade=Grade.C)
        assert isinstance(ending, ev.OperationInterrupted)
        assert (ending.found, ending.intent, ending.step) == ("not-done", 7, "generate")


def test_a_whole_key_under_the_announced_id_was_done() -> None:
    ending = recovery.classify(intent(), (WHOLE,), grade=Grade.C)
    assert isinstance(ending, ev.OperationSucceeded)
    assert ending.recovered
    assert ending.key_id == MINE.hex()
    assert base64.b64decode(ending.spki) == b"spki"
    assert ending.fingerprint == hashlib.sha256(b"spki").hexdigest()
    assert ending.grade is Grade.C


@pytest.mark.parametrize(
    "half",
    [
        KeyInfo(object_id=MINE, label="ceo", algorithm=Algorithm.EC_P384),
        KeyInfo(object_id=MINE, label="ceo", algorithm=Algorithm.EC_P384, attributes=KeyAttributes(token=True)),
        KeyInfo(object_id=MINE, label="ceo", algorithm=Algorithm.EC_P384, spki=b"spki"),
    ],
)
def test_half_a_pair_is_partial(half: KeyInfo) -> None:
    ending = recovery.classify(intent(), (half,), grade=Grade.C)
    assert isinstance(ending, ev.OperationInterrupted)
    assert ending.found == "partial"


@pytest.mark.parametrize(
    "found",
    [
        (KeyInfo(object_id=MINE, label="other", algorithm=Algorithm.EC_P384, spki=b"x"),),
        (KeyInfo(object_id=MINE, label="ceo", algorithm=Algorithm.RSA_2048, spki=b"x"),),
        (WHOLE, WHOLE),
    ],
)
def test_what_was_not_asked_for_is_foreign(found: tuple[KeyInfo, ...]) -> None:
    ending = recovery.classify(intent(), found, grade=Grade.C)
    assert isinstance(ending, ev.OperationInterrupted)
    assert ending.found == "foreign"


def test_a_batch_that_stopped_halfway_is_partial() -> None:
    announced = intent(count=2)
    assert len(recovery.expected_ids(announced)) == 2
    ending = recovery.classify(announced, (WHOLE,), grade=Grade.C)
    assert isinstance(ending, ev.OperationInterrupted)
    assert ending.found == "partial"


@pytest.mark.parametrize("operation", [Operation.SIGN, Operation.CERTIFY, Operation.RECORD_HEAD])
def test_a_signature_that_nobody_received_was_not_done(operation: Operation) -> None:
    announced = intent(operation, key_id="ab")
    assert recovery.expected_ids(announced) == ()
    ending = recovery.classify(announced, (), grade=Grade.C)
    assert isinstance(ending, ev.OperationInterrupted)
    assert ending.found == "not-done"
    assert ending.operation is operation


def test_a_destruction_is_seen_by_what_is_left() -> None:
    announced = intent(Operation.DESTROY, key_id=MINE.hex())
    assert isinstance(recovery.classify(announced, (), grade=Grade.C), ev.OperationSucceeded)
    kept = recovery.classify(announced, (WHOLE,), grade=Grade.C)
    assert isinstance(kept, ev.OperationInterrupted)
    assert kept.found == "not-done"
    half = KeyInfo(object_id=MINE, label="ceo", algorithm=Algorithm.EC_P384, spki=b"spki")
    left = recovery.classify(announced, (half,), grade=Grade.C)
    assert isinstance(left, ev.OperationInterrupted)
    assert left.found == "partial"


def test_only_an_intent_is_classified() -> None:
    entry = intent()
    stopped = ev.GatewayStopped(run_uid="r", reason="asked")
    wrong = Recorded(seq=1, uid="", correlation="", time_ms=0, actor=None, event=stopped, fingerprint=FINGERPRINT)
    assert recovery.expected_ids(wrong) == ()
    with pytest.raises(ValueError, match="no intent"):
        recovery.classify(wrong, (), grade=Grade.C)
    assert entry.seq == 7
