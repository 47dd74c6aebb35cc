"""Who logs in, and what the module wants to be told: the profile's role, filled in with the binding's options."""

from __future__ import annotations

import re
import string

from adapters import problems
from adapters.pkcs11.profile import Profile, Role
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding, Unsupported, unsupported

_PIN = "{pin}"


def role_of(binding: Binding, profile: Profile) -> Role:
    """The role that the option `role` names, else the profile's first one.

    Raises InputError `option-unusable` naming the roles there are.
    """
    name = binding.options.get("role", "")
    if not name:
        return profile.login
    if name not in profile.roles:
        there = ", ".join(f"“{each}”" for each in profile.roles) or "none: leave the option out"
        words = f"{profile.title} knows no role “{name}”. There are: {there}."
        raise problems.refused("option-unusable", words, "Correct the option “role”.")
    return profile.roles[name]


def user_type(binding: Binding, role: Role) -> int:
    """CK_USER_TYPE: the role's, or a vendor's own by the option `user-type` (a number, 0x… allowed)."""
    chosen = binding.options.get("user-type", "")
    try:
        return int(chosen, 0) if chosen else role.user_type
    except ValueError as wrong:
        raise problems.refused("option-unusable", "The option “user-type” is a number.", "Correct it.") from wrong


def login_text(binding: Binding, role: Role, pin: Secret) -> Secret:
    """What C_Login gets. The same object when it is the PIN as it was typed; else a new one, which the caller wipes.

    Raises InputError `pin-length`, `option-unusable`: what the device would not take costs no try.
    """
    before, typed, after = role.format.partition(_PIN)
    if typed:
        problems.check_pin(pin, role.pin_bytes)
    if role.format == _PIN:
        return pin
    values = {**role.defaults, **binding.options}
    text = [_filled(part, values, role).encode() for part in (before, after)]
    return Secret(text[0] + (pin.reveal_bytes() if typed else b"") + text[1])


def _filled(part: str, values: dict[str, str], role: Role) -> str:
    for _, name, _, _ in string.Formatter().parse(part):
        if not name:
            continue
        value = values.get(name, "")
        if not value or not re.fullmatch(role.patterns.get(name, ".+"), value):
            missing = "is not set" if not value else "does not have the form that the device asks for"
            raise problems.refused("option-unusable", f"The option “{name}” {missing}.", "Correct it, then try again.")
    return part.format(**values)


def may_not_generate(act: str, profile: Profile) -> Unsupported:
    """This role makes no keys; who does."""
    makers = [name for name, role in profile.roles.items() if role.generates]
    who = f"log in with the option role={makers[0]}" if makers else "log in as the user that may make keys"
    if profile.login.generates:
        who = "log in without the option role"
    return unsupported(act, f"this role may not: {who}")
