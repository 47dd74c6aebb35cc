"""Frames between a client and its worker: four bytes of length, four of the call's number (big-endian), one
MessagePack struct. An answer carries its call's number, since several calls may be under way at once.

Every call is a struct of its own, so a frame that does not fit is refused by the decoder and reaches no module.
A PIN travels only inside a frame; frames are bytearrays and are overwritten as soon as they have been used.
"""

from __future__ import annotations

import socket
from typing import ClassVar

import msgspec

from hsm_console.domain.errors import ExitCode, InputError, Problem
from hsm_console.domain.keys import KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import AesGcm, Binding, DataObject

MAX_FRAME_BYTES = 64 * 1024 * 1024
HEADER_BYTES = 8
_LENGTH_BYTES = 4


class Call(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One call of the port. The tag is the method's name, the fields its arguments.

    kind: which deadline holds (see `worker.DEADLINES`). alone: no other call may be under way in the worker.
    writes: one such call after the other, or two would find the same label free.
    """

    kind: ClassVar[str] = "short"
    alone: ClassVar[bool] = False
    writes: ClassVar[bool] = False


class Describe(Call, tag="describe"):
    """No arguments."""


class InitialiseToken(Call, tag="initialise_token"):
    kind: ClassVar[str] = "initialise"
    alone: ClassVar[bool] = True
    label: str
    so_pin: Secret
    user_pin: Secret


class LogIn(Call, tag="log_in"):
    kind: ClassVar[str] = "login"
    alone: ClassVar[bool] = True
    pin: Secret


class LogOut(Call, tag="log_out"):
    kind: ClassVar[str] = "login"
    alone: ClassVar[bool] = True


class ChangePin(Call, tag="change_pin"):
    kind: ClassVar[str] = "login"
    alone: ClassVar[bool] = True
    old: Secret
    new: Secret


class Generate(Call, tag="generate"):
    kind: ClassVar[str] = "generate"
    writes: ClassVar[bool] = True
    spec: KeySpec


class Find(Call, tag="find"):
    kind: ClassVar[str] = "search"
    object_id: bytes
    label: str


class Attributes(Call, tag="attributes"):
    object_id: bytes


class Sign(Call, tag="sign"):
    kind: ClassVar[str] = "sign"
    object_id: bytes
    mechanism: SignMechanism
    data: bytes


class Verify(Call, tag="verify"):
    kind: ClassVar[str] = "sign"
    object_id: bytes
    mechanism: SignMechanism
    data: bytes
    signature: bytes


class Encrypt(Call, tag="encrypt"):
    kind: ClassVar[str] = "sign"
    object_id: bytes
    plaintext: bytes
    aad: bytes


class Decrypt(Call, tag="decrypt"):
    kind: ClassVar[str] = "sign"
    object_id: bytes
    message: AesGcm
    aad: bytes


class Wrap(Call, tag="wrap"):
    kind: ClassVar[str] = "sign"
    wrapping_id: bytes
    object_id: bytes


class Unwrap(Call, tag="unwrap"):
    kind: ClassVar[str] = "sign"
    writes: ClassVar[bool] = True
    wrapping_id: bytes
    wrapped: bytes
    spec: KeySpec


class Derive(Call, tag="derive"):
    kind: ClassVar[str] = "sign"
    object_id: bytes
    peer_public_point: bytes
    length: int


class Agree(Call, tag="agree"):
    kind: ClassVar[str] = "generate"
    writes: ClassVar[bool] = True
    object_id: bytes
    peer_public_point: bytes
    spec: KeySpec
    kdf_info: bytes = b""


class OaepDecrypt(Call, tag="oaep_decrypt"):
    kind: ClassVar[str] = "sign"
    object_id: bytes
    ciphertext: bytes
    digest: str


class Decapsulate(Call, tag="decapsulate"):
    kind: ClassVar[str] = "sign"
    object_id: bytes
    ciphertext: bytes


class Random(Call, tag="random"):
    length: int


class Destroy(Call, tag="destroy"):
    kind: ClassVar[str] = "search"
    writes: ClassVar[bool] = True
    object_id: bytes


class WriteData(Call, tag="write_data"):
    kind: ClassVar[str] = "search"
    writes: ClassVar[bool] = True
    item: DataObject


class ReadData(Call, tag="read_data"):
    kind: ClassVar[str] = "search"
    application: str
    label: str


class DeleteData(Call, tag="delete_data"):
    kind: ClassVar[str] = "search"
    writes: ClassVar[bool] = True
    application: str
    label: str


class Attest(Call, tag="attest"):
    kind: ClassVar[str] = "search"
    object_id: bytes


class NativeLog(Call, tag="native_log"):
    kind: ClassVar[str] = "search"
    after: int


class Close(Call, tag="close"):
    kind: ClassVar[str] = "close"
    alone: ClassVar[bool] = True


AnyCall = (
    Describe
    | InitialiseToken
    | LogIn
    | LogOut
    | ChangePin
    | Generate
    | Find
    | Attributes
    | Sign
    | Verify
    | Encrypt
    | Decrypt
    | Wrap
    | Unwrap
    | Derive
    | Agree
    | OaepDecrypt
    | Decapsulate
    | Random
    | Destroy
    | WriteData
    | ReadData
    | DeleteData
    | Attest
    | NativeLog
    | Close
)


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """First frame to a worker: which token it serves. adapter: where its factory lies (`registry.place`)."""

    binding: Binding
    adapter: str


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker answers to its opening. lanes: how many calls it answers at the same time. deadlines: seconds by
    kind of call, where this kind of device needs others than the console's own."""

    lanes: int
    deadlines: dict[str, float] = {}


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """The call returned; `value` is the encoded answer."""

    value: msgspec.Raw


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The call raised; `family` names the ConsoleError's class, the Problem is unchanged."""

    family: str
    problem: Problem


Reply = Done | Failed


def _carry_secret(value: object) -> bytes:
    if isinstance(value, Secret):
        return value.reveal_bytes() if value else b""
    raise NotImplementedError(f"{type(value).__name__} is no part of the protocol")


def _restore_secret(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, bytes):
        return Secret(value)
    raise NotImplementedError(f"{kind.__name__} is no part of the protocol")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_carry_secret)
