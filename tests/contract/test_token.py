"""The token itself: initialising, PINs, what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hsm_console.domain.errors import ConsoleError, DeviceError, EnvironmentFault, InputError
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding, DataObject, Unsupported
from hsm_console.hsm.worker import HsmClient

SO_PIN = "so-pin-2468"
USER_PIN = "user-pin-1357"


def code(caught: pytest.ExceptionInfo[ConsoleError]) -> str:
    problem = caught.value.problem
    assert problem.what
    assert problem.key_state
    assert problem.todo
    assert problem.contact
    return problem.code


def test_blank_token_says_so_and_is_initialised_once(adapter: str, tmp_path: Path) -> None:
    with HsmClient(Binding(adapter=adapter, token_label="one", directory=str(tmp_path))) as client:
        assert not client.describe().initialised
        info = client.initialise_token("one", Secret(SO_PIN), Secret(USER_PIN))
        assert info.initialised
        assert info.label == "one"
        assert info.serial
        with pytest.raises(DeviceError) as caught:
            client.initialise_token("one", Secret(SO_PIN), Secret(USER_PIN))
        assert code(caught) == "label-taken"
        client.log_in(Secret(USER_PIN))
        assert client.find() == ()


def test_token_is_not_initialised_under_another_name(adapter: str, tmp_path: Path) -> None:
    with HsmClient(Binding(adapter=adapter, token_label="one", directory=str(tmp_path))) as client:
        for label in ("two", "one "):
            with pytest.raises(InputError) as caught:
                client.initialise_token(label, Secret(SO_PIN), Secret(USER_PIN))
            assert code(caught) == "label-differs"
        assert not client.describe().initialised


def test_software_tokens_say_that_they_are_no_hardware(locked: HsmClient) -> None:
    info = locked.describe()
    assert info.simulated
    assert info.remarks


def test_everything_described_is_a_promise(locked: HsmClient) -> None:
    info = locked.describe()
    assert Algorithm.EC_P384 in info.algorithms
    assert Algorithm.RSA_4096 in info.algorithms
    assert Algorithm.ED25519 in info.algorithms
    assert Algorithm.AES_256 in info.algorithms
    assert SignMechanism.ECDSA_SHA384 in info.sign_mechanisms


def test_serial_number_is_the_same_in_every_process(binding: Binding) -> None:
    serials = set()
    for _ in range(2):
        with HsmClient(binding) as client:
            serials.add(client.describe().serial)
    assert serials == {binding.serial}


def test_wrong_pin_is_told_and_flagged_and_the_right_one_clears_it(locked: HsmClient) -> None:
    with pytest.raises(DeviceError) as caught:
        locked.log_in(Secret("not-the-pin"))
    assert code(caught) == "pin-incorrect"
    assert not locked.logged_in
    assert locked.describe().user_pin_low
    locked.log_in(Secret(USER_PIN))
    assert not locked.describe().user_pin_low


def test_many_wrong_pins_leave_no_session_behind(locked: HsmClient) -> None:
    for _ in range(5):
        with pytest.raises(DeviceError):
            locked.log_in(Secret("not-the-pin"))
    locked.log_in(Secret(USER_PIN))
    assert locked.find() == ()


def test_second_login_is_refused_and_checks_nothing(token: HsmClient) -> None:
    with pytest.raises(DeviceError) as caught:
        token.log_in(Secret("not-the-pin"))
    assert code(caught) == "already-logged-in"
    assert token.find() == ()


@pytest.mark.parametrize("pin", ["", "123", "x" * 256])
def test_unusable_pin_costs_no_try(locked: HsmClient, pin: str) -> None:
    with pytest.raises(InputError) as caught:
        locked.log_in(Secret(pin))
    assert code(caught) == "pin-length"
    assert not locked.describe().user_pin_low


def test_log_out_closes_the_private_side(token: HsmClient) -> None:
    key = token.generate(KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=b"\x01" * 16))
    token.log_out()
    assert not token.logged_in
    for call in (
        token.find,
        lambda: token.sign(key.object_id, SignMechanism.ECDSA_SHA256, b"m"),
        lambda: token.generate(KeySpec(algorithm=Algorithm.EC_P256, label="l", object_id=b"\x02" * 16)),
        lambda: token.destroy(key.object_id),
        lambda: token.attributes(key.object_id),
    ):
        with pytest.raises(DeviceError) as caught:
            call()
        assert code(caught) == "not-logged-in"
    token.log_out()
    token.log_in(Secret(USER_PIN))
    assert [info.label for info in token.find()] == ["k"]


def test_pin_is_changed_and_the_old_one_is_dead(token: HsmClient) -> None:
    token.generate(KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=b"\x01" * 16))
    with pytest.raises(DeviceError) as caught:
        token.change_pin(Secret("not-the-pin"), Secret("new-pin-9753"))
    assert code(caught) == "pin-incorrect"
    token.change_pin(Secret(USER_PIN), Secret("new-pin-9753"))
    token.log_out()
    with pytest.raises(DeviceError):
        token.log_in(Secret(USER_PIN))
    token.log_in(Secret("new-pin-9753"))
    assert token.sign(b"\x01" * 16, SignMechanism.ECDSA_SHA256, b"m")


def test_other_serial_under_the_right_label_is_refused(binding: Binding) -> None:
    with HsmClient(msgspec.structs.replace(binding, serial="0000000000000000")) as client:
        with pytest.raises(EnvironmentFault) as caught:
            client.describe()
        assert code(caught) == "token-wrong-serial"
        assert binding.serial in caught.value.problem.what
        with pytest.raises(EnvironmentFault) as caught:
            client.log_in(Secret(USER_PIN))
        assert code(caught) == "token-wrong-serial"


def test_other_label_is_a_missing_token(binding: Binding) -> None:
    with HsmClient(msgspec.structs.replace(binding, token_label="elsewhere")) as client:
        with pytest.raises(EnvironmentFault) as caught:
            client.describe()
        assert code(caught) == "token-missing"
        assert "contract" in caught.value.problem.what


def test_moved_workspace_keeps_its_keys(make_token: Callable[[Path], Binding], tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    binding = make_token(before)
    with HsmClient(binding) as client:
        client.log_in(Secret(USER_PIN))
        client.generate(KeySpec(algorithm=Algorithm.ED25519, label="k", object_id=b"\x01" * 16))
    before.rename(tmp_path / "after")
    with HsmClient(msgspec.structs.replace(binding, directory=str(tmp_path / "after"))) as client:
        client.log_in(Secret(USER_PIN))
        assert [info.label for info in client.find()] == ["k"]


def test_random_has_the_length_asked_for_and_differs(locked: HsmClient) -> None:
    assert len(locked.random(32)) == 32
    assert locked.random(32) != locked.random(32)
    for length in (0, -1, 2**31):
        with pytest.raises(InputError):
            locked.random(length)


def test_attestation_and_native_log_are_typed_answers(token: HsmClient) -> None:
    with pytest.raises(Unsupported):
        token.attest(b"\x01" * 16)
    if token.describe().adapter != "simulation":
        with pytest.raises(Unsupported):
            token.native_log(0)
        return
    records = token.native_log(0)
    assert [record["index"] for record in records] == [str(n) for n in range(1, len(records) + 1)]
    assert {"operation", "result", "time_ms"} <= set(records[0])
    assert records[0]["operation"] == "initialise"
    token.random(8)
    assert token.native_log(len(records)) == (), "what uses no key and lets nobody in is no record"


def test_data_object_is_replaced_and_readable_without_pin(binding: Binding) -> None:
    with HsmClient(binding) as client:
        with pytest.raises(DeviceError):
            client.write_data(DataObject(application="hsm-console", label="head", value=b"0"))
        client.log_in(Secret(USER_PIN))
        for value in (b"first", b"second", bytes(range(256)) * 16):
            client.write_data(DataObject(application="hsm-console", label="head", value=value))
        client.write_data(DataObject(application="hsm-console", label="other", value=b"x"))
        with pytest.raises(InputError):
            client.write_data(DataObject(application="a", label="b", value=bytes(4097)))
    with HsmClient(binding) as client:
        held = client.read_data("hsm-console", "head")
        assert [item.value for item in held] == [bytes(range(256)) * 16]
        client.log_in(Secret(USER_PIN))
        assert client.delete_data("hsm-console", "head") == 1
        assert client.read_data("hsm-console", "head") == ()
        assert client.delete_data("hsm-console", "head") == 0
        assert len(client.read_data("hsm-console", "other")) == 1


def test_two_clients_see_each_others_keys(binding: Binding) -> None:
    with HsmClient(binding) as one, HsmClient(binding) as two:
        one.log_in(Secret(USER_PIN))
        two.log_in(Secret(USER_PIN))
        one.generate(KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=b"\x01" * 16))
        assert [info.label for info in two.find()] == ["k"]
        assert two.sign(b"\x01" * 16, SignMechanism.ECDSA_SHA256, b"m")
        with pytest.raises(DeviceError) as caught:
            two.generate(KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=b"\x02" * 16))
        assert code(caught) == "label-taken"
        assert one.destroy(b"\x01" * 16) == 2
        with pytest.raises(DeviceError) as caught:
            two.sign(b"\x01" * 16, SignMechanism.ECDSA_SHA256, b"m")
        assert code(caught) == "object-missing"
        one.log_out()
        assert two.find() == ()
