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


_NO_OTHER_KEY = (
    "No other key can go on with this log: none was announced by the one before it, every verifier calls it FOREIGN. "
    "If the key is in a backup of the token, restore it there. If it is lost for ever, end this log: export it as a "
    "bundle, let a witness cosign its last head, and found a new workspace whose first ceremony records that head."
)


def log_key_lost() -> VerificationFailed:
    """The token is the right one by its serial, and the key that signs the log is not in it."""
    return VerificationFailed(
        Problem(
            code="log-key-lost",
            what="The token does not hold the key that signs this log.",
            key_state="The token was locked again, nothing was done with it. What was signed before stays verifiable.",
            todo=_NO_OTHER_KEY,
            contact="the security officer and the auditor",
            exit_code=ExitCode.VERIFICATION,
        )
    )


def log_key_foreign() -> VerificationFailed:
    """Another key lies where the log's key was."""
    return VerificationFailed(
        Problem(
            code="log-key-foreign",
            what="FOREIGN: the token holds another key in the place of the one that signs this log.",
            key_state="The token was locked again and nothing was signed. What was signed before stays verifiable.",
            todo=f"Find out who put it there, and do not use this token. {_NO_OTHER_KEY}",
            contact="the security officer and the auditor",
            exit_code=ExitCode.VERIFICATION,
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