_CALLS: msgspec.msgpack.Decoder[AnyCall] = msgspec.msgpack.Decoder(AnyCall, dec_hook=_restore_secret)
_REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_OPENINGS = msgspec.msgpack.Decoder(Opening)


def pack(message: msgspec.Struct, number: int = 0) -> bytearray:
    """The frame of a message, ready to send. The caller wipes it. Raises InputError `message-too-long`."""
    frame = bytearray(HEADER_BYTES)
    _ENCODER.encode_into(message, frame, HEADER_BYTES)
    if len(frame) > MAX_FRAME_BYTES:
        wipe(frame)
        raise InputError(
            Problem(
                code="message-too-long",
                what=f"A message to the device has at most {MAX_FRAME_BYTES // 2**20} MiB.",
                todo="Sign a digest list or a smaller file instead.",
                exit_code=ExitCode.USAGE,
            )
        )
    frame[:_LENGTH_BYTES] = (len(frame) - HEADER_BYTES).to_bytes(_LENGTH_BYTES, "big")
    frame[_LENGTH_BYTES:HEADER_BYTES] = number.to_bytes(HEADER_BYTES - _LENGTH_BYTES, "big")
    return frame


def answer_frame(value: object, number: int = 0) -> bytearray:
    """The frame of a successful answer."""
    return pack(Done(value=msgspec.Raw(_ENCODER.encode(value))), number)


def wipe(frame: bytearray) -> None:
    """Overwrite a frame in place."""
    frame[:] = bytes(len(frame))


def receive(connection: socket.socket) -> tuple[int, bytearray]:
    """The number and the body of one whole frame. Raises EOFError when the other side is gone."""
    header = _read(connection, HEADER_BYTES)
    length = int.from_bytes(header[:_LENGTH_BYTES], "big")
    if length > MAX_FRAME_BYTES:
        raise EOFError("the frame is longer than the protocol allows")
    return int.from_bytes(header[_LENGTH_BYTES:], "big"), _read(connection, length)


def _read(connection: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        try:
            count = connection.recv_into(view)
        except ConnectionResetError as gone:
            raise EOFError("the other side is gone") from gone
        if count == 0:
            raise EOFError("the other side is gone")
        view = view[count:]
    return data


def decode_call(frame: bytearray) -> AnyCall:
    """A call from a frame, which is wiped. Raises msgspec.DecodeError."""
    try:
        return _CALLS.decode(frame)
    finally:
        wipe(frame)


def decode_reply(frame: bytearray) -> Reply:
    return _REPLIES.decode(frame)


def decode_opening(frame: bytearray) -> Opening:
    return _OPENINGS.decode(frame)
