"""What goes in and out of the process that makes a person's key (`hsm_console.credential.enrol`), one JSON a line."""

from __future__ import annotations

import msgspec

from hsm_console.domain.errors import Problem


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """In, first: for whom, and where the credential file goes. iterations: of PBKDF2 and MAC."""

    uid: str
    name: str
    passphrase: str
    path: str
    iterations: int

    def __repr__(self) -> str:
        return f"Wish({self.uid!r}, {self.path!r}, passphrase=…)"


class Certified(msgspec.Struct, frozen=True, kw_only=True):
    """In, second: what the gateway issued. Both PEM."""

    certificate: str
    authority: str


class EnrolLine(msgspec.Struct, frozen=True, kw_only=True):
    """Out: exactly one is set. csr: PEM; written: the file's path."""

    csr: str = ""
    written: str = ""
    problem: Problem | None = None
