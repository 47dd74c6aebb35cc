"""What PKCS#11 return values mean, in plain words. One table; no vendor text is shown without it.

python-pkcs11 raises one empty class per return value, and for the rest `PKCS11Error("Unmapped error code 0x68")`.
Both become the CKR name; the name becomes a Problem.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import pkcs11.exceptions

from adapters import problems
from adapters.pkcs11 import ckr
from adapters.pkcs11.profile import Hint, Profile
from adapters.pkcs11.raw import CkrError
from hsm_console.domain.errors import ConsoleError, DeviceError, EnvironmentFault, Problem
from hsm_console.hsm.port import Unsupported
from hsm_console.hsm.problems import state_after

_UNMAPPED = re.compile(r"code 0x([0-9a-fA-F]+)")
# python-pkcs11's classes whose names are not the CKR name in camel case.
_ODD_CLASSES = {
    "AnotherUserAlreadyLoggedIn": "CKR_USER_ANOTHER_ALREADY_LOGGED_IN",
    "FunctionCancelled": "CKR_FUNCTION_CANCELED",
    "RandomNoRNG": "CKR_RANDOM_NO_RNG",
    "SessionReadWriteSOExists": "CKR_SESSION_READ_WRITE_SO_EXISTS",
    "SlotIDInvalid": "CKR_SLOT_ID_INVALID",
    "TokenNotRecognised": "CKR_TOKEN_NOT_RECOGNIZED",
}
_TEXTS = {
    "already initialized": "CKR_CRYPTOKI_ALREADY_INITIALIZED",
    "not initialized": "CKR_CRYPTOKI_NOT_INITIALIZED",
    "Buffer was too small": "CKR_BUFFER_TOO_SMALL",
    "User type": "CKR_USER_TYPE_INVALID",
}


class _Meaning(NamedTuple):
    code: str
    what: str
    todo: str
    family: type[ConsoleError] = DeviceError


_AGAIN = "Check the device, its cable or its network. Then connect again and unlock the device."
_MEANINGS: dict[str, _Meaning] = {
    "CKR_DEVICE_REMOVED": _Meaning("device-removed", "The device was removed or is switched off.", _AGAIN),
    "CKR_TOKEN_NOT_PRESENT": _Meaning("device-removed", "There is no token in the device.", _AGAIN),
    "CKR_SESSION_HANDLE_INVALID": _Meaning(
        "device-removed", "The device has closed the connection: it was restarted or cut off.", _AGAIN
    ),
    "CKR_SESSION_CLOSED": _Meaning("device-removed", "The device has closed the connection.", _AGAIN),
    "CKR_CRYPTOKI_NOT_INITIALIZED": _Meaning("device-removed", "The device's driver lost its connection.", _AGAIN),
    "CKR_SLOT_ID_INVALID": _Meaning("device-removed", "The device's slot is gone.", _AGAIN),
    "CKR_TOKEN_NOT_RECOGNIZED": _Meaning(
        "token-missing",
        "What is in the device is no token that the driver knows.",
        "Insert the right token or card.",
        EnvironmentFault,
    ),
    "CKR_DEVICE_MEMORY": _Meaning(
        "device-full",
        "The device has no room left for another object.",
        "Find out which objects are no longer needed; destroying one takes a ceremony of its own.",
    ),
    "CKR_TOKEN_RESOURCE_EXCEEDED": _Meaning(
        "device-full", "The device has reached one of its limits.", "Close other programs that use it, then try again."
    ),
    "CKR_SESSION_COUNT": _Meaning(
        "device-busy",
        "The device takes no more connections.",
        "Close other programs that use the device, then try again.",
    ),
    "CKR_TOKEN_WRITE_PROTECTED": _Meaning(
        "read-only", "The token is write-protected.", "Remove the write protection, or choose another token."
    ),
    "CKR_SESSION_READ_ONLY": _Meaning(
        "read-only", "The device allows reading only.", "Ask its administrator for the right to write."
    ),
    "CKR_OBJECT_HANDLE_INVALID": _Meaning(
        "object-missing",
        "The object is no longer in the device.",
        "List the keys in the device and compare. If the key should be there, stop and call.",
    ),
    "CKR_KEY_HANDLE_INVALID": _Meaning(
        "object-missing",
        "The key is no longer in the device.",
        "List the keys in the device and compare. If the key should be there, stop and call.",
    ),
    "CKR_PIN_EXPIRED": _Meaning("pin-expired", "The PIN has expired.", "Set a new PIN, then try again."),
    "CKR_USER_PIN_NOT_INITIALIZED": _Meaning(
        "pin-not-set",
        "The token has no user PIN yet.",
        "The security officer sets the user PIN; initialising the token again would destroy its keys.",
    ),
    "CKR_PIN_INVALID": _Meaning(
        "pin-unusable", "The device does not accept this PIN's characters.", "Use letters and digits only."
    ),
    "CKR_PIN_LEN_RANGE": _Meaning(
        "pin-length", "The device does not accept a PIN of this length.", "Read the device's limits and choose another."
    ),
    "CKR_PIN_TOO_WEAK": _Meaning("pin-too-weak", "The device finds this PIN too weak.", "Choose a longer PIN."),
    "CKR_USER_ANOTHER_ALREADY_LOGGED_IN": _Meaning(
        "already-logged-in", "Another role is logged in to the device.", "Lock the device first."
    ),
    "CKR_USER_TOO_MANY_TYPES": _Meaning(
        "device-busy", "Too many roles are logged in to the device.", "Log another role out first."
    ),
    "CKR_TEMPLATE_INCONSISTENT": _Meaning(
        "template-refused",
        "The device refuses this combination of key properties.",
        "Choose other usages. `hsm-console adapter probe` shows what this device takes.",
    ),
    "CKR_TEMPLATE_INCOMPLETE": _Meaning(
        "template-refused",
        "The device misses a key property.",
        "Tell the maker of this adapter; the details name the call.",
    ),
    "CKR_ATTRIBUTE_VALUE_INVALID": _Meaning(
        "template-refused",
        "The device refuses the value of a key property.",
        "Choose another label or another algorithm.",
    ),
    "CKR_KEY_FUNCTION_NOT_PERMITTED": _Meaning(
        "key-not-permitted", "This key may not do that: it was not made for it.", "Choose a key made for this purpose."
    ),
    "CKR_KEY_TYPE_INCONSISTENT": _Meaning(
        "key-not-permitted", "This kind of key cannot do that.", "Choose a key made for this purpose."
    ),
    "CKR_ACTION_PROHIBITED": _Meaning(
        "key-not-permitted", "The device forbids this for this object.", "Choose another object."
    ),
    "CKR_KEY_UNEXTRACTABLE": _Meaning(
        "key-not-extractable",
        "This key may not leave the device, not even wrapped: it was made non-extractable.",
        "Nothing: this is how the key is protected. A backup of it needs the vendor's backup procedure.",
    ),
    "CKR_KEY_NOT_WRAPPABLE": _Meaning(
        "key-not-extractable", "The device does not wrap this key.", "A backup needs the vendor's backup procedure."
    ),
    "CKR_SIGNATURE_INVALID": _Meaning(
        "signature-invalid",
        "The signature does not belong to this message and this key.",
        "Do not use what the signature should protect. Find out where the message or the signature changed.",
    ),
    "CKR_ENCRYPTED_DATA_INVALID": _Meaning(
        "ciphertext-invalid",
        "The encrypted message was changed, or it was encrypted under another key.",
        "Do not use the message. Fetch it again from where it was made.",
    ),
    "CKR_WRAPPED_KEY_INVALID": _Meaning(
        "ciphertext-invalid",
        "The wrapped key was changed, or it was wrapped under another key.",
        "Do not use it. Fetch it again from where it was made.",
    ),
    "CKR_HOST_MEMORY": _Meaning("device-failed", "This machine is out of memory.", "Close other programs, try again."),
    "CKR_FIPS_SELF_TEST_FAILED": _Meaning(
        "device-failed", "The device failed its self-test and refuses to work.", "Stop using the device and call."
    ),
}
_ALIASES = {
    "CKR_SIGNATURE_LEN_RANGE": "CKR_SIGNATURE_INVALID",
    "CKR_ENCRYPTED_DATA_LEN_RANGE": "CKR_ENCRYPTED_DATA_INVALID",
    "CKR_WRAPPED_KEY_LEN_RANGE": "CKR_WRAPPED_KEY_INVALID",
    "CKR_AEAD_DECRYPT_FAILED": "CKR_ENCRYPTED_DATA_INVALID",
}
_UNSUPPORTED = (
    "CKR_FUNCTION_NOT_SUPPORTED",
    "CKR_MECHANISM_INVALID",
    "CKR_MECHANISM_PARAM_INVALID",
    "CKR_DOMAIN_PARAMS_INVALID",
    "CKR_KEY_SIZE_RANGE",
    "CKR_CURVE_NOT_SUPPORTED",
    "CKR_RANDOM_NO_RNG",
)
_FAILED = _Meaning(
    "device-failed",
    "The device reported a failure that it does not explain.",
    "Note the details below and try once more. If it comes back, run `hsm-console adapter doctor`.",
)


def ckr_of(error: Exception) -> str:
    """The CKR name of an error; a number in hexadecimal when the standard has no name for it."""
    if isinstance(error, CkrError):
        return ckr.NAMES.get(error.value, f"0x{error.value:08x}")
    name = type(error).__name__
    if name == "PKCS11Error":
        return _from_text(str(error))
    return _ODD_CLASSES.get(name) or "CKR_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def _from_text(text: str) -> str:
    if number := _UNMAPPED.search(text):
        value = int(number[1], 16)
        return ckr.NAMES.get(value, f"0x{value:08x}")
    return next((name for part, name in _TEXTS.items() if part in text), "CKR_GENERAL_ERROR")


def translate(error: Exception, method: str, profile: Profile | None = None) -> ConsoleError:
    """The error in the console's words; a profile may say what a value means in its module, and explain it itself."""
    told_as = ckr_of(error)
    name, hint = _as_profile_says(told_as, method, profile)
    if (ready := _ready(name)) is not None:
        said = ready.problem
        what, todo = (hint and hint.what) or said.what, (hint and hint.todo) or said.todo
        details = {**said.details, "ckr": told_as}
        return type(ready)(msgspec.structs.replace(said, what=what, todo=todo, details=details))
    if name in _UNSUPPORTED:
        return Unsupported(
            Problem(
                code="unsupported",
                what=(hint and hint.what) or "This device does not offer what was asked.",
                key_state=state_after(method) if method in ("generate", "unwrap") else "Nothing has been done.",
                todo=(hint and hint.todo)
                or "Choose another algorithm or device; `hsm-console adapter probe` lists what this one offers.",
                details={"call": method, "ckr": told_as},
            )
        )
    meaning = _MEANINGS.get(_ALIASES.get(name, name), _FAILED)
    return meaning.family(
        Problem(
            code=meaning.code,
            what=(hint and hint.what) or meaning.what,
            key_state=state_after(method),
            todo=(hint and hint.todo) or meaning.todo,
            contact=problems.HSM_PEOPLE,
            details={"call": method, "ckr": told_as},
        )
    )


