"""The simulated token's own log: what it was asked to do, one line each, whoever asked. As a device's audit log would.

It is what the console's log is held against. It lies beside the token's other files and protects nothing either.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import msgspec

from adapters.problems import store_refused
from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import DeviceInfo, KeyInfo, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import AesGcm, Hsm
from hsm_console.hsm.relay import Relay

FILE = "device-log.jsonl"
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class Journal:
    """The file. A record's number is that of its line, from 1; one write appends one line, also between processes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def note(self, operation: str, object_id: bytes = b"", result: str = "ok") -> None:
        """Raises DeviceError `device-full` or what the disk says; on a disk that is read-only nothing is noted."""
        record = {"operation": operation, "result": result, "time_ms": str(time.time_ns() // 1_000_000)}
        if object_id:
            record["key_id"] = object_id.hex()
        try:
            descriptor = os.open(self._path, _APPEND, 0o600)
            try:
                os.write(descriptor, msgspec.json.encode(record) + b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno in _READ_ONLY:
                return  # the token still signs there; the log that it is held against tells that a record is missing
            raise store_refused(error, self._path) from error

    def after(self, index: int) -> tuple[dict[str, str], ...]:
        """Records with a higher number. A line that a crash cut short is a record that says so."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise store_refused(error, self._path) from error
        found = []
        for number, line in enumerate(lines[max(0, index) :], max(0, index) + 1):
            try:
                record = msgspec.json.decode(line, type=dict[str, str])
            except msgspec.DecodeError:
                record = {"operation": "unreadable", "result": "damaged"}
            found.append({"index": str(number)} | record)
        return tuple(found)


class Journalled(Relay):
    """The token, with a line for each act that a device's log would hold."""

    def __init__(self, device: Hsm, folder: Path) -> None:
        super().__init__(device)
        self._journal = Journal(folder)

    def native_log(self, after: int) -> tuple[dict[str, str], ...]:
        return self._journal.after(after)

    def initialise_token(self, label: str, so_pin: Secret, user_pin: Secret) -> DeviceInfo:
        info = super().initialise_token(label, so_pin, user_pin)
        self._journal.note("initialise")
        return info

    def log_in(self, pin: Secret) -> None:
        try:
            super().log_in(pin)
        except ConsoleError as error:
            if error.problem.code.startswith("pin-"):
                self._journal.note("login", result=error.problem.code)
            raise
        self._journal.note("login")

    def change_pin(self, old: Secret, new: Secret) -> None:
        super().change_pin(old, new)
        self._journal.note("change-pin")

    def generate(self, spec: KeySpec) -> KeyInfo:
        info = super().generate(spec)
        self._journal.note("generate", spec.object_id)
        return info

    def sign(self, object_id: bytes, mechanism: SignMechanism, data: bytes) -> bytes:
        signature = super().sign(object_id, mechanism, data)
        self._journal.note("sign", object_id)
        return signature

    def encrypt(self, object_id: bytes, plaintext: bytes, aad: bytes = b"") -> AesGcm:
        box = super().encrypt(object_id, plaintext, aad)
        self._journal.note("encrypt", object_id)
        return box

    def decrypt(self, object_id: bytes, message: AesGcm, aad: bytes = b"") -> bytes:
        plain = super().decrypt(object_id, message, aad)
        self._journal.note("decrypt", object_id)
        return plain

    def oaep_decrypt(self, object_id: bytes, ciphertext: bytes, digest: str) -> bytes:
        plain = super().oaep_decrypt(object_id, ciphertext, digest)
        self._journal.note("decrypt", object_id)
        return plain

    def decapsulate(self, object_id: bytes, ciphertext: bytes) -> bytes:
        shared = super().decapsulate(object_id, ciphertext)
        self._journal.note("decrypt", object_id)
        return shared

    def derive(self, object_id: bytes, peer_public_point: bytes, length: int) -> bytes:
        shared = super().derive(object_id, peer_public_point, length)
        self._journal.note("derive", object_id)
        return shared

    def agree(self, object_id: bytes, peer_public_point: bytes, spec: KeySpec, kdf_info: bytes = b"") -> KeyInfo:
        info = super().agree(object_id, peer_public_point, spec, kdf_info)
        self._journal.note("agree", spec.object_id)
        return info

    def wrap(self, wrapping_id: bytes, object_id: bytes) -> bytes:
        wrapped = super().wrap(wrapping_id, object_id)
        self._journal.note("wrap", object_id)
        return wrapped

    def unwrap(self, wrapping_id: bytes, wrapped: bytes, spec: KeySpec) -> KeyInfo:
        info = super().unwrap(wrapping_id, wrapped, spec)
        self._journal.note("unwrap", spec.object_id)
        return info

    def destroy(self, object_id: bytes) -> int:
        count = super().destroy(object_id)
        self._journal.note("destroy", object_id)
        return count
