"""The client's side of a worker: the port's calls, each with a deadline, over a process that may be killed.

A call that overruns its deadline ends the worker (`device-hung`); a worker that ends by itself is noticed at once
(`device-crashed`). After both the device is locked and the client is closed until `respawn` is called: nobody logs
in again without a person. As many calls go on at once as the worker has lanes; the wait for one does not count.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, DeviceInfo, KeyAttributes, KeyInfo, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm import problems, registry, wire
from hsm_console.hsm.channel import Channel
from hsm_console.hsm.gate import Gate
from hsm_console.hsm.port import AesGcm, Binding, DataObject, Hsm
from hsm_console.hsm.process import WorkerProcess

T = TypeVar("T")
_LOCKED = ("not-logged-in", "device-removed")

# Seconds. RSA key generation on a small device takes minutes; a healthy device answers all else at once.
DEADLINES: Mapping[str, float] = {
    "open": 30.0,
    "short": 10.0,
    "login": 30.0,
    "initialise": 60.0,
    "generate": 60.0,
    "generate-rsa": 180.0,
    "search": 30.0,
    "list": 180.0,  # every key of a device: it may hold ten thousand
    "sign": 15.0,
    "sign-slh-dsa": 120.0,
    "close": 2.0,
}


class HsmClient(Hsm):
    """An `Hsm` whose module runs in its own process. Thread-safe.

    binding: which token; a relative directory is resolved here. environment: variables added before the module loads.
    deadlines: seconds by kind of call, over the device's own and `DEADLINES`. on_end: told when a worker ended.
    Raises what the adapter raises on opening (module-missing, …) and EnvironmentFault `device-not-started`.
    """

    def __init__(
        self,
        binding: Binding,
        *,
        environment: Mapping[str, str] | None = None,
        deadlines: Mapping[str, float] | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> None:
        directory = str(Path(binding.directory).absolute()) if binding.directory else ""
        self.binding = msgspec.structs.replace(binding, directory=directory)
        self._environment = dict(environment or {})
        self._chosen = dict(deadlines or {})
        self._deadlines = {**DEADLINES, **self._chosen}
        self.on_end = on_end
        self._gate = Gate()
        self._writing = threading.RLock()
        self._channel: Channel | None = None
        self._logged_in = False
        self._open()

    @property
    def alive(self) -> bool:
        """Whether the worker runs."""
        channel = self._channel
        return channel is not None and channel.alive

    @property
    def lanes(self) -> int:
        """How many calls the worker answers at the same time."""
        return self._gate.lanes

    @property
    def logged_in(self) -> bool:
        """Whether a login succeeded in this worker and nothing ended it since."""
        return self._logged_in and self.alive

    @property
    def pid(self) -> int | None:
        """The worker's process id, None when closed."""
        channel = self._channel
        return channel.process.pid if channel else None

    def respawn(self) -> None:
        """End the worker if there is one and start a new one, locked. Raises as the constructor does."""
        with self._gate.alone():
            self._drop()
            self._open()

    def kill(self) -> None:
        """End the worker now, from any thread, even while a call runs: that call gets `device-crashed`."""
        channel = self._channel
        if channel is not None:
            channel.process.kill()

    def close(self) -> None:
        """End the worker in good order. Waits for a running call; use `kill` when there is no time. Never raises."""
        with self._gate.alone():
            if self._channel is None:
                return
            with contextlib.suppress(Exception):  # the process is ended in any case
                self._call(wire.Close(), None)
            self._drop(grace_s=0.5)

    def __enter__(self) -> HsmClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def describe(self) -> DeviceInfo:
        return self._call(wire.Describe(), DeviceInfo)

    def initialise_token(self, label: str, so_pin: Secret, user_pin: Secret) -> DeviceInfo:
        return self._call(wire.InitialiseToken(label=label, so_pin=so_pin, user_pin=user_pin), DeviceInfo)

    def log_in(self, pin: Secret) -> None:
        with self._gate.alone():
            self._call(wire.LogIn(pin=pin), None)
            self._logged_in = True

    def log_out(self) -> None:
        with self._gate.alone():
            self._logged_in = False
            self._call(wire.LogOut(), None)

    def change_pin(self, old: Secret, new: Secret) -> None:
        self._call(wire.ChangePin(old=old, new=new), None)

    def generate(self, spec: KeySpec) -> KeyInfo:
        slow = Algorithm(spec.algorithm).is_rsa or Algorithm(spec.algorithm).is_slh_dsa
        kind = "generate-rsa" if slow else None
        return self._call(wire.Generate(spec=spec), KeyInfo, kind=kind)

    def find(self, *, object_id: bytes = b"", label: str = "") -> tuple[KeyInfo, ...]:
        kind = None if object_id or label else "list"
        return self._call(wire.Find(object_id=object_id, label=label), tuple[KeyInfo, ...], kind=kind)

    def attributes(self, object_id: bytes) -> KeyAttributes:
        return self._call(wire.Attributes(object_id=object_id), KeyAttributes)

    def sign(self, object_id: bytes, mechanism: SignMechanism, data: bytes) -> bytes:
        kind = "sign-slh-dsa" if mechanism is SignMechanism.SLH_DSA else None
        return self._call(wire.Sign(object_id=object_id, mechanism=mechanism, data=data), bytes, kind=kind)

    def verify(self, object_id: bytes, mechanism: SignMechanism, data: bytes, signature: bytes) -> None:
        self._call(wire.Verify(object_id=object_id, mechanism=mechanism, data=data, signature=signature), None)

    def encrypt(self, object_id: bytes, plaintext: bytes, aad: bytes = b"") -> AesGcm:
        return self._call(wire.Encrypt(object_id=object_id, plaintext=plaintext, aad=aad), AesGcm)

    def decrypt(self, object_id: bytes, message: AesGcm, aad: bytes = b"") -> bytes:
        return self._call(wire.Decrypt(object_id=object_id, message=message, aad=aad), bytes)

    def wrap(self, wrapping_id: bytes, object_id: bytes) -> bytes:
        return self._call(wire.Wrap(wrapping_id=wrapping_id, object_id=object_id), bytes)

    def unwrap(self, wrapping_id: bytes, wrapped: bytes, spec: KeySpec) -> KeyInfo:
        return self._call(wire.Unwrap(wrapping_id=wrapping_id, wrapped=wrapped, spec=spec), KeyInfo)

    def derive(self, object_id: bytes, peer_public_point: bytes, length: int) -> bytes:
        call = wire.Derive(object_id=object_id, peer_public_point=peer_public_point, length=length)
        return self._call(call, bytes)

    def agree(self, object_id: bytes, peer_public_point: bytes, spec: KeySpec, kdf_info: bytes = b"") -> KeyInfo:
        call = wire.Agree(object_id=object_id, peer_public_point=peer_public_point, spec=spec, kdf_info=kdf_info)
        return self._call(call, KeyInfo)

    def oaep_decrypt(self, object_id: bytes, ciphertext: bytes, digest: str) -> bytes:
        return self._call(wire.OaepDecrypt(object_id=object_id, ciphertext=ciphertext, digest=digest), bytes)

    def decapsulate(self, object_id: bytes, ciphertext: bytes) -> bytes:
        return self._call(wire.Decapsulate(object_id=object_id, ciphertext=ciphertext), bytes)

    def random(self, length: int) -> bytes:
        return self._call(wire.Random(length=length), bytes)

    def destroy(self, object_id: bytes) -> int:
        return self._call(wire.Destroy(object_id=object_id), int)

    def write_data(self, item: DataObject) -> None:
        self._call(wire.WriteData(item=item), None)

    def read_data(self, application: str, label: str) -> tuple[DataObject, ...]:
        return self._call(wire.ReadData(application=application, label=label), tuple[DataObject, ...])

    def delete_data(self, application: str, label: str) -> int:
        return self._call(wire.DeleteData(application=application, label=label), int)

    def attest(self, object_id: bytes) -> bytes:
        return self._call(wire.Attest(object_id=object_id), bytes)

    def native_log(self, after: int) -> tuple[dict[str, str], ...]:
        return self._call(wire.NativeLog(after=after), tuple[dict[str, str], ...])

    def _open(self) -> None:
        opening = wire.Opening(binding=self.binding, adapter=registry.place(self.binding.adapter))
        channel = Channel(WorkerProcess(environment=self._environment), self._ended)
        self._channel = channel
        try:
            reply = channel.ask(opening, "open", self._deadlines["open"])
            ready = msgspec.msgpack.decode(_value(reply), type=wire.Ready)
            self._gate.lanes = ready.lanes
            self._deadlines = {**DEADLINES, **ready.deadlines, **self._chosen}
        except BaseException:
            self._drop()
            raise

    def _call(self, call: wire.AnyCall, answer: type[T] | None, *, kind: str | None = None) -> T:
        turn = self._gate.alone() if call.alone else self._gate.shared()
        with self._writing if call.writes else contextlib.nullcontext(), turn:
            reply = self._exchange(call, self._deadlines[kind or call.kind])
        try:
            return msgspec.msgpack.decode(_value(reply), type=answer)
        except ConsoleError as error:
            if error.problem.code in _LOCKED:
                self._logged_in = False
            raise
        finally:
            wire.wipe(reply)

    def _exchange(self, call: wire.AnyCall, seconds: float) -> bytearray:
        """Raises `device-closed`, `device-hung`, `device-crashed`; after the last two the client is closed."""
        method = str(call.__struct_config__.tag)
        channel = self._channel
        if channel is None:
            raise problems.closed(method)
        try:
            return channel.ask(call, method, seconds)
        finally:
            if not channel.alive and self._channel is channel:
                self._drop()

    def _ended(self) -> None:
        self._logged_in = False
        if self.on_end is not None:
            self.on_end()

    def _drop(self, *, grace_s: float = 0.0) -> None:
        channel, self._channel, self._logged_in = self._channel, None, False
        if channel is not None:
            channel.end(grace_s=grace_s)


def _value(frame: bytearray) -> msgspec.Raw:
    reply: Any = wire.decode_reply(frame)
    if isinstance(reply, wire.Failed):
        raise problems.rebuild(reply.family, reply.problem)
    value: msgspec.Raw = reply.value
    return value
