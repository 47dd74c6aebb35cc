"""Failures that belong to no adapter: a worker that hangs, ends or may not start, and the tags of error families."""

from __future__ import annotations

from hsm_console.domain.errors import (
    NOTHING_DONE,
    ConsoleError,
    DeviceError,
    EnvironmentFault,
    InputError,
    PolicyRefusal,
    Problem,
    VerificationFailed,
)
from hsm_console.hsm.port import Unsupported

FAMILIES: dict[str, type[ConsoleError]] = {
    family.__name__: family
    for family in (InputError, EnvironmentFault, PolicyRefusal, VerificationFailed, DeviceError, Unsupported)
}

_HSM_PEOPLE = "the administrator of the HSM"
KEY_UNCHANGED = "The key is unchanged."
GENERATION_UNKNOWN = (
    "It is not known whether a key was made. Nothing is generated again by itself: the console lists the token first."
)
DESTRUCTION_UNKNOWN = "It is not known whether the key still exists. List the token before anything else."
INITIALISATION_UNKNOWN = "It is not known how far the token was initialised."
_STATE_AFTER = {
    "generate": GENERATION_UNKNOWN,
    "unwrap": GENERATION_UNKNOWN,
    "agree": GENERATION_UNKNOWN,
    "destroy": DESTRUCTION_UNKNOWN,
    "delete_data": "It is not known whether the data object still exists. No key was touched.",
    "write_data": "It is not known whether the data object was written. No key was touched.",
    "initialise_token": INITIALISATION_UNKNOWN,
    "change_pin": "It is not known which PIN is in force now, the old or the new. No key was touched.",
    "log_in": "No key was touched. The device may have counted this as a try.",
    "sign": KEY_UNCHANGED,
    "verify": KEY_UNCHANGED,
    "encrypt": KEY_UNCHANGED,
    "decrypt": KEY_UNCHANGED,
    "wrap": KEY_UNCHANGED,
    "derive": KEY_UNCHANGED,
}


def state_after(method: str) -> str:
    """What is known of the key when `method` ended without an answer (the second of the four things)."""
    return _STATE_AFTER.get(method, NOTHING_DONE)


def rebuild(family: str, problem: Problem) -> ConsoleError:
    """The error a worker reported, with its class and its Problem unchanged."""
    return FAMILIES.get(family, DeviceError)(problem)


def hung(method: str, seconds: float) -> DeviceError:
    """The deadline passed and the worker was ended."""
    return DeviceError(
        Problem(
            code="device-hung",
            what=f"The device did not answer within {seconds:g} seconds, so its driver was ended. It is locked now.",
            key_state=state_after(method),
            todo="Check the device, its cable or its network. Then connect again and unlock the device.",
            contact=_HSM_PEOPLE,
            details={"call": method, "deadline_s": f"{seconds:g}"},
        )
    )


def crashed(method: str, ending: dict[str, str]) -> DeviceError:
    """The worker ended by itself during `method`; `ending` names its signal or exit status."""
    return DeviceError(
        Problem(
            code="device-crashed",
            what="The device's driver stopped working in the middle of a call. The console itself goes on.",
            key_state=state_after(method),
            todo="Connect the device again and unlock it. If this comes back, run `hsm-console adapter doctor`.",
            contact=_HSM_PEOPLE,
            details={"call": method, **ending},
        )
    )


def closed(method: str) -> DeviceError:
    """No worker is running."""
    return DeviceError(
        Problem(
            code="device-closed",
            what="The device is not connected: its driver is not running.",
            todo="Connect the device again and unlock it.",
            contact=_HSM_PEOPLE,
            details={"call": method},
        )
    )


def not_startable(reason: str, detail: str) -> EnvironmentFault:
    """The worker process could not be started or ended before it was ready."""
    return EnvironmentFault(
        Problem(
            code="device-not-started",
            what=f"The device's driver could not be started: {reason}.",
            todo="Run `hsm-console adapter doctor`, which tells what this machine lacks.",
            details={"detail": detail},
        )
    )


def unexpected(method: str, error: BaseException) -> DeviceError:
    """A Python exception that no adapter translated. Its text is left out: it might quote what it failed on."""
    return DeviceError(
        Problem(
            code="device-failed",
            what="The device's driver failed in a way the console does not know.",
            key_state=state_after(method),
            todo="Note the details below and try once more. If it comes back, run `hsm-console adapter doctor`.",
            contact=_HSM_PEOPLE,
            details={"call": method, "type": type(error).__name__},
        )
    )
