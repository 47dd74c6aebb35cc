"""The server under load, abuse and sudden ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hsm_console.client.session import Session
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, InputError
from hsm_console.domain.messages.agent import Connect, Relayed
from hsm_console.domain.messages.session import Greeting
from hsm_console.gateway import connection, listening, refusals, server
from hsm_console.gateway.refusals import Ledger, RefusalDesk


def connect(session: Session, scene: Any) -> Relayed:
    """One more connection by the same agent: what a log-in does after the credential is open."""
    where = scene.address
    return session._agent.ask(
        Connect(
            id=session._agent.new_id(),
            listen=where.listen,
            authority_pem=where.authority_pem,
            gateway_sha256=where.gateway_sha256,
            refusals=where.refusals,
        ),
        Relayed,
        20.0,
    )


def test_forty_people_at_once(scene: Any) -> None:
    people = [scene.person(uid=f"person.{n}")[0] for n in range(8)]
    began = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        sessions = list(pool.map(lambda n: scene.log_in(people[n % 8]), range(40)))
    took = time.monotonic() - began
    try:
        assert [s.greeting.person.uid for s in sessions] == [f"person.{n % 8}" for n in range(40)]
        assert len({s.greeting.session_uid for s in sessions}) == 40
        assert len(scene.server.live) == 40
        assert took < 30
    finally:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(Session.close, sessions))
    scene.wait_for(lambda: len(scene.closed) == 40)
    assert scene.server.live == ()


def test_a_revoked_person_is_told_so_fifty_times(scene: Any) -> None:
    credential, certificate = scene.person()
    with scene.log_in(credential) as session:
        scene.revoke(certificate)
        codes = []
        for _ in range(50):
            with pytest.raises(ConsoleError) as caught:
                connect(session, scene)
            codes.append(caught.value.problem.code)
    assert codes == ["certificate-revoked"] * 50
    assert [r.verify_code for r in scene.refused] == [23] * 50


def test_without_the_desk_the_alert_still_arrives_fifty_times(scene: Any) -> None:
    """The server lingers, so the alert is read even though the client writes first."""
    credential, certificate = scene.person()
    with scene.log_in(credential) as session:
        scene.revoke(certificate)
        for _ in range(50):
            with pytest.raises(ConsoleError) as caught:
                session._agent.ask(
                    Connect(id=session._agent.new_id(), listen=scene.address.listen,
                            authority_pem=scene.address.authority_pem), Relayed, 20.0)  # fmt: skip
            assert caught.value.problem.code == "certificate-revoked"


def test_silent_peers_block_nobody_and_are_cut(
    scene: Any, monkeypatch: pytest.MonkeyPatch, in_time: Callable[[float, float], None]
) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 1.0)
    credential, _ = scene.person()
    path = scene.server.address.removeprefix("unix:")
    silent = [socket.socket(socket.AF_UNIX) for _ in range(30)]
    try:
        for peer in silent:
            peer.connect(path)
        for peer in silent[::2]:
            peer.sendall(b"\x16\x03\x01\x02")  # the first octets of a ClientHello, and then nothing
        began = time.monotonic()
        scene.log_in(credential).close()
        in_time(time.monotonic() - began, 1.0)
        scene.wait_for(lambda: len(scene.refused) == 30, 5.0)
        assert {r.reason for r in scene.refused} == {"handshake-too-slow"}
    finally:
        for peer in silent:
            peer.close()


def test_a_dripping_handshake_meets_the_deadline_too(
    scene: Any, monkeypatch: pytest.MonkeyPatch, in_time: Callable[[float, float], None]
) -> None:
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 0.6)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(scene.server.address.removeprefix("unix:"))
        began = time.monotonic()
        for octet in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03":
            try:
                peer.sendall(bytes([octet]))
            except OSError:
                break
            time.sleep(0.15)
        scene.wait_for(lambda: bool(scene.refused))
        assert scene.refused[-1].reason == "handshake-too-slow"
        in_time(time.monotonic() - began, 3.0)


def test_too_many_handshakes_at_once(start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_HANDSHAKES", 2)
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS", 1.5)
    scene = start()
    credential, _ = scene.person()
    silent = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    try:
        for peer in silent:
            peer.connect(scene.server.address.removeprefix("unix:"))
        time.sleep(0.1)
        assert scene.refusal(credential).problem.code == "gateway-busy"
        assert scene.refused[0].reason == "gateway-busy"
        scene.wait_for(lambda: len(scene.refused) == 3)
        time.sleep(connection.LINGER_SECONDS + 0.1)
        scene.log_in(credential).close()
    finally:
        for peer in silent:
            peer.close()


def test_a_killed_agent_is_a_closed_session(scene: Any) -> None:
    credential, _ = scene.person()
    session = scene.log_in(credential)
    told: list[str] = []
    session.on_closed = lambda problem: told.append(problem.code)
    os.kill(session.agent_pid, signal.SIGKILL)
    scene.wait_for(lambda: scene.closed == [session.greeting.session_uid])
    scene.wait_for(lambda: told == ["session-ended"])
    with pytest.raises(EnvironmentFault, match="session-ended"):
        session.call("GET", "/v1/greeting", None, Greeting)
    session.close()


def test_a_dropped_connection_ends_the_session_at_once(scene: Any) -> None:
    credential, _ = scene.person()
    session = scene.log_in(credential)
    told: list[str] = []
    session.on_closed = lambda problem: told.append(problem.code)
    scene.server.drop(session.greeting.session_uid)
    scene.wait_for(lambda: told == ["gateway-went-away"])
    scene.wait_for(lambda: scene.closed == [session.greeting.session_uid])
    assert session.closed
    session.close()


def test_a_large_answer_and_a_large_body(scene: Any) -> None:
    credential, _ = scene.person()
    with scene.log_in(credential) as session:
        assert session.raw("GET", "/v1/large") == bytes(range(256)) * 40_000
        body = msgspec.defstruct("Body", [("text", str)])(text="x" * 5_000_000)
        assert session.call("POST", "/v1/greeting", body, Greeting).person.uid == "a.turing"


def test_callers_of_one_session_wait_for_each_other(scene: Any) -> None:
    credential, _ = scene.person()
    with scene.log_in(credential) as session, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: session.call("GET", "/v1/greeting", None, Greeting), range(200)))
    assert len({a.session_uid for a in answers}) == 1


def test_log_off_does_not_wait_for_a_call_that_hangs(scene: Any, in_time: Callable[[float, float], None]) -> None:
    credential, _ = scene.person()
    release = threading.Event()
    session = scene.log_in(credential)
    usual = scene.server.wsgi_app

    def hang(environ: dict[str, Any], start_response: Any) -> Any:
        release.wait(20)
        return usual(environ, start_response)

    scene.server.wsgi_app = hang
    failed: list[str] = []

    def call() -> None:
        with pytest.raises(ConsoleError) as caught:
            session.raw("GET", "/v1/hang")
        failed.append(caught.value.problem.code)

    caller = threading.Thread(target=call)
    caller.start()
    time.sleep(0.1)
    began = time.monotonic()
    session.close()
    in_time(time.monotonic() - began, 2.5)
    caller.join(5)
    assert failed == ["session-ended"]
    release.set()


def test_over_tcp(start: Callable[..., Any]) -> None:
    scene = start(tcp=True)
    assert scene.server.address.startswith("127.0.0.1:")
    credential, certificate = scene.person()
    with scene.log_in(credential) as session:
        assert session.greeting.person.uid == "a.turing"
    scene.revoke(certificate)
    assert scene.refusal(credential).problem.code == "certificate-revoked"
    assert scene.refused[-1].connection == scene.refused[-1].src
    assert scene.refused[-1].src.startswith("127.0.0.1:")


# -- beginning and end -----------------------------------------------------------------------------


def test_stop_is_quick_and_leaves_nothing(scene: Any, in_time: Callable[[float, float], None]) -> None:
    credential, _ = scene.person()
    session = scene.log_in(credential)
    began = time.monotonic()
    scene.server.stop()
    in_time(time.monotonic() - began, 2.0)
    assert scene.closed == [session.greeting.session_uid]
    assert not (scene.directory / "gateway.sock").exists()
    assert not (scene.directory / "refusals.sock").exists()
    scene.wait_for(lambda: session.closed)
    session.close()


def test_stop_does_not_wait_for_a_request_that_hangs(
    scene: Any, monkeypatch: pytest.MonkeyPatch, in_time: Callable[[float, float], None]
) -> None:
    credential, _ = scene.person()
    release = threading.Event()

    def hang(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        release.wait(20)
        start_response("200 OK", [("Content-Length", "0")])
        return []

    session = scene.log_in(credential)
    scene.server.wsgi_app = hang

    def call() -> None:
        with pytest.raises(ConsoleError):
            session.raw("GET", "/v1/hang")

    caller = threading.Thread(target=call)
    caller.start()
    time.sleep(0.2)
    began = time.monotonic()
    scene.server.stop()
    in_time(time.monotonic() - began, 2.0)
    release.set()
    caller.join(5)
    assert not caller.is_alive()
    session.close()


def test_a_socket_left_over_from_a_crash_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
        crashed.listen()
    with listening.listen(f"unix:{path}") as fresh:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert listening.address_of(fresh) == f"unix:{path}"


def test_a_taken_address_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with listening.listen(f"unix:{path}"), pytest.raises(EnvironmentFault, match="address-in-use"):
        listening.listen(f"unix:{path}")
    (tmp_path / "file").write_text("precious")
    with pytest.raises(EnvironmentFault, match="address-in-use"):
        listening.listen(f"unix:{tmp_path / 'file'}")
    assert (tmp_path / "file").read_text() == "precious"
    with listening.listen("127.0.0.1:0") as first, pytest.raises(EnvironmentFault, match="address-in-use"):
        listening.listen(listening.address_of(first))


@pytest.mark.parametrize(
    ("address", "code", "kind"),
    [
        ("nonsense", "address-unusable", InputError),
        ("127.0.0.1:99999", "address-unusable", InputError),
        (":8443", "address-unusable", InputError),
        ("203.0.113.7:8443", "address-not-available", EnvironmentFault),
        ("unix:/nowhere/at/all.sock", "address-not-available", EnvironmentFault),
        ("unix:/tmp/" + "x" * 120, "address-not-available", EnvironmentFault),
    ],
)
def test_an_address_that_cannot_be_used(address: str, code: str, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=code):
        listening.listen(address)


def test_the_desk_answers_only_about_a_connection_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "_WAIT_SECONDS", 0.05)
    ledger = Ledger()
    ledger.note(refusals.refused("certificate-revoked", src="x", connection="secret-name", verify_code=23))
    desk = RefusalDesk(tmp_path / "refusals.sock", ledger)
    try:
        assert b"certificate-revoked" in ask(tmp_path, b'{"connection":"secret-name"}\n')
        assert ask(tmp_path, b'{"connection":"guess"}\n') == b"null\n"
        assert ask(tmp_path, b"rubbish\n") == b""
    finally:
        desk.close()


def ask(directory: Path, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as asker:
        asker.settimeout(3)
        asker.connect(str(directory / "refusals.sock"))
        asker.sendall(question)
        return b"".join(iter(lambda: asker.recv(4096), b""))


def test_the_ledger_keeps_the_newest() -> None:
    ledger = Ledger()
    for n in range(refusals.KEPT + 5):
        ledger.note(refusals.refused("not-tls", src="x", connection=str(n)))
    assert ledger.find("0") is None
    assert ledger.find(str(refusals.KEPT + 4)) is not None


def test_log_in_and_round_trip_are_fast(scene: Any) -> None:
    """Generous limits: the benchmark measures, this only catches a lost keep-alive or Nagle's algorithm."""
    credential, _ = scene.person()
    with scene.log_in(credential) as session:
        handshakes = []
        for _ in range(20):
            began = time.perf_counter()
            connect(session, scene)
            handshakes.append(time.perf_counter() - began)
        trips = []
        for _ in range(200):
            began = time.perf_counter()
            session.call("GET", "/v1/greeting", None, Greeting)
            trips.append(time.perf_counter() - began)
    assert statistics.median(handshakes) < 0.1
    assert statistics.median(trips) < 0.01
