"""Frames: every call there and back, secrets never shown, nonsense refused."""

from __future__ import annotations

import socket
import threading

import msgspec
import pytest
from hypothesis import given, strategies

from hsm_console.domain.errors import DeviceError, Problem
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm import problems, wire
from hsm_console.hsm.port import AesGcm, Binding, DataObject, Hsm, Unsupported

SPEC = KeySpec(algorithm=Algorithm.EC_P384, label="k", object_id=b"\x01")
CALLS = [
    wire.Describe(),
    wire.InitialiseToken(label="t", so_pin=Secret("so"), user_pin=Secret("user")),
    wire.LogIn(pin=Secret("1234")),
    wire.LogIn(pin=Secret("")),
    wire.LogOut(),
    wire.ChangePin(old=Secret("1234"), new=Secret("5678")),
    wire.Generate(spec=SPEC),
    wire.Find(object_id=b"", label="x"),
    wire.Attributes(object_id=b"\x01"),
    wire.Sign(object_id=b"\x01", mechanism=SignMechanism.ED25519, data=bytes(1000)),
    wire.Verify(object_id=b"\x01", mechanism=SignMechanism.ED25519, data=b"d", signature=b"s"),
    wire.Encrypt(object_id=b"\x01", plaintext=b"p", aad=b"a"),
    wire.Decrypt(object_id=b"\x01", message=AesGcm(iv=b"i", ciphertext=b"c", tag=b"t"), aad=b""),
    wire.Wrap(wrapping_id=b"\x01", object_id=b"\x02"),
    wire.Unwrap(wrapping_id=b"\x01", wrapped=b"w", spec=SPEC),
    wire.Agree(
        object_id=b"\x01",
        peer_public_point=b"\x04",
        spec=KeySpec(algorithm=Algorithm.AES_256, label="w", object_id=b"\x02"),
    ),
    wire.Derive(object_id=b"\x01", peer_public_point=b"\x04", length=32),
    wire.OaepDecrypt(object_id=b"\x01", ciphertext=b"c", digest="sha256"),
    wire.Decapsulate(object_id=b"\x01", ciphertext=b"c"),
    wire.Random(length=32),
    wire.Destroy(object_id=b"\x01"),
    wire.WriteData(item=DataObject(application="a", label="l", value=b"v")),
    wire.ReadData(application="a", label="l"),
    wire.DeleteData(application="a", label="l"),
    wire.Attest(object_id=b"\x01"),
    wire.NativeLog(after=7),
    wire.Close(),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: type(call).__name__)
def test_call_arrives_as_it_was_sent(call: wire.AnyCall) -> None:
    frame = wire.pack(call)
    assert int.from_bytes(frame[:4], "big") == len(frame) - wire.HEADER_BYTES
    body = frame[wire.HEADER_BYTES :]
    assert wire.decode_call(body) == call
    assert not any(body), "the frame is wiped once it was read"


def test_every_call_of_the_port_has_a_frame_and_its_arguments() -> None:
    tags = {type(call).__struct_config__.tag: type(call) for call in CALLS}
    methods = {name for name, value in vars(Hsm).items() if callable(value) and not name.startswith("_")}
    assert set(tags) == methods
    for name, call in tags.items():
        code = getattr(Hsm, str(name)).__code__
        arguments = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        assert call.__struct_fields__ == arguments


def test_secret_is_wiped_from_a_frame_and_shown_nowhere() -> None:
    call = wire.LogIn(pin=Secret("very-secret"))
    frame = wire.pack(call)
    assert b"very-secret" in frame
    wire.wipe(frame)
    assert not any(frame)
    assert "very-secret" not in repr(call)
    assert "very-secret" not in repr(wire.decode_call(wire.pack(call)[wire.HEADER_BYTES :]))


@given(strategies.binary(max_size=200))
def test_nonsense_is_refused_before_any_module(data: bytes) -> None:
    try:
        call = wire.decode_call(bytearray(data))
    except msgspec.DecodeError:
        return
    assert type(call) in {type(each) for each in CALLS}


def test_call_with_a_field_too_many_is_refused() -> None:
    body = bytearray(msgspec.msgpack.encode({"type": "random", "length": 1, "more": 2}))
    with pytest.raises(msgspec.ValidationError):
        wire.decode_call(body)


def test_long_frame_goes_through_a_socket_in_pieces() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frame = wire.pack(
            wire.Sign(object_id=b"\x01", mechanism=SignMechanism.ED25519, data=bytes(range(256)) * 8192), 7
        )
        sender = threading.Thread(target=ours.sendall, args=(frame,))
        sender.start()
        assert wire.receive(theirs) == (7, frame[wire.HEADER_BYTES :])
        sender.join()


def test_end_of_file_and_absurd_lengths_are_told() -> None:
    for start in (b"", b"\x00\x00", b"\x00\x00\x00\x05\x00\x00\x00\x01ab", b"\xff" * 8):
        ours, theirs = socket.socketpair()
        with theirs:
            ours.sendall(start)
            ours.close()
            with pytest.raises(EOFError):
                wire.receive(theirs)


def test_problem_crosses_unchanged_with_its_family() -> None:
    problem = Problem(code="x", what="w", key_state="s", todo="t", contact="c", details={"a": "b"}, exit_code=4)
    for name, family in problems.FAMILIES.items():
        frame = wire.pack(wire.Failed(family=name, problem=problem))
        reply = wire.decode_reply(frame[wire.HEADER_BYTES :])
        assert isinstance(reply, wire.Failed)
        error = problems.rebuild(reply.family, reply.problem)
        assert type(error) is family
        assert error.problem == problem
    assert type(problems.rebuild("Nonsense", problem)) is DeviceError
    assert issubclass(Unsupported, DeviceError)


def test_binding_arrives_as_it_was_sent() -> None:
    binding = Binding(adapter="a", token_label="t", directory="/d", serial="s", options={"module": "/m.so"})
    opening = wire.Opening(binding=binding, adapter="adapters.simulation:create")
    assert wire.decode_opening(wire.pack(opening)[wire.HEADER_BYTES :]) == opening
