"""`python -m hsm_console.gateway.renewal WORKSPACE`: what to do when nobody can log in because something ran out.

A gateway without a fresh list of revoked certificates lets nobody in, so nobody could ask it for one. Like the
founding, this is done by the owner of the folder, with the token's PIN (JSON `{"pin": …}` on standard input), while no
gateway runs. It only renews: no person is enrolled, no right is granted, and all of it stands in the log.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

import msgspec

from hsm_console.domain import events as ev
from hsm_console.domain.errors import ConsoleError, ExitCode, InputError, Problem
from hsm_console.domain.events import Draft
from hsm_console.domain.secret import Secret
from hsm_console.gateway import compose, issuing
from hsm_console.gateway.core import Core
from hsm_console.gateway.workspace import Home


class Given(msgspec.Struct, frozen=True):
    """What comes in on standard input."""

    pin: str

    def __repr__(self) -> str:
        return "Given(pin=…)"


def main() -> int:
    """Renew; one JSON object tells what was done, or the problem."""
    os.umask(0o077)
    try:
        told: dict[str, object] = renew(Path(sys.argv[1]), _given())
    except ConsoleError as error:
        sys.stdout.write(json.dumps({"problem": msgspec.to_builtins(error.problem)}) + "\n")
        return int(error.problem.exit_code)
    sys.stdout.write(json.dumps(told) + "\n")
    return ExitCode.OK


def _given() -> Secret:
    try:
        return Secret(msgspec.json.decode(sys.stdin.buffer.read(), type=Given).pin)
    except msgspec.DecodeError:
        raise InputError(
            Problem(
                code="secrets-unreadable",
                what="Standard input is not a JSON object with the token's PIN.",
                todo="Use `hsm-console workspace renew`, which asks for it.",
                exit_code=ExitCode.USAGE,
            )
        ) from None


def renew(directory: Path, pin: Secret) -> dict[str, object]:
    """A run of its own in the log: started, unlocked, renewed, stopped. Raises as the gateway's start and unlock do."""
    with contextlib.ExitStack() as undo:
        core = compose.prepare(directory, undo)
        core.log.append(compose.started(core, "renewal, no listener"))
        core.seals.begin()
        try:
            with pin:
                core.device.unlock(None, pin, "renewal")
            return _issue(core)
        finally:
            core.log.append([Draft(event=ev.GatewayStopped(run_uid=core.run_uid, reason="renewed"))])
            core.device.lock(None)


def _issue(core: Core) -> dict[str, object]:
    home: Home = core.home
    authority = core.signing_authority()
    identity = issuing.identity_is_due(home, core.now_ms())
    if identity:
        issuing.renew_identity(home, core.log, authority, core.now_ms())
    crl = issuing.renew_crl(home, core.log, authority, core.environment, core.now_ms())
    return {"crl": crl.number, "crl_next_update_ms": crl.next_update_ms, "identity_renewed": identity}


if __name__ == "__main__":
    raise SystemExit(main())
