"""What only one vendor does: roles, misleading return values, keys that others made, limits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from adapters.pkcs11.errors import translate
from adapters.pkcs11.profile import load
from adapters.pkcs11.raw import CkrError
from hsm_console.domain.errors import ConsoleError, DeviceError, InputError
from hsm_console.domain.keys import Algorithm, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Unsupported

pytestmark = pytest.mark.softhsm
HouseOf = Callable[[str], Any]
TYPED = "user-pin-1357"


def problem_of(call: Callable[[], object], family: type[ConsoleError] = DeviceError):  # type: ignore[no-untyped-def]
    with pytest.raises(family) as caught:
        call()
    return caught.value.problem


def ec_key(number: int) -> KeySpec:
    return KeySpec(algorithm=Algorithm.EC_P256, label=f"own-{number}", object_id=bytes([0xA0, number]) * 8)


def test_azure_says_expired_and_means_the_form_of_the_pin() -> None:
    problem = translate(CkrError("C_Login", 0xA3), "log_in", load("azure_cloud_hsm")).problem
    assert problem.code == "pin-unusable"
    assert "form of user name and PIN" in problem.what
    assert "do not change it" in problem.todo
    assert problem.details["ckr"] == "CKR_PIN_EXPIRED"


def test_azure_user_name_with_a_colon_or_none_costs_no_try(house_of: HouseOf) -> None:
    for user in ("", "a:b"):
        with house_of("azure-cloud-hsm").client(user=user) as client:
            problem = problem_of(lambda: client.log_in(Secret(TYPED)), InputError)
            assert (problem.code, "“user”" in problem.what) == ("option-unusable", True)


def test_crypto_user_of_a_luna_uses_keys_and_makes_none(house_of: HouseOf) -> None:
    house = house_of("luna")
    with house.open() as officer:
        made = officer.generate(ec_key(1))
    with house.open(role="crypto-user") as user:
        assert user.describe().algorithms == ()
        for call in (lambda: user.generate(ec_key(2)), lambda: user.destroy(made.object_id)):
            assert "without the option role" in problem_of(call, Unsupported).details["detail"]
        signature = user.sign(made.object_id, SignMechanism.ECDSA_SHA256, b"x")
        load_der_public_key(made.spki).verify(signature, b"x", ec.ECDSA(hashes.SHA256()))  # type: ignore[union-attr,call-arg]


def test_ed25519_under_lunas_own_numbers_is_ed25519(house_of: HouseOf) -> None:
    with house_of("luna").open() as client:
        info = client.describe()
        assert "EDDSA_VENDOR_0x80000C03" in info.mechanisms
        assert "EDDSA" not in info.mechanisms
        key = client.generate(KeySpec(algorithm=Algorithm.ED25519, label="ed", object_id=b"\xed" * 16))
        assert client.find(object_id=key.object_id)[0].algorithm is Algorithm.ED25519
        client.verify(
            key.object_id, SignMechanism.ED25519, b"x", client.sign(key.object_id, SignMechanism.ED25519, b"x")
        )


def test_lunas_own_return_values_have_words(house_of: HouseOf) -> None:
    luna = load("luna")
    expected = {
        0x80000007: "pin-locked", 0x8000001B: "device-full", 0x8000002A: "device-full", 0x8000001F: "device-removed",
        0x80000023: "device-failed", 0x8000001A: "device-failed",
    }  # fmt: skip
    for value, code in expected.items():
        problem = translate(CkrError("C_Sign", value), "sign", luna).problem
        assert problem.code == code
        assert problem.details["ckr"] == f"0x{value:08x}"
        assert "does not explain" not in problem.what


def test_operator_of_a_nethsm_uses_keys_and_the_administrator_makes_them(house_of: HouseOf) -> None:
    house = house_of("nethsm")
    with house.open() as administrator:
        made = administrator.generate(ec_key(1))
    with house.open(role="") as operator:
        problem = problem_of(lambda: operator.generate(ec_key(2)), Unsupported)
        assert "role=administrator" in problem.details["detail"]
        assert operator.sign(made.object_id, SignMechanism.ECDSA_SHA256, b"x")


def test_nshield_card_set_logs_in_and_asks_for_one_purpose(house_of: HouseOf) -> None:
    house = house_of("nshield")
    house.environment["SHIM_RULES"] = ",one-purpose,"
    try:
        with house.client(role="") as client:
            client.log_in(Secret(TYPED))
            for number, usage in enumerate((Usage.SIGN, Usage.ENCRYPT), 1):
                kind = Algorithm.AES_256 if usage is Usage.ENCRYPT else Algorithm.RSA_2048
                client.generate(
                    KeySpec(algorithm=kind, label=f"n-{number}", object_id=bytes([number]) * 16, usages=(usage,))
                )
            both = KeySpec(
                algorithm=Algorithm.AES_256, label="n-3", object_id=b"\x03" * 16, usages=(Usage.ENCRYPT, Usage.WRAP)
            )
            problem = problem_of(lambda: client.generate(both))
            assert problem.code == "template-refused"
            assert "decision of policy" in problem.todo
    finally:
        house.environment["SHIM_RULES"] = house.rules.environment()["SHIM_RULES"]


def test_nshields_assurances_are_shown_and_never_all(house_of: HouseOf) -> None:
    house = house_of("nshield")
    problem = problem_of(lambda: house.client(assurances="tokenkeys;All"), InputError)
    assert problem.code == "option-unusable"
    with house.client(assurances="tokenkeys") as client:
        assert any("lowered by policy: tokenkeys" in remark for remark in client.describe().remarks)


def test_unknown_role_names_those_there_are(house_of: HouseOf) -> None:
    problem = problem_of(lambda: house_of("luna").client(role="officer"), InputError)
    assert "“crypto-user”" in problem.what


MADE_IN_THE_CLOUD = """
import sys
import pkcs11
from pkcs11 import Attribute as A, KeyType, Mechanism, MechanismFlag
from pkcs11.util.ec import encode_named_curve_parameters
session = pkcs11.lib(sys.argv[1]).get_token(token_label="vendor").open(rw=True, user_pin=sys.argv[2])
session.generate_keypair(KeyType.EC, id=b"version-1", label="signer", store=True, mechanism=Mechanism.EC_KEY_PAIR_GEN,
    capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
    public_template={A.EC_PARAMS: encode_named_curve_parameters("secp256r1"), A.PRIVATE: True},
    private_template={A.EXTRACTABLE: False})
