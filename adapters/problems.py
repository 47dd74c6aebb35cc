"""Failures that every kind of token has, in the same words whichever adapter tells them."""

from __future__ import annotations

import errno
from pathlib import Path

from hsm_console.domain.errors import NOTHING_DONE, DeviceError, EnvironmentFault, InputError, Problem
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Unsupported, unsupported
from hsm_console.hsm.problems import state_after

HSM_PEOPLE = "the administrator of the HSM"
KEY_UNCHANGED = "The key is unchanged."
PIN_BYTES = (4, 255)
LABEL_CHARACTERS = 64
ID_BYTES = 64
DATA_BYTES = 4096
RANDOM_BYTES = 1024 * 1024


def pin_incorrect(*, left: int | None, ckr: str = "CKR_PIN_INCORRECT") -> DeviceError:
    """left: tries left before the device locks, when the device tells."""
    tries = "" if left is None else f" {left} {'try is' if left == 1 else 'tries are'} left before the device locks."
    return DeviceError(
        Problem(
            code="pin-incorrect",
            what=f"The PIN is not right.{tries}",
            key_state="The device stays locked. No key was touched.",
            todo="Read the PIN again from where it is kept, and type it slowly. Do not guess.",
            contact="the custodian who keeps the PIN",
            details={"ckr": ckr, **({} if left is None else {"tries_left": str(left)})},
        )
    )


def pin_locked() -> DeviceError:
    return DeviceError(
        Problem(
            code="pin-locked",
            what="The user PIN of this device is locked after too many wrong tries. Even the right PIN is refused now.",
            key_state="The keys are still in the device and unchanged, but nobody can use them until it is unlocked.",
            todo="The security officer unlocks it with the SO PIN and the vendor's tool. Do not initialise the device: "
            "that destroys every key in it.",
            contact="the security officer who keeps the SO PIN",
            details={"ckr": "CKR_PIN_LOCKED"},
        )
    )


def already_logged_in() -> DeviceError:
    return DeviceError(
        Problem(
            code="already-logged-in",
            what="The device is unlocked already. The PIN was not checked.",
            todo="Lock the device first if this PIN is to be checked.",
            details={"ckr": "CKR_USER_ALREADY_LOGGED_IN"},
        )
    )


def not_logged_in() -> DeviceError:
    return DeviceError(
        Problem(
            code="not-logged-in",
            what="The device is locked. What was asked needs the PIN.",
            todo="Unlock the device with its PIN, then try again.",
            contact="the custodian who keeps the PIN",
            details={"ckr": "CKR_USER_NOT_LOGGED_IN"},
        )
    )


def label_taken(what: str, *, state: str = NOTHING_DONE) -> DeviceError:
    """what: which name is taken, as the start of a sentence (“An object with the label “x””)."""
    return DeviceError(
        Problem(
            code="label-taken",
            what=f"{what} is in the device already.",
            key_state=state,
            todo="Choose another label, or find out who made the one that is there. Do not destroy it to make room.",
            contact=HSM_PEOPLE,
        )
    )


def token_initialised(label: str) -> DeviceError:
    return DeviceError(
        Problem(
            code="label-taken",
            what=f"The token “{label}” is initialised already. Initialising it again would destroy every key in it.",
            todo="Choose an empty token or another folder.",
            contact=HSM_PEOPLE,
        )
    )


def object_missing(object_id: bytes) -> DeviceError:
    return DeviceError(
        Problem(
            code="object-missing",
            what="There is no key with this id in the device.",
            todo="List the keys in the device and compare. If the key should be there, stop and call.",
            contact=HSM_PEOPLE,
            details={"object_id": object_id.hex(), "ckr": "CKR_OBJECT_HANDLE_INVALID"},
        )
    )


def object_ambiguous(object_id: bytes, count: int) -> DeviceError:
    return DeviceError(
        Problem(
            code="object-ambiguous",
            what=f"{count} keys in the device carry the same id. The console does not choose between them.",
            key_state="Nothing has been done; all of them are unchanged.",
            todo="Find out which tool made the others. Give them another id with that tool.",
            contact=HSM_PEOPLE,
            details={"object_id": object_id.hex(), "count": str(count)},
        )
    )


def signature_invalid() -> DeviceError:
    return DeviceError(
        Problem(
            code="signature-invalid",
            what="The signature does not belong to this message and this key.",
            key_state=KEY_UNCHANGED,
            todo="Do not use what the signature should protect. Find out where the message or the signature changed.",
            details={"ckr": "CKR_SIGNATURE_INVALID"},
        )
    )


