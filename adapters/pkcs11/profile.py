"""A vendor's particulars as data: resources/vendors/<id>.toml. What a profile can say, it says instead of code."""

from __future__ import annotations

from importlib import resources

import msgspec

from hsm_console.domain.keys import Algorithm

_DEFAULT_CURVES = (Algorithm.EC_P256, Algorithm.EC_P384, Algorithm.EC_P521)


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the PIN becomes what C_Login takes.

    builder: plain; user-password (user name from option `user`, joined by a colon); key-id-password (option `key-id`,
    four hex digits, put before); none (the slot asks for no PIN). user_type: CK_USER_TYPE. Whether the device has a
    PIN pad of its own (CKF_PROTECTED_AUTHENTICATION_PATH) is asked of the token, not of the profile.
    """

    builder: str = "plain"
    user_type: int = 1


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of device. Every field has the value that fits a module without peculiarities.

    modules: paths tried in order (option `module` comes before). environment: variables set before the module loads;
    `{name}` is replaced by the binding's option of that name. working_directory: option that names it. reserved:
    option whose text goes to C_Initialize as pReserved. gcm: who makes the IV: `caller`, or `token` (twelve zero bytes
    are handed in and the IV is read back). oaep: hashes that RSA-OAEP works with, best first. modifiable: what
    CKA_MODIFIABLE is set to; None leaves it out.
    public_private: CKA_PRIVATE of public halves. random_bytes: least and most at once.
    lanes: how many calls at once, each in a thread and a session of its own (option `lanes` says otherwise); 1 where
    nobody tried more. finalize: False for modules that crash or hang in C_Finalize. token_objects_only: session objects
    are refused.
    hints: own explanations by CKR name. aliases: what a value really means in one call (`decrypt/CKR_GENERAL_ERROR`).
    untested: nobody ran this profile on the hardware.
    """

    id: str
    title: str
    vendor: str
    modules: tuple[str, ...] = ()
    package_hint: str = ""
    environment: dict[str, str] = {}
    options: dict[str, str] = {}
    working_directory: str = ""
    reserved: str = ""
    login: Login = Login()
    curves: tuple[Algorithm, ...] = _DEFAULT_CURVES
    algorithms: tuple[Algorithm, ...] = ()
    gcm: str = "caller"
    oaep: tuple[str, ...] = ("sha256", "sha1")
    modifiable: bool | None = None
    public_private: bool = False
    random_bytes: tuple[int, int] = (1, 1024 * 1024)
    can_generate: bool = True
    can_initialise: bool = False
    can_set_pin: bool = True
    lanes: int = 1
    finalize: bool = True
    token_objects_only: bool = False
    simulated: bool = False
    untested: bool = True
    attestation: str = ""
    audit_hint: str = ""
    remarks: tuple[str, ...] = ()
    hints: dict[str, str] = {}
    aliases: dict[str, str] = {}


def load(name: str) -> Profile:
    """The profile of this name. Raises FileNotFoundError, msgspec.ValidationError."""
    text = resources.files("resources").joinpath("vendors", f"{name}.toml").read_bytes()
    return msgspec.toml.decode(text, type=Profile)
