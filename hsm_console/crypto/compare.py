"""Comparison of secrets and digests in time that does not depend on where they differ."""

from __future__ import annotations

import hmac

from hsm_console.domain.errors import ExitCode, Problem, VerificationFailed


def require_equal(found: bytes, expected: bytes, what: str) -> None:
    """Raises VerificationFailed `not-equal` naming `what`; neither value is quoted. Lengths are not secret."""
    if not hmac.compare_digest(found, expected):
        raise VerificationFailed(
            Problem(
                code="not-equal",
                what=f"{what} is not what it must be.",
                todo="Stop here and find out which of the two is wrong before anything goes on.",
                exit_code=ExitCode.VERIFICATION,
            )
        )
