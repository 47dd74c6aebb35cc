"""One workspace on disk: `workspace.toml`, where its parts lie, and the lock that lets one gateway in."""

from __future__ import annotations

import fcntl
import json
import os
import tomllib
from pathlib import Path

import msgspec

from hsm_console.crypto.files import write_durably
from hsm_console.domain import places
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem
from hsm_console.domain.messages.session import Workspace as WorkspaceView
from hsm_console.hsm.port import Binding

FORMAT = 1
FILE = places.WORKSPACE
LOG = "audit.db"
VKEY = "log.vkey"
DEVICES = "devices"
TOKEN = "token"  # noqa: S105 - the name of a folder
EVIDENCE = "evidence"
LOCK = "lock"
FOUNDING = "founding.json"
DIAGNOSTICS = "gateway/diagnostics.log"


class TokenTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the token is. serial: as it was at the founding; a token with another one is refused."""

    adapter: str
    label: str
    serial: str
    simulated: bool
    options: dict[str, str] = {}


class DeviceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further device (`[[devices]]`). The log is what counts: this is a copy of its list for people and backups."""

    name: str
    adapter: str
    label: str
    serial: str
    region: str = ""
    weight: int = 1
    options: dict[str, str] = {}


class WorkspaceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`workspace.toml`: what this installation is. Nothing in it is secret."""

    format: int
    name: str
    chain_uid: str
    origin: str
    environment: str
    created_ms: int
    region: str = ""
    token: TokenTable
    devices: tuple[DeviceTable, ...] = ()

    def as_toml(self) -> str:
        plain = (name for name in self.__struct_fields__ if name not in ("token", "devices"))
        head = "".join(f"{name} = {_toml(getattr(self, name))}\n" for name in plain if getattr(self, name) != "")
        token = "".join(
            f"{name} = {_toml(getattr(self.token, name))}\n"
            for name in self.token.__struct_fields__
            if name != "options"
        )
        options = "".join(f"{_toml(name)} = {_toml(value)}\n" for name, value in sorted(self.token.options.items()))
        more = "".join(_device_toml(device) for device in self.devices)
        return f"{head}\n[token]\n{token}\n[token.options]\n{options}{more}"


def _device_toml(device: DeviceTable) -> str:
    plain = "".join(
        f"{name} = {_toml(getattr(device, name))}\n" for name in device.__struct_fields__ if name != "options"
    )
    options = "".join(f"{_toml(name)} = {_toml(value)}\n" for name, value in sorted(device.options.items()))
    return f"\n[[devices]]\n{plain}\n[devices.options]\n{options}"


def _toml(value: str | int | bool) -> str:
    return json.dumps(value, ensure_ascii=False)  # a JSON scalar is a TOML scalar for text, integers and booleans


class Home:
    """The parts of one workspace directory. Pure paths and small reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.log = self.directory / LOG
        self.vkey = self.directory / VKEY
        self.authority = self.directory / places.AUTHORITY
        self.crl = self.directory / places.CRL
        self.roster = self.directory / places.ROSTER
        self.roster_signature = self.directory / places.ROSTER_SIGNATURE
        self.gateway_certificate = self.directory / places.GATEWAY_CERTIFICATE
        self.gateway_key = self.directory / places.GATEWAY_KEY
        self.credentials = self.directory / places.CREDENTIALS
        self.token = self.directory / TOKEN
        self.evidence = self.directory / EVIDENCE
        self.diagnostics = self.directory / DIAGNOSTICS

    def load(self) -> WorkspaceFile:
        """`workspace.toml`. Raises InputError `workspace-missing` or `workspace-unreadable`."""
        path = self.directory / FILE
        try:
            found = msgspec.convert(tomllib.loads(path.read_text("utf-8")), WorkspaceFile)
        except FileNotFoundError:
            raise _unusable("workspace-missing", f"There is no workspace at {self.directory}.") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise _unusable("workspace-unreadable", f"{path} cannot be used: {error}.") from error
        if found.format != FORMAT:
            raise _unusable("workspace-unreadable", f"{path} has format {found.format}; this software reads {FORMAT}.")
        return found

    def save(self, file: WorkspaceFile) -> None:
        write_durably(self.directory / FILE, file.as_toml().encode(), 0o644)

    def binding(self, file: WorkspaceFile) -> Binding:
        """The token that this workspace was founded on."""
        return Binding(
            adapter=file.token.adapter,
            token_label=file.token.label,
            directory=str(self.token),
            serial=file.token.serial,
            options=dict(file.token.options),
        )

    def member_binding(self, device: DeviceTable) -> Binding:
        """A further device. A software token lies in `devices/<name>` unless the option `directory` says otherwise."""
        options = dict(device.options)
        directory = options.pop("directory", "") or str(self.directory / DEVICES / device.name)
        return Binding(
            adapter=device.adapter,
            token_label=device.label,
            directory=directory,
            serial=device.serial,
            options=options,
        )

    def run_directory(self) -> Path:
        """Where the sockets of this workspace's gateway lie; made if need be, private to this system user.

        Raises EnvironmentFault `run-directory-unsafe` when somebody else owns it.
        """
        root = os.environ.get("XDG_RUNTIME_DIR", "")
        path = places.run_directory(self.directory, runtime_root=root, user_id=os.getuid())
        try:
            for folder in (path.parent, path):
                folder.mkdir(mode=places.RUN_DIRECTORY_MODE, exist_ok=True)
                _require_private(folder)
        except OSError as error:
            raise _unsafe(path, error.strerror or str(error)) from error
        return path


def _require_private(folder: Path) -> None:
    status = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise _unsafe(folder, "it belongs to somebody else or is open to others")


def _unsafe(path: Path, why: str) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="run-directory-unsafe",
            what=f"The folder for the gateway's sockets, {path}, cannot be used: {why}.",
            todo="Remove it or correct its owner and its rights (0700), then start again.",
        )
    )


def _unusable(code: str, what: str) -> InputError:
    return InputError(
        Problem(
            code=code,
            what=what,
            todo="Name the folder that `hsm-console workspace init` made, or restore it from the backup.",
            exit_code=ExitCode.USAGE,
        )
    )


class WorkspaceLock:
    """flock on the workspace: one gateway at a time. Held as long as the process lives."""

    def __init__(self, directory: Path) -> None:
        """Raises EnvironmentFault `workspace-in-use` (with the holder's pid) or `workspace-not-writable`."""
        path = directory / LOCK
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise EnvironmentFault(
                Problem(
                    code="workspace-not-writable",
                    what=f"The workspace {directory} cannot be written to: {error.strerror}.",
                    todo="Check the folder's owner and rights, and that the disk is not mounted read-only.",
                    details={"path": str(path), "errno": str(error.errno)},
                )
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise EnvironmentFault(
                Problem(
                    code="workspace-in-use",
                    what=f"Another gateway (process {holder}) has this workspace open.",
                    todo="Use that one, or end it first; two at once would write two histories.",
                    details={"pid": holder, "path": str(path)},
                )
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)


def view(file: WorkspaceFile, *, production: bool) -> WorkspaceView:
    """What the banner says."""
    return WorkspaceView(
        name=file.name,
        chain_uid=file.chain_uid,
        origin=file.origin,
        environment=file.environment,
        production=production,
        simulated=file.token.simulated,
        adapter=file.token.adapter,
    )