def _as_profile_says(told_as: str, method: str, profile: Profile | None) -> tuple[str, Hint | None]:
    """What a value means in this module (`aliases`), and the vendor's own explanation of it (`hints`)."""
    if profile is None:
        return told_as, None
    name = profile.aliases.get(f"{method}/{told_as}") or profile.aliases.get(told_as, told_as)
    return name, profile.hints.get(f"{method}/{told_as}") or profile.hints.get(told_as) or profile.hints.get(name)


def _ready(name: str) -> ConsoleError | None:
    """Failures that other adapters tell too, in the same words."""
    if name == "CKR_PIN_INCORRECT":
        return problems.pin_incorrect(left=None)
    if name == "CKR_PIN_LOCKED":
        return problems.pin_locked()
    if name == "CKR_USER_NOT_LOGGED_IN":
        return problems.not_logged_in()
    if name == "CKR_USER_ALREADY_LOGGED_IN":
        return problems.already_logged_in()
    return None


@contextlib.contextmanager
def told(method: str, profile: Profile | None = None) -> Iterator[None]:
    """Run native calls of one port method; what they raise comes out as a ConsoleError."""
    try:
        yield
    except (pkcs11.exceptions.PKCS11Error, CkrError) as error:
        raise translate(error, method, profile) from error
