"""Return values in words: every one has a name, a code and the four things."""

from __future__ import annotations

import inspect

import pkcs11.exceptions
import pytest

from adapters.pkcs11 import ckr, errors
from adapters.pkcs11.profile import Profile, load
from adapters.pkcs11.raw import CkrError
from hsm_console.domain.errors import DeviceError
from hsm_console.hsm.port import Unsupported

CLASSES = [
    each
    for _, each in inspect.getmembers(pkcs11.exceptions, inspect.isclass)
    if issubclass(each, pkcs11.exceptions.PKCS11Error)
    and each.__name__ not in {"NoSuchKey", "NoSuchToken", "MultipleObjectsReturned", "MultipleTokensReturned"}
]
NO_VALUE = {"PKCS11Error"}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_the_binding_has_its_standard_name(kind: type[Exception]) -> None:
    if kind.__name__ not in NO_VALUE:
        assert errors.ckr_of(kind()) in ckr.NAMES.values()


@pytest.mark.parametrize("value", sorted(ckr.NAMES))
@pytest.mark.parametrize("method", ["sign", "generate", "destroy", "describe", "log_in"])
def test_every_value_is_told_in_four_things(value: int, method: str) -> None:
    error = errors.translate(CkrError("C_Any", value), method)
    problem = error.problem
    assert all((problem.code, problem.what, problem.key_state, problem.todo, problem.contact))
    assert problem.details.get("ckr") == ckr.NAMES[value]
    assert isinstance(error, DeviceError) or problem.code == "token-missing"
    if method in ("generate", "destroy") and problem.code in ("device-failed", "device-removed"):
        assert "not known" in problem.key_state


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Unmapped error code 0x68", "CKR_KEY_FUNCTION_NOT_PERMITTED"),
        ("Unmapped error code 0x80000123", "0x80000123"),
        ("Initialisation error (not initialized). Should never see this.", "CKR_CRYPTOKI_NOT_INITIALIZED"),
        ("something else", "CKR_GENERAL_ERROR"),
    ],
)
def test_text_of_the_binding_is_understood(text: str, name: str) -> None:
    assert errors.ckr_of(pkcs11.exceptions.PKCS11Error(text)) == name


def test_codes_that_callers_rely_on() -> None:
    expected = {
        "CKR_PIN_INCORRECT": "pin-incorrect",
        "CKR_PIN_LOCKED": "pin-locked",
        "CKR_USER_NOT_LOGGED_IN": "not-logged-in",
        "CKR_DEVICE_MEMORY": "device-full",
        "CKR_OBJECT_HANDLE_INVALID": "object-missing",
        "CKR_DEVICE_REMOVED": "device-removed",
        "CKR_TOKEN_WRITE_PROTECTED": "read-only",
        "CKR_GENERAL_ERROR": "device-failed",
        "CKR_MECHANISM_INVALID": "unsupported",
    }
    numbers = {name: value for value, name in ckr.NAMES.items()}
    for name, code in expected.items():
        assert errors.translate(CkrError("C_Any", numbers[name]), "sign").problem.code == code
    assert isinstance(errors.translate(CkrError("C_Any", 0x70), "sign"), Unsupported)


def test_profile_explains_its_own_values() -> None:
    azure = load("azure_cloud_hsm")
    problem = errors.translate(CkrError("C_Login", 0xA3), "log_in", azure).problem
    assert "form of user name and PIN" in problem.what
    softhsm = load("softhsm")
    assert errors.translate(CkrError("C_Decrypt", 0x5), "decrypt", softhsm).problem.code == "ciphertext-invalid"
    assert errors.translate(CkrError("C_Sign", 0x5), "sign", softhsm).problem.code == "device-failed"


def test_told_passes_other_errors_through() -> None:
    with pytest.raises(KeyError), errors.told("sign", Profile(id="x", title="x", vendor="x")):
        raise KeyError
    with pytest.raises(DeviceError), errors.told("sign"):
        raise pkcs11.exceptions.PinLocked
