"""Every vendor's profile over a module that keeps that vendor's rules: what is offered works, and what is not is said.

The whole contract suite runs over SoftHSM and the simulation (tests/contract); here RSA keys are of 2048 bits only.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.domain.errors import ConsoleError, DeviceError, InputError
from hsm_console.domain.keys import Algorithm, KeyInfo, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.keys import default_mechanism
from hsm_console.hsm.port import AesGcm, DataObject, Unsupported
from hsm_console.hsm.worker import HsmClient

pytestmark = pytest.mark.softhsm
_NUMBERS = itertools.count(1)
SLOW = (Algorithm.RSA_3072, Algorithm.RSA_4096)


def spec(algorithm: Algorithm, *usages: Usage, extractable: bool = False) -> KeySpec:
    number = next(_NUMBERS)
    return KeySpec(
        algorithm=algorithm,
        label=f"key-{number}",
        object_id=number.to_bytes(16, "big"),
        usages=usages or (Usage.SIGN,),
        extractable=extractable,
    )


def refused(call: Any, family: type[ConsoleError] = DeviceError) -> str:
    with pytest.raises(family) as caught:
        call()
    problem = caught.value.problem
    assert all((problem.what, problem.key_state, problem.todo, problem.contact))
    return problem.code


def verified(public: Any, signature: bytes, message: bytes) -> None:
    """By an implementation of its own. Raises InvalidSignature."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, message, ec.ECDSA(hashes.SHA384() if public.key_size > 256 else hashes.SHA256()))
    elif hasattr(public, "key_size"):
        public.verify(signature, message, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    else:
        public.verify(signature, message)


def mechanism_of(key: KeyInfo) -> SignMechanism:
    if key.algorithm.is_rsa:
        return SignMechanism.RSA_PSS_SHA256
    if key.algorithm.is_ec:
        return SignMechanism.ECDSA_SHA256 if key.algorithm is Algorithm.EC_P256 else SignMechanism.ECDSA_SHA384
    return SignMechanism.HMAC_SHA256 if not key.algorithm.is_pair else default_mechanism(key.algorithm)


def test_offer_is_what_the_vendor_has_and_says_that_nobody_tried(token: HsmClient, house: Any) -> None:
    info = token.describe()
    assert set(info.algorithms) == set(house.rules.makes)
    assert info.untested_on_hardware
    assert info.adapter == house.name


def test_what_is_offered_is_made_guarded_and_used(token: HsmClient, house: Any) -> None:
    for algorithm in token.describe().algorithms:
        if algorithm in SLOW:
            continue
        if algorithm is Algorithm.AES_256:
            key = token.generate(spec(algorithm, Usage.ENCRYPT))
        else:
            key = token.generate(spec(algorithm))
            signature = token.sign(key.object_id, mechanism_of(key), b"message")
            if key.spki:
                verified(load_der_public_key(key.spki), signature, b"message")
        shown = key.attributes
        assert (shown.token, shown.private, shown.sensitive, shown.extractable) == (True, True, True, False)
        assert shown.usages == ((Usage.ENCRYPT,) if algorithm is Algorithm.AES_256 else (Usage.SIGN,))
        assert token.find(object_id=key.object_id) == (key,)
        assert token.destroy(key.object_id) == (2 if algorithm.is_pair else 1)


def test_what_is_not_offered_is_unsupported_and_nothing_is_made(token: HsmClient) -> None:
    info = token.describe()
    before = token.find()
    for algorithm in set(Algorithm) - set(info.algorithms) - set(info.software_algorithms):
        assert refused(lambda a=algorithm: token.generate(spec(a)), Unsupported) == "unsupported"
    assert token.find() == before


def test_encryption_by_the_devices_iv_rule(token: HsmClient, house: Any) -> None:
    if Algorithm.AES_256 not in token.describe().algorithms:
        return
    key = token.generate(spec(Algorithm.AES_256, Usage.ENCRYPT))
    first, second = token.encrypt(key.object_id, b"secret", b"aad"), token.encrypt(key.object_id, b"secret", b"aad")
    assert first.iv != second.iv
    assert len(first.iv) == (16 if "iv-append16" in house.rules.rules else 12)
    assert len(first.ciphertext) == len(b"secret")
    for message in (first, second, token.encrypt(key.object_id, b"secret", b"aad")):
        assert token.decrypt(key.object_id, message, b"aad") == b"secret"
        broken = AesGcm(iv=message.iv, ciphertext=message.ciphertext, tag=bytes(16))
        with pytest.raises(DeviceError):
            token.decrypt(key.object_id, broken, b"aad")
    assert token.decrypt(key.object_id, token.encrypt(key.object_id, bytes(9000)), b"") == bytes(9000)


def test_unsupported_calls_are_typed_answers(token: HsmClient, house: Any) -> None:
    rules, nobody = set(house.rules.rules), b"\xee" * 16
    item = DataObject(application="a", label="b", value=b"c")
    calls: dict[str, Any] = {
        "no-verify": lambda: token.verify(nobody, SignMechanism.ED25519, b"x", bytes(64)),
        "no-wrap": lambda: token.wrap(nobody, nobody),
        "no-derive": lambda: token.derive(nobody, b"\x04" + bytes(64), 32),
        "no-data": lambda: token.write_data(item),
        "no-create": lambda: token.write_data(item),
        "no-set-pin": lambda: token.change_pin(Secret("old-pin-0000"), Secret("new-pin-0000")),
        "no-init": lambda: token.initialise_token("vendor", Secret("so-pin-0000"), Secret("new-pin-0000")),
    }
    for rule in rules & set(calls):
        assert refused(calls[rule], Unsupported) == "unsupported"
    for call in (lambda: token.attest(nobody), lambda: token.native_log(0)):
        assert refused(call, Unsupported) == "unsupported"


def test_random_whatever_the_device_gives_at_once(token: HsmClient) -> None:
    assert [len(token.random(length)) for length in (1, 8, 32)] == [1, 8, 32]
    assert token.random(32) != token.random(32)


def test_wrong_pin_is_a_wrong_pin(house: Any) -> None:
    if {"any-pin", "no-login"} & set(house.rules.rules):
        return
    with house.client() as client:
        assert refused(lambda: client.log_in(Secret("not-the-pin"))) == "pin-incorrect"
        client.log_in(Secret(house.rules.typed))
        assert client.logged_in


def test_taken_id_is_not_generated_over(token: HsmClient) -> None:
    if Algorithm.EC_P256 not in token.describe().algorithms:
        return
    first = spec(Algorithm.EC_P256)
    token.generate(first)
    again = KeySpec(algorithm=Algorithm.EC_P256, label="another", object_id=first.object_id)
    assert refused(lambda: token.generate(again)) == "label-taken"
    assert len(token.find(object_id=first.object_id)) == 1


def test_short_passwords_and_ids_cost_no_try(house: Any) -> None:
    if house.name == "yubihsm":
        with house.client() as client:
            assert refused(lambda: client.log_in(Secret("short")), InputError) == "pin-length"
    if house.name == "nethsm":
        long = KeySpec(algorithm=Algorithm.EC_P256, label="long", object_id=b"\x01" * 63)
        with house.open() as client:
            assert refused(lambda: client.generate(long), InputError) == "object-id-unusable"
