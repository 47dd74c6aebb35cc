"""Workers that hang, crash, are orphaned, or host modules that misbehave."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hsm_console.domain.errors import ConsoleError, DeviceError, InputError, Problem
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding, Unsupported
from hsm_console.hsm.worker import HsmClient

USER_PIN = "user-pin-1357"
ID = b"\x01" * 16
EC = KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=ID)
Open = Callable[..., HsmClient]


def problem_of(call: Callable[[], object], family: type[ConsoleError] = DeviceError):  # type: ignore[no-untyped-def]
    with pytest.raises(family) as caught:
        call()
    return caught.value.problem


def gone(pid: int, within_s: float = 3.0) -> bool:
    """Whether a process ends in time; a zombie has ended."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False


def test_worker_killed_while_idle_is_noticed_and_respawned_locked(binding: Binding) -> None:
    with HsmClient(binding) as client:
        client.log_in(Secret(USER_PIN))
        client.generate(EC)
        os.kill(client.pid or 0, signal.SIGKILL)
        problem = problem_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x"))
        assert problem.code == "device-crashed"
        assert problem.details["signal"] == "SIGKILL"
        assert "unchanged" in problem.key_state
        assert not client.alive
        assert not client.logged_in
        assert problem_of(client.describe).code == "device-closed"
        client.respawn()
        assert problem_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")).code == "not-logged-in"
        client.log_in(Secret(USER_PIN))
        assert client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")


def killed_in_generation(client: HsmClient, first: int) -> tuple[float, Problem]:
    """Kill the worker while it makes RSA keys: seconds until the caller knew, and what it was told."""
    outcome: list[tuple[float, Problem]] = []

    def generate() -> None:
        for number in range(first, first + 50):  # until the kill falls into a generation
            spec = KeySpec(algorithm=Algorithm.RSA_4096, label=f"k{number}", object_id=bytes([number]))
            try:
                client.generate(spec)
            except DeviceError as error:
                outcome.append((time.monotonic(), error.problem))
                return

    thread = threading.Thread(target=generate)
    thread.start()
    time.sleep(0.3)
    killed = time.monotonic()
    os.kill(client.pid or 0, signal.SIGKILL)
    thread.join(10)
    noticed, problem = outcome[0]
    return noticed - killed, problem


def test_worker_killed_in_a_generation_is_noticed_within_50_ms(
    binding: Binding, in_time: Callable[[float, float], None]
) -> None:
    times = []
    with HsmClient(binding) as client:
        for attempt in range(3):  # a busy test machine may be late once
            client.respawn()
            client.log_in(Secret(USER_PIN))
            took, problem = killed_in_generation(client, 50 * attempt + 1)
            assert problem.code == "device-crashed"
            assert "not known" in problem.key_state
            times.append(took)
    in_time(min(times), 0.05)


def test_frozen_worker_is_killed_at_its_deadline(binding: Binding, in_time: Callable[[float, float], None]) -> None:
    with HsmClient(binding, deadlines={"short": 0.4}) as client:
        pid = client.pid or 0
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        problem = problem_of(lambda: client.random(32))
        assert problem.code == "device-hung"
        took = time.monotonic() - began
        assert took > 0.3
        in_time(took, 1.5)
        assert gone(pid)
        assert not client.alive
        client.respawn()
        assert len(client.random(32)) == 32


def test_other_threads_wait_and_learn_that_the_device_is_closed(binding: Binding) -> None:
    with HsmClient(binding, deadlines={"short": 0.5}) as client:
        os.kill(client.pid or 0, signal.SIGSTOP)
        codes: list[str] = []

        def ask() -> None:
            try:
                client.random(8)
            except DeviceError as error:
                codes.append(error.problem.code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5)
        assert len(codes) == 3
        assert "device-hung" in codes
        assert set(codes) <= {
            "device-hung",
            "device-crashed",
            "device-closed",
        }  # under way in another lane, or not begun


def test_client_is_killed_from_another_thread_in_a_long_call(
    binding: Binding, in_time: Callable[[float, float], None]
) -> None:
    with HsmClient(binding) as client:
        os.kill(client.pid or 0, signal.SIGSTOP)
        timer = threading.Timer(0.2, client.kill)
        timer.start()
        began = time.monotonic()
        assert problem_of(lambda: client.random(8)).code == "device-crashed"
        in_time(time.monotonic() - began, 2)
        client.kill()
        client.respawn()
        assert client.random(8)


def test_message_longer_than_a_frame_is_refused_and_ends_nothing(binding: Binding) -> None:
    with HsmClient(binding) as client:
        call = lambda: client.sign(ID, SignMechanism.ED25519, bytes(64 * 2**20 + 1))  # noqa: E731
        assert problem_of(call, InputError).code == "message-too-long"
        assert client.random(8)


def test_threads_share_a_client_without_mixing_answers(binding: Binding) -> None:
    with HsmClient(binding) as client:
        client.log_in(Secret(USER_PIN))
        client.generate(KeySpec(algorithm=Algorithm.HMAC_SHA256, label="h", object_id=ID))
        expected = {n: client.sign(ID, SignMechanism.HMAC_SHA256, bytes([n])) for n in range(8)}
        wrong: list[int] = []

        def work(number: int) -> None:
            for _ in range(25):
                if client.sign(ID, SignMechanism.HMAC_SHA256, bytes([number])) != expected[number]:
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []


