"""Stores and modules that are missing, damaged, full, read-only, replaced or not what they seem."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hsm_console.domain.errors import ConsoleError, DeviceError, EnvironmentFault, InputError
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding, DataObject
from hsm_console.hsm.worker import HsmClient

SO_PIN = "so-pin-2468"
USER_PIN = "user-pin-1357"
ID = b"\x01" * 16
EC = KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=ID)
BINARIES = Path("/usr/lib/x86_64-linux-gnu")


def problem_of(call: Callable[[], object], family: type[ConsoleError] = DeviceError):  # type: ignore[no-untyped-def]
    with pytest.raises(family) as caught:
        call()
    problem = caught.value.problem
    assert all((problem.what, problem.key_state, problem.todo, problem.contact))
    return problem


@pytest.fixture
def client(binding: Binding) -> Iterator[HsmClient]:
    with HsmClient(binding) as opened:
        opened.log_in(Secret(USER_PIN))
        yield opened


def test_deleted_store_is_told_and_its_return_is_enough(client: HsmClient, binding: Binding, tmp_path: Path) -> None:
    client.generate(EC)
    store, aside = Path(binding.directory), tmp_path / "aside"
    store.rename(aside)
    for call in (
        lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x"),
        lambda: client.generate(msgspec.structs.replace(EC, object_id=b"\x02", label="l")),
    ):
        assert problem_of(call, ConsoleError).code in {
            "object-missing",
            "device-failed",
            "device-removed",
            "token-missing",
        }
    aside.rename(store)
    client.respawn()
    client.log_in(Secret(USER_PIN))
    assert client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")


def test_store_that_was_never_made_is_no_token_of_this_serial(binding: Binding, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with HsmClient(msgspec.structs.replace(binding, directory=str(empty))) as client:
        assert problem_of(client.describe, EnvironmentFault).code == "token-missing"
        assert problem_of(lambda: client.log_in(Secret(USER_PIN)), EnvironmentFault).code == "token-missing"


def test_exchanged_store_under_the_same_label_is_refused(binding: Binding) -> None:
    shutil.rmtree(binding.directory)
    Path(binding.directory).mkdir()
    fresh = msgspec.structs.replace(binding, serial="")
    with HsmClient(fresh) as client:
        client.initialise_token(binding.token_label, Secret(SO_PIN), Secret(USER_PIN))
    with HsmClient(binding) as client:
        problem = problem_of(client.describe, EnvironmentFault)
        assert problem.code == "token-wrong-serial"
        assert binding.serial in problem.what


def test_simulation_locks_after_ten_wrong_pins_and_stays_locked(tmp_path: Path) -> None:
    binding = Binding(adapter="simulation", token_label="t", directory=str(tmp_path))
    with HsmClient(binding) as client:
        client.initialise_token("t", Secret(SO_PIN), Secret(USER_PIN))
        for tried in range(1, 11):
            problem = problem_of(lambda: client.log_in(Secret("not-the-pin")))
            assert problem.code == "pin-incorrect"
            assert problem.details["tries_left"] == str(10 - tried)
            info = client.describe()
            assert (info.user_pin_low, info.user_pin_final_try, info.user_pin_locked) == (
                tried < 10,
                tried == 9,
                tried == 10,
            )
        assert problem_of(lambda: client.log_in(Secret(USER_PIN))).code == "pin-locked"
        assert problem_of(lambda: client.change_pin(Secret(USER_PIN), Secret("other-pin"))).code == "pin-locked"
    with HsmClient(binding) as client:
        assert problem_of(lambda: client.log_in(Secret(USER_PIN))).code == "pin-locked"


@pytest.mark.softhsm
def test_two_tokens_of_one_label_are_told_apart_by_serial(binding: Binding) -> None:
    if binding.adapter != "softhsm":
        pytest.skip("a simulated store holds one token")
    other = Path(binding.directory).with_name("other")
    other.mkdir()
    second = msgspec.structs.replace(binding, directory=str(other), serial="")
    with HsmClient(second) as client:
        second_serial = client.initialise_token(binding.token_label, Secret(SO_PIN), Secret(USER_PIN)).serial
    for token in (other / "softhsm").iterdir():
        shutil.copytree(token, Path(binding.directory) / "softhsm" / token.name)
    with HsmClient(msgspec.structs.replace(binding, serial="")) as client:
        problem = problem_of(client.describe, EnvironmentFault)
        assert problem.code == "token-ambiguous"
        assert binding.serial in problem.what
        assert second_serial in problem.what
    for serial in (binding.serial, second_serial):
        with HsmClient(msgspec.structs.replace(binding, serial=serial)) as client:
            assert client.describe().serial == serial


def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", "-l", place], check=False)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path)


def on_disk(adapter: str, place: Path) -> HsmClient:
    client = HsmClient(Binding(adapter=adapter, token_label="t", directory=str(place)))
    client.initialise_token("t", Secret(SO_PIN), Secret(USER_PIN))
    client.log_in(Secret(USER_PIN))
    return client


def test_full_disk_is_a_full_device_and_leaves_nothing_half(adapter: str, small: Path) -> None:
    with on_disk(adapter, small) as client:
        client.generate(EC)
        (small / "ballast").write_bytes(bytes(8192))
        with (small / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        problem = problem_of(lambda: client.generate(msgspec.structs.replace(EC, object_id=b"\x02", label="l")))
        assert problem.code == "device-full"
        (small / "filler").unlink()
        keys = client.find()
        assert client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")
        if adapter == "simulation":
            assert [key.label for key in keys] == ["k"]
            client.generate(msgspec.structs.replace(EC, object_id=b"\x02", label="l"))


def test_read_only_disk_still_signs_where_it_can_and_never_makes_keys(adapter: str, small: Path) -> None:
    with on_disk(adapter, small) as client:
        client.generate(EC)
        client.write_data(DataObject(application="a", label="l", value=b"v"))
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        problem = problem_of(lambda: client.generate(msgspec.structs.replace(EC, object_id=b"\x02", label="l")))
        assert problem.code in ({"read-only"} if adapter == "simulation" else {"read-only", "device-failed"})
        assert client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")
        client.close()
    with HsmClient(Binding(adapter=adapter, token_label="t", directory=str(small))) as client:
        assert client.describe().initialised
        assert [item.value for item in client.read_data("a", "l")] == [b"v"]
        if adapter == "simulation":  # a try that cannot be counted is not made
            assert problem_of(lambda: client.log_in(Secret(USER_PIN))).code == "read-only"


def objects_of(directory: Path) -> list[Path]:
    return sorted((directory / "simulation" / "objects").glob("*.json"))


@pytest.mark.parametrize("harm", ["cut", "empty", "value", "label", "usages", "swap"])
def test_damaged_simulated_key_is_never_used(tmp_path: Path, harm: str) -> None:
    with on_disk("simulation", tmp_path) as client:
        client.generate(EC)
        client.generate(msgspec.structs.replace(EC, object_id=b"\x02", label="other"))
    sealed = [path for path in objects_of(tmp_path) if json.loads(path.read_text())["kind"] == "private"]
    victim = next(path for path in sealed if json.loads(path.read_text())["label"] == "k")
    content = json.loads(victim.read_text())
    if harm in ("cut", "empty"):
        victim.write_bytes(victim.read_bytes()[:60] if harm == "cut" else b"")
    elif harm == "swap":
        other = json.loads(next(path for path in sealed if path != victim).read_text())
        victim.write_text(json.dumps({**content, "nonce": other["nonce"], "value": other["value"]}))
    else:
        changes = {"value": content["value"][:-8] + "AAAAAAA=", "label": "forged", "usages": ["sign", "derive"]}
        victim.write_text(json.dumps({**content, harm: changes[harm]}))
    with HsmClient(Binding(adapter="simulation", token_label="t", directory=str(tmp_path))) as client:
        client.log_in(Secret(USER_PIN))
        problem = problem_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x"))
        assert problem.code == "object-damaged"
        assert str(victim) in problem.details["path"]


def test_damaged_token_file_is_told(tmp_path: Path) -> None:
    on_disk("simulation", tmp_path).close()
    (tmp_path / "simulation" / "token.json").write_text("{")
    with HsmClient(Binding(adapter="simulation", token_label="t", directory=str(tmp_path))) as client:
        assert problem_of(client.describe).code == "object-damaged"


def test_left_over_temporary_file_is_no_object(tmp_path: Path) -> None:
    with on_disk("simulation", tmp_path) as client:
        client.generate(EC)
        (tmp_path / "simulation" / "objects" / ".x.json.abcd.new").write_bytes(b"half")
        assert len(client.find()) == 1


def test_no_simulated_secret_lies_on_disk_in_clear(tmp_path: Path) -> None:
    with on_disk("simulation", tmp_path) as client:
        client.generate(EC)
    held = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert USER_PIN.encode() not in held
    assert SO_PIN.encode() not in held
    assert b"PRIVATE KEY" not in held
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "simulation").rglob("*") if path.is_file())


def module(path: Path | str, adapter: str = "pkcs11") -> Callable[[], HsmClient]:
    return lambda: HsmClient(Binding(adapter=adapter, token_label="t", options={"module": str(path)}))


def test_missing_module_names_where_it_was_looked_for(tmp_path: Path) -> None:
    problem = problem_of(module(tmp_path / "none.so"), EnvironmentFault)
    assert problem.code == "module-missing"
    assert str(tmp_path / "none.so") in problem.details["looked_at"]
    problem = problem_of(lambda: HsmClient(Binding(adapter="luna", token_label="t")), EnvironmentFault)
    assert problem.code == "module-missing"
    assert "libCryptoki2_64.so" in problem.details["looked_at"]


def test_softhsm_missing_names_its_package(tmp_path: Path) -> None:
    binding = Binding(adapter="softhsm", token_label="t", directory=str(tmp_path), options={"module": "/none.so"})
    problem = problem_of(lambda: HsmClient(binding), EnvironmentFault)
    assert problem.code == "module-missing"
    assert "apt install softhsm2" in problem.todo


def test_relative_module_path_is_refused() -> None:
    assert problem_of(module("evil.so"), InputError).code == "module-relative"


def test_things_that_are_no_module_say_why(tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("this is no library")
    empty = tmp_path / "empty.so"
    empty.write_bytes(b"")
    foreign = tmp_path / "foreign.so"
    header = bytearray(Path("/bin/true").read_bytes()[:4096])
    header[18:20] = (183 if header[18] != 183 else 62).to_bytes(2, "little")
    foreign.write_bytes(header)
    library = tmp_path / "library.so"
    source = tmp_path / "library.c"
    source.write_text("int answer(void) { return 42; }")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    for path, words in {
        text: "no program library",
        empty: "empty",
        foreign: "another machine",
        library: "no PKCS#11 module",
    }.items():
        problem = problem_of(module(path), EnvironmentFault)
        assert problem.code == "module-unusable"
        assert words in problem.what


def test_unknown_adapter_names_the_known_ones() -> None:
    problem = problem_of(lambda: HsmClient(Binding(adapter="none", token_label="t")), EnvironmentFault)
    assert problem.code == "adapter-unknown"
    assert "simulation" in problem.todo


def test_binding_without_directory_is_refused(adapter: str) -> None:
    assert problem_of(lambda: HsmClient(Binding(adapter=adapter, token_label="t")), InputError).code == (
        "binding-incomplete"
    )