def ciphertext_invalid() -> DeviceError:
    return DeviceError(
        Problem(
            code="ciphertext-invalid",
            what="The encrypted message was changed, or it was encrypted under another key.",
            key_state=KEY_UNCHANGED,
            todo="Do not use the message. Fetch it again from where it was made.",
            details={"ckr": "CKR_ENCRYPTED_DATA_INVALID"},
        )
    )


def not_permitted(act: str) -> DeviceError:
    """act: what the key may not do (“sign”, “leave the device”)."""
    return DeviceError(
        Problem(
            code="key-not-permitted",
            what=f"This key may not {act}: it was not made for that.",
            key_state=KEY_UNCHANGED,
            todo="Choose a key made for this purpose.",
            contact=HSM_PEOPLE,
            details={"ckr": "CKR_KEY_FUNCTION_NOT_PERMITTED"},
        )
    )


def not_extractable() -> DeviceError:
    return DeviceError(
        Problem(
            code="key-not-extractable",
            what="This key may not leave the device, not even wrapped: it was made non-extractable.",
            key_state=KEY_UNCHANGED,
            todo="Nothing: this is how the key is protected. A backup of it needs the vendor's backup procedure.",
            contact=HSM_PEOPLE,
            details={"ckr": "CKR_KEY_UNEXTRACTABLE"},
        )
    )


def algorithm_unsupported(algorithm: Algorithm) -> Unsupported:
    return unsupported(algorithm.value, "algorithm")


def mechanism_unsupported(mechanism: SignMechanism, algorithm: Algorithm) -> Unsupported:
    return unsupported(f"{mechanism.value} with a key {algorithm.value}", "sign mechanism")


def refused(code: str, what: str, todo: str, **details: str) -> InputError:
    """Input that no token is asked about."""
    return InputError(Problem(code=code, what=what, todo=todo, details=details, exit_code=2))


def check_pin(pin: Secret, bounds: tuple[int, int] = PIN_BYTES) -> None:
    """Refuse a PIN that no token takes, before it costs a try. Raises InputError `pin-length`."""
    low, high = bounds
    if not low <= len(pin) <= high:
        raise refused("pin-length", f"A PIN has {low} to {high} characters.", "Type the PIN again.")


def check_spec(spec: KeySpec, id_bytes: int = ID_BYTES) -> None:
    """Refuse names no token keeps faithfully. Raises InputError `label-unusable`, `object-id-unusable`."""
    if not (spec.label.isascii() and spec.label.isprintable() and 0 < len(spec.label) <= LABEL_CHARACTERS):
        raise refused(
            "label-unusable",
            f"A label has 1 to {LABEL_CHARACTERS} plain characters (ASCII).",
            "Choose a label like “root-ca-2026”.",
        )
    if not 0 < len(spec.object_id) <= id_bytes:
        raise refused("object-id-unusable", f"An object id has 1 to {id_bytes} bytes.", "Derive it from the intent.")


def check_length(length: int, *, most: int) -> None:
    """Raises InputError `length-unusable`."""
    if not 0 < length <= most:
        raise refused("length-unusable", f"The length must be between 1 and {most} bytes.", "Ask for less at a time.")


def check_data(value: bytes) -> None:
    """Raises InputError `data-too-long`."""
    if len(value) > DATA_BYTES:
        raise refused("data-too-long", f"A data object holds at most {DATA_BYTES} bytes.", "Store a digest instead.")


def wrong_serial(label: str, wanted: str, found: tuple[str, ...]) -> EnvironmentFault:
    """A token carries the right label and another serial number: it was replaced, or a second one was inserted."""
    return EnvironmentFault(
        Problem(
            code="token-wrong-serial",
            what=f"The token “{label}” is there, but it is another one: its serial number is "
            f"{' and '.join(found)}, and this installation belongs to {wanted}.",
            todo="Connect the token this installation was set up with. If nobody exchanged it, stop and call.",
            contact=HSM_PEOPLE,
            details={"label": label, "wanted_serial": wanted, "found_serials": " ".join(found)},
        )
    )


def token_absent(label: str, serial: str, found: tuple[str, ...]) -> EnvironmentFault:
    """No token carries this label (and serial). found: the labels that are there."""
    there = "No token is there at all." if not found else "There are: " + ", ".join(f"“{name}”" for name in found) + "."
    return EnvironmentFault(
        Problem(
            code="token-missing",
            what=f"The token “{label}” is not there. {there}" if label else f"No token was named. {there}",
            todo="Connect the device, or correct the token's name in this installation's settings.",
            contact=HSM_PEOPLE,
            details={"label": label, **({"wanted_serial": serial} if serial else {})},
        )
    )


