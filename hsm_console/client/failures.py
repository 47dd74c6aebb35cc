"""Problems that came over a wire, raised again as the ConsoleError they were."""

from __future__ import annotations

from hsm_console.domain import errors
from hsm_console.domain.errors import ConsoleError, ExitCode, Problem

_BY_NAME: dict[str, type[ConsoleError]] = {
    c.__name__: c
    for c in (
        errors.InputError,
        errors.EnvironmentFault,
        errors.PolicyRefusal,
        errors.VerificationFailed,
        errors.DeviceError,
    )
}
_BY_EXIT: dict[int, type[ConsoleError]] = {
    ExitCode.VERIFICATION: errors.VerificationFailed,
    ExitCode.USAGE: errors.InputError,
    ExitCode.ENVIRONMENT: errors.EnvironmentFault,
    ExitCode.POLICY: errors.PolicyRefusal,
}


def error_of(problem: Problem, kind: str = "") -> ConsoleError:
    """The exception for a Problem: by the name of its class where it was sent, else by its exit code."""
    if kind in _BY_NAME:
        return _BY_NAME[kind](problem)
    if "ckr" in problem.details:
        return errors.DeviceError(problem)
    return _BY_EXIT.get(problem.exit_code, ConsoleError)(problem)
