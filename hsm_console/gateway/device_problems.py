"""Why a token is not used: it is another one, it remembers another history, or it went down."""

from __future__ import annotations

from hsm_console.domain.errors import EnvironmentFault, ExitCode, Problem, VerificationFailed


def down(problem: Problem) -> Problem:
    """The problem of a device that was unlocked, with what to do now."""
    return Problem(
        code=problem.code,
        what=f"{problem.what} The device is locked now.",
        key_state=problem.key_state,
        todo="Unlock the device again; what was under way is then looked up in the token and told.",
        contact=problem.contact,
        details=problem.details,
    )


def wrong_serial(expected: str, found: str, name: str = "") -> EnvironmentFault:
    """Another token than the one that was named, perhaps under the right label. name: of a further device."""
    of, record = (f"“{name}” of this workspace", "entry that added it") if name else ("the one of this workspace",
                                                                                     "founding record")  # fmt: skip
    return EnvironmentFault(
        Problem(
            code="token-wrong-serial",
            what=f"The token that is connected (serial {found}) is not {of} ({expected}).",
            todo=f"Connect the right one; compare the serial on its case with the {record}.",
            details={"expected": expected, "found": found, **({"device": name} if name else {})},
        )
    )


def other_keys(name: str, label: str, object_id: str) -> VerificationFailed:
    """A device holds another key under the id of one of ours."""
    return VerificationFailed(
        Problem(
            code="device-other-keys",
            what=f"The device “{name}” holds another key in the place of “{label}”: its public key differs.",
            key_state="The key in the other devices is unchanged. The device was locked again and is not used.",
            todo="Do not use this device. Find out what was put into it; then add it anew or replace it.",
            contact="the administrator of the HSM and the security officer",
            exit_code=ExitCode.VERIFICATION,
            details={"device": name, "key": object_id},
        )
    )


def other_history(code: str, what: str) -> VerificationFailed:
    """The token remembers another history than this log's."""
    return VerificationFailed(
        Problem(
            code=code,
            what=what,
            todo="Do not act. Keep this folder as it is, find the newer copy, and run `hsm-console audit verify`.",
            contact="the auditor and the security officer",
            exit_code=ExitCode.VERIFICATION,
        )
    )
