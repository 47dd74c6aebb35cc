"""Log-in, greeting, device unlock, health."""

from __future__ import annotations

import msgspec

from hsm_console.domain.errors import Problem
from hsm_console.domain.keys import DeviceInfo
from hsm_console.domain.people import Person, Role


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """What the banner says. simulated: the token is no hardware; production: what the environment demands."""

    name: str
    chain_uid: str
    origin: str
    environment: str
    production: bool
    simulated: bool
    adapter: str


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """First answer after the handshake (GET /v1/greeting): the person as the gateway sees her.

    nonce: hex, goes into every approval of this session; gateway_sha256: digest of the gateway's certificate DER.
    """

    session_uid: str
    person: Person
    roles: tuple[Role, ...]
    certificate_not_after_ms: int
    nonce: str
    gateway_time_ms: int
    gateway_sha256: str
    workspace: Workspace
    device_unlocked: bool
    notices: tuple[Problem, ...] = ()


class LogOn(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/session: the role one wants to act in (None: all that the roster grants).

    watch: only to look, for a window that nobody touches: everything but reading is refused, and no idleness ends it.
    """

    role: Role | None = None
    step_up: bool = False
    watch: bool = False


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/device. problem: why it is not usable."""

    unlocked: bool
    device: DeviceInfo | None = None
    problem: Problem | None = None
    busy_with: str = ""


class Unlock(msgspec.Struct, frozen=True, kw_only=True):
    """POST /v1/device/unlock. The body is never logged; the PIN reaches the worker and is kept nowhere."""

    pin: str

    def __repr__(self) -> str:
        return "Unlock(pin=…)"


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """GET /v1/health (any authenticated person)."""

    ok: bool
    log_writable: bool
    log_size: int
    checkpoint_size: int
    crl_next_update_ms: int
    device: DeviceState
    uptime_ms: int
    sessions: int
    problems: tuple[Problem, ...] = ()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a handshake or a log-on was refused, in the gateway's own words (see `gateway/refusals`)."""

    reason: str
    problem: Problem
    clock_ms: int
    verify_code: int = 0
