"""The credential agent as a process: what it gives away (nothing), when it dies (at once), what it signs."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_console.client import spawn
from hsm_console.client.session import AgentLink, Session, log_in
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, InputError, Problem
from hsm_console.domain.messages.agent import (
    Connect,
    Failed,
    Open,
    Opened,
    Relay,
    Relayed,
    Reply,
    Signed,
    SignStatement,
    Unframer,
    frame,
)
from hsm_console.domain.messages.session import Greeting
from hsm_console.domain.people import Role
from hsm_console.domain.secret import Secret
from hsm_console.pki import cms

PASSPHRASE = "seven violet lanterns drift"


def gone(pid: int) -> bool:
    """The process does not exist, or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def wait_gone(pid: int, seconds: float = 2.0) -> None:
    end = time.monotonic() + seconds
    while not gone(pid):
        assert time.monotonic() < end, f"process {pid} still lives"
        time.sleep(0.01)


def test_a_statement_is_signed_with_the_persons_key(scene: Any) -> None:
    credential, certificate = scene.person()
    with scene.log_in(credential) as session:
        text = '{"decision":"approve","key":"Schlüssel 1"}'
        signature = base64.b64decode(session.sign_statement(text))
    cms.verify_detached(certificate, text.encode(), signature)


def test_what_the_credential_says_is_handed_on(scene: Any) -> None:
    credential, _ = scene.person()
    with scene.log_in(credential) as session:
        opened = session.opened
        assert (opened.uid, opened.name) == ("a.turing", "A Turing")
        assert opened.notices == ()
        assert session.greeting.gateway_sha256 == scene.contexts.certificate_sha256


