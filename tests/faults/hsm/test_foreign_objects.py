"""A token that other tools have written to: seen as it is, never guessed at, never used by mistake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hsm_console.domain.errors import DeviceError, InputError
from hsm_console.domain.keys import Algorithm, KeyInfo, KeySpec, SignMechanism
from hsm_console.domain.secret import Secret
from hsm_console.hsm import keys
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

USER_PIN = "user-pin-1357"
ID = b"\x01" * 16
EC = KeySpec(algorithm=Algorithm.EC_P256, label="k", object_id=ID)
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
pytestmark = pytest.mark.softhsm

PREFIX = f"""
import os, sys
os.environ["SOFTHSM2_CONF"] = sys.argv[1]
import pkcs11
from pkcs11 import Attribute as A, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_named_curve_parameters
session = pkcs11.lib("{MODULE}").get_token(token_label="faulty").open(rw=True, user_pin="{USER_PIN}")
def pair(id, label, curve="secp256r1", **more):
    parameters = {{A.EC_PARAMS: encode_named_curve_parameters(curve)}}
    made = session.create_domain_parameters(KeyType.EC, parameters, local=True)
    return made.generate_keypair(id=id, label=label, store=True, **more)
"""


@pytest.fixture
def adapter() -> str:
    if not Path(MODULE).exists():
        pytest.skip("softhsm2 is not installed")
    return "softhsm"


@pytest.fixture
def foreign(binding: Binding, tmp_path: Path) -> Callable[[str], None]:
    """Runs lines of another tool, in a process of its own, on the same token."""
    configuration = tmp_path / "foreign.conf"
    store = Path(binding.directory) / "softhsm"
    configuration.write_text(f"directories.tokendir = {store}\nobjectstore.backend = file\n")

    def run(lines: str) -> None:
        command = [sys.executable, "-c", PREFIX + lines, str(configuration)]
        subprocess.run(command, check=True, capture_output=True)

    return run


@pytest.fixture
def client(binding: Binding) -> Iterator[HsmClient]:
    with HsmClient(binding) as opened:
        opened.log_in(Secret(USER_PIN))
        yield opened


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises((DeviceError, InputError)) as caught:
        call()
    return caught.value.problem.code


def by_label(client: HsmClient) -> dict[str, KeyInfo]:
    return {info.label: info for info in client.find()}


def test_keys_of_other_kinds_are_seen_as_other(client: HsmClient, foreign: Callable[[str], None]) -> None:
    foreign(
        'pair(b"\\x05", "odd curve", "secp256k1")\n'
        'session.generate_keypair(KeyType.RSA, 1024, id=b"\\x06", label="short rsa", store=True)\n'
        'session.generate_key(KeyType.DES3, id=b"\\x07", label="des", store=True)\n'
        'session.generate_key(KeyType.AES, 128, id=b"\\x08", label="short aes", store=True)\n'
    )
    found = by_label(client)
    assert {label: info.algorithm for label, info in found.items()} == dict.fromkeys(
        ("odd curve", "short rsa", "des", "short aes"), Algorithm.OTHER
    )
    for info in found.values():
        assert info.spki == b""
        for mechanism in (SignMechanism.ECDSA_SHA256, SignMechanism.RSA_PSS_SHA256, SignMechanism.HMAC_SHA256):
            assert code_of(lambda i=info, m=mechanism: client.sign(i.object_id, m, b"x")) in (
                "unsupported",
                "key-not-permitted",
            )
        assert code_of(lambda i=info: client.encrypt(i.object_id, b"x")) == "key-not-permitted"
        assert code_of(lambda i=info: keys.private_key(client, i)) == "key-incomplete"


def test_two_keys_of_one_id_are_both_seen_and_neither_is_used(
    client: HsmClient, foreign: Callable[[str], None]
) -> None:
    client.generate(EC)
    foreign(f'pair(bytes.fromhex("{ID.hex()}"), "intruder")\n')
    found = client.find(object_id=ID)
    assert len(found) == 2
    for call in (
        lambda: client.attributes(ID),
        lambda: client.verify(ID, SignMechanism.ECDSA_SHA256, b"x", bytes(70)),
    ):
        assert code_of(call) == "object-ambiguous"
    client.log_out()
    client.log_in(Secret(USER_PIN))
    assert code_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")) == "object-ambiguous"
    assert client.destroy(ID) == 4


@pytest.mark.parametrize("left", ["PUBLIC_KEY", "PRIVATE_KEY"])
def test_half_a_pair_shows_no_public_key_and_no_attributes(
    client: HsmClient, foreign: Callable[[str], None], left: str
) -> None:
    client.generate(EC)
    other = "PRIVATE_KEY" if left == "PUBLIC_KEY" else "PUBLIC_KEY"
    foreign(f"for each in list(session.get_objects({{A.CLASS: ObjectClass.{other}}})): each.destroy()\n")
    (half,) = client.find()
    assert (half.object_id, half.label, half.spki, half.attributes.token) == (ID, "k", b"", None)
    assert half.algorithm is Algorithm.EC_P256
    assert code_of(lambda: client.generate(EC)) == "label-taken"


def test_key_without_id_and_label_is_seen_and_blocks_nothing(client: HsmClient, foreign: Callable[[str], None]) -> None:
    foreign("pair(None, None)\n")
    (nameless,) = client.find()
    assert (nameless.object_id, nameless.label) == (b"", "")
    client.generate(EC)
    assert len(client.find()) == 2
    assert client.find(label="k")[0].object_id == ID
    assert client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")


def test_extractable_key_of_another_tool_is_told_apart(client: HsmClient, foreign: Callable[[str], None]) -> None:
    foreign('pair(b"\\x09", "weak", private_template={A.EXTRACTABLE: True, A.SENSITIVE: False})\n')
    attributes = by_label(client)["weak"].attributes
    assert (attributes.extractable, attributes.sensitive) == (True, False)
    assert (attributes.never_extractable, attributes.always_sensitive) == (False, False)


def test_certificates_and_data_of_other_tools_are_no_keys(client: HsmClient, foreign: Callable[[str], None]) -> None:
    foreign(
        'session.create_object({A.CLASS: ObjectClass.DATA, A.TOKEN: True, A.LABEL: "k", A.VALUE: b"x"})\n'
        'session.create_object({A.CLASS: ObjectClass.DATA, A.TOKEN: True, A.LABEL: "other", A.VALUE: b"y"})\n'
    )
    assert client.find() == ()
    client.generate(EC)
    assert client.read_data("nobody", "k") == ()


def test_key_destroyed_by_another_tool_is_missing_and_its_successor_is_found(
    client: HsmClient, foreign: Callable[[str], None]
) -> None:
    client.generate(EC)
    assert client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")
    foreign("for each in list(session.get_objects({A.ID: b'\\x01' * 16})): each.destroy()\n")
    assert code_of(lambda: client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")) == "object-missing"
    foreign('pair(b"\\x01" * 16, "successor")\n')
    assert client.sign(ID, SignMechanism.ECDSA_SHA256, b"x")
