"""The module in words: its PIN's state before anybody types, what it can make, what it is."""

from __future__ import annotations

from dataclasses import dataclass

from hsm_console.domain.keys import DeviceInfo
from ui import texts
from ui.texts import tr

FEW = 2


@dataclass(frozen=True)
class PinState:
    """words: what is known; look, icon, colour: of a notice; few: two attempts or fewer, so a page asks first."""

    words: str
    look: str
    icon: str
    colour: str
    few: bool = False
    locked: bool = False


def pin_state(device: DeviceInfo | None) -> PinState:
    """Tokens tell flags (PKCS#11 v3.1 3.2, CKF_USER_PIN_*), seldom a number."""
    if device is None:
        text = tr("The module has not said how many attempts are left. Type slowly; a wrong PIN counts.")
        return PinState(text, "notice", "alert", "warn")
    left = device.limits.get("pin_attempts_left", -1)
    if device.user_pin_locked or left == 0:
        text = tr("The PIN is locked. Only the security officer can set a new one.")
        return PinState(text, "problem", "lock", "bad", locked=True)
    if device.user_pin_final_try or left == 1:
        text = tr("ONE attempt is left. A wrong PIN now locks the module. Stop if you are not sure.")
        return PinState(text, "problem", "alert", "bad", few=True)
    if device.user_pin_low or 0 <= left <= FEW:
        text = tr("A wrong PIN was typed before; few attempts are left. Do not guess.")
        return PinState(text, "problem", "alert", "bad", few=True)
    if left > FEW:
        return PinState(tr("{n} attempts are left.", n=left), "done", "check", "good")
    return PinState(tr("No wrong PIN has been typed since the last right one."), "done", "check", "good")


def algorithms(device: DeviceInfo) -> str:
    """What it can make, in the trade's names for people: `RSA, 3072 bits · Elliptic curve P-256`."""
    return " · ".join(texts.algorithm(found.value) for found in device.algorithms) or tr("not told")


def self_description(device: DeviceInfo) -> list[tuple[str, str]]:
    """What is not on the list of modules."""
    return [
        (tr("Hardware"), tr("none: this is a simulation") if device.simulated else device.hardware or tr("not told")),
        (tr("It can make"), algorithms(device)),
    ]
