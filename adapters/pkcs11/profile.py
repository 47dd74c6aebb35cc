"""A vendor's particulars as data: resources/vendors/<id>.toml. What a profile can say, it says instead of code."""

from __future__ import annotations

import msgspec

from hsm_console.domain.keys import Algorithm
from hsm_console.hsm import vendors

_DEFAULT_CURVES = (Algorithm.EC_P256, Algorithm.EC_P384, Algorithm.EC_P521)


class Role(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way to log in.

    format: what C_Login takes: `{pin}` stands for what the person typed, other names for options of the binding
    (`{user}:{pin}`). Without `{pin}` what was typed goes nowhere (the module ignores it); empty: the slot asks for no
    login at all. defaults: values of options that were not given. patterns: what an option must look like, as a regular
    expression. user_type: CK_USER_TYPE. pin_bytes: least and most bytes. generates: whether this role makes and
    destroys keys. words: what it is, for people.
    Whether the device has a PIN pad of its own (CKF_PROTECTED_AUTHENTICATION_PATH) is asked of the token.
    """

    format: str = "{pin}"
    defaults: dict[str, str] = {}
    patterns: dict[str, str] = {}
    user_type: int = 1
    pin_bytes: tuple[int, int] = (4, 255)
    generates: bool = True
    words: str = ""


class Hint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a return value means in this module, and what to do; an empty text leaves the console's own."""

    what: str = ""
    todo: str = ""


class Attestation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the vendor attests a key: `command` on a machine with the vendor's tools, `verify` on one without network."""

    command: str
    verify: str
    proves: str


class Strip(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Attributes that the module refuses to be told (names of CKA_… without the prefix), by kind of template."""

    public: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()


class Need(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a machine must have, looked for by `adapter doctor`.

    kind: `file` (a path), `process` (a running program), `group` (of the user), `environment` (a variable).
    name may hold `{option}`; it is not looked for when that option was not given.
    """

    kind: str
    name: str
    words: str
    todo: str
    required: bool = True


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One kind of device. Every field has the value that fits a module without peculiarities.

    modules: paths tried in order (option `module` comes before). environment: variables set before the module loads;
    `{name}` is replaced by the binding's option of that name. working_directory: option that names it. reserved:
    option whose text goes to C_Initialize as pReserved. login: who logs in when nothing is said; roles: others, chosen
    by the option `role`. needs: what `adapter doctor` looks for.
    mechanisms, key_types: the vendor's own numbers, by standard name without prefix (`EDDSA`, `EC_EDWARDS`).
    gcm: who makes the IV of AES-GCM, see `adapters.pkcs11.aes` (option `iv` says otherwise); gcm_mechanisms: the
    vendor's own number of it, by rule; gcm_bytes: longest plaintext, 0 for no limit. oaep: hashes that RSA-OAEP works
    with, best first.
    modifiable: what CKA_MODIFIABLE is set to; None leaves it out. public_private: CKA_PRIVATE of public halves.
    strip: attributes that are never said. id_bytes: longest CKA_ID. random_bytes: least and most at once.
    verifies, wraps, derives, data_objects: whether the device does it at all. data_private: data objects lie behind the
    PIN only. can_initialise: the console initialises blank tokens; takes_initialised: and founds on one that another
    tool has initialised. lanes: how many calls at once, each in a thread and a session of its own (option `lanes` says
    otherwise); 1 where nobody tried more. max_sessions: how many sessions one program may have, 0 for unknown.
    read_only_sessions: whether there are any. finalize: False for modules that crash or hang in C_Finalize.
    token_objects_only: session objects are refused. deadlines: seconds by kind of call, over the console's own
    (`hsm_console.hsm.worker.DEADLINES`).
    hints: own explanations by CKR name or number. aliases: what a value really means, everywhere
    (`0x80000007`) or in one call (`decrypt/CKR_GENERAL_ERROR`). attestation, audit_hint: what the vendor's own tools
    do. cluster_hint: how several devices stand behind one token. untested: nobody ran this profile on the hardware.
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
    login: Role = Role()
    roles: dict[str, Role] = {}
    needs: tuple[Need, ...] = ()
    mechanisms: dict[str, int] = {}
    key_types: dict[str, int] = {}
    curves: tuple[Algorithm, ...] = _DEFAULT_CURVES
    algorithms: tuple[Algorithm, ...] = ()
    gcm: str = "caller"
    gcm_mechanisms: dict[str, int] = {}
    gcm_bytes: int = 0
    oaep: tuple[str, ...] = ("sha256", "sha1")
    modifiable: bool | None = None
    public_private: bool = False
    strip: Strip = Strip()
    id_bytes: int = 64
    random_bytes: tuple[int, int] = (1, 1024 * 1024)
    verifies: bool = True
    wraps: bool = True
    derives: bool = True
    data_objects: bool = True
    data_private: bool = False
    can_generate: bool = True
    can_initialise: bool = False
    takes_initialised: bool = False
    can_set_pin: bool = True
    lanes: int = 1
    max_sessions: int = 0
    read_only_sessions: bool = True
    finalize: bool = True
    token_objects_only: bool = False
    simulated: bool = False
    untested: bool = True
    deadlines: dict[str, float] = {}
    attestation: Attestation | None = None
    audit_hint: str = ""
    cluster_hint: str = ""
    remarks: tuple[str, ...] = ()
    hints: dict[str, Hint] = {}
    aliases: dict[str, str] = {}


def load(name: str) -> Profile:
    """The profile of this name. Raises FileNotFoundError, msgspec.ValidationError."""
    return msgspec.convert(vendors.read(name), Profile)