def duplicate_label(label: str, serials: tuple[str, ...]) -> EnvironmentFault:
    """Several tokens carry the label and the binding names no serial."""
    return EnvironmentFault(
        Problem(
            code="token-ambiguous",
            what=f"{len(serials)} tokens are called “{label}”: {', '.join(serials)}. "
            "The console does not choose between them.",
            todo="Name the serial number in this installation's settings, or disconnect the others.",
            contact=HSM_PEOPLE,
            details={"label": label, "found_serials": " ".join(serials)},
        )
    )


def store_refused(error: OSError, path: Path) -> DeviceError:
    """What the file system under a software token says, in the words of a token."""
    details = {"errno": errno.errorcode.get(error.errno or 0, "unknown"), "path": str(path)}
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DeviceError(
            Problem(
                code="device-full",
                what="The token has no room left: the disk under it is full.",
                key_state="Nothing was stored; what was stored before is unchanged.",
                todo="Make room on the disk that holds the workspace, then try again.",
                details={"ckr": "CKR_DEVICE_MEMORY", **details},
            )
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return DeviceError(
            Problem(
                code="read-only",
                what="The token cannot be written: its folder is read-only for this user.",
                key_state="Nothing was stored; what was stored before is unchanged.",
                todo="Give the user who runs the gateway the right to write there, then try again.",
                details={"ckr": "CKR_TOKEN_WRITE_PROTECTED", **details},
            )
        )
    return DeviceError(
        Problem(
            code="device-removed" if error.errno in (errno.ENOENT, errno.ESTALE, errno.ENODEV) else "device-failed",
            what="The token's files could not be reached.",
            key_state="Nothing was stored; what can still be read is unchanged.",
            todo="Check the disk that holds the workspace; restore the token's folder from its backup if it is gone.",
            details={"ckr": "CKR_DEVICE_ERROR", **details},
        )
    )


def ask_the_vendors_tool(what: str, words: str, todo: str, **details: str) -> Unsupported:
    """Something the device does, but not through PKCS#11."""
    return Unsupported(
        Problem(
            code="unsupported",
            what=f"This device does not give {what} through its driver. {words}".rstrip(),
            todo=todo,
            contact=HSM_PEOPLE,
            details=details,
        )
    )


def no_blank_token(label: str) -> EnvironmentFault:
    return EnvironmentFault(
        Problem(
            code="token-missing",
            what=f"There is no empty token to be called “{label}”: every token the driver shows is initialised.",
            todo="Connect an empty device, or make an empty slot with the vendor's tool.",
            contact=HSM_PEOPLE,
        )
    )


def session_lost(method: str, ckr: str) -> DeviceError:
    """A session was closed underneath while the login holds: the next call opens another and finds its keys anew."""
    return DeviceError(
        Problem(
            code="session-lost",
            what="The device has closed one of its connections; the console has opened another.",
            key_state=state_after(method),
            todo="Do it again. Signing and the like are repeated by the console itself.",
            contact=HSM_PEOPLE,
            details={"call": method, "ckr": ckr},
        )
    )


def answer_unusable(method: str, detail: str) -> DeviceError:
    """The driver said that all went well and gave something that cannot be right."""
    return DeviceError(
        Problem(
            code="answer-unusable",
            what="The device's driver gave an answer that cannot be right; the console has thrown it away.",
            key_state=state_after(method),
            todo="Do not use this driver until it was examined: run `hsm-console adapter doctor` and tell its maker.",
            contact=HSM_PEOPLE,
            details={"call": method, "detail": detail},
        )
    )


def not_as_made(object_id: bytes, count: int) -> DeviceError:
    """The device said that it made a key and then shows something else."""
    return DeviceError(
        Problem(
            code="key-not-as-made",
            what="The device reported a new key, but does not show it as it was made.",
            key_state=f"The device shows {count} keys under this id. Do not use any of them.",
            todo="Stop the ceremony. List the keys in the device and let the quorum decide.",
            contact=HSM_PEOPLE,
            details={"object_id": object_id.hex(), "count": str(count)},
        )
    )


def check_token_label(label: str, bound: str) -> None:
    """A token's label has 32 bytes, padded with blanks; it is the one the binding names.

    Raises InputError `label-unusable`, `label-differs`.
    """
    if label != bound:
        raise refused(
            "label-differs",
            f"The token would be called “{label}”, but this installation looks for “{bound}”.",
            "Use one name for both.",
        )
    if not (label.isascii() and label.isprintable() and 0 < len(label) <= 32 and label == label.strip()):
        raise refused(
            "label-unusable", "A token's name has 1 to 32 plain characters (ASCII).", "Choose a name like “house-1”."
        )