session.generate_key(KeyType.AES, 256, id=b"version-2", label="cipher", store=True,
    capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT, template={A.EXTRACTABLE: False})
"""


def test_keys_that_a_cloud_service_made_are_found_and_used(house_of: HouseOf) -> None:
    house = house_of("kmsp11")
    command = [sys.executable, "-c", MADE_IN_THE_CLOUD, "/usr/lib/softhsm/libsofthsm2.so", house.rules.pin]
    subprocess.run(command, env=house.plain_environment, check=True, capture_output=True)
    with house.open() as client:
        signer = client.find(label="signer")[0]
        signature = client.sign(signer.object_id, SignMechanism.ECDSA_SHA256, b"x")
        load_der_public_key(signer.spki).verify(signature, b"x", ec.ECDSA(hashes.SHA256()))  # type: ignore[union-attr,call-arg]
        message = client.encrypt(b"version-2", b"secret", b"aad")
        assert any(message.iv)
        assert client.decrypt(b"version-2", message, b"aad") == b"secret"
        problem = problem_of(lambda: client.attest(b"version-1"), Unsupported)
        assert "gcloud kms keys versions describe" in problem.todo


def test_pin_that_a_service_ignores_goes_nowhere(house_of: HouseOf) -> None:
    with house_of("kmsp11").client() as client:
        client.log_in(Secret(""))
        assert client.logged_in
        assert any("goes nowhere" in remark for remark in client.describe().remarks)


def test_third_wrong_pin_of_an_opencryptoki_token_locks_it(house_of: HouseOf) -> None:
    with house_of("opencryptoki").client() as client:
        assert problem_of(lambda: client.log_in(Secret("first-guess"))).code == "pin-incorrect"
        assert client.describe().user_pin_low
        assert problem_of(lambda: client.log_in(Secret("second-guess"))).code == "pin-incorrect"
        assert client.describe().user_pin_final_try
        assert problem_of(lambda: client.log_in(Secret("third-guess"))).code == "pin-locked"
        assert client.describe().user_pin_locked
        problem = problem_of(lambda: client.log_in(Secret(TYPED)))
        assert problem.code == "pin-locked"
        assert "Do not initialise" in problem.todo


def test_yubihsms_asymmetric_key_logs_in_by_its_own_form(house_of: HouseOf) -> None:
    house = house_of("yubihsm")
    with house.client(**{"key-id": "zz"}) as client:
        assert problem_of(lambda: client.log_in(Secret(TYPED)), InputError).code == "option-unusable"
    with house.client(role="asymmetric") as client:  # the shim knows no such key: it gets “@0001…”
        assert problem_of(lambda: client.log_in(Secret(TYPED))).code == "pin-incorrect"


def test_sessions_stay_within_what_the_device_gives(house_of: HouseOf) -> None:
    """CloudHSM's profile has four lanes; the shim gives six sessions, one of them for the login."""
    with house_of("cloudhsm").open() as client:
        assert client.lanes == 4
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(client.random, [32] * 40))
        assert {len(answer) for answer in answers} == {32}


def test_encryption_by_another_rule_than_the_devices_is_refused_or_useless(house_of: HouseOf) -> None:
    """A device that does not write its IV over the zeros must not be believed: one IV for all messages."""
    with house_of("luna").open(iv="readback") as client:
        key = KeySpec(algorithm=Algorithm.AES_256, label="zero", object_id=b"\x0a" * 16, usages=(Usage.ENCRYPT,))
        client.generate(key)
        assert problem_of(lambda: client.encrypt(key.object_id, b"x")).code == "answer-unusable"
    problem = problem_of(lambda: house_of("luna").client(iv="none"), InputError)
    assert "append16" in problem.what
