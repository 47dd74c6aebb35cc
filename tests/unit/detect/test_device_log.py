"""The device's own log held against ours: every way in which the two can differ, and those in which they may."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hsm_console.detect import device_acts, device_log
from hsm_console.detect.device_acts import Act, Acts, Heads, Keys, Record
from hsm_console.detect.device_log import Ours
from hsm_console.domain import events as ev
from hsm_console.domain.errors import InputError
from hsm_console.domain.events import Operation, Recorded
from hsm_console.domain.ids import object_id
from hsm_console.domain.keys import Custody

A, B = "aa" * 16, "bb" * 16
NAMES = {A: "root"}


def record(index: int, operation: str = "sign", key_id: str = A, time_ms: int = 0) -> Record:
    return Record(index=index, operation=operation, key_id=key_id, time_ms=time_ms)


def act(seq: int, operation: str = "sign", key_id: str = A, **more: Any) -> Act:
    return Act(operation=operation, key_id=key_id, seq=seq, **more)


def findings(records: list[Record], ours: Ours, **more: Any) -> tuple[str, ...]:
    return device_log.compare(records, ours, after=more.pop("after", 0), **more).findings


def test_what_both_tell_of_is_matched() -> None:
    found = device_log.compare([record(1), record(2, "destroy", B)], Ours([act(5), act(6, "destroy", B)]), after=0)
    assert (found.matched, found.findings, found.first, found.last) == (2, (), 1, 2)


def test_one_signature_more_in_the_device_is_a_shadow() -> None:
    (found,) = findings([record(1), record(2)], Ours([act(5)], names=NAMES))
    assert found == "SHADOW-OP: the device signed with the key “root” (its record 2), and nothing here asked for it"


def test_with_times_the_record_is_named_that_nobody_asked_for() -> None:
    records = [record(1, time_ms=1_000), record(2, time_ms=90_000)]
    (found,) = findings(records, Ours([act(5, time_ms=89_500)]))
    assert "its record 1" in found
    (found,) = findings(records[1:], Ours([act(4, time_ms=1_000), act(5, time_ms=89_500)]), after=1)
    assert "entry 4 says" in found
    assert findings(records, Ours([act(4, time_ms=1_000), act(5, time_ms=700_000)])) == (), "clocks may differ"


def test_another_key_another_operation_and_a_foreign_log_in_are_shadows() -> None:
    ours = Ours([act(5), act(6, "login", "")])
    records = [record(1, key_id=B), record(2, "destroy"), record(3, "login", ""), record(4, "login", "")]
    found = findings(records, ours)
    assert [text.split(":")[0] for text in found] == ["SHADOW-OP"] * 3 + ["PHANTOM-OP"]
    assert "let somebody log in (its record 4)" in found[2]


def test_an_entry_that_the_device_does_not_know_is_a_phantom() -> None:
    (found,) = findings([], Ours([act(7, "generate")], names=NAMES))
    assert found == "PHANTOM-OP: entry 7 says that the device made the key “root”, and its own log does not"
    assert findings([], Ours([act(7)]), complete=False) == (), "an exported file may end before the newest acts"


def test_what_is_uncertain_may_be_there_or_not() -> None:
    ours = Ours([act(7, certain=False)])
    assert findings([], ours) == ()
    assert findings([record(1)], ours) == ()
    assert len(findings([record(1), record(2)], ours)) == 1


def test_what_the_console_does_for_itself_is_allowed_as_often_as_it_does_it() -> None:
    ours = Ours([], allowed={("sign", A): 2}, free=frozenset({("decrypt", B)}))
    records = [record(1), record(2), record(3, "decrypt", B), record(4, "decrypt", B)]
    assert findings(records, ours) == ()
    assert len(findings([*records, record(5)], ours)) == 1


def test_a_record_that_does_not_name_its_key_matches_any_key() -> None:
    assert findings([record(1, key_id="")], Ours([act(5, key_id=B)])) == ()
    (found,) = findings([record(1, key_id=""), record(2, key_id="")], Ours([act(5)]))
    assert "does not say which" in found


def test_lost_records_and_another_log_are_named() -> None:
    ours = Ours([act(5), act(6)])
    assert "record 4 where 3 was to come" in findings([record(4), record(5)], ours, after=2)[0]
    assert findings([record(3), record(4)], ours, after=2) == ()


def test_the_security_officer_is_named_unless_a_ceremony_was_open() -> None:
    records = [record(1, "so-login", "", time_ms=500)]
    (found,) = findings(records, Ours([]))
    assert "security officer logged in" in found
    assert findings(records, Ours([], ceremonies=[(400, 600)])) == ()


def test_so_many_findings_are_cut_and_counted() -> None:
    found = findings([record(n, time_ms=n) for n in range(1, 200)], Ours([]))
    assert len(found) == device_log.MOST_TOLD + 1
    assert found[-1] == "SHADOW-OP: and 149 more findings"


@pytest.mark.parametrize("seed", range(20))
def test_any_interleaving_of_the_same_acts_agrees_and_any_one_more_is_found(seed: int) -> None:
    chance = random.Random(seed)
    acts = [act(n, chance.choice(("sign", "decrypt", "wrap")), chance.choice((A, B))) for n in range(60)]
    mixed = chance.sample(acts, len(acts))
    records = [record(n, one.operation, one.key_id) for n, one in enumerate(mixed, 1)]
    assert findings(records, Ours(acts)) == ()
    extra = record(61, "sign", chance.choice((A, B)))
    assert len(findings([*records, extra], Ours(acts))) == 1
    assert len([f for f in findings(records[:-1], Ours(acts)) if f.startswith("PHANTOM-OP")]) == 1


# -- this log's side ---------------------------------------------------------------------------------------------


class Told:
    """Entries for the fold."""

    def __init__(self, since: int = 0) -> None:
        self.acts = Acts(since, Keys(authority=A, log=B))
        self.seq = 0

    def tell(self, event: Any) -> int:
        fingerprint = f"{self.seq:064x}"
        self.acts.see(
            Recorded(
                seq=self.seq, uid="u", correlation="u", time_ms=self.seq * 1000, actor=None, event=event,
                fingerprint=fingerprint,
            )
        )  # fmt: skip
        self.seq += 1
        return self.seq - 1

    def ended(self, **heads: Any) -> list[tuple[str, str, bool]]:
        self.acts.finish(Heads(**heads))
        return [(one.operation, one.key_id, one.certain) for one in self.acts.acts]


def test_operations_log_ins_and_what_became_of_them() -> None:
    told = Told()
    signing = told.tell(ev.OperationIntended(operation=Operation.SIGN, key_id=A))
    told.tell(ev.OperationSucceeded(intent=signing, operation=Operation.SIGN, key_id=A))
    failing = told.tell(ev.OperationIntended(operation=Operation.DESTROY, key_id=A))
    told.tell(ev.OperationFailed(intent=failing, operation=Operation.DESTROY, code="x", text="x"))
    told.tell(ev.DeviceUnlockRefused(reason="pin-incorrect", text="x"))
    told.tell(ev.DeviceUnlockRefused(reason="token-wrong-serial", text="x"))
    hanging = told.tell(ev.OperationIntended(operation=Operation.GENERATE, count=2))
    made = [object_id(bytes.fromhex(f"{hanging:064x}"), n).hex() for n in (0, 1)]
    assert told.ended() == [
        ("sign", A, True),
        ("destroy", A, False),
        ("login-failed", "", True),
        ("generate", made[0], False),
        ("generate", made[1], False),
    ]
    assert told.acts.allowed["login", ""] == 1


def test_a_batch_is_one_act_for_each_key() -> None:
    told = Told()
    intent = told.tell(ev.OperationIntended(operation=Operation.GENERATE, count=2))
    for index, key in enumerate((A, B)):
        told.tell(
            ev.OperationSucceeded(
                intent=intent, operation=Operation.GENERATE, key_id=key, label=f"k{index}", index=index, last=index == 1
            )
        )
    assert told.ended() == [("generate", A, True), ("generate", B, True)]


def test_an_act_that_was_announced_before_the_last_comparison_may_be_known_already() -> None:
    told = Told(since=1)
    intent = told.tell(ev.OperationIntended(operation=Operation.SIGN, key_id=A))
    told.tell(ev.OperationSucceeded(intent=intent, operation=Operation.SIGN, key_id=A))
    assert told.ended() == [("sign", A, False)]


def test_each_head_is_one_signature_of_the_log_key_and_no_more() -> None:
    told = Told()
    assert told.ended(made=((10, 5), (12, 6)), uncertain=1) == [("sign", B, True)] * 2 + [("sign", B, False)]
    ours = Ours(told.acts.acts)
    records = [record(1, key_id=B, time_ms=5_000), record(2, key_id=B, time_ms=6_000), record(3, key_id=B)]
    assert findings(records[:2], ours) == ()
    assert findings(records, ours) == (), "a call that failed may have been carried out"
    (found,) = findings([*records, record(4, key_id=B)], ours)
    assert found.startswith("SHADOW-OP: the device signed")
    (found,) = findings(records[:1], ours)
    assert found.startswith("PHANTOM-OP: entry 11 says")


def test_a_crash_may_have_lost_one_signature_of_a_head() -> None:
    told = Told()
    told.tell(ev.GatewayStarted(run_uid="r", software_version="1", previous_end="unclean", listen="x"))
    told.tell(ev.GatewayStarted(run_uid="r", software_version="1", previous_end="clean", listen="x"))
    assert told.ended() == [("sign", B, False)]


def test_certificates_and_service_keys_are_allowed_for() -> None:
    told = Told()
    intent = told.tell(ev.OperationIntended(operation=Operation.CERTIFY, key_id="cc" * 16))
    told.tell(ev.OperationSucceeded(intent=intent, operation=Operation.CERTIFY, key_id="cc" * 16))
    told.tell(ev.RosterIssued(version=1, sha256="5a" * 32))
    told.tell(ev.SealKeyInForce(key_id="dd" * 16, spki="x"))
    assert told.ended() == []
    assert told.acts.allowed["sign", A] == 2
    assert ("decrypt", "dd" * 16) in told.acts.free


def test_what_a_further_device_did_is_not_demanded_of_this_one() -> None:
    told = Told()
    intent = told.tell(ev.OperationIntended(operation=Operation.SIGN, key_id=A))
    told.tell(ev.OperationSucceeded(intent=intent, operation=Operation.SIGN, key_id=A, device="second"))
    assert told.ended() == [("sign", A, False)]


def test_the_end_of_a_copy_in_a_further_device_allows_nothing_in_this_one() -> None:
    told = Told()
    ends = {"operation": Operation.DESTROY, "key_id": A, "device": "second"}
    intent = told.tell(ev.OperationIntended(**ends))
    told.tell(ev.OperationSucceeded(intent=intent, **ends))
    failing = told.tell(ev.OperationIntended(**ends))
    told.tell(ev.OperationFailed(intent=failing, operation=Operation.DESTROY, code="x", text="x"))
    assert told.ended() == []
    assert len(findings([record(1, "destroy")], Ours(told.acts.acts, allowed=told.acts.allowed))) == 1


def test_an_agreement_between_two_devices_is_allowed_its_pairs_and_no_more() -> None:
    told = Told()
    agreeing = told.tell(ev.OperationIntended(operation=Operation.AGREE, label="between", device="second"))
    pair = object_id(bytes.fromhex(f"{agreeing:064x}")).hex()
    trial = object_id(bytes.fromhex(f"{agreeing:064x}"), 2).hex()
    told.ended()
    assert told.acts.allowed["wrap", trial] == told.acts.allowed["destroy", trial] == 2
    records = [record(n, operation, pair) for n, operation in enumerate(("generate", "decrypt", "destroy"), 1)]
    ours = Ours(told.acts.acts, allowed=told.acts.allowed)
    assert findings(records, ours) == ()
    assert len(findings([*records, record(4)], ours)) == 1


def test_a_software_key_is_used_through_its_wrapping_key() -> None:
    told = Told()
    making = told.tell(ev.OperationIntended(operation=Operation.GENERATE))
    told.tell(
        ev.OperationSucceeded(intent=making, operation=Operation.GENERATE, key_id=A, custody=Custody.SOFTWARE_WRAPPED)
    )
    signing = told.tell(ev.OperationIntended(operation=Operation.SIGN, key_id=A))
    told.tell(ev.OperationSucceeded(intent=signing, operation=Operation.SIGN, key_id=A))
    assert told.ended() == []
    assert told.acts.allowed["decrypt", A] == 4


# -- the device's side ---------------------------------------------------------------------------------------------


def test_rows_of_a_device_are_read_in_their_order_and_by_their_results() -> None:
    rows = [
        {"index": "3", "operation": "derive", "key_id": A.upper(), "time_ms": "5"},
        {"index": "2", "operation": "login", "result": "pin-incorrect"},
        {"index": "1", "operation": "sign", "result": "CKR_DEVICE_ERROR"},
    ]
    found = device_acts.records(rows)
    assert [(one.index, one.operation) for one in found] == [(1, "failed sign"), (2, "login-failed"), (3, "decrypt")]
    assert found[2].key_id == A
    assert findings([found[0]], Ours([])) == (), "what failed changed nothing"


@pytest.mark.parametrize("row", [{}, {"index": "1"}, {"index": "one", "operation": "sign"}, {"operation": "sign"}])
def test_rows_that_are_none_are_named(row: dict[str, str]) -> None:
    with pytest.raises(InputError) as caught:
        device_acts.records([{"index": "1", "operation": "sign"}, row])
    assert "row 2" in caught.value.problem.what
