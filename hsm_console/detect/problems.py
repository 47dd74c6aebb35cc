"""A rule that cannot be used is refused by name and told: a rule that was passed over in silence would be a hole."""

from __future__ import annotations

from hsm_console.domain.errors import ExitCode, InputError, Problem


def refused(rule: str, why: str) -> InputError:
    return InputError(
        Problem(
            code="rule-refused",
            what=f"The detection rule “{rule}” cannot be used: {why}.",
            todo="Correct the rule, or restore the file from the software's installation, and start the gateway again. "
            "This rule watches nothing till then; the others do.",
            contact="whoever wrote the rule",
            exit_code=ExitCode.USAGE,
            details={"rule": rule},
        )
    )
