"""The simulated token's files: one per object, each written whole or not at all, all changes under one lock.

    token.json      label, serial, PIN records     objects/<16 hex>.json    one object each     lock    flock

A file is written beside its place, synced, renamed and its directory synced: after a power cut there is the old
object or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.problems import store_refused
from hsm_console.domain.errors import DeviceError, EnvironmentFault, Problem
from hsm_console.domain.keys import Usage

FORMAT = 1
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Kind(enum.StrEnum):
    """CKA_CLASS of an object."""

    PRIVATE = "private"
    PUBLIC = "public"
    SECRET = "secret"  # noqa: S105  # a kind of key
    DATA = "data"


class PinRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a PIN is checked: Argon2id parameters and what its key sealed (AES-256-GCM)."""

    salt: bytes
    memory_kib: int
    passes: int
    lanes: int
    nonce: bytes
    sealed: bytes


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """token.json. failures: wrong user PINs since the last right one."""

    format: int
    simulation: bool
    label: str
    serial: str
    so: PinRecord
    user: PinRecord
    failures: int = 0


class Object(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One object. For private and secret keys `value` is sealed; everything else is authenticated with it."""

    format: int = FORMAT
    kind: Kind
    object_id: bytes = b""
    label: str = ""
    algorithm: str = ""
    usages: tuple[Usage, ...] = ()
    extractable: bool = False
    always_sensitive: bool = True
    never_extractable: bool = True
    local: bool = True
    application: str = ""
    nonce: bytes = b""
    value: bytes = b""

    def header(self) -> bytes:
        """The bytes that authenticate the attributes of a sealed object."""
        return msgspec.json.encode(msgspec.structs.replace(self, nonce=b"", value=b""), order="sorted")


class Stored(msgspec.Struct, frozen=True):
    """An object and the file it lies in."""

    path: Path
    item: Object


class Store:
    """The directory of one token. Raises DeviceError `device-full`, `read-only`, `object-damaged`, `device-removed`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._objects = directory / "objects"
        self._seen: tuple[int, tuple[Stored, ...]] = (-1, ())

    @property
    def exists(self) -> bool:
        return (self.directory / "token.json").exists()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the token's lock: two processes may use one token, one at a time changes it."""
        with _told(self.directory):
            descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)

    def create(self) -> None:
        with _told(self.directory):
            self._objects.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.directory.chmod(0o700)

    def token(self) -> TokenRecord:
        """Raises EnvironmentFault `token-missing` when there is none."""
        try:
            data = (self.directory / "token.json").read_bytes()
        except FileNotFoundError as missing:
            raise token_missing(self.directory) from missing
        try:
            return msgspec.json.decode(data, type=TokenRecord)
        except msgspec.DecodeError as broken:
            raise damaged(self.directory / "token.json") from broken

    def write_token(self, record: TokenRecord) -> None:
        self._write(self.directory / "token.json", msgspec.json.format(msgspec.json.encode(record)))

    def objects(self, *, anew: bool = True) -> tuple[Stored, ...]:
        """All objects, in the order of their file names. Raises `object-damaged` naming the first unreadable file.

        anew False: what was read before will do while the folder's time stamp is the same. Stamps are coarse: who
        misses something then must look anew before saying so.
        """
        with _told(self.directory):
            stamp = self._objects.stat().st_mtime_ns
            if anew or stamp != self._seen[0]:
                paths = sorted(path for path in self._objects.iterdir() if path.suffix == ".json")
                self._seen = (stamp, tuple(Stored(path, _read_object(path)) for path in paths))
        return self._seen[1]

    def add(self, item: Object) -> Stored:
        path = self._objects / f"{secrets.token_hex(8)}.json"
        self._write(path, msgspec.json.format(msgspec.json.encode(item)))
        return Stored(path, item)

    def remove(self, stored: Stored) -> None:
        with _told(stored.path):
            stored.path.unlink()
            _sync_directory(stored.path.parent)

    def _write(self, path: Path, data: bytes) -> None:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
        with _told(path):
            try:
                with os.fdopen(os.open(beside, _NEW, 0o600), "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                beside.rename(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    beside.unlink()
                raise
            _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_object(path: Path) -> Object:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Object)
    except msgspec.DecodeError as broken:
        raise damaged(path) from broken


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the file system says into a Problem in the words of a token."""
    try:
        yield
    except OSError as error:
        raise store_refused(error, path) from error


def token_missing(directory: Path) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="token-missing",
            what="There is no simulated token in this workspace.",
            todo="Set the workspace up first, or restore the token's folder from its backup.",
            details={"path": str(directory)},
        )
    )


def damaged(path: Path) -> DeviceError:
    return DeviceError(
        Problem(
            code="object-damaged",
            what="A file of the simulated token is damaged: its content is not what the token wrote.",
            key_state="The object in that file cannot be used. All others are unchanged.",
            todo="Keep the file as evidence and restore it from its backup.",
            details={"ckr": "CKR_DATA_INVALID", "path": str(path)},
        )
    )
