"""The roster in force: verified against the authority and against the log before anybody is let in.

The roster and the CRL are issued write-ahead: the new file lies beside the old one as `.next`, the log says that it
is in force, then it is renamed. After a crash in between, `settle` finishes or drops what was begun.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from pathlib import Path

from cryptography import x509

from hsm_console.crypto.files import write_durably
from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed
from hsm_console.domain.people import Roster
from hsm_console.gateway import projections
from hsm_console.gateway.workspace import Home
from hsm_console.pki import roster as rosters

NEXT = ".next"
PUBLIC_MODE = 0o644


class RosterBook:
    """Holds the verified roster. `current` never changes under a reader; `replace` swaps it."""

    def __init__(self, home: Home, authority: x509.Certificate, conn: sqlite3.Connection) -> None:
        """Raises VerificationFailed `roster-not-authentic`, `roster-unreadable`, `roster-not-in-log`."""
        self._home = home
        self._authority = authority
        self._lock = threading.Lock()
        self._current = self._load(conn)

    @property
    def current(self) -> Roster:
        with self._lock:
            return self._current

    def _load(self, conn: sqlite3.Connection) -> Roster:
        try:
            data, signature = self._home.roster.read_bytes(), self._home.roster_signature.read_bytes()
        except OSError as error:
            raise _missing(error) from error
        roster = rosters.verify(self._authority, data, signature)
        said = projections.issued(conn, "roster")
        if said is None or said != (roster.version, hashlib.sha256(data).hexdigest()):
            raise VerificationFailed(
                Problem(
                    code="roster-not-in-log",
                    what=(
                        f"The roster on the disk (version {roster.version}) is not the one that the log says is in "
                        f"force (version {said[0] if said else 'none'})."
                    ),
                    todo="Bring back roster.json and roster.p7s of that version from the backup; nobody may log in.",
                    contact="the administrator and the security officer",
                    exit_code=ExitCode.VERIFICATION,
                )
            )
        return roster

    def stage(self, data: bytes, signature: bytes) -> None:
        """Lay a new roster beside the old one, durably; it is not in force."""
        _stage(self._home.roster, data)
        _stage(self._home.roster_signature, signature)

    def replace(self, roster: Roster) -> None:
        """The log says that the staged roster is in force."""
        for path in (self._home.roster, self._home.roster_signature):
            _next(path).replace(path)
        with self._lock:
            self._current = roster


def _missing(error: OSError) -> VerificationFailed:
    return VerificationFailed(
        Problem(
            code="roster-not-authentic",
            what=f"The roster cannot be read: {error.strerror}.",
            todo="Bring back roster.json and roster.p7s from the backup; nobody can log in without them.",
            contact="the administrator and the security officer",
            details={"path": str(error.filename)},
            exit_code=ExitCode.VERIFICATION,
        )
    )


def _next(path: Path) -> Path:
    return path.with_name(path.name + NEXT)


def _stage(path: Path, data: bytes) -> None:
    write_durably(_next(path), data, PUBLIC_MODE)


def stage_crl(home: Home, data: bytes) -> None:
    """Lay a new CRL beside the old one, durably."""
    _stage(home.crl, data)


def replace_crl(home: Home) -> None:
    """The log says that the staged CRL is in force; the next handshake reads it."""
    _next(home.crl).replace(home.crl)


def settle(home: Home, conn: sqlite3.Connection) -> None:
    """After a crash: what the log says is in force is put in its place, what it does not know is dropped."""
    groups = {"roster": (home.roster, home.roster_signature), "crl": (home.crl,)}
    for what, paths in groups.items():
        said = projections.issued(conn, what)
        first = _next(paths[0])
        in_force = said is not None and first.exists() and hashlib.sha256(first.read_bytes()).hexdigest() == said[1]
        # The signature file is renamed last: when only it is left, the roster itself is in place already.
        renamed = said is not None and not first.exists() and _is(paths[0], said[1])
        for path in paths:
            if _next(path).exists() and (in_force or renamed):
                _next(path).replace(path)
            elif _next(path).exists():
                _next(path).unlink()


def _is(path: Path, sha256: str) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256