ORPHAN = """
import sys, threading, time
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient
made = []
def make():  # by a thread that ends: its death must not be the worker's
    made.append(HsmClient(Binding(adapter="simulation", token_label="x", directory=sys.argv[1])))
thread = threading.Thread(target=make); thread.start(); thread.join()
time.sleep(0.2)
made[0].describe()
print(made[0].pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_worker_dies_with_its_parent(tmp_path: Path, frozen: bool) -> None:
    command = [sys.executable, "-c", ORPHAN, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        if frozen:
            os.kill(pid, signal.SIGSTOP)
        parent.kill()
        parent.wait()
        assert gone(pid)


def test_noise_of_a_module_disturbs_nobody(vendor: Open, capfd: pytest.CaptureFixture[str]) -> None:
    client = vendor("noise")
    client.generate(EC)
    assert client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")
    assert "vendor noise" not in "".join(capfd.readouterr())


def test_crash_inside_a_module_is_noticed_with_its_signal(vendor: Open) -> None:
    client = vendor("crash")
    client.generate(EC)
    problem = problem_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x"))
    assert (problem.code, problem.details["signal"]) == ("device-crashed", "SIGABRT")


def test_module_that_never_answers_is_ended(vendor: Open) -> None:
    client = vendor("hang", deadlines={"sign": 0.5})
    client.generate(EC)
    pid = client.pid or 0
    assert problem_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")).code == "device-hung"
    assert gone(pid)


def test_children_of_a_module_end_with_the_worker(vendor: Open) -> None:
    client = vendor("fork")
    pid = client.pid or 0
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert children
    client.close()
    assert all(gone(int(child)) for child in children)


def test_crash_is_noticed_although_a_child_keeps_the_socket_open(
    vendor: Open, in_time: Callable[[float, float], None]
) -> None:
    client = vendor("fork")
    began = time.monotonic()
    os.kill(client.pid or 0, signal.SIGKILL)
    assert problem_of(lambda: client.random(8)).code == "device-crashed"
    in_time(time.monotonic() - began, 1)


def test_pin_is_on_no_command_line_and_in_no_environment(binding: Binding) -> None:
    with HsmClient(binding) as client:
        client.log_in(Secret(USER_PIN))
        for name in ("cmdline", "environ"):
            assert USER_PIN.encode() not in Path(f"/proc/{client.pid}/{name}").read_bytes()


@pytest.mark.parametrize(
    ("fault", "code", "ckr"),
    [("vendor", "device-failed", "0x80000123"), ("gone", "device-removed", "CKR_DEVICE_REMOVED")],
)
def test_return_value_becomes_a_problem(vendor: Open, fault: str, code: str, ckr: str) -> None:
    client = vendor(fault)
    client.generate(EC)
    problem = problem_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x"))
    assert (problem.code, problem.details["ckr"]) == (code, ckr)
    assert client.alive


def test_full_device_is_told_and_holds_nothing(vendor: Open) -> None:
    client = vendor("full")
    assert problem_of(lambda: client.generate(EC)).code == "device-full"
    assert client.find() == ()


def test_half_a_pair_is_seen_and_never_signed_with(vendor: Open) -> None:
    client = vendor("half")
    problem = problem_of(lambda: client.generate(EC))
    assert problem.code == "device-failed"
    assert "not known" in problem.key_state
    (half,) = client.find()
    assert (half.object_id, half.spki, half.attributes.token) == (ID, b"", None)
    assert half.algorithm is Algorithm.EC_P256
    assert problem_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")).code == "object-missing"
    assert problem_of(lambda: client.generate(EC)).code == "label-taken"
    assert client.destroy(ID) == 1
    assert client.find() == ()


def test_device_that_makes_its_own_iv(vendor: Open) -> None:
    client = vendor("iv", adapter="cloudhsm", user="alice")
    client.generate(KeySpec(algorithm=Algorithm.AES_256, label="a", object_id=ID, usages=(Usage.ENCRYPT,)))
    first, second = client.encrypt(ID, b"secret", b"aad"), client.encrypt(ID, b"secret", b"aad")
    assert first.iv != second.iv
    assert bytes(12) not in (first.iv, second.iv)
    assert client.decrypt(ID, first, b"aad") == client.decrypt(ID, second, b"aad") == b"secret"


def test_iv_from_outside_is_refused_by_such_a_device(vendor: Open) -> None:
    client = vendor("iv")
    client.generate(KeySpec(algorithm=Algorithm.AES_256, label="a", object_id=ID, usages=(Usage.ENCRYPT,)))
    assert problem_of(lambda: client.encrypt(ID, b"secret"), Unsupported).code == "unsupported"


def test_device_without_read_only_sessions(vendor: Open) -> None:
    client = vendor("ro", adapter="cloudhsm", user="alice")
    made = client.generate(EC)
    assert client.find() == (made,)


def test_software_token_is_recognised_through_any_adapter(vendor: Open) -> None:
    info = vendor("", adapter="cloudhsm", user="alice").describe()
    assert info.simulated
    assert any("no hardware" in remark for remark in info.remarks)


def test_removed_device_is_locked(vendor: Open) -> None:
    client = vendor("gone")
    client.generate(EC)
    assert client.logged_in
    assert problem_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")).code == "device-removed"
    assert not client.logged_in
    assert problem_of(client.find).code == "not-logged-in"
