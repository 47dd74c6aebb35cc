"""A module that answers nonsense: a worker may die of it, the process that holds the client does not, and whatever
goes wrong is told in four things. What comes back as right is right."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsm_console.domain.errors import ConsoleError
from hsm_console.domain.keys import Algorithm, KeyInfo, KeySpec, SignMechanism, Usage
from hsm_console.domain.secret import Secret
from hsm_console.hsm.port import Binding
from hsm_console.hsm.worker import HsmClient

pytestmark = pytest.mark.softhsm
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
USER_PIN = "user-pin-1357"
EC_ID, AES_ID = b"\x01" * 16, b"\x02" * 16
DEADLINES = {"search": 3.0, "list": 3.0, "short": 5.0, "sign": 5.0, "open": 10.0, "generate": 10.0, "login": 5.0}
LENGTHS = ("zero", "short", "long", "huge", "unavailable")
KINDS = [
    *(f"{what}-{how}" for what in ("sign", "encrypt", "decrypt", "attribute") for how in LENGTHS),
    "attribute-garbage", "attribute-null", "find-many", "find-garbage", "mechanisms-huge", "mechanisms-garbage",
    "mechanisms-none", "slots-huge", "slots-garbage", "slots-none", "token-garbage", "token-text", "slot-text",
    "random-nothing", "pair-zero", "pair-garbage", "pair-swapped", "key-zero", "login-garbage", "session-garbage",
    "verify-garbage", "list-null", "list-refused", "list-empty", "list-holes",
]  # fmt: skip


class Fuzzed:
    """One token with two keys, opened with one kind of nonsense after another."""

    def __init__(self, module: Path, folder: Path) -> None:
        configuration = folder / "softhsm2.conf"
        (folder / "store").mkdir()
        configuration.write_text(f"directories.tokendir = {folder / 'store'}\nobjectstore.backend = file\n")
        self.environment = {"SOFTHSM2_CONF": str(configuration), "FUZZ_MODULE": str(MODULE)}
        self.binding = Binding(adapter="pkcs11", token_label="fuzzed", options={"module": str(module)})
        with HsmClient(self.binding, environment=self.environment) as client:
            client.initialise_token("fuzzed", Secret("so-pin-2468"), Secret(USER_PIN))
            client.log_in(Secret(USER_PIN))
            self.key = client.generate(KeySpec(algorithm=Algorithm.EC_P256, label="ec", object_id=EC_ID))
            aes = KeySpec(algorithm=Algorithm.AES_256, label="aes", object_id=AES_ID, usages=(Usage.ENCRYPT,))
            client.generate(aes)
            self.message = client.encrypt(AES_ID, b"secret", b"aad")

    def client(self, **environment: str) -> HsmClient:
        return HsmClient(self.binding, environment={**self.environment, **environment}, deadlines=DEADLINES)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Fuzzed:
    if not MODULE.exists():
        pytest.skip("softhsm2 is not installed")
    folder = tmp_path_factory.mktemp("fuzz")
    source = Path(__file__).with_name("fuzz.c")
    command = [
        "gcc",
        "-std=gnu17",
        "-shared",
        "-fPIC",
        "-O1",
        "-w",
        "-Wno-incompatible-pointer-types",
        "-o",
        folder / "fuzz.so",
        source,
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return Fuzzed(folder / "fuzz.so", folder)


def told(call: Callable[[], Any]) -> Any:
    """The answer, or the problem with its four things; nothing else may come out."""
    try:
        return call()
    except ConsoleError as error:
        problem = error.problem
        assert all((problem.code, problem.what, problem.key_state, problem.todo, problem.contact))
        return problem


def calls(client: HsmClient, fuzzed: Fuzzed, number: int) -> dict[str, Callable[[], Any]]:
    new = KeySpec(algorithm=Algorithm.EC_P256, label=f"new-{number}", object_id=number.to_bytes(16, "big"))
    cipher = KeySpec(
        algorithm=Algorithm.AES_256, label=f"aes-{number}", object_id=number.to_bytes(15, "big") + b"\xff",
        usages=(Usage.ENCRYPT,),
    )  # fmt: skip
    return {
        "describe": client.describe,
        "random": lambda: client.random(32),
        "log_in": lambda: client.log_in(Secret(USER_PIN)),
        "find": client.find,
        "sign": lambda: client.sign(EC_ID, SignMechanism.ECDSA_SHA256, b"message"),
        "verify": lambda: client.verify(EC_ID, SignMechanism.ECDSA_SHA256, b"message", bytes(70)),
        "encrypt": lambda: client.encrypt(AES_ID, b"secret", b"aad"),
        "decrypt": lambda: client.decrypt(AES_ID, fuzzed.message, b"aad"),
        "attributes": lambda: client.attributes(EC_ID),
        "generate": lambda: client.generate(new),
        "cipher": lambda: client.generate(cipher),
        "read_data": lambda: client.read_data("a", "b"),
        "log_out": client.log_out,
    }


def rounds(fuzzed: Fuzzed, number: int, **environment: str) -> dict[str, Any]:
    """Every call once; a worker that died is started again and logged in, as a person would do it."""
    answers: dict[str, Any] = {}
    opened = told(lambda: fuzzed.client(**environment))
    if not isinstance(opened, HsmClient):
        return {"open": opened}
    with opened as client:
        for name, call in calls(client, fuzzed, number).items():
            if not client.alive:
                if told(client.respawn) is not None:
                    break
                told(lambda: client.log_in(Secret(USER_PIN)))
            answers[name] = told(call)
    return answers


def must_be_right(answers: dict[str, Any], fuzzed: Fuzzed) -> None:
    """What came back as an answer: a plaintext is the plaintext, and random bytes are no zeros."""
    if isinstance(answers.get("decrypt"), bytes):
        assert answers["decrypt"] == b"secret"
    if isinstance(answers.get("random"), bytes):
        assert any(answers["random"])
    made = answers.get("generate")
    if isinstance(made, KeyInfo):
        assert made.algorithm is Algorithm.EC_P256
        load_der_public_key(made.spki)
    signature = answers.get("sign")
    if isinstance(signature, bytes):  # the gateway verifies each with another implementation; most are stopped before
        public = load_der_public_key(fuzzed.key.spki)
        try:
            public.verify(signature, b"message", ec.ECDSA(hashes.SHA256()))  # type: ignore[union-attr,call-arg]
        except InvalidSignature:
            assert len(signature) >= 8


@pytest.mark.parametrize("kind", KINDS)
def test_nonsense_is_told_and_ends_nobody(fuzzed: Fuzzed, kind: str) -> None:
    parent = os.getpid()
    answers = rounds(fuzzed, 1000 + KINDS.index(kind), FUZZ=kind)
    must_be_right(answers, fuzzed)
    assert os.getpid() == parent
    with fuzzed.client() as client:  # the token is as it was
        client.log_in(Secret(USER_PIN))
        assert client.decrypt(AES_ID, fuzzed.message, b"aad") == b"secret"
        assert client.find(object_id=EC_ID) == (fuzzed.key,)


def test_search_without_end_ends_at_its_deadline_or_its_bound(fuzzed: Fuzzed) -> None:
    with fuzzed.client(FUZZ="find-endless") as client:
        client.log_in(Secret(USER_PIN))
        assert told(client.find).code in ("device-hung", "answer-unusable")


def test_device_that_writes_no_random_bytes_is_found_out(fuzzed: Fuzzed) -> None:
    with fuzzed.client(FUZZ="random-nothing") as client:
        assert told(lambda: client.random(32)).code == "answer-unusable"


def seeds(fuzzed: Fuzzed, numbers: range) -> None:
    for seed in numbers:
        must_be_right(rounds(fuzzed, 5000 + seed, FUZZ_SEED=str(seed + 1), FUZZ_EVERY="6"), fuzzed)


def test_nonsense_at_random(fuzzed: Fuzzed) -> None:
    seeds(fuzzed, range(8))


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_much_nonsense_at_random(fuzzed: Fuzzed) -> None:
    seeds(fuzzed, range(100, 1100))