@pytest.mark.parametrize("content", [b"", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x03\x02\x01\x03"])
def test_a_bad_credential_never_reaches_the_gateway(scene: Any, content: bytes) -> None:
    path = scene.directory / "bad.p12"
    path.write_bytes(content)
    with pytest.raises(InputError, match="credential-"):
        scene.log_in(path)
    with pytest.raises(InputError, match="passphrase-wrong"):
        log_in(scene.address, scene.person()[0], Secret("not the passphrase"))
    assert scene.refused == []


def test_the_passphrase_is_nowhere_to_be_seen(scene: Any) -> None:
    credential, _ = scene.person()
    with scene.log_in(credential) as session:
        process = Path(f"/proc/{session.agent_pid}")
        for name in ("cmdline", "environ"):
            assert PASSPHRASE.encode() not in (process / name).read_bytes()
        limits = {line[:26].strip(): line[26:].split() for line in (process / "limits").read_text().splitlines()}
        assert limits["Max core file size"][:2] == ["0", "0"]
        assert "Umask:\t0077" in (process / "status").read_text()
        # No file on any disk is open for writing, but for the standard error that it shares with this process.
        allowed = {str(Path("/proc/self/fd/2").readlink())}
        opened = {str(f.readlink()) for f in (process / "fd").iterdir() if _is_writable(process, f.name)}
        assert not {t for t in opened - allowed if t.startswith("/") and not t.startswith("/dev/")}


def _is_writable(process: Path, number: str) -> bool:
    flags = (process / "fdinfo" / number).read_text().split("flags:")[1].split()[0]
    return int(flags, 8) & 3 != os.O_RDONLY


def test_no_debugger_of_the_same_user_may_look() -> None:
    code = (
        "import ctypes; from hsm_console.credential.hardening import harden; harden();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_log_off_ends_the_process(scene: Any) -> None:
    credential, _ = scene.person()
    session = scene.log_in(credential)
    pid = session.agent_pid
    session.close()
    wait_gone(pid)
    session.close()
    assert session.closed
    scene.wait_for(lambda: scene.closed == [session.greeting.session_uid])


def test_an_agent_that_is_busy_dies_with_its_socket_too(scene: Any, in_time: Callable[[float, float], None]) -> None:
    """It waits for a gateway that never speaks; nobody waits for it."""
    credential, _ = scene.person()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        told: list[Any] = []
        link = AgentLink(told.append)
        link.ask(Open(id=1, path=str(credential), passphrase=PASSPHRASE.encode()), Opened, 20)
        host, port = mute.getsockname()
        target = Connect(id=2, listen=f"{host}:{port}", authority_pem=scene.address.authority_pem)
        link._socket.sendall(frame(target))
        time.sleep(0.2)
        assert not gone(link.pid)
        began = time.monotonic()
        link.close()
        wait_gone(link.pid)
        in_time(time.monotonic() - began, 1.0)


def test_a_killed_screen_takes_its_agents_along(scene: Any, tmp_path: Path) -> None:
    credential, _ = scene.person()
    script = tmp_path / "screen.py"
    script.write_text(
        "import sys, time, msgspec\n"
        "from pathlib import Path\n"
        "from hsm_console.client.rendezvous import GatewayAddress\n"
        "from hsm_console.client.session import log_in\n"
        "from hsm_console.domain.secret import Secret\n"
        "address = msgspec.json.decode(sys.argv[1], type=GatewayAddress)\n"
        "session = log_in(address, Path(sys.argv[2]), Secret(sys.stdin.readline().rstrip('\\n')))\n"
        "print(session.agent_pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, str(script), msgspec.json.encode(scene.address).decode(), str(credential)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as screen:
        assert screen.stdin
        assert screen.stdout
        screen.stdin.write(PASSPHRASE.encode() + b"\n")
        screen.stdin.flush()
        agent = int(screen.stdout.readline())
        assert not gone(agent)
        screen.send_signal(signal.SIGKILL)
        wait_gone(agent)
    scene.wait_for(lambda: len(scene.closed) == 1)


def test_an_agent_outlives_the_thread_that_asked_for_it(scene: Any) -> None:
    """The parent-death signal belongs to threads; log-ins come from pool threads that end."""
    credential, _ = scene.person()
    found: list[Session] = []
    thread = threading.Thread(target=lambda: found.append(scene.log_in(credential)))
    thread.start()
    thread.join()
    time.sleep(0.3)
    assert found[0].call("GET", "/v1/greeting", None, Greeting).person.uid == "a.turing"
    found[0].close()


def test_the_role_asked_for_goes_to_the_gateway(scene: Any) -> None:
    credential, _ = scene.person()
    seen: list[bytes] = []
    original = scene.server.wsgi_app

    def spy(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["REQUEST_METHOD"] == "POST":
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            seen.append(body)
            environ["CONTENT_LENGTH"] = "0"
        return original(environ, start_response)

    scene.server.wsgi_app = spy
    log_in(scene.address, credential, Secret(PASSPHRASE), Role.CUSTODIAN, True).close()
    assert msgspec.json.decode(seen[0]) == {"role": "custodian", "step_up": True, "watch": False}


def test_out_of_turn(scene: Any) -> None:
    """Requests before their time are answered, not obeyed; the agent lives on."""
    told: list[Any] = []
    link = AgentLink(told.append)
    try:
        for request, kind in (
            (Relay(id=1, method="GET", path="/"), Relayed),
            (SignStatement(id=2, statement=b"x"), Signed),
            (Connect(id=3, listen="127.0.0.1:1", authority_pem=""), Relayed),
        ):
            with pytest.raises(EnvironmentFault, match="session-ended"):
                link.ask(request, kind, 20)
        credential, _ = scene.person()
        link.ask(Open(id=4, path=str(credential), passphrase=PASSPHRASE.encode()), Opened, 20)
        with pytest.raises(InputError, match="statement-too-long"):
            link.ask(SignStatement(id=5, statement=bytes(2_000_000)), Signed, 20)
        with pytest.raises(EnvironmentFault, match="authority-unreadable"):
            link.ask(Connect(id=6, listen=scene.address.listen, authority_pem="rubbish"), Relayed, 20)
        where = Connect(id=7, listen="127.0.0.1:1", authority_pem=scene.address.authority_pem)
        with pytest.raises(ConsoleError, match="gateway-unreachable"):
            link.ask(where, Relayed, 20)
    finally:
        link.close()
    assert [p.code for p in told] == ["session-ended"]


def test_rubbish_on_the_agents_socket_ends_it() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        process = spawn.start(
            spawn.python_command("hsm_console.credential.agent", str(theirs.fileno())),
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        mine.sendall(b"\xff" * 64)
        assert mine.recv(10) == b""
        process.wait(5)


def test_frames_in_any_pieces() -> None:
    failed = Failed(id=7, kind="InputError", problem=Problem(code="x", what="x", todo="x"))
    data = frame(failed) * 3
    for size in (1, 3, 1000):
        unframer = Unframer()
        bodies = [b for i in range(0, len(data), size) for b in unframer.feed(data[i : i + size])]
        assert [msgspec.msgpack.decode(b, type=Reply) for b in bodies] == [failed] * 3
    with pytest.raises(ValueError, match="larger"):
        Unframer().feed(b"\xff\xff\xff\xff")


def test_secrets_do_not_show_in_frames() -> None:
    assert PASSPHRASE not in repr(Open(id=1, path="x", passphrase=PASSPHRASE.encode()))
    assert "123456" not in repr(Relay(id=1, method="POST", path="/v1/device/unlock", body=b'{"pin":"123456"}'))


def test_half_an_answer_is_a_lost_connection_not_an_answer(scene: Any) -> None:
    credential, _ = scene.person()
    with scene.log_in(credential) as session:
        with pytest.raises(EnvironmentFault) as caught:
            session.call("GET", "/v1/half", None, dict)
        assert caught.value.problem.code == "gateway-went-away"
