"""Failures told in four things: what happened, what state the key is in, what to do, whom to call."""

from __future__ import annotations

import enum

import msgspec

NOTHING_DONE = "Nothing has been done; no key was touched."


class ExitCode(enum.IntEnum):
    """Exit codes of the command line (DESIGN 8)."""

    OK = 0
    VERIFICATION = 1
    USAGE = 2
    ENVIRONMENT = 3
    POLICY = 4


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The four things, as they go over the wire, onto the screen and onto paper in the same words.

    code: stable kebab-case name, for programs and for the log (for example `passphrase-wrong`).
    details: technical facts for the witness (CKR name, verify code, path); never a secret.
    """

    code: str
    what: str
    key_state: str = NOTHING_DONE
    todo: str
    contact: str = "the administrator of this workstation"
    details: dict[str, str] = {}
    exit_code: int = ExitCode.ENVIRONMENT

    def in_words(self) -> str:
        """The four things as four short lines of plain text."""
        return f"{self.what}\n{self.key_state}\nWhat to do: {self.todo}\nWhom to call: {self.contact}"


class ConsoleError(Exception):
    """Root of every failure that is told to people. Carries a Problem; decides nothing."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.what}")
        self.problem = problem


class InputError(ConsoleError):
    """The caller's input cannot be used (exit 2)."""


class EnvironmentFault(ConsoleError):
    """A part of the environment is missing or broken: module, token, disk, socket (exit 3)."""


class PolicyRefusal(ConsoleError):
    """The gateway understood and refuses (exit 4)."""


class VerificationFailed(ConsoleError):
    """A check found something wrong (exit 1). Nothing called verify or check returns a bool."""


class DeviceError(ConsoleError):
    """The HSM or its module failed; `details['ckr']` names the PKCS#11 return value where there is one."""
