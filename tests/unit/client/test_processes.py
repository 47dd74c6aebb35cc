"""Children of the application: how they say that they are ready, and how their failures are told."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_console.client import rendezvous, setup, spawn
from hsm_console.client.failures import error_of
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain import places
from hsm_console.domain.errors import (
    DeviceError,
    EnvironmentFault,
    ExitCode,
    InputError,
    PolicyRefusal,
    Problem,
    VerificationFailed,
)
from hsm_console.domain.messages.process import ControlLine, Rendezvous
from hsm_console.domain.messages.setup import FoundingProgress, FoundingSpec

READY = Rendezvous(pid=1, listen="unix:/run/x/gateway.sock", started_ms=5, run_uid="r")
REFUSED = Problem(code="address-in-use", what="Taken.", todo="Choose another.")
HEAD = """
import os, socket, sys, time
arguments = sys.argv[1:]
control = socket.socket(fileno=int(arguments[arguments.index("--control") + 1]))
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the given program text in place of a module of ours."""

    def use(text: str) -> None:
        script = tmp_path / "child.py"
        script.write_text(text)
        monkeypatch.setattr(spawn, "python_command", lambda module, *a: [sys.executable, "-I", str(script), *a])

    return use


def test_ready_and_a_clean_stop(child: Any, tmp_path: Path) -> None:
    line = msgspec.json.encode(ControlLine(ready=READY)).decode()
    child(HEAD + f"control.sendall({line!r}.encode() + b'\\n')\nassert control.recv(1) == b''\nsys.exit(7)\n")
    with GatewayProcess(tmp_path, listen="127.0.0.1:0") as gateway:
        assert gateway.ready == READY
        assert gateway.running
        assert gateway.stop() == 7
        assert not gateway.running
        assert gateway.stop() == 7


def test_a_problem_is_raised_as_what_it_is(child: Any, tmp_path: Path) -> None:
    line = msgspec.json.encode(ControlLine(problem=REFUSED)).decode()
    child(HEAD + f"control.sendall({line!r}.encode() + b'\\n')\nsys.exit(3)\n")
    with pytest.raises(EnvironmentFault) as caught:
        GatewayProcess(tmp_path)
    assert caught.value.problem == REFUSED


@pytest.mark.parametrize("say", ["", "control.sendall(b'not json\\n')", "control.sendall(b'{}\\n')"])
def test_a_child_that_dies_leaves_its_last_words(say: str, child: Any, tmp_path: Path) -> None:
    child(HEAD + f"{say}\nprint('x' * 200_000, file=sys.stderr)\nsys.exit('the last words')\n")
    with pytest.raises(EnvironmentFault, match="gateway-died") as caught:
        GatewayProcess(tmp_path)
    assert caught.value.problem.details["status"] == "1"
    assert "the last words" in caught.value.problem.details["messages"]


def test_a_child_that_never_speaks_is_given_up(
    child: Any, tmp_path: Path, in_time: Callable[[float, float], None]
) -> None:
    child(HEAD + "time.sleep(60)\n")
    began = time.monotonic()
    with pytest.raises(EnvironmentFault, match="gateway-slow"):
        GatewayProcess(tmp_path, seconds=0.3)
    in_time(time.monotonic() - began, 3)


def test_a_talkative_child_is_not_stopped_by_a_full_pipe(child: Any, tmp_path: Path) -> None:
    line = msgspec.json.encode(ControlLine(ready=READY)).decode()
    child(HEAD + f"sys.stderr.write('x' * 500_000)\ncontrol.sendall({line!r}.encode() + b'\\n')\ncontrol.recv(1)\n")
    with GatewayProcess(tmp_path) as gateway:
        assert gateway.stop() == 0
        assert len(gateway.messages) == 64 * 1024


# -- founding --------------------------------------------------------------------------------------

SPEC = FoundingSpec(
    directory="/x",
    name="n",
    adapter="simulation",
    environment="e",
    token_label="t",
    so_pin="s3cret",
    pin="p1n",
    people=(),
)


def founding(*lines: FoundingProgress, rest: str = "") -> str:
    said = "".join(f"print({msgspec.json.encode(line).decode()!r}, flush=True)\n" for line in lines)
    head = "import sys\nspec = sys.stdin.read()\nassert 's3cret' in spec\nassert 's3cret' not in str(sys.argv)\n"
    return head + said + rest


def test_progress_and_the_end(child: Any) -> None:
    done = FoundingProgress(n=2, of=2, text="ready", done=True, credentials={"a.turing": "/x/a.p12"})
    child(founding(FoundingProgress(n=1, of=2, text="token"), rest="print('chatter')\n" + _say(done)))
    seen: list[FoundingProgress] = []
    assert setup.run(SPEC, seen.append) == {"a.turing": "/x/a.p12"}
    assert [p.text for p in seen] == ["token", "ready"]


def _say(progress: FoundingProgress) -> str:
    return f"print({msgspec.json.encode(progress).decode()!r})\n"


def test_a_founding_that_is_refused_or_dies(child: Any) -> None:
    child(founding(FoundingProgress(n=1, of=2, text="", problem=REFUSED), rest="sys.exit(3)\n"))
    with pytest.raises(EnvironmentFault, match="address-in-use"):
        setup.run(SPEC)
    child(founding(FoundingProgress(n=1, of=2, text="token"), rest="sys.exit('broken')\n"))
    with pytest.raises(EnvironmentFault, match="founding-died") as caught:
        setup.run(SPEC)
    assert "broken" in caught.value.problem.details["messages"]
    child("import sys\nsys.exit('at once')\n")
    with pytest.raises(EnvironmentFault, match="founding-died"):
        setup.run(SPEC)


# -- spawning --------------------------------------------------------------------------------------


def test_children_get_no_stray_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    monkeypatch.setenv("PYTHONPATH", "/evil")
    monkeypatch.setenv("SOFTHSM2_CONF", "/x")
    kept = spawn.environment()
    assert "SOME_TOKEN" not in kept
    assert "PYTHONPATH" not in kept
    assert kept["SOFTHSM2_CONF"] == "/x"


def test_our_modules_run_isolated_wherever_they_lie() -> None:
    process = spawn.start(spawn.python_command("platform", "--terse"), stdout=subprocess.PIPE)
    assert process.communicate(timeout=20)[0]
    assert spawn.python_command("m", "a")[1] == "-I"


def test_a_command_that_does_not_exist() -> None:
    with pytest.raises(FileNotFoundError):
        spawn.start(["/nowhere/at/all"])


def test_the_parent_thread_is_always_the_same() -> None:
    """The kernel ties a parent-death signal to the thread that forked, so that one must never end."""
    code = "import ctypes,time; ctypes.CDLL(None).prctl(1, 9, 0, 0, 0); print('armed', flush=True); time.sleep(30)"
    started: list[subprocess.Popen[bytes]] = []

    def short_lived() -> None:
        started.append(spawn.start([sys.executable, "-c", code], stdout=subprocess.PIPE))

    thread = threading.Thread(target=short_lived)
    thread.start()
    thread.join()
    with started[0] as process:
        assert process.stdout
        assert process.stdout.readline() == b"armed\n"
        time.sleep(0.2)
        assert process.poll() is None
        spawn.stop(process, 0.0)
    assert process.returncode == -9


# -- rendezvous ------------------------------------------------------------------------------------

PEM = "-----BEGIN CERTIFICATE-----\nAAEC\nAwQ=\n-----END CERTIFICATE-----\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    directory = tmp_path / "workspace"
    (directory / "gateway").mkdir(parents=True)
    (directory / places.AUTHORITY).write_text(PEM)
    (directory / places.GATEWAY_CERTIFICATE).write_text(PEM)
    rendezvous.run_directory(directory).mkdir(parents=True)
    return directory


def leave(workspace: Path, pid: int) -> None:
    found = msgspec.structs.replace(READY, pid=pid)
    (rendezvous.run_directory(workspace) / places.RENDEZVOUS).write_bytes(msgspec.json.encode(found))


def test_a_running_gateway_is_found(workspace: Path) -> None:
    with pytest.raises(EnvironmentFault, match="gateway-not-running"):
        rendezvous.locate(workspace)
    leave(workspace, os.getpid())
    address = rendezvous.locate(workspace)
    assert address.listen == READY.listen
    assert address.authority_pem == PEM
    assert address.gateway_sha256 == "08bb5e5d6eaac1049ede0893d30ed022b1a4d9b5b48db414871f51c9cb35283d"
    assert address.refusals == str(rendezvous.run_directory(workspace) / "refusals.sock")


def test_a_file_left_by_a_dead_gateway_counts_for_nothing(workspace: Path) -> None:
    leave(workspace, 2**22 - 1)
    assert rendezvous.running(workspace) is None
    (rendezvous.run_directory(workspace) / places.RENDEZVOUS).write_text("{")
    assert rendezvous.running(workspace) is None


def test_an_incomplete_workspace(workspace: Path) -> None:
    (workspace / places.GATEWAY_CERTIFICATE).write_text("nothing")
    with pytest.raises(InputError, match="certificate-unreadable"):
        rendezvous.for_workspace(workspace, "unix:/x")
    (workspace / places.AUTHORITY).unlink()
    with pytest.raises(InputError, match="workspace-incomplete"):
        rendezvous.for_workspace(workspace, "unix:/x")


def test_a_gateway_elsewhere(workspace: Path) -> None:
    address = rendezvous.remote("10.0.0.5:8443", workspace / places.AUTHORITY, "AB" * 32)
    assert (address.listen, address.gateway_sha256, address.refusals) == ("10.0.0.5:8443", "ab" * 32, "")


def test_run_directories_are_short_and_one_per_workspace() -> None:
    one = places.run_directory(Path("/w/" + "x" * 300), runtime_root="/run/user/1000", user_id=1000)
    two = places.run_directory(Path("/w/y"), runtime_root="", user_id=1000)
    assert len(str(one / places.REFUSALS_SOCKET)) < 100
    assert one.name != two.name
    assert str(two).startswith("/tmp/hsm-console-1000/")


@pytest.mark.parametrize(
    ("problem", "kind", "expected"),
    [
        (REFUSED, "", EnvironmentFault),
        (REFUSED, "PolicyRefusal", PolicyRefusal),
        (msgspec.structs.replace(REFUSED, exit_code=ExitCode.POLICY), "", PolicyRefusal),
        (msgspec.structs.replace(REFUSED, exit_code=ExitCode.USAGE), "unknown", InputError),
        (msgspec.structs.replace(REFUSED, exit_code=ExitCode.VERIFICATION), "", VerificationFailed),
        (msgspec.structs.replace(REFUSED, details={"ckr": "CKR_PIN_INCORRECT"}), "", DeviceError),
    ],
)
def test_problems_become_the_errors_they_were(problem: Problem, kind: str, expected: type[Exception]) -> None:
    assert type(error_of(problem, kind)) is expected


def test_a_start_of_the_screen_loads_no_cryptography() -> None:
    """The screen's start is budgeted: whatever is slow to import belongs into the agent."""
    code = (
        "import sys, hsm_console.client.session, hsm_console.client.transport, hsm_console.client.setup\n"
        "import hsm_console.client.ceremonies, hsm_console.client.audit, hsm_console.client.people\n"
        "import hsm_console.client.keys, hsm_console.client.device\n"
        "slow = {'ssl', '_ssl', 'cryptography', 'asn1crypto', 'pkilint'}\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & slow))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
