"""Asking people at the terminal, and logging in from there. Secrets come from the terminal or from standard input."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from hsm_console.client import elsewhere, rendezvous
from hsm_console.client.rendezvous import GatewayAddress
from hsm_console.client.session import Session, log_in
from hsm_console.client.transport import GatewayProcess
from hsm_console.domain.errors import EnvironmentFault, ExitCode, InputError, Problem
from hsm_console.domain.people import Role
from hsm_console.domain.reading import read_whole
from hsm_console.domain.secret import Secret


class Secrets:
    """Where secrets come from: typed at the terminal, or one JSON object on standard input (`--secrets -`)."""

    def __init__(self, *, from_stdin: bool) -> None:
        self._given: dict[str, str] | None = None
        if from_stdin:
            try:
                self._given = msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, str])
            except msgspec.DecodeError as error:
                raise usage("secrets-unreadable", f"Standard input is no JSON object of texts: {error}.") from None

    def get(self, name: str, question: str) -> Secret:
        """The secret `name`. Raises InputError `secret-missing`."""
        if self._given is not None:
            text = self._given.get(name, "")
        else:
            if not sys.stdin.isatty():
                raise usage("secret-missing", f"“{name}” is needed, and there is no terminal to type it at.")
            text = getpass.getpass(f"{question}: ", stream=sys.stderr)
        if not text:
            todo = "Type it." if self._given is None else f"Give “{name}” in the JSON object on standard input."
            raise usage("secret-missing", f"“{name}” is empty.", todo)
        return Secret(text)

    def new(self, name: str, question: str) -> Secret:
        """A secret that is being chosen: typed twice at the terminal."""
        first = self.get(name, question)
        if self._given is None and self.get(name, "The same again") != first:
            raise usage("secrets-differ", "The two entries are not the same.")
        return first


def ask(question: str, default: str = "") -> str:
    """One line from the terminal. Raises InputError `input-ended`."""
    shown = f"{question} [{default}]: " if default else f"{question}: "
    sys.stderr.write(shown)
    sys.stderr.flush()
    line = sys.stdin.readline()
    if not line:
        raise usage(
            "input-ended",
            "Standard input ended before everything was answered.",
            "Type the answers at a terminal, or give them as options: `--help` lists them.",
        )
    return line.strip() or default


@contextlib.contextmanager
def gateway_of(workspace: Path) -> Iterator[GatewayAddress]:
    """The gateway that runs for this workspace, here or elsewhere; else one of our own while the block lasts."""
    if elsewhere.stands_here(workspace):
        yield elsewhere.address(workspace)
        return
    found = rendezvous.running(workspace)
    if found is not None:
        yield rendezvous.for_workspace(workspace, found.listen)
        return
    with GatewayProcess(workspace) as process:
        yield process.address


def credential_of(workspace: Path, given: str) -> Path:
    """A credential by path, or by the short name of a person of this workspace."""
    path = Path(given)
    inside = workspace / "credentials" / f"{given}.p12"
    return inside if not path.exists() and inside.exists() else path


@contextlib.contextmanager
def logged_in(
    workspace: Path, credential: str, secrets: Secrets, role: Role | None = None, *, name: str = "passphrase"
) -> Iterator[Session]:
    """A session for as long as the block lasts."""
    with gateway_of(workspace) as address:
        path = credential_of(workspace, credential)
        with secrets.get(name, f"Passphrase of {path.name}") as passphrase:
            session = log_in(address, path, passphrase, role)
        try:
            yield session
        finally:
            session.close()


def read_file(path: Path, most: int) -> bytes:
    """A whole file. Raises EnvironmentFault `file-unreadable`, InputError `file-too-large`."""
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise _file_fault("file-unreadable", f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > most:
        raise usage("file-too-large", f"{path} has more than {most} octets.")
    return data


def given(path: Path, most: int = 64 * 1024) -> bytes:
    """What stands in a file that the command was given to judge. Raises InputError `file-unreadable`."""
    try:
        return read_whole(path, most)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or str(error)
        problem = Problem(
            code="file-unreadable",
            what=f"{str(path)[-200:]} cannot be read: {why}.",
            todo="Check the name, the permissions, and that it is the file that was meant.",
            exit_code=ExitCode.USAGE,
        )
        raise InputError(problem) from error


def text_of(argument: str) -> str:
    """A text that was given itself, or the file that it stands in. Raises InputError `file-unreadable`."""
    if not os.path.isfile(argument):  # noqa: PTH113 - a Path raises where this says no: a name too long, no permission
        return argument
    return given(Path(argument)).decode("utf-8", "replace")


def require_new(path: Path) -> None:
    """Raises EnvironmentFault `file-exists`."""
    if path.exists():
        raise _file_fault("file-exists", f"{path} is there already; it is not written over.")


def write_file(path: Path, data: bytes) -> None:
    """A new file of its owner's alone (0600); one that is there is never written over.

    Raises EnvironmentFault `file-exists`, `file-unwritable`.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except FileExistsError as error:
        raise _file_fault("file-exists", f"{path} is there already; it is not written over.") from error
    except OSError as error:
        raise _file_fault("file-unwritable", f"{path} cannot be written: {error.strerror}.") from error


def _file_fault(code: str, what: str) -> EnvironmentFault:
    return EnvironmentFault(Problem(code=code, what=what, todo="Choose another place or another name."))


def usage(code: str, what: str, todo: str = "Look at `--help` and try again.") -> InputError:
    return InputError(Problem(code=code, what=what, todo=todo, exit_code=ExitCode.USAGE))
