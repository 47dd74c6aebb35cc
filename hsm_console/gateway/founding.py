"""Founding a workspace: `python -m hsm_console.gateway.founding`, FoundingSpec on stdin, FoundingProgress on stdout.

Everything is made in a staging folder beside the target and moved into place at the end, so that a workspace exists
whole or not at all. The founding statement is durable first; the first keys' ids derive from it (ADR 0003), so that a
founding that was killed goes on from it and finds the keys it made. PINs and passphrases are used and never stored.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from pathlib import Path

import msgspec

from hsm_console import __version__
from hsm_console.crypto.files import sync_directory, write_durably
from hsm_console.domain.errors import ConsoleError, EnvironmentFault, ExitCode, InputError, Problem
from hsm_console.domain.messages.setup import FoundingProgress, FoundingSpec
from hsm_console.gateway import founding_rules as rules
from hsm_console.gateway.founding_statement import OtherSecrets, Statement, new_statement
from hsm_console.gateway.founding_steps import Founding, Tell
from hsm_console.gateway.incidents import Incidents
from hsm_console.gateway.workspace import FOUNDING, TOKEN

STEPS = 9


def found(spec: FoundingSpec, tell: Tell) -> dict[str, str]:
    """Make the workspace; uid → path of each person's credential file. Raises ConsoleErrors; then it does not exist.

    Run again after a crash with the same wish it goes on where it stopped.
    """
    tell(1, "Looking at what is asked for.")
    environment = rules.check(spec)
    target = Path(spec.directory).absolute()
    rules.check_place(target)
    staging = target.with_name(f".{target.name}.founding")
    with _Claim(staging):
        for last_try in (False, True):
            statement = _begin(staging, spec)
            try:
                Founding(staging, spec, statement, environment, tell).run()
                break
            except OtherSecrets:
                if last_try:
                    raise
                _discard(staging)
        tell(STEPS, "Moving the workspace into its place.")
        _move(staging, target)
    return {f.person.uid: str(target / "credentials" / f"{f.person.uid}.p12") for f in spec.people}


class _Claim:
    """One founding at a time for a folder."""

    def __init__(self, staging: Path) -> None:
        self._path = staging.with_name(staging.name + ".lock")

    def __enter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._descriptor)
            raise EnvironmentFault(
                Problem(
                    code="founding-under-way",
                    what="Another founding of this workspace is at work.",
                    todo="Wait until it has ended.",
                )
            ) from error

    def __exit__(self, *exc: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _begin(staging: Path, spec: FoundingSpec) -> Statement:
    """The statement of an unfinished founding of the same wish, or a new one, durable before anything is made."""
    path = staging / FOUNDING
    if path.exists():
        statement = msgspec.json.decode(path.read_bytes(), type=Statement)
        if statement.describes(spec) and statement.software_version == __version__:
            return statement
        _discard(staging)
    elif staging.exists():
        shutil.rmtree(staging)  # killed before the statement was durable: nothing was made
    staging.mkdir(mode=0o700)
    statement = new_statement(spec)
    write_durably(path, statement.encode())
    return statement


def _discard(staging: Path) -> None:
    """Start anew. Only where the token's store lies in the staging folder: keys elsewhere would be left behind.

    Raises EnvironmentFault `founding-unfinished` otherwise.
    """
    store = staging / TOKEN
    kept_here = store.is_dir() and any(store.iterdir())
    if not kept_here and (staging / "token.began").exists():
        raise EnvironmentFault(
            Problem(
                code="founding-unfinished",
                what="A founding with other people, names or secrets was begun on this token and not finished.",
                key_state="The token holds keys of that founding.",
                todo="Finish it with exactly what was entered then, or have the token reset by its owner.",
                details={"statement": str(staging / FOUNDING)},
            )
        )
    shutil.rmtree(staging)


def _move(staging: Path, target: Path) -> None:
    _sync_tree(staging)
    try:
        staging.rename(target)
    except OSError as error:
        raise rules.refused(
            "directory-not-empty", f"{target} cannot be made: {error.strerror}.", "Try again."
        ) from error
    sync_directory(target.parent)
    # Only now: without its mark, a staging folder with a token in it could not be told from somebody else's token.
    (target / "token.began").unlink(missing_ok=True)


def _sync_tree(root: Path) -> None:
    for folder, _, names in os.walk(root):
        for path in (Path(folder), *(Path(folder) / name for name in names)):
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)


def main() -> int:
    """Read the wish, make the workspace, tell one JSON object a line."""
    os.umask(0o077)
    n = 0

    def tell(step: int, text: str) -> None:
        nonlocal n
        n = step
        _say(FoundingProgress(n=step, of=STEPS, text=text))

    try:
        spec = _read()
        credentials = found(spec, tell)
    except ConsoleError as error:
        problem = error.problem
    except OSError as error:
        problem = _no_room(error)
    except Exception as error:  # noqa: BLE001 - the boundary of a process: told as a Problem, without secrets
        problem = Incidents(Path(os.devnull)).bug(error, "founding").problem
        sys.stderr.write(f"{type(error).__name__} at {_where(error)}\n")
    else:
        _say(FoundingProgress(n=STEPS, of=STEPS, text="The workspace is ready.", done=True, credentials=credentials))
        return ExitCode.OK
    _say(FoundingProgress(n=n, of=STEPS, text=problem.what, problem=problem))
    return int(problem.exit_code)


def _read() -> FoundingSpec:
    try:
        return msgspec.json.decode(sys.stdin.buffer.read(), type=FoundingSpec)
    except msgspec.DecodeError as error:
        raise InputError(
            Problem(
                code="founding-unreadable",
                what=f"The founding's specification cannot be read: {error}.",
                todo="Start from the set-up assistant or from `hsm-console workspace init`.",
                exit_code=ExitCode.USAGE,
            )
        ) from None


def _no_room(error: OSError) -> Problem:
    return Problem(
        code="disk-full" if error.errno == 28 else "file-not-written",
        what=f"A file could not be written: {error.strerror}.",
        todo="Check free space and the folder's rights, then do it again; it goes on where it stopped.",
        details={"path": str(error.filename or ""), "errno": str(error.errno)},
    )


def _where(error: BaseException) -> str:
    import traceback

    return " < ".join(
        f"{Path(f.filename).name}:{f.lineno}" for f in reversed(traceback.extract_tb(error.__traceback__))
    )


def _say(progress: FoundingProgress) -> None:
    sys.stdout.write(msgspec.json.encode(progress).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
