"""Who is here and what is unlocked: greeting, log-on, health, the device."""

# ruff: noqa: ARG002 - the handlers of one table share one signature

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsm_console.domain.errors import EnvironmentFault, Problem
from hsm_console.domain.messages.session import DeviceState, Greeting, Health, Unlock
from hsm_console.domain.secret import Secret
from hsm_console.gateway.app import Call
from hsm_console.gateway.core import Core
from hsm_console.gateway.workspace import view as workspace_view

PROBE_BYTES = 64 * 1024  # more than any entry of the log takes


def probe(folder: Path) -> None:
    """Whether the next entry would find room. Raises EnvironmentFault `disk-full` or `log-not-writable`."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise EnvironmentFault(
            Problem(
                code="disk-full" if error.errno == errno.ENOSPC else "log-not-writable",
                what=f"The workspace's disk takes no more entries: {error.strerror}.",
                todo="Make room, or correct the folder's rights; nothing is done in the HSM until then.",
                details={"path": str(folder), "errno": str(error.errno)},
            )
        ) from error


class Access:
    """Handlers of the routes of sessions and of the device."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.document: Callable[[], dict[str, Any]] = dict

    def greeting(self, call: Call) -> Greeting:
        """How the gateway sees the person, before anything else"""
        core, session = self._core, call.session
        return Greeting(
            session_uid=session.uid,
            person=session.person,
            roles=session.roles or session.granted,
            certificate_not_after_ms=session.not_after_ms,
            nonce=session.nonce,
            gateway_time_ms=core.now_ms(),
            gateway_sha256=core.contexts.certificate_sha256,
            workspace=workspace_view(core.file, production=core.environment.production),
            device_unlocked=core.device.unlocked,
            notices=self._notices(),
        )

    def _notices(self) -> tuple[Problem, ...]:
        core = self._core
        found = [*core.startup_notices, *core.contexts.problems(core.now_ms())]
        found += [problem for asked in core.notices for problem in asked()]
        fault = core.log.sign_fault
        return tuple(found + ([fault] if fault is not None else []))

    def log_on(self, call: Call) -> Greeting:
        """Begin to act in a role"""
        self._core.sessions.log_on(call.session, call.body)
        return self.greeting(call)

    def log_off(self, call: Call) -> None:
        """End the session"""
        self._core.sessions.log_off(call.session, "asked")

    def health(self, call: Call) -> Health:
        """Whether everything works"""
        core = self._core
        problems = list(self._notices())
        writable = True
        try:
            probe(core.home.directory)
        except EnvironmentFault as error:
            writable = False
            problems.append(error.problem)
        device = core.device.state()
        if device.problem is not None:
            problems.append(device.problem)
        return Health(
            ok=not problems,
            log_writable=writable,
            log_size=core.log.size,
            checkpoint_size=core.log.signed_size,
            crl_next_update_ms=core.contexts.crl.next_update_ms,
            device=device,
            uptime_ms=core.now_ms() - core.started_ms,
            sessions=len(core.sessions.live),
            problems=tuple(problems),
        )

    def openapi(self, call: Call) -> dict[str, Any]:
        """This interface as an OpenAPI 3.1 document"""
        return self.document()

    def device(self, call: Call) -> DeviceState:
        """The token as it is now, and whether it is unlocked"""
        return self._core.device.look()

    def unlock(self, call: Call) -> DeviceState:
        """Unlock the token with the PIN; tried once, never repeated"""
        body: Unlock = call.body
        with Secret(body.pin) as pin:
            return self._core.device.unlock(call.session.actor, pin, call.session.source)

    def lock(self, call: Call) -> DeviceState:
        """Lock the token"""
        return self._core.device.lock(call.session.actor, call.session.source)
